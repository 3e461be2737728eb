"""Tasks that compare tracks with each other: learning genres, checking tags, finding similar tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from genre_gui.language import mark, plural, tr
from genre_gui.phrases import translated
from genre_gui.text import one_line, sentence
from genre_gui.workers.background import (
    Audited,
    Background,
    Compared,
    Event,
    HeadSaved,
    LearningFailed,
    LearningKind,
    LearningStep,
    Learnt,
    Notice,
    Post,
)
from genre_runtime import GenreError, Prediction, check_own, write_whole

if TYPE_CHECKING:
    from genre_runtime import GenreHead, ModelMetadata
    from genre_runtime.library.learning.examples import GenreNames
    from genre_runtime.library.learning.heads import Collection

Analyses = Sequence[tuple[Path, Prediction]]
"""Files with the model's own answers."""

STEP = 25
"""Files between two reports."""


class _CancelledError(Exception):
    """The user has cancelled the run."""


class LearningRuns:
    """Runs of one kind over all tracks; the results of an earlier run are dropped.

    Parameters
    ----------
    background : Background
    kind : {"learn", "audit"}

    Attributes
    ----------
    wanted : bool
        Whether a run is to start when all tracks are analysed.
    join : bool
        Whether names of genres that may mean the same are joined.
    """

    def __init__(self, background: Background, kind: LearningKind) -> None:
        self.wanted = False
        self.join = False
        self._background, self._kind = background, kind
        self._run = 0
        self._stop = Flag()

    def start(self, analyses: Analyses, metadata: ModelMetadata) -> None:
        """Learn or check in another thread; the result follows as an event.

        Parameters
        ----------
        analyses : sequence of (Path, Prediction)
        metadata : ModelMetadata
            Of the model, without the user's own genres.
        """
        self.cancel()
        run, kind, join = self._run, self._kind, self.join
        stop, closing = self._stop, self._background.stop

        def work(post: Post) -> None:
            def report(message: str, share: float | None = None) -> None:
                if stop.is_set() or closing.is_set():
                    raise _CancelledError
                post(LearningStep(kind, run, tr(translated(message)), share))

            try:
                collection, names = collected(analyses, report, join=join)
                post(_result(kind, run, collection, names, metadata, report))
            except GenreError as error:
                post(LearningFailed(kind, run, sentence(error)))
            except _CancelledError:
                pass

        self._background.submit(work)

    def cancel(self) -> None:
        """Cancel the run, and do not start one."""
        self._stop.set()
        self._stop, self.wanted = Flag(), False
        self._run += 1

    def is_current(self, run: int) -> bool:
        """Return whether a run is the last one, and was not cancelled.

        Parameters
        ----------
        run : int
        """
        return run == self._run


def _result(
    kind: LearningKind,
    run: int,
    collection: Collection,
    names: GenreNames,
    metadata: ModelMetadata,
    report: Callable[[str], None],
) -> Event:
    if kind == "learn":
        from genre_runtime.library.learning.heads import learn_head

        return Learnt(run, learn_head(collection, metadata, report=report), names)
    from genre_runtime.library.learning.audit import audit

    return Audited(run, audit(collection, metadata, report=report))


def collected(
    analyses: Analyses, report: Callable[[str, float | None], None], *, join: bool
) -> tuple[Collection, GenreNames]:
    """Read the genres and artists of files from their tags.

    Parameters
    ----------
    analyses : sequence of (Path, Prediction)
    report : callable
        Is told what is being done, and how much of it is done; may raise an exception to end the work.
    join : bool
        Join names of genres that may mean the same.

    Returns
    -------
    Collection
        The files with genres; of files that are the same recording only the first.
    GenreNames

    Raises
    ------
    InvalidInputError
        No file has a genre.
    MissingDependencyError
    """
    from genre_runtime.errors import InvalidInputError
    from genre_runtime.library.genre_names import GenreMap
    from genre_runtime.library.learning.examples import GenreNames, examples_from_tags, renamed, settle_names
    from genre_runtime.library.learning.heads import Collection
    from genre_runtime.library.tags.base import import_mutagen

    import_mutagen()
    distinct = {
        path.absolute() if found.embedding is None else found.embedding.tobytes(): (path, found)
        for path, found in reversed(analyses)
    }
    files = list(reversed(distinct.values()))
    examples = []
    for number, example in enumerate(examples_from_tags([path for path, _ in files], GenreMap())):
        if number % STEP == 0:
            report(mark("reading tags"), number / len(files))
        examples.append(example)
    if not any(example.genres for example in examples):
        raise InvalidInputError(
            plural(
                "the only analysed track has no genre in its tags: add music that has",
                "none of {n} analysed tracks has a genre in its tags: add music that has",
                len(examples),
            )
        )
    names = settle_names(examples)
    examples = renamed(examples, names)
    if join:
        joined: dict[str, str] = {}
        for rare, common in names.proposals:
            joined.setdefault(rare, common)
        examples = renamed(examples, GenreNames(joined))
        names = GenreNames(names.spelling, names.joined)
    collection = Collection()
    for example, (_, found) in zip(examples, files, strict=True):
        if example.genres:
            collection.add(example, found)
    return collection, names


def save_head(head: GenreHead, path: Path, post: Post) -> None:
    """Write the user's own genres into a file, unless the file exists and is not a head.

    Parameters
    ----------
    head : GenreHead
    path : Path
    post : callable
    """
    from genre_runtime.library.learning.heads import HEAD_MARK

    name = one_line(path.name)
    try:
        check_own(path, HEAD_MARK, force=False)
        write_whole(path, [head.to_json()])
    except GenreError:
        message = tr("{name} exists and has no genres of this program: choose another name.", name=name)
        post(Notice(message, bad=True))
    except OSError as error:
        message = tr("{name} could not be written: {error}.", name=name, error=error.strerror or str(error))
        post(Notice(message, bad=True))
    else:
        post(HeadSaved(path))


def compare(number: int, analyses: Sequence[tuple[int, Prediction]], post: Post) -> None:
    """Report how similar tracks are to one of them.

    Parameters
    ----------
    number : int
        Of the track.
    analyses : sequence of (int, Prediction)
        Numbers of tracks with the answers of one model, which have embeddings.
    post : callable
    """
    from genre_runtime.library.similarity import EmbeddingIndex

    numbers = [other for other, _ in analyses]
    index = EmbeddingIndex.of(analysis for _, analysis in analyses)
    nearest = index.nearest(numbers.index(number), len(numbers))
    post(Compared(number, {number: 1.0} | {numbers[place]: similarity for place, similarity in nearest}))
