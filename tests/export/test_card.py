"""The model card claims only what the recipe and the data support."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genre_export.card import model_card
from genre_runtime.model.metadata import read_metadata


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


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_outliers_are_mentioned_only_if_the_recipe_has_them(published: Path, share: float) -> None:
    metadata = read_metadata(published / "best_model.onnx")
    recipe = {"training": {"outlier_share": share}}
    card = model_card(replace(metadata, provenance={**metadata.provenance, "recipe": recipe}))
    assert "Audio that is not music also gets a genre" in card
    assert ("5% of each training batch was synthesised noise" in card) == (share > 0)
