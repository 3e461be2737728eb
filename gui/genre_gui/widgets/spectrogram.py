"""Spectrograms: heard from the file once more, and made into pixels.

A picture is uint8, shape (height, width, 3), row 0 at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from genre_runtime.model.metadata import ModelMetadata

Pixels = NDArray[np.uint8]

COLUMNS = 900
"""Frames of all excerpts of a track together, about: more than a panel is wide."""

# Dark to bright at even steps of lightness, so that twice as loud looks the same anywhere.
_ANCHORS = np.array([(13, 15, 40), (61, 22, 104), (133, 36, 120), (205, 66, 98), (246, 130, 74), (252, 228, 158)])


@dataclass(frozen=True)
class Sound:
    """A stretch of a track as the model hears it.

    Attributes
    ----------
    start_seconds, end_seconds : float
    log_mel : float32 array, shape (n_mels, n_frames), dB in [-top_db, 0]
    """

    start_seconds: float
    end_seconds: float
    log_mel: NDArray[np.float32]


def listen(path: Path, metadata: ModelMetadata, *, whole: bool, stop: Event) -> tuple[Sound, ...]:
    """Return the spectrograms of the excerpts that a prediction listened to, in frames fine enough to look at.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    from genre_runtime.audio.decoding import stream_excerpts
    from genre_runtime.model.features import log_mel_spectrogram

    audio, seconds = metadata.audio, metadata.excerpt_seconds
    stream = stream_excerpts(
        path,
        audio.sample_rate,
        excerpt_seconds=seconds,
        n_excerpts=None if whole else metadata.n_excerpts,
        stop=stop,
    )
    count = 1 if whole else metadata.n_excerpts
    # The model's own frames are too coarse for the eye unless the track is long.
    hop = (
        audio.hop_length
        if whole
        else max(1, min(audio.hop_length, round(seconds * count * audio.sample_rate / COLUMNS)))
    )
    fine = replace(audio, hop_length=hop)
    sounds = []
    for excerpt in stream:
        log_mel = log_mel_spectrogram(excerpt.waveform, fine)
        end = excerpt.start_seconds + excerpt.waveform.size / audio.sample_rate
        sounds.append(Sound(excerpt.start_seconds, end, log_mel))
    return tuple(sounds)


def spectrogram(sounds: Sequence[Sound], width: int, height: int, top_db: float, gap: tuple[int, int, int]) -> Pixels:
    """Draw spectrograms side by side, low frequencies at the bottom, `gap` the colour between them."""
    share = max(1, width // 150) if len(sounds) <= 8 else 0
    widths = _shares(width - share * (len(sounds) - 1), [sound.end_seconds - sound.start_seconds for sound in sounds])
    bar = np.full((height, share, 3), gap, np.uint8)
    pieces = []
    for sound, wide in zip(sounds, widths, strict=True):
        level = 1 + _resized(sound.log_mel[::-1], wide, height) / top_db
        pieces += [coloured(level), bar]
    return np.concatenate(pieces[:-1], axis=1)


def coloured(level: NDArray[np.floating]) -> Pixels:
    """Map levels in [0, 1] to colours."""
    place = np.clip(level, 0, 1) * (len(_ANCHORS) - 1)
    steps = np.arange(len(_ANCHORS))
    channels = [np.interp(place, steps, _ANCHORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def ppm(pixels: Pixels) -> bytes:
    """Return a picture in the form that Tk reads without any library."""
    height, width, _ = pixels.shape
    return b"P6 %d %d 255\n" % (width, height) + pixels.tobytes()


def _shares(width: int, parts: Sequence[float]) -> list[int]:
    edges = np.round(np.cumsum([0.0, *parts]) / sum(parts) * max(width, len(parts))).astype(int)
    return [max(1, int(n)) for n in np.diff(edges)]


def _resized(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float64]:
    """Interpolate between the centres of values, shape (height, width)."""
    rows, columns = values.shape
    down = (np.arange(height) + 0.5) * rows / height - 0.5
    across = (np.arange(width) + 0.5) * columns / width - 0.5
    wide = np.stack([np.interp(across, np.arange(columns), row) for row in values])
    return np.stack([np.interp(down, np.arange(rows), column) for column in wide.T], axis=1)
