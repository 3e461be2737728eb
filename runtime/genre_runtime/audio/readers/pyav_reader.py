"""Readers that use PyAV (FFmpeg's libraries), for formats that libsndfile does not support and for chained streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from genre_runtime.audio.containers import not_audio_error
from genre_runtime.audio.excerpts import PREROLL_SECONDS
from genre_runtime.audio.source import AudioFile
from genre_runtime.errors import UnreadableAudioError

_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError)

# Before version 19, which removed the option, PyAV rejected files whose tags are not UTF-8 by default.
_METADATA_OPTIONS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_WITHOUT_INDEX = ("aac", "mp3")
"""Containers whose length and positions FFmpeg estimates from the first bit rate."""

MAX_FRAME_SAMPLES = 2**22
"""Most samples of one frame; the longest frames, of FLAC and WavPack, have well below 2**20."""

FRAME_LIMIT = {"max_samples": str(MAX_FRAME_SAMPLES)}
"""Decoder option, because FFmpeg allocates the number of samples that a frame claims before it decodes it."""

MAX_PACKET_BYTES = 2**24
"""The longest packets, of Monkey's Audio and of uncompressed audio in Matroska, have about 2**20."""

MAX_SECONDS = 1e7
"""Four months; a longer duration is ignored."""

BLOCK_SAMPLES = 2**14
"""Samples per channel of a block, which joins several short frames."""

MAX_ERRORS = 10_000
"""Most damaged packets that are skipped in one file."""


@cache
def _audio_decoders() -> str:
    """Return the names of FFmpeg's audio decoders, separated by commas.

    Without this list FFmpeg also decodes covers and videos when it opens a file: 2 GB for a cover of 16,000 x 16,000
    pixels.
    """
    names: dict[str, None] = {}
    for name in sorted(av.codecs_available):
        with suppress(ValueError):  # this build only encodes it
            codec = av.Codec(name, "r")
            if codec.type == "audio":
                names[codec.name] = None
    return ",".join(names)


def open_container(file: str | BinaryIO, container: str) -> InputContainer:
    """Open a file with one of FFmpeg's demuxers and with audio decoders only.

    Parameters
    ----------
    file : str or binary file object
        A path with its protocol, `file:/...`, or an open file.
    container : str
        FFmpeg's name of the demuxer, as `sniff_container` returns it.

    Raises
    ------
    av.FFmpegError, OSError, ValueError
    """
    options = {
        "protocol_whitelist": "file",
        "codec_whitelist": _audio_decoders(),
        **FRAME_LIMIT,  # for the first frames, which FFmpeg may decode to learn the format
    }
    opened: InputContainer = av.open(file, "r", format=container, options=options, **_METADATA_OPTIONS)
    return opened


