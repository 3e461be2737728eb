"""The graph scored on audio files: by source, and apart by what training saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_export.card import score_audio_files
from genre_runtime import GenreClassifier
from genre_training.data.track import DataError
from tests.synthetic import tone, write_audio
from tests.training.miniature import write_index


def test_audio_files_are_scored_by_what_training_saw(classifier: GenreClassifier, tmp_path: Path) -> None:
    """The test model calls loud tones "tone" and silence "quiet": one file of the four is labelled wrong, one gone."""
    rows = [
        ("x_1.wav", "tone", "a", "x"),
        ("x_2.wav", "quiet", "b", "x"),
        ("y_3.wav", "quiet", "c", "y"),
        ("y_4.wav", "tone", "d", "y"),
    ]
    write_index(tmp_path / "audio" / "index.csv", ("file", "genre", "artist", "source"), rows)
    for name, _, _, _ in rows[:3]:
        write_audio(tmp_path / "audio" / name, tone(2))
    scores = score_audio_files(classifier, tmp_path, {"validation": ["x/2"], "test": ["y/3"]})
    assert scores == {
        "n_files": 4,
        "n_failed": 1,
        "all": {
            "trained": {"n_tracks": 1, "accuracy": 1.0},
            "validation": {"n_tracks": 1, "accuracy": 0.0},
            "test": {"n_tracks": 1, "accuracy": 0.0},
        },
        "x": {"trained": {"n_tracks": 1, "accuracy": 1.0}, "validation": {"n_tracks": 1, "accuracy": 0.0}},
        "y": {"test": {"n_tracks": 1, "accuracy": 0.0}},
    }


def test_folder_without_audio_cannot_be_scored(classifier: GenreClassifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no audio to score"):
        score_audio_files(classifier, tmp_path, {})
