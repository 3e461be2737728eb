"""Reader that uses libsndfile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import PREROLL_SECONDS

BLOCK_SAMPLES = 2**18
"""Samples of a block, all channels together: 1 MiB of float32."""

SMALL_BLOCK_SAMPLES = 1024
"""Samples per channel of a block near damage, to lose few samples before it."""

MAX_FRAMES = 2**46
"""libsndfile reports an unknown length as an even larger number of frames."""


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file whose `read` does not seek afterwards, because an MP3 decoder loses up to 0.1 s at every seek."""

    def seekable(self) -> bool:
        """Return False, although `seek` works."""
        return False


class SoundFileReader:
    """An `AudioReader` that uses libsndfile.

    Parameters
    ----------
    file : path or seekable binary file object
        Closed with the reader if it is a file object.

    Raises
    ------
    soundfile.SoundFileError
        libsndfile cannot read the file.
    TypeError
        libsndfile takes the file for headerless samples because of its name (.raw, .au, .snd, .vox, .gsm).
    """

    is_exact = True

    def __init__(self, file: Path | BinaryIO) -> None:
        self._opened = file
        # As bytes, because soundfile cannot encode a name that is not valid text; Windows has no such names.
        self._file = _SequentialSoundFile(os.fsencode(file) if isinstance(file, Path) and os.name != "nt" else file)
        if self._file.format == "RAW":
            self._file.close()
            raise TypeError("taken for headerless samples because of its name")
        self.sample_rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        known = 0 <= self._file.frames < MAX_FRAMES
        self.duration_seconds: float | None = self._file.frames / self.sample_rate if known else None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks as `AudioReader.blocks` does.

        Parameters
        ----------
        start_seconds, n_samples : float
            As of `AudioReader.blocks`.
        """
        start = round(start_seconds * self.sample_rate)
        if not self._seek_with_preroll(start):
            return
        n_block = max(1, BLOCK_SAMPLES // self.n_channels)
        while n_samples > 0:
            position = self._position()
            try:
                block = self._file.read(int(min(n_block, n_samples)), dtype="float32", always_2d=True)
            except soundfile.SoundFileError:  # damaged: read the samples of this block before the damage
                if n_block > SMALL_BLOCK_SAMPLES and position is not None:
                    with suppress(soundfile.SoundFileError):
                        self._file.seek(position)
                        n_block = SMALL_BLOCK_SAMPLES
                        continue
                return
            if block.shape[0] == 0:
                return
            yield block
            n_samples -= block.shape[0]

    def _seek_with_preroll(self, start: int) -> bool:
        """Seek to a sample and decode a preroll before it; return False if that fails."""
        at_start = self._position() == 0
        if not start and at_start:
            return True
        try:
            # libsndfile may crash in its first seek in a damaged Ogg file if no sample was read before.
            if at_start and not self._file.read(1, dtype="float32").size:
                return False
            preroll = min(start, int(PREROLL_SECONDS * self.sample_rate))
            self._file.seek(start - preroll)
            self._file.read(preroll, dtype="float32")
        except soundfile.SoundFileError:  # past the end of the file
            return False
        return True

    def _position(self) -> int | None:
        """Return the sample that is read next; None if libsndfile has lost its position, as in a damaged MP3."""
        with suppress(soundfile.SoundFileError):
            return int(self._file.tell())
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if not isinstance(self._opened, Path):
            self._opened.close()
