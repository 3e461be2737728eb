"""The classifier from a file, a waveform and a spectrogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genre_runtime import GenreClassifier
from tests.synthetic import RATE, tone, write_audio


def test_tone_is_recognised_in_a_file(classifier: GenreClassifier, tmp_path: Path) -> None:
    prediction = classifier.classify_file(write_audio(tmp_path / "tone.wav", tone(35)))
    assert prediction.label == "tone"
    assert [round(e.start_seconds, 2) for e in prediction.excerpts] == [0.83, 12.5, 24.17]
    assert abs(sum(prediction.probabilities.values()) - 1) < 1e-6


def test_file_and_waveform_give_the_same_numbers(classifier: GenreClassifier, tmp_path: Path) -> None:
    samples = tone(12)
    from_file = classifier.classify_file(write_audio(tmp_path / "tone.flac", samples))
    from_samples = classifier.classify(samples, RATE)
    for label, value in from_file.probabilities.items():
        assert np.isclose(value, from_samples.probabilities[label], atol=1e-4)
