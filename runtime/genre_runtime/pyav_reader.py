"""Reading through PyAV (FFmpeg's libraries), for the formats libsndfile does not know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from genre_runtime.containers import not_audio, sniff_container
from genre_runtime.errors import UnreadableAudioError
from genre_runtime.excerpts import PREROLL_SECONDS
from genre_runtime.inputs import AudioSource, as_file

_ERRORS = (av.FFmpegError, OSError, ValueError)

# Until version 19, which lost the option, PyAV refused files whose tags are not UTF-8 unless told otherwise.
LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_WITHOUT_INDEX = ("aac", "mp3")
"""Streams whose length and places FFmpeg guesses from the bit rate of their beginning."""

MAX_FRAME_SAMPLES = 2**22
"""Most samples of one frame, over all channels. FLAC and WavPack, whose frames are longest, stay well below 2**20."""


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
        "max_samples": str(MAX_FRAME_SAMPLES),  # what a frame claims is allocated before any sample comes out
    }
    opened: InputContainer = av.open(file, "r", format=container, options=options, **LENIENT)
    return opened


class PyAvReader:
    """An `AudioReader` over PyAV.

    Parameters
    ----------
    source : path, bytes or seekable binary file object
    head : bytes
        Its first bytes, which decide on the container.

    Raises
    ------
    UnreadableAudioError
    """

    def __init__(self, source: AudioSource, head: bytes) -> None:
        name = sniff_container(head)
        if name is None:
            raise not_audio(head)
        try:
            file = as_file(source)
            # With its protocol: a colon in a name would otherwise end one.
            opened = f"file:{file.absolute()}" if isinstance(file, Path) else file
            self._container = open_container(opened, name)
        except _ERRORS as error:
            raise UnreadableAudioError(f"damaged {name} file ({_words(error)})") from error
        if not self._container.streams.audio:
            self._container.close()
            raise UnreadableAudioError(f"the {name} file has no audio stream: expected one")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise UnreadableAudioError(f"the {name} file's audio is in a format that FFmpeg has no decoder for")
        self.sample_rate: int = self._stream.rate or 0
        self.n_channels: int = self._stream.channels or 0
        if self.sample_rate < 1 or self.n_channels < 1:
            self._container.close()
            raise UnreadableAudioError(f"the {name} file names no sample rate or channels: it is damaged")
        duration = self._container.duration
        guessed = name in _WITHOUT_INDEX
        self.duration_seconds: float | None = duration / av.time_base if duration and not guessed else None
        self._moved = False

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of shape (n_block, n_channels), float32, about `n_samples` in all or up to the end."""
        origin = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        if start_seconds or self._moved:  # no seek at the beginning: Matroska's drops the first packet
            try:
                self._container.seek(int((max(0.0, start_seconds - PREROLL_SECONDS) + origin) * av.time_base))
            except _ERRORS:  # this container cannot seek
                return
        self._moved = True
        packed = av.AudioResampler(format="flt")  # planar frames of 8 channels and more crash PyAV 18
        frames = self._container.decode(self._stream)
        while n_samples > 0:
            try:
                decoded = next(frames, None)
                converted = packed.resample(decoded)  # None flushes
            except _ERRORS:  # damaged from here on: what came before counts
                return
            for frame in converted:
                skip = 0
                if frame.time is not None:  # a seek lands on a packet before the start
                    skip = max(0, round((start_seconds + origin - frame.time) * frame.sample_rate))
                block = frame.to_ndarray().reshape(frame.samples, -1)[skip:].astype(np.float32, copy=False)
                if block.shape[0]:
                    yield block
                    n_samples -= block.shape[0]
            if decoded is None:
                return

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
