"""Open files without a name as paths, so that decoders read them by themselves."""

from __future__ import annotations

import os
from pathlib import Path

from genre_runtime.inputs import AudioSource


def named(source: AudioSource) -> AudioSource:
    """Return a path of an open file, where the system has one; else the source as it is.

    libsndfile asks a file object for a few bytes at a time, each time through Python, which one thread at a time can
    run: a four-minute MP3 took twice the processor's time so, and two workers did hardly more than one.

    Parameters
    ----------
    source : path, bytes or binary file object
        A file has to stay open as long as its path is used. An upload that is in memory moves to an unnamed file.
    """
    if isinstance(source, str | os.PathLike | bytes):
        return source
    try:
        descriptor = source.fileno()
        source.flush()
        # By the process's number and not as "self": the ffmpeg program is a process of its own.
        path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        if os.path.samestat(path.stat(), os.fstat(descriptor)):
            return path
    except OSError:  # another system, no room for temporary files, or a file in memory alone
        pass
    return source
