"""Which decoders open a file, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.source import MAX_SAMPLE_RATE, AudioFile, AudioSource, look_at
from genre_runtime.errors import UnreadableAudioError

AGREEING_SECONDS = 0.5
"""By so much the length that a decoder reports may differ from the length by the file's pages."""


class AudioReader(Protocol):
    """An open file that yields its samples from any second on.

    Attributes
    ----------
    duration_seconds : float or None
        Length by the decoder; None where only reading on to the end can tell.
    is_exact : bool
        Whether the file's structure confirms that length. Otherwise it is a claim.
    """

    sample_rate: int
    n_channels: int
    duration_seconds: float | None
    is_exact: bool

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels) from `start_seconds` on, about `n_samples` in all.

        The number of channels may change from block to block; the sample rate does not.
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
    return next(readers(look_at(source)))


def readers(file: AudioFile) -> Iterator[AudioReader]:
    """Open a file with one decoder after the other, the best one first; who takes a reader closes it.

    Raises
    ------
    UnreadableAudioError
        None of them reads it.
    """
    n_readers = 0
    refused: UnreadableAudioError | None = None
    for attempt in (_soundfile, _chained, _pyav, _unbelieved_soundfile, _ffmpeg):
        try:
            reader = attempt(file)
        except UnreadableAudioError as error:
            refused = error
            continue
        if reader is None:
            continue
        if reader.sample_rate > MAX_SAMPLE_RATE:
            reader.close()
            refused = UnreadableAudioError(
                f"the file says it has {reader.sample_rate:,} samples a second: expected at most {MAX_SAMPLE_RATE:,}, "
                "its header is forged or damaged"
            )
            break
        n_readers += 1
        yield reader
    if not n_readers:
        raise refused or UnreadableAudioError("no decoder reads the file: it is damaged or of an unknown format")


def _soundfile(file: AudioFile) -> AudioReader | None:
    """libsndfile, where the length that it reports can be believed."""
    if not file.structure.believable:
        return None
    reader = _open_soundfile(file)
    seconds = file.structure.seconds
    if reader is None or seconds is None:
        return reader
    if reader.duration_seconds is None or abs(reader.duration_seconds - seconds) > AGREEING_SECONDS:
        reader.close()
        return None
    return reader


def _unbelieved_soundfile(file: AudioFile) -> AudioReader | None:
    """libsndfile, read from the beginning to the end that it finds."""
    reader = _open_soundfile(file) if not file.structure.believable else None
    if reader is not None:
        reader.duration_seconds = None
    return reader


def _open_soundfile(file: AudioFile) -> AudioReader | None:
    import soundfile

    from genre_runtime.audio.readers.soundfile_reader import SoundFileReader

    opened = file.opened()
    try:
        return SoundFileReader(opened)
    except (soundfile.SoundFileError, TypeError):  # TypeError: by its name it was taken for headerless samples
        if opened is not file.source:
            _close(opened)
        return None


def _chained(file: AudioFile) -> AudioReader | None:
    """PyAV, one stream after the other: at a change of rate or channels it would end."""
    if not file.structure.links:
        return None
    from genre_runtime.audio.readers.pyav_reader import ChainedReader

    return ChainedReader(file)


def _pyav(file: AudioFile) -> AudioReader:
    from genre_runtime.audio.readers.pyav_reader import PyAvReader

    opened = file.opened()
    try:
        return PyAvReader(opened, file.container, file.head, measured=not file.structure.believable)
    except UnreadableAudioError:
        _close(opened)
        raise


def _ffmpeg(file: AudioFile) -> AudioReader | None:
    from genre_runtime.audio.readers.ffmpeg_reader import FfmpegReader

    return FfmpegReader(file.source) if FfmpegReader.can_read(file.source, file.head) else None


def _close(opened: object) -> None:
    close = getattr(opened, "close", None)
    if close is not None:
        close()
