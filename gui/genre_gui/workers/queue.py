"""The queue in a file, from one window to the next, and the answers for it from the state file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from genre_gui.language import plural, tr
from genre_gui.tracks import UNFINISHED, Result, State, Track
from genre_gui.workers.background import Notice, Post, Recalled, Restored
from genre_runtime import Prediction, write_whole
from genre_runtime.errors import GenreError, RecordedError

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend

CHUNK = 200
"""Tracks in one event."""

LONGEST_LINE = 1 << 20


class QueueFile:
    """The file of the queue, which several threads write: an older state never replaces a newer one.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._planned = self._written = self._seen = 0

    def has_changed(self, tracks: Iterable[Track]) -> bool:
        """Return whether tracks or their states are others than at the last call.

        Parameters
        ----------
        tracks : iterable of Track
        """
        before, self._seen = self._seen, hash(tuple((track.number, track.state) for track in tracks))
        return self._seen != before

    def plan(self, tracks: Iterable[Track]) -> Callable[[], str | None]:
        """Return a function that writes the tracks, unless a later plan was written; it returns a warning if it fails.

        Parameters
        ----------
        tracks : iterable of Track
        """
        self._planned += 1
        number, rows = self._planned, list(tracks)

        def write() -> str | None:
            with self._lock:
                if number < self._written:
                    return None
                self._written = number
                return write_queue(self._path, rows)

        return write

    def later(self, tracks: Iterable[Track]) -> Callable[[Post], None]:
        """Return the same as a task of another thread, which reports nothing: closing the window tries again.

        Parameters
        ----------
        tracks : iterable of Track
        """
        write = self.plan(tracks)

        def task(_: Post) -> None:
            write()

        return task


def write_queue(path: Path, tracks: Iterable[Track]) -> str | None:
    """Write tracks into a file, one JSON object a line: what rows show; return a warning if that failed.

    Parameters
    ----------
    path : Path
    tracks : iterable of Track
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, (json.dumps(_values(track)) + "\n" for track in tracks))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return tr("The queue could not be saved: {error}.", error=reason)
    return None


def read_queue(path: Path, stop: Event, post: Post) -> None:
    """Read the tracks of an earlier window; damaged lines are left out.

    Parameters
    ----------
    path : Path
    stop : threading.Event
    post : callable
    """
    tracks: list[Track] = []
    n_damaged = 0
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            while not stop.is_set() and (line := file.readline(LONGEST_LINE)):
                try:
                    tracks.append(_track(json.loads(line)))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    n_damaged += 1
                if len(tracks) == CHUNK:
                    post(Restored(tuple(tracks)))
                    tracks = []
    except FileNotFoundError:
        pass
    except OSError as error:
        post(Notice(tr("The queue of the last window cannot be read: {error}.", error=error.strerror), bad=True))
        post(Restored((), last=True, failed=True))
        return
    post(Restored(tuple(tracks), last=True))
    if n_damaged:
        message = plural(
            "{n} line of the queue of the last window was damaged.",
            "{n} lines of the queue of the last window were damaged.",
            n_damaged,
        )
        post(Notice(message))


def recall(tracks: Sequence[Track], backend: Backend, stop: Event, post: Post) -> None:
    """Look up the whole answers for tracks whose rows were restored.

    Parameters
    ----------
    tracks : sequence of Track
        Copies.
    backend : Backend
    stop : threading.Event
    post : callable
    """
    found = []
    for track in tracks:
        if stop.is_set():
            return
        result = backend.recall(track.path, whole=track.whole)
        analysis = result if isinstance(result, Prediction) else None
        if analysis is not None:
            result = backend.answer(analysis)
        found.append((track.number, track.turn, result, analysis))
    post(Recalled(tuple(found)))


def take_recalled(
    tracks: Mapping[int, Track], answers: Iterable[tuple[int, int, Result | None, Prediction | None]], model: str
) -> list[int]:
    """Give stored answers to their tracks; return those without one, which are to be classified again.

    Parameters
    ----------
    tracks : mapping of int to Track
    answers : iterable of tuple
        As in `Recalled`.
    model : str
        sha256 of the model.
    """
    again = []
    for number, turn, result, analysis in answers:
        track = tracks.get(number)
        if track is None or track.turn != turn or track.state in UNFINISHED:
            continue
        gone = track.state is State.GONE
        if result is not None:
            track.analysis, track.model = analysis, model
            track.finish(result)
            track.state = State.GONE if gone else track.state
        elif not gone:
            again.append(number)
    return again


def _values(track: Track) -> dict[str, Any]:
    values: dict[str, Any] = {"path": os.fspath(track.path), "whole": track.whole, "state": track.state.name}
    values |= {name: getattr(track, name) for name in ("artist", "title", "album")}
    if isinstance(track.result, GenreError):
        values["error"] = {"code": track.result.code, "message": str(track.result)}
    elif track.result is not None:
        values["answer"] = replace(track.result, path=None, excerpts=(), embedding=None).to_dict()
    return values


def _track(values: dict[str, Any]) -> Track:
    """Return a track; its number is that of the window that shows it."""
    path = values["path"]
    texts = [values[name] for name in ("artist", "title", "album")]
    if not isinstance(path, str) or not path or "\0" in path or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a track")
    track = Track(-1, Path(path), State[values["state"]], None, values["whole"] is True)
    track.artist, track.title, track.album = texts
    if "answer" in values:
        track.finish(replace(Prediction.from_dict(values["answer"]), path=track.path))
    elif "error" in values:
        track.finish(RecordedError(str(values["error"]["code"]), str(values["error"]["message"])))
    elif track.state is not State.CANCELLED:
        track.state = State.WAITING
    if not os.path.exists(path):  # noqa: PTH110
        track.state = State.GONE
    return track
