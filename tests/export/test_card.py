"""The model card speaks of licences for the project's own data alone."""

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
    assert ("Whoever publishes or uses them" in card) == own
    assert ("my music: its terms are not known here." in card) == own
    assert card.endswith("\n")
