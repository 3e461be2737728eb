"""Reading through libsndfile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

BLOCK_SAMPLES = 2**18
"""Samples over all channels that one block holds: 1 MiB of float32."""


class SoundFileReader:
    """An `AudioReader` over libsndfile."""

    def __init__(self, path: Path) -> None:
        # The bytes decide, not the name: a path ending in .raw would be taken for headerless audio.
        self._file = soundfile.SoundFile(path)
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.duration_seconds: float | None = self._file.frames / self.sample_rate

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32, `n_samples` in all or up to the end."""
        start = round(start_seconds * self.sample_rate)
        try:
            if start or self._file.tell():
                self._file.seek(start)
        except soundfile.SoundFileError:  # past the end that the decoder found
            return
        n_block = max(1, BLOCK_SAMPLES // self.n_channels)
        while n_samples > 0:
            try:
                block = self._file.read(int(min(n_block, n_samples)), dtype="float32", always_2d=True)
            except soundfile.SoundFileError:  # damaged from here on: what came before counts
                return
            if block.shape[0] == 0:
                return
            yield block
            n_samples -= block.shape[0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
