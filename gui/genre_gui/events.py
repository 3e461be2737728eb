"""What the threads behind the window report to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what tags and spectrograms need would keep the window from appearing
    from genre_gui.backend import Backend
    from genre_gui.link import Link
    from genre_gui.pictures import Sound
    from genre_gui.tracks import Result
    from genre_runtime import GenreError
    from genre_runtime.library.tags import Change
    from genre_runtime.library.undoing import Undone


@dataclass(frozen=True)
class Found:
    """Files to classify were found."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Started:
    """A track is being listened to."""

    number: int
    turn: int


@dataclass(frozen=True)
class Finished:
    """A track has its outcome."""

    number: int
    turn: int
    result: Result


@dataclass(frozen=True)
class Loaded:
    """A model is ready, and ONNX Runtime offers these devices."""

    turn: int
    backend: Backend
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotLoaded:
    """A model could not be loaded."""

    turn: int
    error: GenreError


@dataclass(frozen=True)
class LinkChanged:
    """The connection to the service stands otherwise than before."""

    turn: int
    link: Link


@dataclass(frozen=True)
class DevicesTried:
    """For each device `works`, or why it does not."""

    answers: dict[str, str]


@dataclass(frozen=True)
class Heard:
    """The spectrograms of a track are there."""

    number: int
    turn: int
    sounds: tuple[Sound, ...]


@dataclass(frozen=True)
class Tagged:
    """What would become, or became, of the tags of one file."""

    run: int
    path: Path
    outcome: Change | GenreError


@dataclass(frozen=True)
class TagsFinished:
    """All files were looked at; `journal` is where the changes are recorded if any was made."""

    run: int
    write: bool
    journal: Path | None = None


@dataclass(frozen=True)
class TagsUndone:
    """Changes were taken back."""

    outcomes: tuple[Undone, ...]


@dataclass(frozen=True)
class Notice:
    """Something to be said in words; `bad` if it went wrong."""

    words: str
    bad: bool = False


@dataclass(frozen=True)
class Broken:
    """A fault of this program; `report` is text to copy."""

    report: str


Event = (
    Found
    | Started
    | Finished
    | Loaded
    | NotLoaded
    | LinkChanged
    | DevicesTried
    | Heard
    | Tagged
    | TagsFinished
    | TagsUndone
    | Notice
    | Broken
)