class PyAvReader:
    """An `AudioReader` that uses PyAV.

    Parameters
    ----------
    file : path or seekable binary file object
        Closed with the reader if it is a file object.
    container : str or None
        FFmpeg's name of the container.
    head : bytes
        First bytes of the audio, for the error if `container` is None.
    ignore_duration : bool
        Whether the duration in the container is unreliable.

    Raises
    ------
    UnreadableAudioError
    """

    is_exact = False

    def __init__(
        self, file: Path | BinaryIO, container: str | None, head: bytes, *, ignore_duration: bool = False
    ) -> None:
        if container is None:
            raise not_audio_error(head)
        self._opened, self._name = file, container
        try:
            # With its protocol, because a colon in a name would end one.
            source = f"file:{file.absolute()}" if isinstance(file, Path) else file
            self._container = open_container(source, container)
        except _ERRORS as error:
            raise UnreadableAudioError(f"damaged {container} file ({_error_text(error)})") from error
        if not self._container.streams.audio:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file has no audio stream: expected one")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file's audio has a format that FFmpeg has no decoder for")
        self._stream.codec_context.options = {**self._stream.codec_context.options, **FRAME_LIMIT}
        self.sample_rate: int = self._stream.rate or 0
        self.n_channels: int = self._stream.channels or 0
        if self.sample_rate < 1 or self.n_channels < 1:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file names no sample rate or channels: it is damaged")
        self.duration_seconds: float | None = None
        if container not in _WITHOUT_INDEX and not ignore_duration:
            self.duration_seconds = self._claimed_seconds()
        self._moved = False

    def _claimed_seconds(self) -> float | None:
        """Return the duration of the audio stream, or of the container if that has no video stream."""
        seconds = 0.0
        if self._stream.duration and self._stream.time_base:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration and not self._container.streams.video:
            seconds = self._container.duration / av.time_base
        return seconds if 0 < seconds < MAX_SECONDS else None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks as `AudioReader.blocks` does. Damaged packets are skipped.

        Parameters
        ----------
        start_seconds, n_samples : float
            As of `AudioReader.blocks`.

        Raises
        ------
        UnreadableAudioError
            Nothing can be decoded, or a packet is larger than any encoder makes it.
        """
        origin = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        if start_seconds or self._moved:  # not at the beginning: a seek in Matroska drops the first packet
            try:
                self._container.seek(int((max(0.0, start_seconds - PREROLL_SECONDS) + origin) * av.time_base))
            except _ERRORS:  # this container cannot seek
                return
        self._moved = True
        converter = _FrameConverter(self.sample_rate)
        pieces: list[NDArray[np.float32]] = []
        for decoded in self._frames(from_start=not start_seconds):
            skip = 0
            if start_seconds and decoded is not None and decoded.time is not None:  # a seek ends before the start
                skip = max(0, round((start_seconds + origin - decoded.time) * self.sample_rate))
            for block in converter.blocks(decoded):
                kept = block[skip:]
                skip = max(0, skip - block.shape[0])
                if pieces and pieces[0].shape[1] != kept.shape[1]:
                    yield np.concatenate(pieces)
                    pieces = []
                if kept.shape[0]:
                    pieces.append(kept)
                    n_samples -= kept.shape[0]
            if pieces and (n_samples <= 0 or sum(piece.shape[0] for piece in pieces) >= BLOCK_SAMPLES):
                yield np.concatenate(pieces)
                pieces = []
            if n_samples <= 0:
                return
        if pieces:
            yield np.concatenate(pieces)

    def _frames(self, *, from_start: bool) -> Iterator[av.AudioFrame | None]:
        """Yield decoded frames, then None; skip damaged packets."""
        n_errors = n_frames = 0
        last: Exception | None = None
        packets = self._container.demux(self._stream)
        while n_errors < MAX_ERRORS:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.size > MAX_PACKET_BYTES:
                    raise UnreadableAudioError(
                        f"the {self._name} file has a packet of {packet.size:,} bytes: expected at most "
                        f"{MAX_PACKET_BYTES:,}, it is damaged or forged"
                    )
                frames = packet.decode()
            except UnreadableAudioError:
                raise
            except av.EOFError:
                break
            except _ERRORS as error:
                n_errors, last = n_errors + 1, error
                continue
            for frame in frames:
                if isinstance(frame, av.AudioFrame):
                    n_frames += 1
                    yield frame
        if last is not None and not n_frames and from_start:
            raise UnreadableAudioError(f"damaged {self._name} file: nothing of it can be decoded ({_error_text(last)})")
        yield None

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if not isinstance(self._opened, Path):
            self._opened.close()


class _FrameConverter:
    """Converts frames of any format to blocks of float32 at one sample rate."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[object, ...] | None = None

    def blocks(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks of a frame; None flushes the resampler."""
        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            if self._resampler is not None:
                yield from self._converted(self._resampler, None)
            # Packed samples, because planar frames of 8 or more channels crash PyAV 18.
            self._resampler = None if frame is None else av.AudioResampler(format="flt", rate=self._sample_rate)
            self._kind = kind
        if frame is not None and self._resampler is not None:
            yield from self._converted(self._resampler, frame)

    def _converted(self, resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        try:
            converted = resampler.resample(frame)
        except _ERRORS:
            return
        for packed in converted:
            yield packed.to_ndarray().reshape(packed.samples, -1).astype(np.float32, copy=False)


def _error_text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class ChainedReader:
    """An `AudioReader` of chained streams; its sample rate is that of the first stream.

    Parameters
    ----------
    file : AudioFile
        With its streams in `structure.links`.

    Raises
    ------
    UnreadableAudioError
        No stream can be decoded.
    """

    is_exact = False

    def __init__(self, file: AudioFile) -> None:
        self._file = file
        self.duration_seconds: float | None = None
        with closing(next(self._streams(0))) as first:
            self.sample_rate = first.sample_rate
            self.n_channels = first.n_channels

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks as `AudioReader.blocks` does; samples before `start_seconds` are decoded and dropped.

        Parameters
        ----------
        start_seconds, n_samples : float
            As of `AudioReader.blocks`.
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
        """Open each stream that can be decoded, at its own sample rate if `sample_rate` is 0."""
        refused: UnreadableAudioError | None = None
        n_streams = 0
        for start, end in self._file.structure.links:
            view = self._file.view(start, end)
            try:
                reader = PyAvReader(view, self._file.container, self._file.head, ignore_duration=True)
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
        """Do nothing; each stream is closed after it was read."""
