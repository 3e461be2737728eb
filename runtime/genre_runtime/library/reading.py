"""What mutagen and the system say of a file, as errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genre_runtime.containers import head_behind_tags
from genre_runtime.errors import GenreError, UnreadableAudioError
from genre_runtime.library.adapters import import_mutagen, unknown_file
from genre_runtime.library.errors import TagWriteError, UntaggableError


@contextmanager
def reading(path: Path, file: BinaryIO) -> Iterator[None]:
    """Turn what mutagen and the system raise while the tags of an open file are read or written.

    Raises
    ------
    UntaggableError, TagWriteError, UnreadableAudioError, MissingDependencyError
    """
    mutagen = import_mutagen()
    try:
        yield
    except mutagen.MutagenError as error:
        cause = error.__cause__ or error.args[0] if error.args else error
        if isinstance(cause, OSError):
            raise TagWriteError.from_os_error(path, cause) from error
        if type(error).__name__ == "HeaderNotFoundError":  # of what is none of the containers that are known
            file.seek(0)
            raise unknown_file(head_behind_tags(file)) from error
        raise UntaggableError(f"the tags cannot be read or written safely ({error or type(error).__name__})") from error
    except PermissionError as error:
        raise UnreadableAudioError(f"{error.strerror}: check the permissions") from error
    except (OSError, GenreError):
        raise
    except Exception as error:  # damage makes mutagen raise what it likes, and ends one file's work, not the run's
        raise UntaggableError(f"the tags are damaged ({type(error).__name__}: {error})") from error
