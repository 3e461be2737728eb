"""On a machine with a CUDA GPU: the same answers as on the CPU.

`python -m pytest tests/runtime -m cuda` runs these alone; it takes `genre-runtime[gpu]`, pytest and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.cli import main
from genre_runtime.model.metadata import default_model_path
from genre_runtime.model.session import available_devices
from tests.synthetic import RATE, noise, tone, write_audio

TOLERANCE = 1e-3
"""Of a probability: a GPU sums in another order than a CPU, and cuDNN may transform a convolution before it sums."""
EMBEDDING_TOLERANCE = 2e-3
"""Of an embedding, as a share of its largest value."""

# If ONNX Runtime was built with CUDA but cannot start it, the tests fail and are not skipped.
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif("cuda" not in available_devices(), reason="this ONNX Runtime has no CUDA"),
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
    largest = float(np.abs(one.embedding).max())
    np.testing.assert_allclose(other.embedding, one.embedding, rtol=0, atol=EMBEDDING_TOLERANCE * largest)


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
    n_mels = pair[0].metadata.audio.n_mels
    log_mel = np.random.default_rng(0).uniform(-80, 0, (n_mels, 200)).astype(np.float32)
    assert_agree(*(classifier.classify_log_mel(log_mel) for classifier in pair))


def test_the_device_is_named_wherever_one_is_shown(
    pair: tuple[GenreClassifier, GenreClassifier], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pair[1].probe_devices()["cuda"] == "works"
    assert GenreClassifier.load(pair[0].model_path).device == "cuda", "auto takes it when it works"
    model = ("--model", str(pair[0].model_path))
    path = write_audio(tmp_path / "tone.wav", tone(3))
    for device in ("auto", "cuda"):
        assert main(["classify", str(path), *model, "--device", device, "--format", "jsonl"]) == 0
        assert '"device": "cuda"' in capsys.readouterr().out
