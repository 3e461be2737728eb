"""The journal: what is needed to undo every change, recorded before the change is made.

One JSON object a line, appended and synced to the disk. A last line without its end, torn by a crash, belongs to a
change that was never made, and is skipped.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from genre_runtime.errors import JournalError

VERSION = 2
"""Version 1 recorded genres only, as `old_genres` and `new_genres`."""

_FIRST = b'{"path": "'
_BEGINNING = re.compile(rb'\s*\{"path": "(?:[^"\\]|\\.)*", "old": \{')
"""Beginning of every line of a journal. Lines of results begin with a path, too."""
_N_BYTES_CHECKED = 2**17
_SHA256 = re.compile("[0-9a-f]{64}")

LONGEST_LINE = 2**26
"""Bytes. A patch holds the changed tags, which are smaller."""

_LONGEST_WORDS = 120
_LARGEST = 2**63 - 1
"""Largest number of bytes and of nanoseconds that systems accept."""


@dataclass(frozen=True)
class FileState:
    """State of a file at one time.

    Attributes
    ----------
    sha256 : str
    size : int
        Bytes.
    mtime_ns : int
        Modification time, nanoseconds since 1970.
    """

    sha256: str
    size: int
    mtime_ns: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FileState:
        """Validate a state read from a journal.

        Parameters
        ----------
        values : mapping
            `sha256`, `size` and `mtime_ns`.

        Raises
        ------
        KeyError, TypeError, ValueError
        """
        sha256, size, mtime_ns = values["sha256"], values["size"], values["mtime_ns"]
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError("sha256 is not 64 hexadecimal digits")
        if type(size) is not int or not 0 <= size <= _LARGEST:
            raise ValueError("size is not a number of bytes")
        if type(mtime_ns) is not int or abs(mtime_ns) > _LARGEST:
            raise ValueError("mtime_ns is not a time in nanoseconds")
        return cls(sha256, size, mtime_ns)


@dataclass(frozen=True)
class Entry:
    """One change of one file.

    Attributes
    ----------
    path : Path
        Absolute, links resolved.
    old, new : FileState
        `new.mtime_ns` is that of the copy that replaces the file.
    old_values, new_values : mapping of str to tuple of str
        By the name of the field.
    patch : bytes
        Turns the new file into the old one, see `restore`.
    """

    path: Path
    old: FileState
    new: FileState
    old_values: Mapping[str, tuple[str, ...]]
    new_values: Mapping[str, tuple[str, ...]]
    patch: bytes

    def to_json(self) -> str:
        """Return the line of the entry, in ASCII, so that any file name can be stored."""
        values = asdict(self) | {
            "version": VERSION,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "path": str(self.path),
            "patch": base64.b64encode(self.patch).decode(),
        }
        return json.dumps(values)

    @classmethod
    def from_json(cls, line: bytes) -> Entry:
        """Parse a line.

        Parameters
        ----------
        line : bytes

        Raises
        ------
        JournalError
        """
        try:
            values: dict[str, Any] = json.loads(line)
            if values["version"] not in (1, VERSION):
                raise JournalError(f"version {str(values['version'])[:20]!r} is unknown: expected 1 or {VERSION}")
            if values["version"] == 1:
                values |= {f"{when}_values": {"genre": values[f"{when}_genres"]} for when in ("old", "new")}
            return cls(
                path=_path(values["path"]),
                old=FileState.from_dict(values["old"]),
                new=FileState.from_dict(values["new"]),
                old_values=_values(values["old_values"]),
                new_values=_values(values["new_values"]),
                patch=base64.b64decode(values["patch"], validate=True),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"this is not a complete record of a change ({_words(error)})") from error


class Journal:
    """A file that records changes. It is created with the first one.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked = False

    def check(self) -> None:
        """Check that the file does not exist yet or is a journal.

        Raises
        ------
        JournalError
            It is another kind of file.
        OSError
            It cannot be read.
        """
        if self._checked or not self.path.exists():
            return
        if not self.path.is_file():
            raise JournalError(f"{str(self.path)!r} is not a regular file: name another one for the journal")
        with open(self.path, "rb") as file:
            start = file.read(_N_BYTES_CHECKED)
        # A crash may have left the first line without its end.
        torn = start.startswith(_FIRST[: len(start)]) and len(start) < _N_BYTES_CHECKED and b"\n" not in start
        if start and not torn and not _BEGINNING.match(start):
            raise JournalError(f"{str(self.path)!r} already exists and is not a journal: name another file")
        self._checked = True

    def record(self, entry: Entry) -> None:
        """Append an entry and sync it to the disk.

        Parameters
        ----------
        entry : Entry

        Raises
        ------
        JournalError, OSError
            The journal cannot be written; the change must not be made.
        """
        self.check()
        fresh = not self.path.exists()
        _make_folder(self.path.parent)
        line = entry.to_json().encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise JournalError(f"the record to undo the change is too long ({len(line)} bytes): nothing was changed")
        with open(self.path, "a+b", opener=_private) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # torn by an earlier crash
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            _sync_folder(self.path.parent)

    def read(self) -> Iterator[tuple[int, Entry | JournalError]]:
        """Yield the number of each line and its entry or its error, oldest first.

        Raises
        ------
        JournalError
            The file does not exist or cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                for number, line in _lines(file):
                    entry = _parsed(line)
                    torn = isinstance(entry, JournalError) and not line.endswith(b"\n")
                    if line.strip() and not torn:
                        yield number, entry
        except OSError as error:
            raise JournalError(
                f"the journal {str(self.path)!r} cannot be read ({error.strerror}): name the file that "
                "`genre tag --write` printed"
            ) from error


_STATE_FOLDERS: dict[str, tuple[str, str]] = {
    "win32": ("LOCALAPPDATA", "AppData/Local"),
    "darwin": ("", "Library/Application Support"),
    "linux": ("XDG_STATE_HOME", ".local/state"),
}
"""Environment variable of the folder for a program's state, and its default below the home folder."""


