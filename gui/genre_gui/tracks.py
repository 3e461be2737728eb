"""Tracks of the queue: their state, and the filter and order in which the table shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from genre_gui.language import mark, percent, tr
from genre_gui.text import one_line, sentence
from genre_runtime import GenreError, Prediction
from genre_runtime.library.report.plots import clock

Result = Prediction | GenreError


class State(StrEnum):
    """State of a track; the value is the text shown, in English."""

    WAITING = mark("waiting")
    ANALYSING = mark("analysing")
    DONE = mark("done")
    UNSURE = mark("not sure")
    FAILED = mark("failed")
    CANCELLED = mark("cancelled")
    GONE = mark("file is gone")


SOUNDS = (mark("silence"), mark("speech"), mark("noise"), mark("tone"))
"""What a track is that is not music."""

UNFINISHED = (State.WAITING, State.ANALYSING)

MOST_SHARE = 0.99
"""Of a track that is being analysed: a file may be longer than it claims."""


class Cells(NamedTuple):
    """A row of the table, as text; the fields are the columns."""

    file: str
    genre: str
    confidence: str
    duration: str
    state: str
    artist: str
    title: str
    album: str
    folder: str


class Excerpted(NamedTuple):
    """What was known of a track before all of it is analysed; the fields are those of `Track`."""

    state: State
    result: Result
    analysis: Prediction | None


TAG_COLUMNS = ("artist", "title", "album")


@dataclass
class Track:
    """A file in the queue.

    Attributes
    ----------
    number : int
        Identifies the track in this window.
    path : Path
    state : State
    result : Prediction or GenreError or None
        None until it is classified.
    whole : bool
        Whether the whole track is analysed instead of the model's number of excerpts.
    turn : int
        Number of the classification; results of earlier ones are dropped.
    analysis : Prediction or None
        The model's own answer with its embeddings, from which the user's own genres are answered; None if there are
        no embeddings.
    model : str
        sha256 of the model of `analysis`.
    analysed : tuple of float or None
        While a whole track is analysed: the seconds analysed, and the length of the track, None if unknown.
    artist, title, album : str
        From the tags of the file; empty if it has none, and until they are read.
    excerpted : Excerpted or None
        While a whole track is analysed: the answer from excerpts, which comes back if that is cancelled.
    """

    number: int
    path: Path
    state: State = State.WAITING
    result: Result | None = None
    whole: bool = False
    turn: int = 0
    analysis: Prediction | None = None
    model: str = ""
    artist: str = ""
    title: str = ""
    album: str = ""
    analysed: tuple[float, float | None] | None = None
    excerpted: Excerpted | None = None

    @property
    def prediction(self) -> Prediction | None:
        """The answer, if there is one."""
        return self.result if isinstance(self.result, Prediction) else None

    @property
    def share(self) -> float:
        """How much of the track is analysed while its state is `ANALYSING`; 0 if that is unknown."""
        seconds, length = self.analysed or (0.0, None)
        return min(seconds / length, MOST_SHARE) if length else 0.0

    def state_text(self) -> str:
        """Return the state; for a whole track that is being analysed also its share, or the time if that is unknown."""
        if self.state is not State.ANALYSING or self.analysed is None:
            return tr(self.state)
        seconds, length = self.analysed
        return tr("analysing {progress}", progress=percent(self.share) if length else clock(seconds))

    def begin_again(self, *, whole: bool | None) -> None:
        """Forget the result, and wait.

        Parameters
        ----------
        whole : bool, optional
            Analyse the whole track; None for as much as before.
        """
        known = self.result if whole and not self.whole else None
        self.excerpted = None if known is None else Excerpted(self.state, known, self.analysis)
        self.whole = self.whole if whole is None else whole
        self.state, self.result, self.analysis = State.WAITING, None, None

    def cancel(self) -> None:
        """End without a result; with the answer from excerpts, if only the rest was missing."""
        self.state = State.CANCELLED
        if self.excerpted is not None:
            self.state, self.result, self.analysis = self.excerpted
            self.excerpted, self.whole = None, False

    def finish(self, result: Result) -> None:
        """Store the result.

        Parameters
        ----------
        result : Prediction or GenreError
        """
        self.result, self.excerpted = result, None
        if isinstance(result, GenreError):
            self.state = State.FAILED
        else:
            self.state = State.DONE if result.confident else State.UNSURE

    def cells(self) -> Cells:
        """Return the row of the table."""
        prediction, confidence, duration = self.prediction, "", ""
        if prediction is None:
            genre = sentence(self.result) if isinstance(self.result, GenreError) else ""
        else:
            genre, duration = genre_or_sound(prediction), clock(prediction.duration_seconds)
            confidence = percent(prediction.confidence) if prediction.is_music else ""
        name = one_line(self.path.name) or str(self.path)
        folder = one_line(os.path.join(*self.path.parts[-3:-1]) if len(self.path.parts) > 2 else str(self.path.parent))  # noqa: PTH118
        return Cells(name, genre, confidence, duration, self.state_text(), self.artist, self.title, self.album, folder)


def unsuccessful(tracks: Iterable[Track], paths: set[Path]) -> list[int]:
    """Return the numbers of tracks that are to be tried again if their files are added again.

    Parameters
    ----------
    tracks : iterable of Track
    paths : set of Path
        Files that are added.
    """
    states = (State.FAILED, State.CANCELLED, State.GONE)
    return [track.number for track in tracks if track.state in states and track.path in paths] if paths else []


def genre_or_sound(prediction: Prediction) -> str:
    """Return the genre, or what a track is that is not music, such as `speech`.

    Parameters
    ----------
    prediction : Prediction
    """
    return prediction.label if prediction.is_music else tr(prediction.music or "silence")


def tags(prediction: Prediction) -> tuple[str, ...]:
    """Return the styles, moods, voice and instruments of a track; none if it is not music.

    Parameters
    ----------
    prediction : Prediction
    """
    if not prediction.is_music:
        return ()
    return (*prediction.styles, *prediction.moods, *prediction.voice, *prediction.instruments)


def _sort_key(track: Track, column: str) -> tuple[int, float, str]:
    """Return the key by which tracks are sorted; tracks without a value in the column come last."""
    prediction, name = track.prediction, one_line(track.path.name).casefold()
    if column == "file":
        return 0, 0.0, name
    if column == "state":
        return 0, list(State).index(track.state), name
    if column == "folder":
        return 0, 0.0, f"{track.path.parent}\0{name}".casefold()
    if column in TAG_COLUMNS:
        text = str(getattr(track, column)).casefold()
        return int(not text), 0.0, f"{text}\0{name}"
    if prediction is None:
        return 1, 0.0, name
    if column == "genre":
        return 0, 0.0, genre_or_sound(prediction)
    if column == "duration":
        return 0, prediction.duration_seconds, name
    return (0, prediction.confidence, name) if prediction.is_music else (1, 0.0, name)


def filter_and_sort(
    tracks: Iterable[Track], text: str = "", column: str | None = None, descending: bool = False
) -> list[int]:
    """Return the numbers of the tracks to show, in order.

    Parameters
    ----------
    tracks : iterable of Track
    text : str
        Words that folder, name, artist, title, album, genre, state, styles, moods, instruments or voice of a track
        must contain, in either case.
    column : str, optional
        A field of `Cells`; None for the order in which the tracks were added.
    descending : bool
        Tracks without a value come last in both directions.
    """
    words = text.casefold().split()
    chosen = [track for track in tracks if all(word in _searched(track) for word in words)]
    if column is None:
        return [track.number for track in chosen]
    keyed = [(_sort_key(track, column), track.number) for track in chosen]
    keyed.sort(key=lambda item: item[0][1:], reverse=descending)
    keyed.sort(key=lambda item: item[0][0])
    return [number for _, number in keyed]


def _searched(track: Track) -> str:
    prediction = track.prediction
    names = (genre_or_sound(prediction), *tags(prediction)) if prediction else ()
    path = one_line(str(track.path))
    return " ".join((path, track.artist, track.title, track.album, *names, tr(track.state))).casefold()
