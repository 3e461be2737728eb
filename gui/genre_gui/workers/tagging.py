"""Runs over the tags of files in another thread: show what would be written, write it, and undo it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from genre_gui.text import sentence
from genre_gui.workers.background import Background, Notice, Post, Tagged, TagsFinished, TagsUndone
from genre_runtime import GenreError, Prediction

if TYPE_CHECKING:
    from genre_gui.backends.base import Backend
    from genre_runtime.library.tags import Change, Mode, Tagging

Values = Mapping[str, Sequence[str]]
"""Values by the name of the field."""

_lock = Lock()  # two runs that write the same files would take each other for a foreign program


@dataclass(frozen=True)
class TagOptions:
    """What is written.

    Attributes
    ----------
    mode : {"empty", "overwrite", "append"}
    unsure : bool
        Whether answers that are not confident are written.
    top : int
        Most genres for each file.
    fields : tuple of str
        As for `genre tag --field`.
    names : Path or None
        File with the user's own names, as for `genre tag --map`.
    own_genres : bool
        Whether the genres are those of the user's tags, which keep their spelling; also if the backend has them.
    """

    mode: Mode = "empty"
    unsure: bool = False
    top: int = 1
    fields: tuple[str, ...] = ("genre",)
    names: Path | None = None
    own_genres: bool = False


def make_tagging(
    options: TagOptions, labels: Collection[str], *, write: bool, backend: Backend | None = None
) -> Tagging:
    """Return the settings of a run over tags, with a new journal if they are written.

    Parameters
    ----------
    options : TagOptions
    labels : collection of str
        Genres of the answers, which the user's own names are checked against; empty if there are no answers.
    write : bool
    backend : Backend, optional
        Where the answers are from. Its state file keeps them for files whose tags are written, and its user's own
        genres keep their spelling.

    Raises
    ------
    InvalidInputError
        The file with names cannot be used.
    JournalError
    """
    from genre_runtime.library.genre_names import CONVENTIONAL, GenreMap, read_map
    from genre_runtime.library.tags import Tagging
    from genre_runtime.library.tags.fields import parse_fields
    from genre_runtime.library.tags.journal import Journal, default_journal

    names = GenreMap() if options.names is None else read_map(options.names)
    if labels:
        names.check(labels, CONVENTIONAL)
    return Tagging(
        write=write,
        mode=options.mode,
        fields=parse_fields(options.fields),
        unsure=options.unsure,
        top=options.top,
        genre_map=names,
        journal=Journal(default_journal()) if write else None,
        state=None if backend is None else backend.state,
        own_genres=options.own_genres or (backend is not None and backend.metadata is not backend.model_metadata),
    )


def tag(
    answers: Sequence[tuple[Path, Prediction]],
    corrected: Mapping[Path, Values],
    tagging: Tagging,
    run: int,
    stop: Event,
    post: Post,
) -> None:
    """Write genres into the tags of files, or only report what would be written.

    Parameters
    ----------
    answers : sequence of (Path, Prediction)
    corrected : mapping of Path to mapping of str to sequence of str
        Values that are written in place of those of the answer.
    tagging : Tagging
    run : int
        Number of the run, for its events.
    stop : threading.Event
    post : callable
    """
    with _lock:
        for path, prediction in answers:
            if stop.is_set():
                break
            values = corrected.get(path)
            outcome = tagging.apply(path, prediction) if values is None else _write(path, values, tagging)
            post(Tagged(run, path, outcome))
    post(TagsFinished(run, tagging.write))


def _write(path: Path, values: Values, tagging: Tagging) -> Change | GenreError:
    """Write the user's values over those of a file."""
    from genre_runtime.library.tags import plan_fields, write_fields

    try:
        if tagging.write:
            return tagging.keep_answers(write_fields(path, values, "overwrite", journal=tagging.journal))
        return plan_fields(path, values, "overwrite")
    except GenreError as error:
        return error


def undo_tags(journal: Path, post: Post) -> None:
    """Restore every file recorded in a journal.

    Parameters
    ----------
    journal : Path
    post : callable
    """
    from genre_runtime.library.tags.restore import undo

    try:
        with _lock:
            post(TagsUndone(tuple(undo(journal))))
    except GenreError as error:
        post(Notice(sentence(error), bad=True))


class TagRuns:
    """Runs over the tags of files: the last plan is kept, so that exactly what was shown is written.

    Parameters
    ----------
    background : Background
    backend : callable
        Returns the loaded model, or None.
    """

    def __init__(self, background: Background, backend: Callable[[], Backend | None] = lambda: None) -> None:
        self._background, self._backend = background, backend
        self._journals: list[Path] = []
        self._run = 0
        self._answers: list[tuple[Path, Prediction]] = []
        self._options = TagOptions()

    @property
    def journal(self) -> Path | None:
        """Journal of the tags written last; None if none were written. A run that writes nothing makes no journal."""
        return next((path for path in reversed(self._journals) if path.exists()), None)

    def plan(self, answers: Iterable[tuple[Path, Prediction]], options: TagOptions) -> int:
        """Report by events what would be written into files; return how many.

        Parameters
        ----------
        answers : iterable of (Path, Prediction)
        options : TagOptions
        """
        self._answers = list(answers)
        self._options = options
        self._start(self._answers, {}, write=False)
        return len(self._answers)

    def write(self, left_out: Collection[Path] = (), corrected: Mapping[Path, Values] | None = None) -> None:
        """Write what was planned last, whatever has changed in the tracks since.

        Parameters
        ----------
        left_out : collection of Path
            Files that stay as they are.
        corrected : mapping of Path to mapping of str to sequence of str, optional
            Values that are written in place of those planned.
        """
        answers = [(path, found) for path, found in self._answers if path not in left_out]
        self._start(answers, corrected or {}, write=True)

    def undo(self, journal: Path) -> None:
        """Restore all files of a journal.

        Parameters
        ----------
        journal : Path
        """
        self._run += 1
        self._background.submit(lambda post: undo_tags(journal, post))

    def is_current(self, event: Tagged | TagsFinished) -> bool:
        """Return whether an event belongs to the last run, or reports that tags were written.

        Parameters
        ----------
        event : Tagged or TagsFinished
        """
        return event.run == self._run or (isinstance(event, TagsFinished) and event.write)

    def _start(
        self, answers: Sequence[tuple[Path, Prediction]], corrected: Mapping[Path, Values], *, write: bool
    ) -> None:
        self._run += 1
        run, stop, options, backend = self._run, self._background.stop, self._options, self._backend()

        def work(post: Post) -> None:
            try:
                labels = {label for _, found in answers for label in found.probabilities}
                tagging = make_tagging(options, labels, write=write, backend=backend)
            except GenreError as error:  # the names cannot be used, or no journal can be made: nothing is written
                post(Notice(sentence(error), bad=True))
                post(TagsFinished(run, write))
                return
            if tagging.journal is not None:
                self._journals.append(tagging.journal.path)
            tag(answers, corrected, tagging, run, stop, post)

        self._background.submit(work)


Write = Callable[[Collection[Path], Mapping[Path, Values]], object]
"""As `TagRuns.write`."""
