"""The torch front end equals the NumPy reference, for every factorisation of the DFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genre_export.graphs import LogMelFrontEnd, factors
from genre_export.parity import TOLERANCES
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig
from tests.synthetic import noise, tone

LIMIT = TOLERANCES["torch log_mel"].limit

CONFIGS = {
    "shipped": AudioConfig(),
    "hop a quarter of n_fft": AudioConfig(hop_length=512),
    "hop equals n_fft": AudioConfig(hop_length=2048),
    "hop does not divide n_fft": AudioConfig(n_fft=1024, hop_length=300, n_mels=64),
    "hop of one": AudioConfig(n_fft=64, hop_length=1, n_mels=8),
    "odd n_fft": AudioConfig(n_fft=1025, hop_length=441, n_mels=40),
    "prime n_fft": AudioConfig(n_fft=251, hop_length=100, n_mels=20),
    "twice a prime": AudioConfig(n_fft=502, hop_length=700, n_mels=20),
    "square of a prime": AudioConfig(n_fft=961, hop_length=961, n_mels=32),
    "narrow band": AudioConfig(sample_rate=16_000, n_fft=512, hop_length=160, n_mels=40, f_min=60.0, f_max=7600.0),
    "small range": AudioConfig(top_db=20.0),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("n_samples", [1, 2, 999, 5292, 30_000])
@torch.inference_mode()
def test_equals_the_reference(config: AudioConfig, n_samples: int) -> None:
    n_samples = min(n_samples, 3000 * config.hop_length)
    waveform = noise(2)[:n_samples] + tone(2)[:n_samples]
    expected = log_mel_spectrogram(waveform, config)
    found = LogMelFrontEnd(config)(torch.from_numpy(waveform)[None])[0].numpy()
    assert found.shape == expected.shape == (config.n_mels, config.n_frames(n_samples))
    assert found.max() == 0
    assert found.min() >= -config.top_db
    np.testing.assert_allclose(found, expected, atol=LIMIT)


@torch.inference_mode()
def test_frames_are_centred() -> None:
    """A click is loudest in the frame whose centre is nearest, so an error of one frame shows."""
    config = AudioConfig(n_fft=512, hop_length=256, n_mels=32)
    waveform = torch.zeros(1, 4096)
    waveform[0, 10 * 256] = 1
    power = LogMelFrontEnd(config)(waveform)[0].mean(dim=0)
    assert power.argmax() == 10


@pytest.mark.parametrize("amplitude", [0.0, 1e-30, 1.0])
@torch.inference_mode()
def test_silence_and_faintness_are_finite(amplitude: float) -> None:
    log_mel = LogMelFrontEnd(AudioConfig())(torch.full((1, 8000), amplitude))
    assert log_mel.isfinite().all()
    assert log_mel.max() == 0


@torch.inference_mode()
def test_clips_of_a_batch_do_not_affect_each_other() -> None:
    front_end = LogMelFrontEnd(AudioConfig())
    batch = torch.from_numpy(np.stack([noise(1, seed=1), 50 * tone(1), np.zeros(22_050, np.float32)]))
    together = front_end(batch)
    for clip, expected in zip(batch, together, strict=True):
        torch.testing.assert_close(front_end(clip[None])[0], expected, atol=1e-4, rtol=0)


def test_tolerance_is_tight_enough_to_notice() -> None:
    """Another window would differ by a thousand times 0.01 dB."""
    config = AudioConfig()
    front_end = LogMelFrontEnd(config)
    front_end.window = torch.hamming_window(config.n_fft)
    found = front_end(torch.from_numpy(noise(1))[None])[0].numpy()
    assert np.abs(found - log_mel_spectrogram(noise(1), config)).max() > 100 * LIMIT


@pytest.mark.parametrize(("n_fft", "expected"), [(1, (1, 1)), (2048, (64, 32)), (251, (251, 1)), (961, (31, 31))])
def test_factors_are_as_even_as_they_go(n_fft: int, expected: tuple[int, int]) -> None:
    assert factors(n_fft) == expected
