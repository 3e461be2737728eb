"""What can go wrong while tags are read, written and restored."""

from __future__ import annotations

import errno
from pathlib import Path

from genre_runtime.errors import GenreError

_IN_USE = 32
"""Windows: ERROR_SHARING_VIOLATION."""

_ADVICE = {
    errno.EACCES: "the file or its folder may not be written: change the permissions",
    errno.EPERM: "the file or its folder may not be written: change the permissions",
    errno.EROFS: "the disk is mounted read-only",
    errno.ENOSPC: "the disk is full: a copy of the file needs room beside it",
    errno.EDQUOT: "the disk quota is used up: a copy of the file needs room beside it",
    errno.EBUSY: "another program has the file open: close it there",
}


class UntaggableError(GenreError, ValueError):
    """The file is of a kind, or in a state, in which no genre can be written without harm."""

    code = "untaggable"


class TagWriteError(GenreError, OSError):
    """The system refused to write; the file is as it was.

    Attributes
    ----------
    path : Path
    """

    code = "tag_write"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"nothing was changed: {reason}")
        self.path = path

    @classmethod
    def from_os_error(cls, path: Path, error: OSError) -> TagWriteError:
        """Say in words what the system's error means for this file."""
        if getattr(error, "winerror", None) == _IN_USE:
            return cls(path, "another program has the file open: close it there")
        words = error.strerror or str(error) or "the file ends too early or cannot be read"
        advice = _ADVICE.get(error.errno or 0)
        return cls(path, f"{advice} ({words})" if advice else words)


class ChangedFileError(GenreError, RuntimeError):
    """The file is not the one that was expected: somebody else changed it."""

    code = "changed_file"


class JournalError(GenreError, ValueError):
    """A journal, or a line of it, cannot be used."""

    code = "journal"


class StateError(GenreError, ValueError):
    """The state file cannot be used."""

    code = "state"
