"""Sounds that are no music: of the right shape, all different, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from genre_runtime.model.metadata import AudioConfig
from genre_training.train.augment import KINDS, outlier_log_mels
from tests.synthetic import RATE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_every_kind_is_sound(kind: str, seed: int) -> None:
    waveform = KINDS[kind](2 * RATE, RATE, np.random.default_rng(seed))
    assert waveform.shape == (2 * RATE,)
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert np.ptp(waveform) > 0.01


def test_spectrograms_are_seeded() -> None:
    first, again, other = (outlier_log_mels(len(KINDS), 20, AudioConfig(), seed) for seed in (0, 0, 1))
    assert first.shape == (len(KINDS), 128, 20)
    assert first.max() <= 0
    assert first.min() >= -AudioConfig().top_db
    assert np.array_equal(first, again)
    assert all(not np.array_equal(first[i], other[i]) for i in range(len(first)))


@pytest.mark.parametrize("seed", range(4))
def test_speech_has_syllables_and_pauses(seed: int) -> None:
    """Its loudness moves at some hertz, where noise is steady or drifts slowly."""
    waveform = KINDS["speech"](10 * RATE, RATE, np.random.default_rng(seed))
    loudness = np.abs(waveform).reshape(-1, RATE // 50).mean(axis=1)
    energy = np.abs(np.fft.rfft(loudness - loudness.mean())) ** 2
    rates = np.fft.rfftfreq(len(loudness), 1 / 50)
    assert energy[(rates > 0.3) & (rates < 10)].sum() > 0.7 * energy.sum()
    assert np.percentile(loudness, 5) < 0.1 * loudness.max()
