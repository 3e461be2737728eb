"""A classifier for the verbs that decode many files, with the processes that decode for it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genre_runtime.errors import DecoderUnavailableError

if TYPE_CHECKING:
    from genre_runtime.classifier import GenreClassifier
    from genre_runtime.decoder_pool import DecoderPool


@contextmanager
def opened_classifier(options: argparse.Namespace, n_files: int) -> Iterator[tuple[GenreClassifier, int]]:
    """Load the model that a command names, for files that are decoded in processes of their own.

    A file that hangs its decoder then does not hang the command, and Ctrl-C ends it at once.

    Parameters
    ----------
    options : argparse.Namespace
        model, device, jobs, and if there is any state.
    n_files : int

    Yields
    ------
    GenreClassifier
    int
        Files to have in work at once.

    Raises
    ------
    ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
    """
    jobs = min(options.jobs or os.cpu_count() or 1, n_files)
    # With a state file there may be nothing to decode.
    with _decoders(jobs, warm=getattr(options, "state", None) is None) as decoders:
        from genre_runtime.classifier import GenreClassifier

        # Many files: one thread each. One file: every core works on it.
        threads = 1 if jobs > 1 else 0
        yield GenreClassifier.load(options.model, device=options.device, threads=threads, decoders=decoders), jobs


@contextmanager
def _decoders(n_processes: int, *, warm: bool) -> Iterator[DecoderPool | None]:
    """Give a pool, whose processes start while the model is loaded; None where none can be started."""
    from genre_runtime.decoder_pool import MAX_PROCESSES, DecoderPool, can_start

    if not can_start():
        yield None
        return
    with DecoderPool(min(n_processes, MAX_PROCESSES)) as pool:
        try:
            if warm:
                pool.warm()
        except DecoderUnavailableError:  # no program may be started here: this process decodes itself
            pool.close()
            yield None
        else:
            yield pool
