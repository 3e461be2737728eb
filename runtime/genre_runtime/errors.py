"""The errors that this package raises.

All of them inherit `GenreError`, and each also inherits the matching builtin, so that callers may catch either. A
message says what was found, what was expected and what to do; `code` is stable and meant for programs.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return for example `1 file`, `1,200 files`.

    Parameters
    ----------
    count : int
    noun : str
        In the singular.
    plural : str
        If it is not the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


class GenreError(Exception):
    """Base class of all errors of this project."""

    code: ClassVar[str] = "error"


class AudioNotFoundError(GenreError, FileNotFoundError):
    """No file exists at the path."""

    code = "not_found"

    def __init__(self, path: Path | str) -> None:
        super().__init__(f"no file at {str(path)!r}: check the path")
        self.path = Path(path)


class UnreadableAudioError(GenreError, ValueError):
    """The file exists, but no decoder can read it.

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
    """An unexpected error, for example because the process ran out of memory or file descriptors.

    Another time, the same file may be readable.
    """


class RecordedError(GenreError, ValueError):
    """An error of an earlier run, read back from results or from the cache.

    Parameters
    ----------
    code : str
        Code of the error that was recorded.
    message : str
        Its words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


class EmptyAudioError(GenreError, ValueError):
    """The audio contains no samples."""

    code = "empty_audio"


class AudioLimitError(GenreError, ValueError):
    """Decoding exceeded a limit.

    Attributes
    ----------
    limit : str
        Name of the exceeded field of `DecodeLimits`; with a `DecoderPool` also `max_memory` or `deadline`.
    """

    code = "audio_limit"

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class DecoderUnavailableError(GenreError, RuntimeError):
    """The decoder process cannot be started, or its pool is closed."""

    code = "decoder_unavailable"


class InvalidInputError(GenreError, ValueError):
    """An array or option has the wrong type, shape or range."""

    code = "invalid_input"


class UsageError(InvalidInputError):
    """The options of a command contradict each other or cannot apply to any file."""

    code = "usage"


class UnfitOutputError(UsageError, OSError):
    """Results cannot be written to the given output."""

    code = "unfit_output"


class ModelNotFoundError(GenreError, FileNotFoundError):
    """A file of the model is missing."""

    code = "model_not_found"

    def __init__(self, path: Path | str, advice: str) -> None:
        super().__init__(f"no model file at {str(path)!r}: {advice}")
        self.path = Path(path)


class InvalidModelError(GenreError, ValueError):
    """The graph or the sidecar is damaged, or they do not match."""

    code = "invalid_model"


class InvalidHeadError(GenreError, ValueError):
    """A file of one's own genres is damaged, or belongs to another model."""

    code = "invalid_head"


class DeviceUnavailableError(GenreError, RuntimeError):
    """The requested device is not available.

    Attributes
    ----------
    device : str
        The requested device.
    available : tuple of str
        The devices of this installation.
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


class DownloadError(GenreError, OSError):
    """A file could not be fetched or unpacked: the network, the server, the disk or the file itself."""

    code = "download"


LASTING = (UnreadableAudioError, EmptyAudioError, AudioLimitError)
"""Errors caused by the content of a file: the same bytes raise them again."""


_IN_USE = 32
"""Windows: ERROR_SHARING_VIOLATION."""

_ADVICE = {
    errno.EACCES: "no permission to write the file or its folder: change the permissions",
    errno.EPERM: "no permission to write the file or its folder: change the permissions",
    errno.EROFS: "the disk is mounted read-only",
    errno.ENOSPC: "the disk is full: a copy of the file needs room beside it",
    errno.EDQUOT: "the disk quota is used up: a copy of the file needs room beside it",
    errno.EBUSY: "another program has the file open: close it there",
}


class UntaggableError(GenreError, ValueError):
    """No genre can be written without harm to a file of this type or in this state."""

    code = "untaggable"


class TagWriteError(GenreError, OSError):
    """The file could not be written and is unchanged.

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
        """Create the error from an error of the operating system.

        Parameters
        ----------
        path : Path
            The file that could not be written.
        error : OSError
        """
        if getattr(error, "winerror", None) == _IN_USE:
            return cls(path, "another program has the file open: close it there")
        words = error.strerror or str(error) or "the file ends too early or cannot be read"
        advice = _ADVICE.get(error.errno or 0)
        return cls(path, f"{advice} ({words})" if advice else words)


class ChangedFileError(GenreError, RuntimeError):
    """The file is not the expected one: another program changed it."""

    code = "changed_file"


class JournalError(GenreError, ValueError):
    """A journal, or a line of it, is not valid."""

    code = "journal"


class StateError(GenreError, ValueError):
    """The state file is not valid."""

    code = "state"
