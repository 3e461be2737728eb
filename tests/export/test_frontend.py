"""The torch front end equals the NumPy reference, for every factorisation of the DFT."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from genre_export import graphs
from genre_export.graphs import LogMelFrontEnd, factors
from genre_export.parity import TOLERANCES, parity_signals
from genre_runtime import FINE_AUDIO
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig
from tests.golden.make import FRONT_ENDS, GOLDEN, SIGNALS
from tests.synthetic import noise, tone

LIMIT = TOLERANCES["torch log_mel"].limit
FINE_LIMIT = TOLERANCES["torch fine_log_mel"].limit


def config(n_fft: int, hop_length: int, n_mels: int, **others: Any) -> AudioConfig:
    """A front end whose window is as long as the frame."""
    others.setdefault("window_length", n_fft)
    return AudioConfig(n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, **others)


CONFIGS = {
    "picture branch": AudioConfig(),
    "audio branch": FINE_AUDIO,
    "hop a quarter of n_fft": config(2048, 512, 128, sample_rate=22_050),
    "hop equals n_fft": config(2048, 2048, 128, sample_rate=22_050),
    "hop does not divide n_fft": config(1024, 300, 64),
    "hop of one": config(64, 1, 8),
    "odd n_fft": config(1025, 441, 40),
    "prime n_fft": config(251, 100, 20),
    "twice a prime": config(502, 700, 20),
    "square of a prime": config(961, 961, 32),
    "window of an odd length": config(1024, 320, 64, window_length=777),
    "narrow band": config(512, 160, 40, sample_rate=16_000, f_min=60.0, f_max=7600.0),
    "narrow band on Kaldi's scale": config(512, 160, 40, window_length=401, f_min=60.0, f_max=7600.0, scale="kaldi"),
    "small range": AudioConfig(top_db=20.0),
}


@pytest.mark.parametrize("audio", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("n_samples", [1, 2, 999, 5292, 30_000])
@torch.inference_mode()
def test_equals_the_reference(audio: AudioConfig, n_samples: int) -> None:
    n_samples = min(n_samples, 3000 * audio.hop_length)
    waveform = noise(2)[:n_samples] + tone(2)[:n_samples]
    expected = log_mel_spectrogram(waveform, audio)
    found = LogMelFrontEnd(audio)(torch.from_numpy(waveform)[None])[0].numpy()
    assert found.shape == expected.shape == (audio.n_mels, audio.n_frames(n_samples))
    if audio.scale == "decibel":
        assert found.max() == 0
        assert found.min() >= -audio.top_db
    np.testing.assert_allclose(found, expected, atol=LIMIT)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("name", SIGNALS)
@torch.inference_mode()
def test_golden_values(name: str, front_end: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[front_end]
    assert AudioConfig.from_dict(golden["audio"]) == FRONT_ENDS[front_end], "run `invoke golden`"
    found = LogMelFrontEnd(FRONT_ENDS[front_end])(torch.from_numpy(SIGNALS[name]())[None])[0].numpy()
    limit = LIMIT if front_end == "coarse" else FINE_LIMIT
    np.testing.assert_allclose(found[np.ix_(golden["bands"], golden["frames"])], golden["log_mel"][name], atol=limit)


@torch.inference_mode()
def test_frames_are_centred() -> None:
    """A click is loudest in the frame whose centre is nearest, so an error of one frame shows."""
    waveform = torch.zeros(1, 4096)
    waveform[0, 10 * 256] = 1
    power = LogMelFrontEnd(config(512, 256, 32))(waveform)[0].mean(dim=0)
    assert power.argmax() == 10


@pytest.mark.parametrize("audio", [AudioConfig(), FINE_AUDIO], ids=["picture", "audio"])
@pytest.mark.parametrize("name", parity_signals(AudioConfig()))
@torch.inference_mode()
def test_difficult_signals(audio: AudioConfig, name: str) -> None:
    signal = parity_signals(audio)[name]
    found = LogMelFrontEnd(audio)(torch.from_numpy(signal)[None])[0].numpy()
    limit = LIMIT if audio.scale == "decibel" else FINE_LIMIT
    np.testing.assert_allclose(found, log_mel_spectrogram(signal, audio), atol=limit)


@pytest.mark.parametrize("amplitude", [0.0, 1e-30, 1.0])
@torch.inference_mode()
def test_silence_and_faintness_are_finite(amplitude: float) -> None:
    waveform = torch.full((1, 8000), amplitude)
    log_mel = LogMelFrontEnd(AudioConfig())(waveform)
    assert log_mel.isfinite().all()
    assert log_mel.max() == 0
    assert LogMelFrontEnd(FINE_AUDIO)(waveform).isfinite().all()


@pytest.mark.parametrize("audio", [AudioConfig(), FINE_AUDIO], ids=["picture", "audio"])
@torch.inference_mode()
def test_clips_of_a_batch_do_not_affect_each_other(audio: AudioConfig) -> None:
    front_end = LogMelFrontEnd(audio)
    batch = torch.from_numpy(np.stack([noise(1, seed=1), 50 * tone(1), np.zeros_like(noise(1))]))
    together = front_end(batch)
    for clip, expected in zip(batch, together, strict=True):
        torch.testing.assert_close(front_end(clip[None])[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("audio", "limit"), [(AudioConfig(), LIMIT), (FINE_AUDIO, FINE_LIMIT)], ids=["picture", "audio"]
)
def test_tolerance_is_tight_enough_to_notice(audio: AudioConfig, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another window would differ by a hundred times as much."""
    monkeypatch.setattr(graphs, "hann_window", lambda audio: np.hamming(audio.n_fft).astype(np.float32))
    found = LogMelFrontEnd(audio)(torch.from_numpy(noise(1))[None])[0].numpy()
    assert np.abs(found - log_mel_spectrogram(noise(1), audio)).max() > 100 * limit


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        (config(1, 7, 1), (1, 1)),
        (FINE_AUDIO, (64, 16)),
        (AudioConfig(), (64, 48)),
        (config(251, 100, 20), (251, 1)),
        (config(961, 961, 32), (31, 31)),
    ],
)
def test_factors_are_those_of_the_least_work(audio: AudioConfig, expected: tuple[int, int]) -> None:
    assert factors(audio) == expected
