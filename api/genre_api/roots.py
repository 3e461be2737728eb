"""Opening files that a client names by path: inside the folders that the settings name, and nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from genre_api.problems import ServiceError

# Without O_NONBLOCK the opening of a named pipe waits for somebody to write into it.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_inside(path: str, roots: Sequence[str]) -> BinaryIO:
    """Open a regular file that lies, links followed, in one of the folders.

    Parameters
    ----------
    path : str
        Absolute, or relative to one of the folders.
    roots : sequence of str
        Absolute paths of folders.

    Raises
    ------
    ServiceError
        403 without any folder. 404 in every other case, in the same words: whoever asks for a path outside does not
        learn whether there is something.
    """
    if not roots:
        raise ServiceError(403, "path_disabled", "this service reads no files by path: send the file itself")
    for root in roots:
        try:
            folder = Path(root).resolve(strict=True)
            return _open_below(folder, folder / path)
        except (OSError, ValueError, RuntimeError):  # ValueError: NUL, no text; RuntimeError: links in a circle
            continue
    raise ServiceError(404, "not_found", "no audio file at this path in the folders that this service may read")


def _open_below(folder: Path, path: Path) -> BinaryIO:
    resolved = path.resolve(strict=True)
    if not resolved.is_relative_to(folder):
        raise PermissionError
    descriptor = os.open(resolved, _FLAGS)
    try:
        opened = os.fstat(descriptor)
        again = path.resolve(strict=True)  # a folder on the way may have been replaced by a link in the meantime
        same = os.path.samestat(opened, again.stat()) and again.is_relative_to(folder)
        if not (stat.S_ISREG(opened.st_mode) and same):
            raise PermissionError
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")
