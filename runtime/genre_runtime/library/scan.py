"""Which files a command means: folders become the audio files below them.

Lists of paths: from stdin or a file, in the encodings that shells and spreadsheets write.
"""

from __future__ import annotations

import codecs
import glob
import locale
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event

from genre_runtime.errors import InvalidInputError

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp3", "mp2", "mpga", "mpa", "m4a", "m4b", "m4r", "m4p", "mp4", "aac", "adts"),
        *("flac", "wav", "wave", "bwf", "rf64", "w64", "aif", "aiff", "aifc", "au", "snd", "caf", "voc"),
        *("ogg", "oga", "opus", "spx", "mka", "mkv", "weba", "webm", "wma", "asf"),
        *("ape", "wv", "tta", "tak", "mpc", "mp+", "dsf", "dff", "ac3", "eac3", "ec3", "dts", "amr", "8svx", "iff"),
    )
)
"""Names looked for in folders; a file named outright is tried whatever its name."""


def is_parquet(name: str) -> bool:
    """Tell by its suffix whether a file is a Parquet file.

    Parameters
    ----------
    name : str
        Path or URL.
    """
    return name.lower().endswith(".parquet")


class Finder:
    """Finds files, and counts what it passes over.

    Parameters
    ----------
    stop : threading.Event, optional
        Set from another thread, it ends the search within a folder.

    Attributes
    ----------
    n_hidden : int
        Hidden files and folders passed over.
    n_others : int
        Files passed over for their name's suffix.
    n_links : int
        Links to folders passed over, which might lead round in a circle.
    unreadable : list of OSError
        Folders that could not be looked into; each names its folder.
    """

    def __init__(self, stop: Event | None = None) -> None:
        self._stop = stop
        self.n_hidden = 0
        self.n_others = 0
        self.n_links = 0
        self.unreadable: list[OSError] = []

    @property
    def nothing_found(self) -> str:
        """Why nothing was found, in words."""
        if not self.n_others and not self.n_hidden:
            return "the folder holds none or the list is empty"
        return (
            f"{self.n_others} files with other endings and {self.n_hidden} hidden ones were passed over; a file named "
            "outright is read whatever its name"
        )

    def find(self, names: Iterable[str]) -> Iterator[Path]:
        """Yield files: each name itself, or in its place every audio file below it when it is a folder.

        A pattern (`*.mp3`, `**/*.flac`) that is no file's name stands for the files and folders it fits, as a shell
        would have it. Folders are walked in sorted order; hidden files, hidden folders and links to folders are passed
        over.
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
    """Yield the files that names, folders and patterns mean: see `Finder.find`."""
    return Finder().find(names)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long a name, no permission: reading it as a file will say so
        return False


def _matches(pattern: str) -> list[Path]:
    return [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207  # absolute ones too


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


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
