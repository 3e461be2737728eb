"""The classifier of a command, with its decoder processes and state file.

Imports are delayed, so that decoder processes start while the model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genre_runtime.errors import DecoderUnavailableError
from genre_runtime.parallel import available_cores

if TYPE_CHECKING:
    from genre_runtime.classifier import ExcerptCount, GenreClassifier
    from genre_runtime.decoders.pool import DecoderPool
    from genre_runtime.library.analysis import FileProgress
    from genre_runtime.prediction import FileResult


@contextmanager
def opened_classifier(
    n_files: int,
    *,
    model: str | None = None,
    head: Path | None = None,
    device: str = "auto",
    jobs: int = 0,
    warm: bool = True,
) -> Iterator[tuple[GenreClassifier, int]]:
    """Load a model and start decoder processes for it.

    A file that hangs its decoder does not hang the caller, and Ctrl-C ends it at once.

    Parameters
    ----------
    n_files : int
        Files to be classified.
    model : str or None
        Path of the model; None for the default one.
    head : Path or None
        One's own genres; None for those of the model.
    device : str
    jobs : int
        Files at once; 0 for one per core.
    warm : bool
        Start the decoder processes now, not when the first file is decoded.

    Yields
    ------
    GenreClassifier
    int
        Files at once.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
    """
    jobs = min(jobs or available_cores(), n_files)
    with _decoders(jobs, warm=warm) as decoders:
        from genre_runtime.classifier import GenreClassifier

        # Many files: one thread each. One file: every core works on it.
        yield (
            GenreClassifier.load(model, device=device, threads=1 if jobs > 1 else 0, decoders=decoders, head=head),
            jobs,
        )


@contextmanager
def opened_library(
    paths: Sequence[Path],
    *,
    model: str | None = None,
    head: Path | None = None,
    device: str = "auto",
    excerpts: ExcerptCount = None,
    jobs: int = 0,
    state: Path | None = None,
    progress: FileProgress | None = None,
) -> Iterator[tuple[GenreClassifier, Iterator[FileResult]]]:
    """Load a model and classify files; close everything that was opened for it afterwards.

    Parameters
    ----------
    paths : sequence of Path
    model : str or None
        Path of the model; None for the default one.
    head : Path or None
        One's own genres; None for those of the model.
    device : str
    excerpts : int, "all" or None
        Excerpts per track; None for the number in the sidecar.
    jobs : int
        Files at once; 0 for one per core.
    state : Path or None
        State file with results of earlier runs.
    progress : callable or None
        See `genre_runtime.library.analysis.Library`.

    Yields
    ------
    GenreClassifier
    iterator of FileResult
        In the order of `paths`.
    """
    with ExitStack() as stack:
        # With a state file there may be nothing to decode.
        opened = opened_classifier(len(paths), model=model, head=head, device=device, jobs=jobs, warm=state is None)
        classifier, jobs = stack.enter_context(opened)
        from genre_runtime.library.analysis import Library, plan_of

        cache = None
        if state is not None:
            from genre_runtime.library.cache import LibraryState

            cache = stack.enter_context(closing(LibraryState(state, plan_of(classifier, excerpts))))
        # Closed first: that ends running work.
        results = stack.enter_context(closing(Library(classifier, excerpts, cache, progress).classify(paths, jobs)))
        yield classifier, results


@contextmanager
def _decoders(n_processes: int, *, warm: bool) -> Iterator[DecoderPool | None]:
    """Yield a pool of decoder processes, or None if no process can be started."""
    from genre_runtime.decoders.pool import MAX_PROCESSES, DecoderPool, can_start

    if not can_start():
        yield None
        return
    with DecoderPool(min(n_processes, MAX_PROCESSES)) as pool:
        try:
            if warm:
                pool.warm()
        except DecoderUnavailableError:  # starting programs is forbidden: this process decodes
            pool.close()
            yield None
        else:
            yield pool
