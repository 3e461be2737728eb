"""Runs `genre-api` and ends it when the program that started it ends, in whatever way.

`python -m genre_gui.backends.launcher ARGUMENTS` runs the service in its own process. Standard input is a pipe whose
other end the window holds: the system closes it when the window's process is gone, even if it was killed. A thread of
the service waits for that, so that no process has to guard another one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib.metadata import EntryPoint, entry_points

COMMAND = "genre-api"
GRACE_SECONDS = 3.0
"""How long the service may take to end by itself."""


def find_service() -> EntryPoint | None:
    """Return the entry point of the command `genre-api`, or None if it is not installed beside this package."""
    return next(iter(entry_points(group="console_scripts", name=COMMAND)), None)


def end_with_pipe(pipe: int) -> None:
    """Wait until the other end of a pipe is closed, then end this process.

    Parameters
    ----------
    pipe : int
        File descriptor to read from.
    """
    while os.read(pipe, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def main() -> int:
    """Run the service with the arguments of the command line; returns its exit status."""
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what the service starts must not read from the pipe
    threading.Thread(target=end_with_pipe, args=(pipe,), daemon=True).start()
    service = find_service()
    if service is None:
        print(f"the command {COMMAND} is not installed", file=sys.stderr)
        return 1
    return int(service.load()())


if __name__ == "__main__":
    sys.exit(main())
