"""Reading through PyAV (FFmpeg's libraries), for the formats libsndfile does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import UnreadableAudioError
from genre_runtime.excerpts import PREROLL_SECONDS

_ERRORS = (av.FFmpegError, OSError, ValueError)

# (offset, magic bytes, FFmpeg demuxer): what is not listed is not opened.
_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),  # M4A, MP4, ALAC
    (0, b"\x1a\x45\xdf\xa3", "matroska"),  # WebM, MKA
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),  # WMA
    (0, b"MAC ", "ape"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"RIFF", "wav"),
    (0, b"RF64", "wav"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"wvpk", "wv"),
    (0, b"TTA1", "tta"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    (0, b"\xff\xf1", "aac"),  # ADTS, MPEG-4
    (0, b"\xff\xf9", "aac"),  # ADTS, MPEG-2
    *((0, bytes((0xFF, second)), "mp3") for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)),  # layer III
    *((0, bytes((0xFF, second)), "mp3") for second in (0xF4, 0xF5, 0xFC, 0xFD)),  # layer II
)


def sniff_container(head: bytes) -> str | None:
    """Return FFmpeg's name of the container whose first bytes are `head`, or None if unknown."""
    for offset, magic, name in _CONTAINERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def _read_head(path: Path) -> bytes:
    """Return the first 16 bytes behind any ID3v2 tag."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
            head = file.read(16)
    return head


class PyAvReader:
    """An `AudioReader` over PyAV.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UnreadableAudioError
    """

    def __init__(self, path: Path) -> None:
        head = _read_head(path)
        name = sniff_container(head)
        if name is None:
            raise UnreadableAudioError(
                f"not an audio file: it begins with {head[:12]!r}, expected MP3, FLAC, WAV, Ogg, Opus, AIFF, M4A, "
                "WMA, APE or the like"
            )
        try:
            self._container = av.open(
                str(path), format=name, metadata_errors="replace", options={"protocol_whitelist": "file"}
            )
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
        self.duration_seconds: float | None = duration / av.time_base if duration else None
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
        planar = av.AudioResampler(format="fltp")
        frames = self._container.decode(self._stream)
        while n_samples > 0:
            try:
                decoded = next(frames, None)
                converted = planar.resample(decoded)  # None flushes
            except _ERRORS:  # damaged from here on: what came before counts
                return
            for frame in converted:
                skip = 0
                if frame.time is not None:  # a seek lands on a packet before the start
                    skip = max(0, round((start_seconds + origin - frame.time) * frame.sample_rate))
                block = frame.to_ndarray().T[skip:].astype(np.float32, copy=False)
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
