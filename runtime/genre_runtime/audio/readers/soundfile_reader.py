"""Reading through libsndfile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import PREROLL_SECONDS

BLOCK_SAMPLES = 2**18
"""Samples over all channels that one block holds: 1 MiB of float32."""

CAREFUL_SAMPLES = 1024
"""Samples a channel of a block where a file is damaged: so little is lost before the damage."""


MAX_FRAMES = 2**46
"""More than a million years of sound: libsndfile's way to say that it does not know."""


class _SteadyFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file whose `read` does not seek afterwards, as soundfile does wherever it can.

    At every seek an MP3 decoder loses up to a tenth of a second.
    """

    def seekable(self) -> bool:
        """Say no; `seek` works all the same."""
        return False


class SoundFileReader:
    """An `AudioReader` over libsndfile.

    Parameters
    ----------
    file : path or seekable binary file object
        Closed with the reader if it is a file object.

    Raises
    ------
    soundfile.SoundFileError
        Not a file that libsndfile knows.
    TypeError
        Headerless samples by its name (.raw, .au, .snd, .vox, .gsm), whatever its bytes are.
    """

    is_exact = True

    def __init__(self, file: Path | BinaryIO) -> None:
        self._opened = file
        # As bytes, because soundfile cannot encode a name that is no valid text; Windows has no such names.
        self._file = _SteadyFile(os.fsencode(file) if isinstance(file, Path) and os.name != "nt" else file)
        if self._file.format == "RAW":
            self._file.close()
            raise TypeError("taken for headerless samples by its name")
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        known = 0 <= self._file.frames < MAX_FRAMES
        self.duration_seconds: float | None = self._file.frames / self.sample_rate if known else None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32, `n_samples` in all or up to the end."""
        start = round(start_seconds * self.sample_rate)
        if not self._goes_to(start):
            return
        n_block = max(1, BLOCK_SAMPLES // self.n_channels)
        while n_samples > 0:
            position = self._position()
            try:
                block = self._file.read(int(min(n_block, n_samples)), dtype="float32", always_2d=True)
            except soundfile.SoundFileError:  # damaged somewhere in this block: what comes before that counts
                if n_block <= CAREFUL_SAMPLES or position is None or not self._seeks(position):
                    return
                n_block = CAREFUL_SAMPLES
                continue
            if block.shape[0] == 0:
                return
            yield block
            n_samples -= block.shape[0]

    def _goes_to(self, start: int) -> bool:
        """Move to a sample, having decoded what comes shortly before it; False where nothing can be had."""
        at_start = self._position() == 0
        if not start and at_start:
            return True
        try:
            # A damaged Ogg file from which nothing was read yet may crash libsndfile in its seek.
            if at_start and not self._file.read(1, dtype="float32").size:
                return False
            preroll = min(start, int(PREROLL_SECONDS * self.sample_rate))
            self._file.seek(start - preroll)
            self._file.read(preroll, dtype="float32")
        except soundfile.SoundFileError:  # past the end that the decoder found
            return False
        return True

    def _position(self) -> int | None:
        """Where the next read begins; None where libsndfile no longer knows, as in a damaged MP3."""
        try:
            return int(self._file.tell())
        except soundfile.SoundFileError:
            return None

    def _seeks(self, position: int) -> bool:
        try:
            self._file.seek(position)
        except soundfile.SoundFileError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if not isinstance(self._opened, Path):
            self._opened.close()
