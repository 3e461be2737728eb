"""Reading through PyAV (FFmpeg's libraries), for the formats libsndfile does not know.

Reading files in which one stream follows another, each with a header of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from genre_runtime.audio.containers import not_audio
from genre_runtime.audio.excerpts import PREROLL_SECONDS
from genre_runtime.audio.source import AudioFile
from genre_runtime.errors import UnreadableAudioError

_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError)

# Until version 19, which lost the option, PyAV refused files whose tags are not UTF-8 unless told otherwise.
LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_WITHOUT_INDEX = ("aac", "mp3")
"""Streams whose length and places FFmpeg guesses from the bit rate of their beginning."""

MAX_FRAME_SAMPLES = 2**22
"""Most samples of one frame; FLAC and WavPack, whose frames are longest, stay well below 2**20."""

FRAME_LIMIT = {"max_samples": str(MAX_FRAME_SAMPLES)}
"""For the decoder: what a frame claims is allocated before any sample comes out."""

MAX_PACKET_BYTES = 2**24
"""The longest packets, of Monkey's Audio and of uncompressed sound in Matroska, have about 2**20."""

MAX_SECONDS = 1e7
"""Four months: a longer claim is none."""

BLOCK_SAMPLES = 2**14
"""Samples a channel of a block: frames are short, and each block costs a little."""

MAX_ERRORS = 10_000
"""Damaged packets stepped over in one file."""


@cache
def _audio_decoders() -> str:
    """Names of FFmpeg's decoders of audio, separated by commas.

    Without such a list FFmpeg decodes covers and films as well while it opens a file: 2 GB for a cover of 16,000 x
    16,000 pixels.
    """
    codecs = (av.Codec(name, "r") for name in sorted(av.codecs_available) if _decodes(name))
    return ",".join(dict.fromkeys(codec.name for codec in codecs if codec.type == "audio"))


def _decodes(name: str) -> bool:
    try:
        av.Codec(name, "r")
    except ValueError:  # this build only encodes it
        return False
    return True


def open_container(file: str | BinaryIO, container: str) -> InputContainer:
    """Open a file with FFmpeg's demuxer of that name and decoders of audio alone.

    Parameters
    ----------
    file : str or binary file object
        A path with its protocol, `file:/...`, or an open file.
    container : str
        FFmpeg's name of the demuxer, as `sniff_container` tells it; FFmpeg itself never guesses.

    Raises
    ------
    av.FFmpegError, OSError, ValueError
    """
    options = {
        "protocol_whitelist": "file",
        "codec_whitelist": _audio_decoders(),
        **FRAME_LIMIT,  # for the first frames, which FFmpeg may decode to learn the format
    }
    opened: InputContainer = av.open(file, "r", format=container, options=options, **LENIENT)
    return opened


class PyAvReader:
    """An `AudioReader` over PyAV.

    Parameters
    ----------
    file : path or seekable binary file object
        Closed with the reader if it is a file object.
    container : str or None
        FFmpeg's name of the container.
    head : bytes
        First bytes of the sound, for the error where `container` is None.
    measured : bool
        Whether the length that the container names is not to be believed.

    Raises
    ------
    UnreadableAudioError
    """

    is_exact = False

    def __init__(self, file: Path | BinaryIO, container: str | None, head: bytes, *, measured: bool = False) -> None:
        if container is None:
            raise not_audio(head)
        self._opened, self._name = file, container
        try:
            # With its protocol: a colon in a name would otherwise end one.
            source = f"file:{file.absolute()}" if isinstance(file, Path) else file
            self._container = open_container(source, container)
        except _ERRORS as error:
            raise UnreadableAudioError(f"damaged {container} file ({_words(error)})") from error
        if not self._container.streams.audio:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file has no audio stream: expected one")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file's audio is in a format that FFmpeg has no decoder for")
        self._stream.codec_context.options = {**self._stream.codec_context.options, **FRAME_LIMIT}
        self.sample_rate: int = self._stream.rate or 0
        self.n_channels: int = self._stream.channels or 0
        if self.sample_rate < 1 or self.n_channels < 1:
            self._container.close()
            raise UnreadableAudioError(f"the {container} file names no sample rate or channels: it is damaged")
        self.duration_seconds: float | None = None
        if container not in _WITHOUT_INDEX and not measured:
            self.duration_seconds = self._claimed_seconds()
        self._moved = False

    def _claimed_seconds(self) -> float | None:
        """Return the length of the sound by the header; a film's is only its own where the stream of sound has none."""
        seconds = 0.0
        if self._stream.duration and self._stream.time_base:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration and not self._container.streams.video:
            seconds = self._container.duration / av.time_base
        return seconds if 0 < seconds < MAX_SECONDS else None

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32, about `n_samples` in all or up to the end.

        What cannot be decoded is stepped over. Where the stream changes its rate, samples are resampled to
        `sample_rate`; where it changes its channels, blocks do.

        Raises
        ------
        UnreadableAudioError
            Nothing of the file can be decoded, or a packet is larger than any encoder makes it.
        """
        origin = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        if start_seconds or self._moved:  # no seek at the beginning: Matroska's drops the first packet
            try:
                self._container.seek(int((max(0.0, start_seconds - PREROLL_SECONDS) + origin) * av.time_base))
            except _ERRORS:  # this container cannot seek
                return
        self._moved = True
        packed = _Packed(self.sample_rate)
        pieces: list[NDArray[np.float32]] = []
        for decoded in self._frames(from_start=not start_seconds):
            skip = 0
            if (
                start_seconds and decoded is not None and decoded.time is not None
            ):  # a seek lands on a packet before the start
                skip = max(0, round((start_seconds + origin - decoded.time) * self.sample_rate))
            for block in packed.blocks(decoded):
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
        """Yield decoded frames, and None at the end; what is damaged is left out."""
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
            raise UnreadableAudioError(f"damaged {self._name} file: nothing of it can be decoded ({_words(last)})")
        yield None

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if not isinstance(self._opened, Path):
            self._opened.close()


class _Packed:
    """Turns frames of any kind into blocks of float32 at one sample rate."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[object, ...] | None = None

    def blocks(self, frame: av.AudioFrame | None) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks of a frame; None gives what is still held."""
        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            if self._resampler is not None:
                yield from self._converted(self._resampler, None)
            # Planar frames of 8 channels and more crash PyAV 18.
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


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


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
