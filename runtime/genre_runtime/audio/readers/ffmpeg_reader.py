"""Reader that runs the ffmpeg program, which decodes a few FLAC files in a thousand that no library decodes.

The program is used only if it is installed, only for FLAC, and may only open local files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.containers import sniff_container
from genre_runtime.audio.source import AudioSource
from genre_runtime.errors import UnreadableAudioError

SAMPLE_RATE = 44_100
BLOCK_BYTES = 2**20
EXIT_SECONDS = 10
"""Time limit for the program to exit after it was killed."""


class FfmpegReader:
    """An `AudioReader` that runs ffmpeg; its samples are mono at `SAMPLE_RATE`, its duration is unknown.

    Parameters
    ----------
    path : path

    Raises
    ------
    UnreadableAudioError
        The program does not decode the file either, or cannot be started.
    """

    is_exact = False

    def __init__(self, path: AudioSource) -> None:
        self._path = Path(os.fspath(path))  # type: ignore[arg-type]
        self._process: subprocess.Popen[bytes] | None = None
        self.sample_rate = SAMPLE_RATE
        self.n_channels = 1
        self.duration_seconds: float | None = None
        first = next(self.blocks(0.0, 1), None)
        self.close()
        if first is None:
            raise UnreadableAudioError("damaged flac file (neither the libraries nor the ffmpeg program can decode it)")

    @staticmethod
    def can_read(source: AudioSource, head: bytes) -> bool:
        """Tell whether a source is a path to a FLAC file and ffmpeg is installed.

        Parameters
        ----------
        source : path, bytes or seekable binary file object
        head : bytes
            First bytes of the audio.
        """
        is_path = isinstance(source, str | os.PathLike)
        return is_path and sniff_container(head) == "flac" and shutil.which("ffmpeg") is not None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks as `AudioReader.blocks` does, with one channel.

        Parameters
        ----------
        start_seconds, n_samples : float
            As of `AudioReader.blocks`.
        """
        program = shutil.which("ffmpeg") or "ffmpeg"
        source = ("-protocol_whitelist", "file", "-f", "flac", "-ss", f"{start_seconds:.6f}")
        target = ("-map", "0:a:0", "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "-")
        # An absolute path with its protocol, because a dash or a colon in a name has a meaning for ffmpeg.
        command = [program, "-nostdin", "-v", "quiet", *source, "-i", f"file:{self._path.absolute()}", *target]
        self.close()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise UnreadableAudioError(f"the ffmpeg program cannot be started: {error.strerror}") from error
        output = self._process.stdout
        while output is not None and n_samples > 0:
            content = output.read(int(min(BLOCK_BYTES, 4 * n_samples)))
            if len(content) < 4:
                return
            block = np.frombuffer(content[: len(content) // 4 * 4], "<f4").astype(np.float32).reshape(-1, 1)
            yield block
            n_samples -= block.shape[0]

    def close(self) -> None:
        """Kill the program."""
        if self._process is None:
            return
        self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait(EXIT_SECONDS)
        self._process = None
