"""The classifier from a file, a waveform and a spectrogram."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from genre_runtime import GenreClassifier, Prediction
from genre_runtime.audio.excerpts import Excerpt, ExcerptStream, TrackLength
from genre_runtime.classifier import summarise
from genre_runtime.errors import InvalidInputError
from genre_runtime.model.metadata import AudioConfig, ModelMetadata, default_model_path
from genre_runtime.prediction import ExcerptPrediction
from tests.synthetic import LABELS, RATE, noise, tone, write_audio, write_model

METADATA = ModelMetadata(("a", "b", "c"), AudioConfig(), {})


def assert_same(a: Prediction, b: Prediction, tolerance: float = 0.0) -> None:
    assert list(a.probabilities) == list(b.probabilities)
    for label, value in a.probabilities.items():
        assert value == pytest.approx(b.probabilities[label], abs=tolerance)


def test_tone_is_recognised_in_a_file(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(35))
    prediction = classifier.classify_file(path)
    assert prediction.label == "tone"
    assert prediction.confidence == max(prediction.probabilities.values())
    assert list(prediction.probabilities) == sorted(LABELS, key=lambda label: -prediction.probabilities[label])
    assert [round(e.start_seconds, 2) for e in prediction.excerpts] == [0.83, 12.5, 24.17]
    assert [round(e.end_seconds - e.start_seconds, 2) for e in prediction.excerpts] == [10, 10, 10]
    assert abs(sum(prediction.probabilities.values()) - 1) < 1e-6
    assert (prediction.path, prediction.duration_seconds, prediction.device) == (path, 35, "cpu")


def test_probabilities_are_those_of_the_graph(classifier: GenreClassifier) -> None:
    """The model's logits are 4 a, 1 - 20 a and 10 a for a mean level a."""
    samples = np.full(RATE, 0.25, np.float32)
    exponentials = np.exp([4 * 0.25, 1 - 20 * 0.25, 10 * 0.25])
    expected = dict(zip(LABELS, exponentials / exponentials.sum(), strict=True))
    assert classifier.classify(samples, RATE).probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("confidence", "confident"), [(0.75, True), (0.5, True), (0.4999, False)])
def test_an_answer_at_the_threshold_is_confident(confidence: float, confident: bool) -> None:
    excerpt = ExcerptPrediction(0.0, 10.0, {"a": confidence, "b": 1 - confidence - 0.2, "c": 0.2})
    answer = summarise([excerpt], metadata=METADATA, length=TrackLength(10.0), device="cpu", path=None)
    assert (answer.confident, answer.reason is None) == (confident, confident)


def test_probabilities_are_written_with_six_digits() -> None:
    excerpt = ExcerptPrediction(1.0004, 11.0, {"a": 2 / 3, "b": 1 / 3})
    answer = summarise([excerpt], metadata=METADATA, length=TrackLength(11.0), device="cpu", path=None).to_dict()
    assert answer["confidence"] == 0.666667
    assert answer["probabilities"] == answer["excerpts"][0]["probabilities"] == {"a": 0.666667, "b": 0.333333}
    assert answer["excerpts"][0]["start_seconds"] == 1.0


def test_file_and_waveform_give_the_same_numbers(classifier: GenreClassifier, tmp_path: Path) -> None:
    samples = tone(12)
    from_file = classifier.classify_file(write_audio(tmp_path / "tone.flac", samples))
    assert_same(from_file, classifier.classify(samples, RATE), 1e-4)


def test_short_file_is_one_excerpt(classifier: GenreClassifier, tmp_path: Path) -> None:
    prediction = classifier.classify_file(write_audio(tmp_path / "short.wav", tone(0.2)))
    (excerpt,) = prediction.excerpts
    assert excerpt.start_seconds == 0
    assert excerpt.end_seconds == prediction.duration_seconds == pytest.approx(0.2)
    assert prediction.label == "tone"


def test_one_sample(classifier: GenreClassifier) -> None:
    prediction = classifier.classify(np.array([0.9], np.float32), RATE)
    assert prediction.label == "tone"
    assert classifier.classify(np.array([0.9], np.float32), 192_000).duration_seconds == 1 / 192_000


def test_mean_over_excerpts(classifier: GenreClassifier) -> None:
    """Half a tone, half noise: the track's probabilities are between those of its halves."""
    prediction = classifier.classify(np.concatenate([tone(10), noise(10)]), RATE, excerpts=2)
    first, second = (excerpt.probabilities for excerpt in prediction.excerpts)
    assert first["tone"] > second["tone"] + 0.1
    for label in LABELS:
        assert prediction.probabilities[label] == pytest.approx((first[label] + second[label]) / 2)