def default_journal() -> Path:
    """Return a new path for this run's journal, in the platform's folder for a program's state.

    Returns
    -------
    Path
        The file does not exist yet; its folder may not exist either.

    Raises
    ------
    JournalError
        There is no such folder, since the user has no home folder and the environment variable is not set.
    """
    variable, below_home = _STATE_FOLDERS.get(sys.platform, _STATE_FOLDERS["linux"])
    state = Path(os.environ.get(variable, "")) if variable else Path()
    if not state.is_absolute():  # the XDG specification ignores relative and empty values
        try:
            state = Path.home() / below_home
        except RuntimeError as error:  # the user of a container may not be in the list of users
            variables = " or ".join(filter(None, ("HOME", variable)))
            raise JournalError(
                f"no folder for the journal, since this user has no home folder: set {variables}, or name a file "
                "(--journal)"
            ) from error
    return state / "genre" / "journals" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}.jsonl"


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, if the system supports it."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # network file systems may refuse it for folders
        pass
    finally:
        os.close(descriptor)


def _words(error: Exception) -> str:
    words = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return words[: 2 * _LONGEST_WORDS] or type(error).__name__


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of each line; lines beyond `LONGEST_LINE` are cut, but still too long."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        end = line
        while len(line) > LONGEST_LINE and not end.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
            end = more
        yield number, line if end is line else line + end[-1:]


def _private(path: str, flags: int) -> int:
    """Open a file that only this user may read: a journal holds names and tags."""
    return os.open(path, flags, 0o600)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents; only this user may enter them."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _path(name: Any) -> Path:
    if not isinstance(name, str) or not name or b"\0" in os.fsencode(name):  # ValueError: not encodable
        raise ValueError(f"path is {str(name)[:_LONGEST_WORDS]!r}: expected a valid file name")
    if not Path(name).is_absolute():
        raise ValueError(f"path is {name[:_LONGEST_WORDS]!r}, relative: expected an absolute one")
    return Path(name)


def _values(fields: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(fields, dict):
        raise TypeError(f"values are {str(fields)[:_LONGEST_WORDS]!r}")
    for name, values in fields.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise TypeError(f"the values of {name!r} are {str(values)[:_LONGEST_WORDS]!r}")
    return {name: tuple(values) for name, values in fields.items()}


def _parsed(line: bytes) -> Entry | JournalError:
    if len(line) > LONGEST_LINE:
        return JournalError(f"this line is longer than {LONGEST_LINE} bytes: it is not a record of a change")
    try:
        return Entry.from_json(line)
    except JournalError as error:
        return error
