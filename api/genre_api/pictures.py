"""A spectrogram as a picture, for people: what the model listened to, from left to right."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from genre_runtime.features import log_mel_spectrogram
from genre_runtime.metadata import AudioConfig

FloatArray = NDArray[np.float32]

COLUMNS = 84
"""Most columns of an excerpt: as many as ten seconds have frames with the shipped model."""

COLUMNS_OF_WHOLE = 32
"""The same where the whole track is listened to, which can take hours."""

N_COLOURS = 64
"""More would hardly be seen, and the picture would be twice as long."""

# From quiet to loud, red, green and blue: even steps of lightness, so that it says the same in grey.
_RAMP = ((4, 4, 20), (60, 16, 100), (150, 40, 110), (228, 95, 70), (252, 180, 95), (252, 250, 200))


class Picture:
    """Collects excerpts, few bytes of each, and draws them side by side.

    Parameters
    ----------
    audio : AudioConfig
    whole : bool
        The whole track is listened to.
    """

    def __init__(self, audio: AudioConfig, whole: bool = False) -> None:
        self._audio = audio
        self._n_columns = COLUMNS_OF_WHOLE if whole else COLUMNS
        self._pieces: list[NDArray[np.uint8]] = []

    def add(self, waveform: FloatArray, silent: bool) -> None:
        """Add an excerpt, shape (n_samples,), at the model's rate; brightness is relative to its loudest bin."""
        log_mel = log_mel_spectrogram(waveform, self._audio)
        self._add(np.full_like(log_mel, -self._audio.top_db) if silent else log_mel)

    def add_log_mel(self, log_mel: FloatArray) -> None:
        """Add a spectrogram, shape (n_mels, n_frames), in decibels of any reference."""
        self._n_columns = max(COLUMNS, min(log_mel.shape[1], 12 * COLUMNS))
        self._add(np.maximum(log_mel - log_mel.max(), -self._audio.top_db))

    def png(self) -> str:
        """Return the picture as PNG, in Base64: a row for each mel band, the lowest below."""
        from PIL import Image  # takes its time, and few requests want pictures

        image = Image.fromarray(np.concatenate(self._pieces, axis=1)[::-1], "P")
        image.putpalette(_palette().tobytes())
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, bits=6)
        return base64.b64encode(file.getvalue()).decode()

    def _add(self, log_mel: FloatArray) -> None:
        level = 1 + _narrowed(log_mel, self._n_columns) / self._audio.top_db
        self._pieces.append(np.clip(level * (N_COLOURS - 1), 0, N_COLOURS - 1).astype(np.uint8))


def _narrowed(log_mel: FloatArray, n_columns: int) -> FloatArray:
    """Average neighbouring frames until no more than `n_columns` are left."""
    n_frames = log_mel.shape[1]
    if n_frames <= n_columns:
        return log_mel
    starts = np.arange(n_columns) * n_frames // n_columns
    sums = np.add.reduceat(log_mel, starts, axis=1)
    return (sums / np.diff([*starts, n_frames])).astype(np.float32)


def _palette() -> NDArray[np.uint8]:
    """Colours, shape (N_COLOURS, 3)."""
    ramp = np.array(_RAMP, np.float64)
    places = np.linspace(0, len(ramp) - 1, N_COLOURS)
    channels = [np.interp(places, np.arange(len(ramp)), ramp[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
