"""On a machine with a CUDA GPU: the same answers as on the CPU. `pytest -m cuda` runs these alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.classifier import default_model_path
from tests.synthetic import RATE, noise, tone, write_audio

TOLERANCE = 1e-3
"""Of a probability: a GPU sums in another order than a CPU."""

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="this ONNX Runtime has no CUDA"
    ),
]


@pytest.fixture(scope="module")
def pair() -> tuple[GenreClassifier, GenreClassifier]:
    """The shipped model on the CPU and on the GPU."""
    try:
        path = default_model_path()
    except GenreError:
        pytest.skip("there is no shipped model")
    return GenreClassifier.load(path, device="cpu"), GenreClassifier.load(path, device="cuda")


def assert_agree(one: Prediction, other: Prediction) -> None:
    assert (one.device, other.device) == ("cpu", "cuda")
    assert other.probabilities == pytest.approx(one.probabilities, abs=TOLERANCE)
    assert one.embedding is not None
    assert other.embedding is not None
    np.testing.assert_allclose(other.embedding, one.embedding, rtol=0, atol=1e-2)


@pytest.mark.parametrize("seconds", [0.1, 3, 35])
def test_waveforms(pair: tuple[GenreClassifier, GenreClassifier], seconds: float) -> None:
    samples = tone(seconds) * np.linspace(0.1, 1, round(seconds * RATE), dtype=np.float32) + noise(seconds)
    assert_agree(pair[0].classify(samples, RATE), pair[1].classify(samples, RATE))


def test_files_in_shared_batches(pair: tuple[GenreClassifier, GenreClassifier], tmp_path: Path) -> None:
    paths = [write_audio(tmp_path / f"{i}.wav", noise(5 * i + 1, seed=i) + tone(5 * i + 1)) for i in range(8)]
    results = zip(pair[0].classify_files(paths), pair[1].classify_files(paths, jobs=8), strict=True)
    for one, other in results:
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert_agree(one, other)


def test_spectrograms(pair: tuple[GenreClassifier, GenreClassifier]) -> None:
    log_mel = np.random.default_rng(0).uniform(-80, 0, (128, 200)).astype(np.float32)
    one, other = (classifier.classify_log_mel(log_mel) for classifier in pair)
    assert other.probabilities == pytest.approx(one.probabilities, abs=TOLERANCE)
