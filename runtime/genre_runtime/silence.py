"""Silence: which excerpts are silent, and where in a mostly silent track there is sound."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from genre_runtime.excerpts import plan_excerpts

FloatArray = NDArray[np.float32]

SILENCE_PEAK = 1e-3
"""A waveform that stays within this (-60 dB of full scale) of one level is silent: a direct current is not audible."""


def is_silent(waveform: FloatArray) -> bool:
    """Tell whether samples, shape (n_samples,), are too quiet to hear."""
    return bool(np.ptp(waveform) < 2 * SILENCE_PEAK) if waveform.size else True


class AudibleSeconds:
    """Notes which seconds of a track have sound, while its blocks go by.

    Parameters
    ----------
    sample_rate : int
        Of the blocks, Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._audible: list[bool] = []
        self._lowest, self._highest = math.inf, -math.inf
        self._n_samples = 0

    def add(self, block: FloatArray) -> None:
        """Take the next samples, shape (n_block,)."""
        at = 0
        while at < block.size:
            piece = block[at : at + self._sample_rate - self._n_samples]
            self._lowest = min(self._lowest, float(piece.min()))
            self._highest = max(self._highest, float(piece.max()))
            self._n_samples += piece.size
            at += piece.size
            if self._n_samples == self._sample_rate:
                self._close_second()

    def _close_second(self) -> None:
        self._audible.append(self._highest - self._lowest >= 2 * SILENCE_PEAK)
        self._lowest, self._highest, self._n_samples = math.inf, -math.inf, 0

    def plan(self, duration_seconds: float, excerpt_seconds: float, n_excerpts: int) -> list[tuple[float, float]]:
        """Return (start, end) in seconds of at most `n_excerpts` excerpts, spread over the seconds with sound.

        Parameters
        ----------
        duration_seconds : float
            Of the track.
        excerpt_seconds : float
        n_excerpts : int

        Returns
        -------
        list of (float, float)
            In order, overlapping by half an excerpt at most; empty where the track is silent throughout.
        """
        if self._n_samples:
            self._close_second()
        audible = np.flatnonzero(self._audible)
        if not audible.size:
            return []
        latest = max(0.0, duration_seconds - excerpt_seconds)
        excerpts: list[tuple[float, float]] = []
        for start, _ in plan_excerpts(float(audible.size), excerpt_seconds, n_excerpts):
            begin = min(float(audible[int(start)]), latest)
            if not excerpts or begin - excerpts[-1][0] >= excerpt_seconds / 2:
                excerpts.append((begin, min(begin + excerpt_seconds, duration_seconds)))
        return excerpts
