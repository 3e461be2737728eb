"""The tracks in the queue: how each one stands, which are shown, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from genre_gui.text import clock, one_line, sentence
from genre_runtime import GenreError, Prediction

Result = Prediction | GenreError


class State(StrEnum):
    """How a track stands; the value is the word shown."""

    WAITING = "waiting"
    LISTENING = "listening"
    DONE = "done"
    UNSURE = "not sure"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = (State.WAITING, State.LISTENING)


class Cells(NamedTuple):
    """One row of the table, as text; the fields are the columns."""

    file: str
    genre: str
    confidence: str
    duration: str
    state: str


@dataclass
class Track:
    """A file in the queue.

    Attributes
    ----------
    number : int
        Its identity in this window.
    path : Path
    state : State
    result : Prediction or GenreError or None
        None until it is done, and again while it is done anew.
    whole : bool
        Whether the whole track is listened to, not only the model's excerpts.
    turn : int
        How often it was begun; an answer to an earlier turn no longer counts.
    """

    number: int
    path: Path
    state: State = State.WAITING
    result: Result | None = None
    whole: bool = False
    turn: int = 0

    @property
    def prediction(self) -> Prediction | None:
        """The answer, if there is one."""
        return self.result if isinstance(self.result, Prediction) else None

    def finish(self, result: Result) -> None:
        """Take the outcome."""
        self.result = result
        if isinstance(result, GenreError):
            self.state = State.FAILED
        else:
            self.state = State.DONE if result.confident else State.UNSURE

    def cells(self) -> Cells:
        """Return what the table shows."""
        name, prediction = one_line(self.path.name) or str(self.path), self.prediction
        if prediction is None:
            words = sentence(self.result) if isinstance(self.result, GenreError) else ""
            return Cells(name, words, "", "", self.state)
        confidence, duration = f"{prediction.confidence:.0%}", clock(prediction.duration_seconds)
        return Cells(name, prediction.label, confidence, duration, self.state)


def sort_key(track: Track, column: str) -> tuple[int, float, str]:
    """Return what tracks are sorted by; those that have no value in the column come last."""
    prediction, name = track.prediction, one_line(track.path.name).casefold()
    if column == "file":
        return 0, 0.0, name
    if column == "state":
        return 0, list(State).index(track.state), name
    if prediction is None:
        return 1, 0.0, name
    if column == "genre":
        return 0, 0.0, prediction.label
    return 0, prediction.confidence if column == "confidence" else prediction.duration_seconds, name


def arranged(tracks: Iterable[Track], text: str = "", column: str | None = None, descending: bool = False) -> list[int]:
    """Return the numbers of the tracks to show, in order.

    Parameters
    ----------
    tracks : iterable of Track
    text : str
        Only tracks in whose folder, name, genre or state every word of it stands, in either case.
    column : str, optional
        A field of `Cells`; None keeps the order in which they were added.
    descending : bool
        Tracks without a value come last in both directions.
    """
    words = text.casefold().split()
    chosen = [track for track in tracks if all(word in _searched(track) for word in words)]
    if column is None:
        return [track.number for track in chosen]
    keyed = [(sort_key(track, column), track.number) for track in chosen]
    keyed.sort(key=lambda item: item[0][1:], reverse=descending)
    keyed.sort(key=lambda item: item[0][0])
    return [number for _, number in keyed]


def _searched(track: Track) -> str:
    label = track.prediction.label if track.prediction else ""
    return f"{one_line(str(track.path))} {label} {track.state}".casefold()
