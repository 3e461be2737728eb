"""Every error this package raises on purpose.

All of them inherit `GenreError`, and each also inherits the builtin that fits, so that callers may
catch either. A message says what was found, what was expected and what to do; `code` is stable and
meant for programs.

What can go wrong while tags are read, written and restored.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar


class GenreError(Exception):
    """Root of all errors of this project."""

    code: ClassVar[str] = "error"


class AudioNotFoundError(GenreError, FileNotFoundError):
    """No file lies at the path."""

    code = "not_found"

    def __init__(self, path: Path | str) -> None:
        super().__init__(f"no file at {str(path)!r}: check the path")
        self.path = Path(path)


class UnreadableAudioError(GenreError, ValueError):
    """The file is there, but it is not audio that any decoder can read.

    Attributes
    ----------
    reason : str
        What was found.
    """

    code = "unreadable_audio"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnexpectedFailureError(UnreadableAudioError):
    """Something failed that nobody foresaw, such as memory or file descriptors that ran out.

    To callers it is an unreadable file; but another time, the same file may be read.
    """


class EmptyAudioError(GenreError, ValueError):
    """The audio holds no samples."""

    code = "empty_audio"


class AudioLimitError(GenreError, ValueError):
    """Decoding went past a limit.

    Attributes
    ----------
    limit : str
        Name of the field of `DecodeLimits` that was exceeded; of a `DecoderPool` also `max_memory` or `deadline`.
    """

    code = "audio_limit"

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class DecoderUnavailableError(GenreError, RuntimeError):
    """The process that is to decode files cannot be started, or its pool is closed."""

    code = "decoder_unavailable"


class InvalidInputError(GenreError, ValueError):
    """An array or option has the wrong type, shape or range."""

    code = "invalid_input"


class UsageError(InvalidInputError):
    """A command was told what contradicts itself or cannot be done with any file."""

    code = "usage"


class UnfitOutputError(UsageError, OSError):
    """Results cannot be written where the command was told to write them."""

    code = "unfit_output"


class ModelNotFoundError(GenreError, FileNotFoundError):
    """A file of the model is missing."""

    code = "model_not_found"

    def __init__(self, path: Path | str, advice: str) -> None:
        super().__init__(f"no model file at {str(path)!r}: {advice}")
        self.path = Path(path)


class InvalidModelError(GenreError, ValueError):
    """The graph and the sidecar are damaged, foreign or do not belong together."""

    code = "invalid_model"


class DeviceUnavailableError(GenreError, RuntimeError):
    """The device asked for by name cannot be had.

    Attributes
    ----------
    device : str
        The device asked for.
    available : tuple of str
        The devices that this installation offers.
    """

    code = "device_unavailable"

    def __init__(self, device: str, available: tuple[str, ...], why: str) -> None:
        offered = ", ".join(available)
        super().__init__(f"device {device!r} cannot be used: {why}; available here: {offered}")
        self.device = device
        self.available = available


class MissingDependencyError(GenreError, ImportError):
    """An optional package is not installed."""

    code = "missing_dependency"


LASTING = (UnreadableAudioError, EmptyAudioError, AudioLimitError)
"""Errors that lie in a file's bytes: the same bytes would give them again."""


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
