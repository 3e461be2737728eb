"""The model card claims only what the recipe and the data support; accuracy on audio files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genre_export.card import model_card, score_audio_files
from genre_runtime import GenreClassifier, read_metadata
from genre_training.data.track import DataError
from tests.synthetic import tone, write_audio
from tests.training.miniature import write_index


@pytest.mark.parametrize(("sources", "own"), [(("gtzan", "fma_small"), False), (("gtzan", "my music"), True)])
def test_weights_of_own_music_are_not_published_by_the_project(
    published: Path, sources: tuple[str, ...], own: bool
) -> None:
    metadata = read_metadata(published / "best_model.onnx")
    provenance = {**metadata.provenance, "clips_per_source": dict.fromkeys(sources, 5)}
    card = model_card(replace(metadata, provenance=provenance))
    assert ("MIT licence" in card) != own
    assert ("Anyone who publishes or uses the weights" in card) == own
    assert ("my music: its terms are not known here." in card) == own
    assert card.endswith("|\n")


@pytest.mark.parametrize(
    ("share", "batch_size", "n_train"), [(0.0, 64, 900), (0.05, 64, 900), (0.05, 8, 900), (0.05, 64, 8)]
)
def test_outliers_are_mentioned_only_if_batches_had_them(
    published: Path, share: float, batch_size: int, n_train: int
) -> None:
    metadata = read_metadata(published / "best_model.onnx")
    recipe = {"training": {"outlier_share": share, "batch_size": batch_size}}
    split = {**metadata.provenance["split"], "train": n_train}
    card = model_card(replace(metadata, provenance={**metadata.provenance, "recipe": recipe, "split": split}))
    assert "Audio that is not music also gets a genre" in card
    had_some = share > 0 and min(batch_size, n_train) == 64
    assert ("5% of each training batch was synthesised noise" in card) == had_some


def test_card_of_a_model_of_which_little_is_known_claims_little(published: Path) -> None:
    metadata = read_metadata(published / "best_model.onnx")
    provenance = {
        "clips_per_source": {"my music": 9},
        "split": {"split": "stratified", "seed": 0, "train": 9, "test": 0},
    }
    card = model_card(replace(metadata, metrics={}, provenance=provenance))
    absent = (
        "None",
        "synthesised",
        "parameters",
        "its group",
        "name them differently",
        "## Parity",
        "on validation clips are",
    )
    assert [text for text in absent if text in card] == []
    assert "The split is by clip: clips of one artist are in training and in test" in card
    assert "The accuracy was not measured." in card


def test_audio_files_are_scored_by_part_of_the_split(classifier: GenreClassifier, tmp_path: Path) -> None:
    """Two files are labelled wrong, since the test model calls tones "tone", one is gone, one was trained on."""
    rows = [
        ("x_1.wav", "tone", "a", "x"),
        ("x_2.wav", "quiet", "b", "x"),
        ("y_3.wav", "quiet", "c", "y"),
        ("y_4.wav", "tone", "d", "y"),
    ]
    write_index(tmp_path / "audio" / "index.csv", ("file", "genre", "artist", "source"), rows)
    for name, _, _, _ in rows[:3]:
        write_audio(tmp_path / "audio" / name, tone(2))
    scores = score_audio_files(classifier, tmp_path, {"validation": ["x/2"], "test": ["y/3", "y/4"]})
    one = {"n_tracks": 1, "n_groups": 1, "accuracy": 0.0, "accuracy_interval": None}
    assert scores == {
        "n_files": 3,
        "n_failed": 1,
        "all": {
            "validation": one,
            "test": one,
        },
        "x": {"validation": one},
        "y": {"test": one},
    }


def test_folder_without_audio_cannot_be_scored(classifier: GenreClassifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no audio to score"):
        score_audio_files(classifier, tmp_path, {})
