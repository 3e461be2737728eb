"""Unreachable objects, collected on the UI's thread only.

A font, picture or variable of Tk deletes itself in Tk when it is collected, and Python collects in whatever thread
happens to allocate. In any other thread than the UI's each of them waits for the main loop: a second if none runs, for
ever if it ends meanwhile, so that a thread behind the window would outlive it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_here() -> Iterator[None]:
    """Leave collecting to this thread: `collect_if_due` does it now and then, and the end of the block once more."""
    automatic = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()
        if automatic:
            gc.enable()


def settle() -> None:
    """Leave all that exists now alone until the end: looking through it would stop the window for too long."""
    gc.freeze()


def collect_if_due() -> None:
    """Collect if Python would have: as many objects were made as its thresholds say."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if 0 < thresholds[generation] < counts[generation]:
            gc.collect(generation)
            return
