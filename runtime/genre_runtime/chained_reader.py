"""Reading files in which one stream follows another, each with a header of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import UnreadableAudioError
from genre_runtime.inputs import AudioFile
from genre_runtime.pyav_reader import PyAvReader


class ChainedReader:
    """An `AudioReader` over streams that follow one another; it has the sample rate of the first one.

    Parameters
    ----------
    file : AudioFile
        With the places of its streams in `structure.links`.

    Raises
    ------
    UnreadableAudioError
        None of the streams can be read.
    """

    is_exact = False

    def __init__(self, file: AudioFile) -> None:
        self._file = file
        self.duration_seconds: float | None = None
        with closing(next(self._streams(0))) as first:
            self.sample_rate = first.sample_rate
            self.n_channels = first.n_channels

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32, `n_samples` in all or up to the end.

        What precedes `start_seconds` is decoded and dropped.
        """
        n_skipped = round(start_seconds * self.sample_rate)
        for stream in self._streams(self.sample_rate):
            with closing(stream):
                for block in stream.blocks(0.0, float("inf")):
                    kept = block[n_skipped:]
                    n_skipped = max(0, n_skipped - block.shape[0])
                    if kept.shape[0]:
                        yield kept
                        n_samples -= kept.shape[0]
                    if n_samples <= 0:
                        return

    def _streams(self, sample_rate: int) -> Iterator[PyAvReader]:
        """Open the streams that can be read, with their own sample rate if `sample_rate` is 0."""
        refused: UnreadableAudioError | None = None
        n_streams = 0
        for start, end in self._file.structure.links:
            view = self._file.view(start, end)
            try:
                reader = PyAvReader(view, self._file.container, self._file.head, measured=True)
            except UnreadableAudioError as error:
                view.close()
                refused = error
                continue
            reader.sample_rate = sample_rate or reader.sample_rate
            n_streams += 1
            yield reader
        if not n_streams:
            raise refused or UnreadableAudioError(f"the {self._file.container} file has no streams: expected one")

    def close(self) -> None:
        """Do nothing: streams are closed once they were read."""
