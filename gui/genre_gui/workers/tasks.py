"""What is done in other threads besides classifying: each function does one thing and posts what came of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from genre_gui.text import counted, one_line, sentence
from genre_gui.workers.background import (
    DevicesTried,
    Finished,
    Found,
    Heard,
    Notice,
    Post,
    Started,
    Tagged,
    TagsFinished,
    TagsUndone,
)
from genre_runtime import GenreError, Prediction
from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.scan import Finder

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend
    from genre_gui.tracks import Result, Track
    from genre_runtime.library.tags import Mode, Tagging
    from genre_runtime.model.metadata import ModelMetadata


CHUNK = 100
"""Files reported at once: as many rows as the window adds without a stall."""

EXPORT_SUFFIXES = (".csv", ".json", ".jsonl")

_tags_lock = Lock()  # two runs that write the same files at once would be each other's foreign program


def find(names: Sequence[str], stop: Event, post: Post) -> None:
    """Find the audio files that names and folders mean."""
    finder, count = Finder(stop), 0
    found = finder.find(names)
    while (chunk := tuple(islice(found, CHUNK))) and not stop.is_set():
        count += len(chunk)
        post(Found(chunk))
    for error in finder.unreadable:
        post(Notice(f"The folder {one_line(str(error.filename))} cannot be read: {error.strerror}.", bad=True))
    if not count and names and not finder.unreadable and not stop.is_set():
        others = f" ({counted(finder.n_others, 'other file')} in it)" if finder.n_others else ""
        post(Notice(f"There is no audio file in that folder{others}."))


def classifying(track: Track, backend: Backend, stop: Event) -> Callable[[Post], None]:
    """Return the work on a track; of a track that changes meanwhile, hand in a copy."""

    def work(post: Post) -> None:
        if stop.is_set():
            return
        post(Started(track.number, track.turn))
        try:
            result = backend.classify(track.path, whole=track.whole, stop=stop)
        except Exception:
            fault = GenreError("a fault of this program: see the report, then try again")
            post(Finished(track.number, track.turn, fault))
            raise
        post(Finished(track.number, track.turn, result))

    return work


def listen(key: tuple[int, int], path: Path, metadata: ModelMetadata, whole: bool, stop: Event, post: Post) -> None:
    """Make the spectrograms of a track; none if it cannot be read, which its own row says."""
    from genre_gui.widgets.spectrogram import listen as sounds_of

    try:
        post(Heard(*key, sounds_of(path, metadata, whole=whole, stop=stop)))
    except GenreError:
        post(Heard(*key, ()))


def offered_devices() -> tuple[str, ...]:
    """Return what the installed ONNX Runtime offers; nothing where there is none."""
    from genre_runtime.model.session import available_devices

    try:
        return available_devices()
    except MissingDependencyError:
        return ()


def try_devices(backend: Backend, post: Post) -> None:
    """Try every device."""
    try:
        post(DevicesTried(backend.devices()))
    except GenreError as error:
        post(Notice(sentence(error), bad=True))


def tagging(*, write: bool, mode: Mode, unsure: bool, top: int) -> Tagging:
    """Return what is to be done to tags, with a journal of its own if they are written."""
    from genre_runtime.library.tags import Tagging
    from genre_runtime.library.tags.journal import Journal, default_journal

    journal = Journal(default_journal()) if write else None
    return Tagging(write=write, mode=mode, unsure=unsure, top=top, journal=journal)


def tag(answers: Sequence[tuple[Path, Prediction]], wanted: Tagging, run: int, stop: Event, post: Post) -> None:
    """Write genres into the tags of files, or only tell what would be written."""
    from genre_runtime.library.tags import Change

    written = False
    with _tags_lock:
        for path, prediction in answers:
            if stop.is_set():
                break
            outcome = wanted.apply(path, prediction)
            written = written or (isinstance(outcome, Change) and outcome.written)
            post(Tagged(run, path, outcome))
    journal = wanted.journal.path if wanted.journal is not None and written else None
    post(TagsFinished(run, wanted.write, journal))


def take_back(journal: Path, post: Post) -> None:
    """Restore every file that a journal names."""
    from genre_runtime.library.tags.restore import undo

    try:
        with _tags_lock:
            post(TagsUndone(tuple(undo(journal))))
    except GenreError as error:
        post(Notice(sentence(error), bad=True))


def export(path: Path, results: Sequence[tuple[Path, Result]], post: Post) -> None:
    """Write results into a file, whole or not at all."""
    from genre_runtime.library.results.write import WRITERS
    from genre_runtime.output_files import write_whole
    from genre_runtime.prediction import FileResult

    form = path.suffix.lower()
    if form not in EXPORT_SUFFIXES:
        post(
            Notice(f"{one_line(path.name)} was not written: expected a name that ends in .csv, .json or .jsonl.", True)
        )
        return
    text = io.StringIO()
    writer = WRITERS[form[1:]](text)
    for track_path, result in results:
        writer.write(FileResult(track_path, result))
    writer.close()
    try:
        write_whole(path, [text.getvalue()])
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        post(Notice(f"{one_line(path.name)} could not be written: {reason or error}.", bad=True))
        return
    post(Notice(f"{counted(len(results), 'result')} written to {one_line(path.name)}."))
