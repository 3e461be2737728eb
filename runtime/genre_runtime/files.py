"""Which files a command means: folders become the audio files below them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

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
