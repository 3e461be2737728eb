"""Which decoder opens a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genre_runtime.containers import may_be_audio, not_audio
from genre_runtime.errors import UnreadableAudioError
from genre_runtime.inputs import AudioSource, head_of
from genre_runtime.limits import MAX_SAMPLE_RATE


class AudioReader(Protocol):
    """An open file that yields its samples from any second on."""

    sample_rate: int
    n_channels: int
    duration_seconds: float | None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels) from `start_seconds` on, about `n_samples` in all."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_audio(source: AudioSource) -> AudioReader:
    """Open an audio file with the first decoder that reads it.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
        An open file object is read, and stays open.

    Raises
    ------
    AudioNotFoundError
        No file at the path.
    EmptyAudioError
        The file has no bytes.
    UnreadableAudioError
        A folder, a device, no permission, not audio, or a sample rate that no recording has.
    """
    reader = _first_that_reads(source)
    if reader.sample_rate > MAX_SAMPLE_RATE:
        reader.close()
        raise UnreadableAudioError(
            f"the file says it has {reader.sample_rate:,} samples a second: expected at most {MAX_SAMPLE_RATE:,}, its "
            "header is forged or damaged"
        )
    return reader


def _first_that_reads(source: AudioSource) -> AudioReader:
    head = head_of(source)
    if not may_be_audio(head):
        raise not_audio(head)
    import soundfile

    from genre_runtime.soundfile_reader import SoundFileReader

    try:
        return SoundFileReader(source)
    except (soundfile.SoundFileError, TypeError):  # TypeError: by its name it was taken for headerless
        from genre_runtime.ffmpeg_reader import FfmpegReader
        from genre_runtime.pyav_reader import PyAvReader

        try:
            return PyAvReader(source, head)
        except UnreadableAudioError:
            if not FfmpegReader.can_read(source, head):
                raise
            return FfmpegReader(source)
