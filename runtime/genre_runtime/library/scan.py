"""Finds the files that a command's arguments name: audio files in folders, patterns, and lists of paths on stdin."""

from __future__ import annotations

import codecs
import glob
import locale
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event

from genre_runtime.errors import InvalidInputError, counted

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp3", "mp2", "mpga", "mpa", "m4a", "m4b", "m4r", "m4p", "mp4", "aac", "adts"),
        *("flac", "wav", "wave", "bwf", "rf64", "w64", "aif", "aiff", "aifc", "au", "snd", "caf", "voc"),
        *("ogg", "oga", "opus", "spx", "mka", "mkv", "weba", "webm", "wma", "asf"),
        *("ape", "wv", "tta", "tak", "mpc", "mp+", "dsf", "dff", "ac3", "eac3", "ec3", "dts", "amr", "8svx", "iff"),
    )
)
"""Suffixes of the files found in folders; a file given by its own name may have any."""

_MARK = "\ufeff"
_MARKS = (  # the longer ones first: UTF-32 LE begins with the mark of UTF-16 LE
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def is_parquet(name: str) -> bool:
    """Tell by its suffix whether a file is a Parquet file.

    Parameters
    ----------
    name : str
        Path or URL.
    """
    return name.lower().endswith(".parquet")


class Finder:
    """Finds audio files and counts what it skips.

    Parameters
    ----------
    stop : threading.Event, optional
        Ends the search within a folder when set from another thread.

    Attributes
    ----------
    n_hidden : int
        Hidden files and folders skipped.
    n_others : int
        Files skipped because of their suffix.
    n_links : int
        Links to folders skipped, since they may form a cycle.
    unreadable : list of OSError
        One for each folder that could not be read; `filename` is the folder.
    """

    def __init__(self, stop: Event | None = None) -> None:
        self._stop = stop
        self.n_hidden = 0
        self.n_others = 0
        self.n_links = 0
        self.unreadable: list[OSError] = []

    @property
    def nothing_found(self) -> str:
        """Explanation for the user if no file was found."""
        if not self.n_others and not self.n_hidden:
            return "the folder contains none or the list is empty"
        return (
            f"skipped {counted(self.n_others, 'file')} with another suffix and {self.n_hidden:,} hidden; name a file "
            "itself to read it in any case"
        )

    def find(self, names: Iterable[str]) -> Iterator[Path]:
        """Yield the files that names, folders and patterns stand for.

        Folders are walked in sorted order; hidden files, hidden folders and links to folders are skipped.

        Parameters
        ----------
        names : iterable of str
            Files, folders, and patterns (`*.mp3`, `**/*.flac`). A name that matches nothing is yielded as it is.
        """
        for name in names:
            path = Path(name)
            matches = [path]
            if glob.has_magic(name) and not _exists(path):
                matches = _matches(name) or matches
            for match in matches:
                if _is_folder(match):
                    yield from self._walk(match)
                else:
                    yield match

    def _walk(self, folder: Path) -> Iterator[Path]:
        for parent, folders, names in os.walk(folder, onerror=self.unreadable.append):
            if self._stop is not None and self._stop.is_set():
                return
            visible = sorted(name for name in folders if not name.startswith("."))
            self.n_hidden += len(folders) - len(visible)
            folders[:] = [name for name in visible if not Path(parent, name).is_symlink()]
            self.n_links += len(visible) - len(folders)
            for name in sorted(names):
                if name.startswith("."):
                    self.n_hidden += 1
                elif Path(name).suffix.lower() in AUDIO_SUFFIXES:
                    yield Path(parent, name)
                else:
                    self.n_others += 1


def expand(names: Iterable[str]) -> Iterator[Path]:
    """Yield the files that names, folders and patterns stand for, see `Finder.find`.

    Parameters
    ----------
    names : iterable of str
    """
    return Finder().find(names)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long, or access is denied: the attempt to read the file gives the error
        return False


def _matches(pattern: str) -> list[Path]:
    return [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  # absolute ones too


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def encoding_by_mark(start: bytes) -> str | None:
    """Return the encoding that a byte-order mark stands for, as Python names it, or None without a mark.

    Parameters
    ----------
    start : bytes
        First bytes of the text, at least four if it has as many. PowerShell 5 writes UTF-16 with a mark.
    """
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def named_paths(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, with `-` replaced by the entries of the list on stdin.

    Parameters
    ----------
    names : sequence of str

    Raises
    ------
    InvalidInputError
        The list is UTF-16 or UTF-32 without a byte-order mark, or damaged.
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
        UTF-8 or the system's encoding, or UTF-16 or UTF-32 with a byte-order mark. The double quotes around a path
        copied in Windows are removed, unless a file has that name.

    Raises
    ------
    InvalidInputError
        The list is UTF-16 or UTF-32 without a byte-order mark, or damaged.
    """
    text = _decode(content)
    if "\0" in text:
        return _separated_by_nul(text)
    lines = (line.removesuffix("\r").removeprefix(_MARK) for line in text.split("\n"))
    return [_without_quotes(line) for line in lines if line.strip()]


def _decode(content: bytes) -> str:
    encoding = encoding_by_mark(content)
    try:
        if encoding is None:
            return os.fsdecode(content)
        return content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "strict")
    except UnicodeDecodeError as error:
        if encoding is None:  # on Windows only: elsewhere undecodable bytes are kept as surrogates
            return content.decode(locale.getencoding(), errors="replace")
        raise InvalidInputError(
            f"the list of paths begins as {encoding} text, but is damaged ({error.reason}): write it as UTF-8"
        ) from error


def _separated_by_nul(text: str) -> list[str]:
    names = [name for name in text.removeprefix(_MARK).split("\0") if name]
    # UTF-16 text without a mark would be taken for names such as "/".
    n_single = sum(len(name) == 1 or (not name.isprintable() and not name.strip()) for name in names)
    if 2 * n_single > len(names) and len(names) > 1:
        raise InvalidInputError(
            f"the list of paths has {n_single} names of a single character between NULs, like UTF-16 text without a "
            "byte-order mark: write it as UTF-8 (in PowerShell: Out-File -Encoding utf8)"
        )
    return names


def _without_quotes(line: str) -> str:
    if len(line) > 2 and line[0] == line[-1] == '"' and not os.path.lexists(line):
        return line[1:-1]
    return line
