"""Waveforms and spectrograms that the classifier takes, and those it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import DecodeLimits, GenreClassifier
from genre_runtime.errors import EmptyAudioError, InvalidInputError
from genre_runtime.model.features import log_mel_spectrogram
from tests.synthetic import LABELS, RATE, noise, sign, tone


def test_waveforms_of_several_kinds(classifier: GenreClassifier) -> None:
    samples = tone(3)
    expected = classifier.classify(samples, RATE).probabilities
    stereo = np.stack([samples, samples], axis=1)
    read_only = samples.copy()
    read_only.setflags(write=False)
    for same in (samples.astype(np.float64), stereo, samples[:, None], read_only, np.repeat(samples, 2)[::2]):
        assert classifier.classify(same, RATE).probabilities == pytest.approx(expected, abs=1e-6)
    half = classifier.classify(samples.astype(np.float16), RATE)
    assert half.probabilities == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("waveform", "rate", "complaint"),
    [
        (np.zeros(100, np.int16), RATE, "int16"),
        (np.zeros(100, np.complex64), RATE, "complex64"),
        (np.zeros((1, 2, 100), np.float32), RATE, r"\(1, 2, 100\)"),
        (np.float32(0.5), RATE, r"\(\)"),
        (np.array([0.1, np.nan], np.float32), RATE, "NaN"),
        (np.array([0.1, np.inf], np.float32), RATE, "NaN or infinite"),
        (np.array([0.1, 1e300]), RATE, "infinite"),
        (np.zeros(100, np.float32), 0, "sample_rate"),
        (np.zeros(100, np.float32), 44_100.0, "sample_rate"),
        (np.zeros(100, np.float32), True, "sample_rate"),
        (np.zeros(100, np.float32), 10**30, "sample_rate.* from 1 to 1,536,000"),
        (np.zeros(100, np.float32), -1, "sample_rate"),
    ],
)
def test_waveforms_that_are_refused(
    classifier: GenreClassifier, waveform: np.ndarray, rate: int, complaint: str
) -> None:
    before = waveform.copy()
    with pytest.raises(InvalidInputError, match=complaint):
        classifier.classify(waveform, rate)
    assert np.array_equal(waveform, before, equal_nan=waveform.dtype.kind == "f"), "left as it was"


@pytest.mark.parametrize("value", [None, "samples", [0.1, 0.2], 0.5])
def test_what_is_no_array_is_refused(classifier: GenreClassifier, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"waveform is a {type(value).__name__}"):
        classifier.classify(value, RATE)
    with pytest.raises(InvalidInputError, match=f"log_mel is a {type(value).__name__}"):
        classifier.classify_log_mel(value)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, 1e300])
def test_spectrogram_far_from_decibels_is_refused(classifier: GenreClassifier, value: float) -> None:
    with pytest.raises(InvalidInputError, match="expected decibels"):
        classifier.classify_log_mel(np.full((128, 20), value))


@pytest.mark.parametrize("threads", [-1, 1_000_000, "2", 1.5, True])
def test_absurd_numbers_of_threads_are_refused(model_path: Path, threads: Any) -> None:
    with pytest.raises(InvalidInputError, match="threads is"):
        GenreClassifier.load(model_path, device="cpu", threads=threads)


@pytest.mark.parametrize("jobs", [-1, "2", 2.5, True])
def test_absurd_numbers_of_jobs_are_refused(classifier: GenreClassifier, jobs: Any) -> None:
    with pytest.raises(InvalidInputError, match="jobs is"):
        next(classifier.classify_files(["a.wav"], jobs=jobs))


@pytest.mark.parametrize("value", [0, -1, float("nan"), "10", None, True])
@pytest.mark.parametrize("name", ["max_seconds", "max_bytes"])
def test_limits_that_limit_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} is"):
        DecodeLimits(**{name: value})


@pytest.mark.parametrize("shape", [(0,), (0, 2), (100, 0)])
def test_waveform_without_samples(classifier: GenreClassifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(EmptyAudioError):
        classifier.classify(np.zeros(shape, np.float32), RATE)


def test_log_mel_pieces(classifier: GenreClassifier) -> None:
    """A spectrogram is cut into excerpts of the same length as a waveform's; less than half a second is left out."""
    config = classifier.metadata.audio
    per_excerpt = config.n_frames(10 * RATE)
    for n_frames, n_excerpts in ((1, 1), (per_excerpt, 1), (per_excerpt + 3, 1), (per_excerpt + 4, 2), (1000, 12)):
        log_mel = np.random.default_rng(0).uniform(-80, 0, (config.n_mels, n_frames))
        prediction = classifier.classify_log_mel(log_mel)
        assert len(prediction.excerpts) == n_excerpts
        assert prediction.duration_seconds == pytest.approx(n_frames * config.frame_seconds)
    (excerpt,) = classifier.classify_log_mel(log_mel_spectrogram(noise(10), config)).excerpts
    assert round((excerpt.end_seconds - excerpt.start_seconds) / config.frame_seconds) == per_excerpt


def test_log_mel_answer_is_the_graph_s(classifier: GenreClassifier) -> None:
    log_mel = np.full((128, 10), -0.5, np.float32)
    log_mel[:, ::2] = 0.0
    exponentials = np.exp([4 * 0.25, 1 - 20 * 0.25, 10 * 0.25])
    expected = dict(zip(LABELS, exponentials / exponentials.sum(), strict=True))
    assert classifier.classify_log_mel(log_mel).probabilities == pytest.approx(expected, abs=1e-5)


def test_flat_log_mel_is_silence(classifier: GenreClassifier) -> None:
    silence = log_mel_spectrogram(np.zeros(RATE, np.float32), classifier.metadata.audio)
    prediction = classifier.classify_log_mel(silence)
    assert (prediction.confident, prediction.reason) == (False, "the track is silent")


@pytest.mark.parametrize(
    "log_mel",
    [
        np.zeros(128),
        np.zeros((1, 128, 10)),
        np.zeros((10, 128)),
        np.zeros((128, 0)),
        np.full((128, 10), np.nan),
        np.full((128, 10), -np.inf),
        np.zeros((128, 10), complex),
        np.zeros((128, 10), bool),
        np.full((128, 10), "loud"),
    ],
)
def test_log_mels_that_are_refused(classifier: GenreClassifier, log_mel: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="log_mel"):
        classifier.classify_log_mel(log_mel)


def test_a_model_that_answers_no_numbers_is_an_error(model_path: Path) -> None:
    from onnx import load, numpy_helper, save

    graph = load(model_path)
    (bias,) = [tensor for tensor in graph.graph.initializer if tensor.name == "bias"]
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), "bias"))
    save(graph, model_path)
    sign(model_path)
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        GenreClassifier.load(model_path, device="cpu").classify(tone(1), RATE)


def test_channels_first_is_refused(classifier: GenreClassifier) -> None:
    with pytest.raises(InvalidInputError, match="transpose"):
        classifier.classify(np.zeros((2, 22_050), np.float32), RATE)
