"""The MobileNetV3 of the branches: shapes, and the numbers of the published network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genre_runtime import FINE_AUDIO, log_mel_spectrogram
from genre_runtime.model import features
from genre_training.model.mobilenet import MobileNet, class_head, rounded
from genre_training.model.pretrained import read_weights

WEIGHTS = Path(__file__).parents[4] / "shared" / "weights" / "efficientat_mn04"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the pretrained weights are not here")


@pytest.mark.parametrize(("channels", "expected"), [(6.4, 8), (9.6, 16), (25.6, 24), (36, 40), (270, 272)])
def test_channels_are_multiples_of_eight_not_far_below(channels: float, expected: int) -> None:
    assert rounded(channels) == expected


@pytest.mark.parametrize(("width", "n_features"), [(0.4, 384), (1.0, 960)])
@pytest.mark.parametrize("n_frames", [1, 83, 200])
def test_any_length_gives_one_embedding(width: float, n_features: int, n_frames: int) -> None:
    network = MobileNet(width).eval()
    assert network.n_features == n_features
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 128, n_frames)).shape == (2, n_features)


@needs_weights
def test_published_weights_give_the_published_numbers() -> None:
    """The stored spectrogram is rounded to half precision, so what was computed from it differs by that."""
    weights = read_weights(WEIGHTS / "mn04_as.npz")
    golden = np.load(WEIGHTS / "golden.npz")
    network, head = MobileNet().eval(), class_head(384, 527).eval()
    network.load_state_dict({k: v for k, v in weights.items() if k.startswith("features.")}, strict=False)
    head.load_state_dict({k.removeprefix("classifier."): v for k, v in weights.items() if "classifier" in k})
    with torch.inference_mode():
        embedding = network(torch.from_numpy(golden["mel"])[None, None])
        logits = head(torch.from_numpy(golden["embedding"])[None])
    assert np.abs(embedding[0].numpy() - golden["embedding"]).max() < 1e-3
    assert np.abs(logits[0].numpy() - golden["logits"]).max() < 1e-4


@needs_weights
def test_fine_front_end_gives_the_published_spectrogram(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed from the clip itself and with its reflections at both ends, which the front end leaves out."""
    monkeypatch.setattr(features, "QUIETEST_RMS", 0.0)  # the clip is quiet
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    samples, rate = soundfile.read(WEIGHTS.parents[1] / "data" / "audio" / "gtzan_jazz.00001.opus", always_2d=True)
    clip = soxr.resample(samples.mean(axis=1)[: 10 * rate], rate, 32_000, quality="HQ").astype(np.float32)[:320_000]
    golden = np.load(WEIGHTS / "golden.npz")["mel"]
    found = log_mel_spectrogram(clip, FINE_AUDIO)
    assert found.shape == golden.shape == (128, 1000)
    assert np.abs(found - golden)[:, 3:-3].max() < 1e-3