def test_whole_track_in_batches_equals_excerpt_by_excerpt(classifier: GenreClassifier) -> None:
    rng = np.random.default_rng(1)
    levels = np.repeat(rng.uniform(0.01, 0.5, 20), 10 * RATE)
    samples = (levels * np.sign(rng.standard_normal(levels.size))).astype(np.float32)[: -3 * RATE]
    prediction = classifier.classify(samples, RATE, excerpts="all")
    assert len(prediction.excerpts) == 20, "more than a batch, and the last one shorter"
    assert [excerpt.start_seconds for excerpt in prediction.excerpts] == [10.0 * i for i in range(20)]
    assert prediction.excerpts[-1].end_seconds == 197
    for excerpt in prediction.excerpts:
        piece = samples[round(excerpt.start_seconds * RATE) : round(excerpt.end_seconds * RATE)]
        alone = classifier.classify(piece, RATE).excerpts[0]
        assert excerpt.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_excerpts_of_different_lengths_keep_their_order(
    classifier: GenreClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is damaged in the middle may give a short excerpt between long ones."""
    levels, seconds = (0.1, 0.2, 0.3, 0.4), (2, 1, 2, 2)
    pieces = [Excerpt(float(i), np.full(seconds[i] * RATE, levels[i], np.float32)) for i in range(4)]

    def damaged() -> Generator[Excerpt, None, TrackLength]:
        yield from pieces
        return TrackLength(9.0)

    monkeypatch.setattr("genre_runtime.classifier.stream_excerpts", lambda *_, **__: ExcerptStream(damaged()))
    for max_batch in (1, 4):  # as on a CPU and on a GPU
        monkeypatch.setattr(classifier._model, "max_batch", max_batch)
        prediction = classifier.classify_file("damaged.mp3")
        assert prediction.duration_seconds == 9
    excerpts = prediction.excerpts
    assert [excerpt.start_seconds for excerpt in excerpts] == [0, 1, 2, 3]
    assert [excerpt.end_seconds for excerpt in excerpts] == [2, 2, 4, 5]
    tones = [excerpt.probabilities["tone"] for excerpt in excerpts]
    assert tones == sorted(tones), "the louder, the more a tone"


def test_number_of_excerpts(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.flac", tone(65))
    counts = [len(classifier.classify_file(path, excerpts=n).excerpts) for n in (1, 2, 6, 100, "all")]
    assert counts == [1, 2, 6, 7, 7]
    assert len(classifier.classify_file(path).excerpts) == classifier.metadata.n_excerpts
    with pytest.raises(InvalidInputError):
        classifier.classify_file(path, excerpts=0)


def test_threshold_decides_what_is_confident(tmp_path: Path) -> None:
    samples = tone(1)
    for threshold, confident in ((0.5, True), (0.999, False)):
        folder = tmp_path / str(threshold)
        folder.mkdir()
        prediction = GenreClassifier.load(write_model(folder, threshold=threshold), device="cpu").classify(
            samples, RATE
        )
        assert prediction.confident is confident
        assert (prediction.reason is None) is confident
        assert prediction.label == "tone", "the best genre is named all the same"
    assert "100%" in str(prediction.reason)


def test_silence_is_never_confident(classifier: GenreClassifier) -> None:
    for samples in (np.zeros(5 * RATE, np.float32), 5e-4 * np.sign(noise(5))):
        prediction = classifier.classify(samples, RATE)
        assert prediction.confidence > classifier.metadata.confidence_threshold
        assert not prediction.confident
        assert prediction.reason == "the track is silent"
        assert all(excerpt.silent for excerpt in prediction.excerpts)


def test_silent_excerpts_do_not_count(classifier: GenreClassifier) -> None:
    samples = np.concatenate([np.zeros(10 * RATE, np.float32), tone(20)])
    prediction = classifier.classify(samples, RATE)
    assert [excerpt.silent for excerpt in prediction.excerpts] == [True, False, False]
    assert_same(prediction, classifier.classify(tone(20), RATE), 1e-6)
    assert prediction.confident


def test_several_threads_share_a_classifier(classifier: GenreClassifier) -> None:
    clips = [tone(1, frequency=100.0 * i) * np.float32(0.1 * i) for i in range(1, 9)]
    expected = [classifier.classify(clip, RATE) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, wanted in zip(
                pool.map(lambda clip: classifier.classify(clip, RATE), clips), expected, strict=True
            ):
                assert_same(found, wanted)


def test_default_model_is_the_one_that_the_environment_names(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_MODEL", str(model_path))
    assert default_model_path() == model_path
    assert GenreClassifier.load(device="cpu").model_path == model_path


def test_embedding_is_the_mean_of_the_excerpts(classifier: GenreClassifier) -> None:
    """The tiny model's embedding is the mean level: 2 a / pi of a tone of amplitude a."""
    silence = np.zeros(10 * RATE, np.float32)
    prediction = classifier.classify(np.concatenate([tone(10), silence, 0.5 * tone(10)]), RATE)
    assert [excerpt.silent for excerpt in prediction.excerpts] == [False, True, False]
    assert prediction.embedding is not None
    assert prediction.embedding == pytest.approx([0.75 / np.pi], rel=1e-3)
    assert "embedding" not in prediction.to_dict()
