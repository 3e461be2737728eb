"""What keeps other threads from holding up the UI's: who collects garbage, and how long Python waits for its turn.

A font, picture or variable of Tk deletes itself in Tk when it is collected, and Python collects in whatever thread
happens to allocate. In any other thread than the UI's each of them waits for the main loop: a second if none runs, for
ever if it ends meanwhile, so that a thread behind the window would outlive it.

Every call of Tk gives Python's lock away and asks for it again, and a thread that is busy in Python keeps it for
`sys.getswitchinterval()`, 5 ms: a hundred rows beside one such thread took a third of a second, and 20 ms with the
interval below.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_SECONDS = 0.0005


@contextmanager
def undisturbed() -> Iterator[None]:
    """For the time of a window, have this thread's turn come soon, and leave collecting to it.

    `collect_if_due` collects now and then, and the end of the block once more.
    """
    automatic, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
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
            if generation == 2:  # what is alive now are tracks and answers: they die without being collected
                settle()
            return
