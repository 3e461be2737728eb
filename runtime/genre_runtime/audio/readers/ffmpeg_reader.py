"""Reading through the ffmpeg program: a few FLAC files in a thousand decode with it and with no library.

The program is used if it is installed, for FLAC alone, and may open local files only.
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
PATIENCE_SECONDS = 10
"""How long the program may take to end once its output is closed."""


class FfmpegReader:
    """An `AudioReader` over the ffmpeg program; its samples are mono at `SAMPLE_RATE`, its duration unknown.

    Parameters
    ----------
    path : path

    Raises
    ------
    UnreadableAudioError
        The program reads nothing of it either, or cannot be started.
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
            raise UnreadableAudioError("damaged flac file (neither the libraries nor the ffmpeg program read it)")

    @staticmethod
    def can_read(source: AudioSource, head: bytes) -> bool:
        """Tell whether this is the kind of file the program is worth starting for, and it is there."""
        named = isinstance(source, str | os.PathLike)
        return named and sniff_container(head) == "flac" and shutil.which("ffmpeg") is not None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, 1), float32, `n_samples` in all or up to the end."""
        program = shutil.which("ffmpeg") or "ffmpeg"
        source = ("-protocol_whitelist", "file", "-f", "flac", "-ss", f"{start_seconds:.6f}")
        target = ("-map", "0:a:0", "-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "-")
        # An absolute path with its protocol: neither a dash nor a colon in the name means anything else.
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
        """End the program."""
        if self._process is None:
            return
        self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait(PATIENCE_SECONDS)
        self._process = None
