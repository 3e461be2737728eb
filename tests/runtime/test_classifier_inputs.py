"""Waveforms and spectrograms that the classifier takes, and those it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.errors import EmptyAudioError, InvalidInputError
from genre_runtime.features import log_mel_spectrogram
from tests.synthetic import LABELS, RATE, noise, tone


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
    ],
)
def test_waveforms_that_are_refused(
    classifier: GenreClassifier, waveform: np.ndarray, rate: int, complaint: str
) -> None:
    before = waveform.copy()
    with pytest.raises(InvalidInputError, match=complaint):
        classifier.classify(waveform, rate)
    assert np.array_equal(waveform, before, equal_nan=waveform.dtype.kind == "f"), "left as it was"


@pytest.mark.parametrize("shape", [(0,), (0, 2), (100, 0)])
def test_waveform_without_samples(classifier: GenreClassifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(EmptyAudioError):
        classifier.classify(np.zeros(shape, np.float32), RATE)


def test_log_mel_pieces(classifier: GenreClassifier) -> None:
    """A spectrogram is cut into excerpts of the length that a waveform's have; under half a second is left over."""
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


def test_a_model_that_answers_no_numbers_is_an_error(classifier: GenreClassifier) -> None:
    log_mel = np.full((128, 10), 3e38, np.float32)
    log_mel[0] = 0
    with pytest.raises(InvalidInputError, match="NaN or infinity"):
        classifier.classify_log_mel(log_mel)


def test_channels_first_is_refused(classifier: GenreClassifier) -> None:
    with pytest.raises(InvalidInputError, match="transpose"):
        classifier.classify(np.zeros((2, 22_050), np.float32), RATE)


def test_a_negative_number_of_jobs_is_refused(classifier: GenreClassifier) -> None:
    with pytest.raises(InvalidInputError, match="jobs"):
        next(classifier.classify_files(["x.wav"], jobs=-1))
