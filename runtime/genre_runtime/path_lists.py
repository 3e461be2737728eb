"""Lists of paths: from stdin or a file, in the encodings that shells and spreadsheets write."""

from __future__ import annotations

import codecs
import locale
import os
import sys
from collections.abc import Iterator, Sequence

from genre_runtime.errors import InvalidInputError

_MARKS = (  # the longer ones first: UTF-32 LE begins with the mark of UTF-16 LE
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_MARK = "\ufeff"


def encoding_by_mark(start: bytes) -> str | None:
    """Return Python's name of the encoding whose byte-order mark text begins with, or None where there is no mark.

    Parameters
    ----------
    start : bytes
        At least the first four bytes, where there are as many. PowerShell 5 writes UTF-16 with a mark.
    """
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def named_paths(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, and in the place of `-` the entries of the list on stdin.

    Raises
    ------
    InvalidInputError
        The list is UTF-16 or UTF-32 without a mark, or damaged.
    """
    for name in names:
        if name == "-":
            yield from listed_paths(sys.stdin.buffer.read() if sys.stdin else b"")
        else:
            yield name


def listed_paths(content: bytes) -> list[str]:
    """Return the paths of a list: one a line, or separated by NUL as `find -print0` writes them.

    Parameters
    ----------
    content : bytes
        UTF-8 or the system's own encoding; with a byte-order mark UTF-16 or UTF-32, too. A path in double quotes, as
        Windows copies it, loses them unless a file has that name.

    Raises
    ------
    InvalidInputError
        The encoding cannot be told: a list of single characters between NULs would be taken for paths such as `/`.
    """
    encoding = encoding_by_mark(content)
    if encoding is None:
        text = _decode(content)
        if "\0" in text:
            return _separated_by_nul(text)
    else:
        try:
            text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "strict")
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"the list of paths begins as {encoding} text and goes on as something else ({error.reason}): write it "
                "as UTF-8"
            ) from error
        if "\0" in text:
            return _separated_by_nul(text)
    lines = (line.removesuffix("\r").removeprefix(_MARK) for line in text.split("\n"))
    return [_without_quotes(line) for line in lines if line.strip()]


def _separated_by_nul(text: str) -> list[str]:
    names = [name for name in text.removeprefix(_MARK).split("\0") if name]
    n_single = sum(len(name) == 1 or (not name.isprintable() and not name.strip()) for name in names)
    if 2 * n_single > len(names) and len(names) > 1:
        raise InvalidInputError(
            f"the list of paths has {n_single} names of a single character between NULs, as UTF-16 text without a "
            "byte-order mark has: write it as UTF-8 (in PowerShell: Out-File -Encoding utf8)"
        )
    return names


def _without_quotes(line: str) -> str:
    if len(line) > 2 and line[0] == line[-1] == '"' and not os.path.lexists(line):
        return line[1:-1]
    return line


def _decode(content: bytes) -> str:
    try:
        return os.fsdecode(content)
    except UnicodeDecodeError:  # Windows alone: elsewhere undecodable bytes survive
        return content.decode(locale.getencoding(), errors="replace")
