"""Which files a command means: folders become the audio files below them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("aac", "aif", "aifc", "aiff", "ape", "au", "caf", "flac", "m4a", "m4b", "mka", "mp3", "mp4", "mpc"),
        *("oga", "ogg", "opus", "rf64", "snd", "tta", "w64", "wav", "webm", "wma", "wv"),
    )
)
"""Names looked for in folders; a file named outright is tried whatever its name."""


def expand(paths: Iterable[str]) -> Iterator[Path]:
    """Yield files: each path itself, or in its place every audio file below it when it is a folder.

    Folders are walked in sorted order; hidden files and folders and links to folders are passed over.
    """
    for name in paths:
        path = Path(name)
        if _is_folder(path):
            yield from _walk(path)
        else:
            yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long a name, no permission: reading it as a file will say so
        return False


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield Path(parent, name)
