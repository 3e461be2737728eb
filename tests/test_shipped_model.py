"""The model that comes with the repository, on sounds that are no music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.audio.excerpts import FloatArray
from genre_training.train.augment import KINDS
from tests.synthetic import RATE, noise, tone

MODEL = Path(__file__).parent.parent / "models" / "best_model.onnx"
UNSEEN_SEED = 2026
"""Training used seeds of its own."""

pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason=f"no model at {MODEL}: run `invoke train` and `export`")


@pytest.fixture(scope="module")
def classifier() -> GenreClassifier:
    return GenreClassifier.load(MODEL, device="cpu", threads=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(3))
def test_unheard_sounds_that_are_no_music_get_no_confident_genre(
    classifier: GenreClassifier, kind: str, number: int
) -> None:
    waveform = KINDS[kind](30 * RATE, RATE, np.random.default_rng((UNSEEN_SEED, number)))
    prediction = classifier.classify(waveform, RATE)
    assert not prediction.confident, f"{kind}: {prediction.label} {prediction.confidence:.0%}"


T = np.arange(30 * RATE) / RATE

NOT_MUSIC = {
    **{f"sine of {hz} Hz": 0.5 * np.sin(2 * np.pi * hz * T) for hz in (50, 440, 3_000, 7_000, 10_000)},
    "square wave": 0.3 * np.sign(np.sin(2 * np.pi * 220 * T)),
    "dial tone": 0.3 * (np.sin(2 * np.pi * 350 * T) + np.sin(2 * np.pi * 440 * T)),
    "quiet noise": noise(30).astype(np.float64) / 30,
    "dither": np.random.default_rng(0).integers(-1, 2, T.size) / 2**15,
    "direct current": np.full(T.size, 0.5),
    "a click each half second": (np.arange(T.size) % (RATE // 2) == 0) * 0.9,
}


@pytest.mark.parametrize("name", NOT_MUSIC)
def test_what_is_no_music_is_answered_with_a_reason(classifier: GenreClassifier, name: str) -> None:
    prediction = classifier.classify(NOT_MUSIC[name].astype(np.float32), RATE)
    assert not prediction.confident, f"{name}: {prediction.label} {prediction.confidence:.0%}"
    assert prediction.reason
    silent = name in ("dither", "direct current")
    assert (prediction.reason == "the track is silent") == (prediction.music == "silence") == silent
    assert (prediction.music == "tone") == any(word in name for word in ("sine", "square", "dial"))
    assert (prediction.music == "noise") == (name == "quiet noise")


def test_what_is_quiet_has_the_answer_of_what_is_a_little_louder(classifier: GenreClassifier) -> None:
    quiet = (NOT_MUSIC["quiet noise"] + 0.003 * np.sin(2 * np.pi * 440 * T)).astype(np.float32)
    expected, found = classifier.classify(quiet, RATE), classifier.classify(quiet / 10, RATE)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
    assert found.tags == pytest.approx(expected.tags, abs=1e-3)


@pytest.mark.parametrize(
    "waveform", [noise(30), tone(30), np.zeros(30 * RATE, np.float32)], ids=["white noise", "tone", "silence"]
)
def test_noise_tone_and_silence_get_no_confident_genre(classifier: GenreClassifier, waveform: FloatArray) -> None:
    assert not classifier.classify(waveform, RATE).confident
