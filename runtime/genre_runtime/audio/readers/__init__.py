"""Readers: the decoders that open a file, tried in order.

Each module adapts one library to `AudioReader`. Imports `source`, `excerpts` and `containers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.source import MAX_SAMPLE_RATE, AudioFile, AudioSource, probe
from genre_runtime.errors import UnreadableAudioError

AGREEING_SECONDS = 0.5
"""Largest difference between the length that a decoder reports and the exact length by the file's structure."""


class AudioReader(Protocol):
    """An open file that yields its samples from any position.

    Attributes
    ----------
    duration_seconds : float or None
        Length that the decoder reports; None if it is known only after decoding to the end.
    is_exact : bool
        Whether that length is confirmed by the file's structure.
    """

    sample_rate: int
    n_channels: int
    duration_seconds: float | None
    is_exact: bool

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32.

        The number of channels may change from block to block; the sample rate does not.

        Parameters
        ----------
        start_seconds : float
            Position of the first sample.
        n_samples : float
            Samples per channel to read, approximately; infinity reads to the end.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_audio(source: AudioSource) -> AudioReader:
    """Open an audio file with the first decoder that reads it.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
        A file object stays open.

    Raises
    ------
    AudioNotFoundError
        There is no file at the path.
    EmptyAudioError
        The file is empty.
    UnreadableAudioError
        A folder, a device, not permitted, not audio, or an impossible sample rate.
    """
    return next(open_readers(probe(source)))


def open_readers(file: AudioFile) -> Iterator[AudioReader]:
    """Open a file with each decoder that reads it, the best one first. The caller closes the readers.

    Parameters
    ----------
    file : AudioFile

    Raises
    ------
    UnreadableAudioError
        No decoder reads it.
    """
    n_readers = 0
    refused: UnreadableAudioError | None = None
    for open_reader in (_open_soundfile, _open_chained, _open_pyav, _open_soundfile_to_measure, _open_ffmpeg):
        try:
            reader = open_reader(file)
        except UnreadableAudioError as error:
            refused = error
            continue
        if reader is None:
            continue
        if reader.sample_rate > MAX_SAMPLE_RATE:
            reader.close()
            refused = UnreadableAudioError(
                f"the file claims {reader.sample_rate:,} samples per second, expected at most {MAX_SAMPLE_RATE:,}: its "
                "header is forged or damaged"
            )
            break
        n_readers += 1
        yield reader
    if not n_readers:
        raise refused or UnreadableAudioError("no decoder reads the file: it is damaged or of an unknown format")


def _open_soundfile(file: AudioFile) -> AudioReader | None:
    """Open with libsndfile if the length that it reports is reliable."""
    reader = _soundfile_reader(file) if file.structure.is_reliable else None
    seconds = file.structure.seconds
    if reader is None or seconds is None:
        return reader
    if reader.duration_seconds is None or abs(reader.duration_seconds - seconds) > AGREEING_SECONDS:
        reader.close()
        return None
    return reader


def _open_soundfile_to_measure(file: AudioFile) -> AudioReader | None:
    """Open with libsndfile and ignore the length that it reports."""
    reader = None if file.structure.is_reliable else _soundfile_reader(file)
    if reader is not None:
        reader.duration_seconds = None
    return reader


def _soundfile_reader(file: AudioFile) -> AudioReader | None:
    import soundfile

    from genre_runtime.audio.readers.soundfile_reader import SoundFileReader

    opened = file.open()
    try:
        return SoundFileReader(opened)
    except (soundfile.SoundFileError, TypeError):  # TypeError: taken for headerless samples because of its name
        if opened is not file.source:
            _close(opened)
        return None


def _open_chained(file: AudioFile) -> AudioReader | None:
    """Open each stream of a chained file with PyAV, which would end at a change of rate or channels."""
    if not file.structure.links:
        return None
    from genre_runtime.audio.readers.pyav_reader import ChainedReader

    return ChainedReader(file)


def _open_pyav(file: AudioFile) -> AudioReader:
    from genre_runtime.audio.readers.pyav_reader import PyAvReader

    opened = file.open()
    try:
        return PyAvReader(opened, file.container, file.head, ignore_duration=not file.structure.is_reliable)
    except UnreadableAudioError:
        _close(opened)
        raise


def _open_ffmpeg(file: AudioFile) -> AudioReader | None:
    from genre_runtime.audio.readers.ffmpeg_reader import FfmpegReader

    return FfmpegReader(file.source) if FfmpegReader.can_read(file.source, file.head) else None


def _close(opened: Path | BinaryIO) -> None:
    if not isinstance(opened, Path):
        opened.close()
