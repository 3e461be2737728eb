"""Text can be read in both appearances: contrast of at least 4.5 to 1 (WCAG 2.2, level AA)."""

from __future__ import annotations

from itertools import combinations

import pytest

from genre_gui.widgets.theme import (
    BACKGROUND,
    CARD,
    ERROR,
    ERROR_CARD,
    MUTED,
    ON_PRIMARY,
    ON_TONAL,
    PRIMARY,
    PRIMARY_HOVER,
    SELECTED,
    TEXT,
    TONAL,
    TONAL_HOVER,
    TRACK,
    WARNING,
    Colour,
    genre_colour,
    luminance,
)

PAIRS = [
    (TEXT, CARD),
    (MUTED, CARD),
    (ERROR, CARD),
    (ON_PRIMARY, PRIMARY),
    (ON_PRIMARY, PRIMARY_HOVER),
    (WARNING, CARD),
    (MUTED, BACKGROUND),
    (PRIMARY, BACKGROUND),
    (ON_TONAL, TONAL),
    (ON_TONAL, TONAL_HOVER),
    (TEXT, SELECTED),
    (TEXT, TRACK),
    (TEXT, ERROR_CARD),
    (TEXT, TONAL),
    (MUTED, TRACK),
]


def rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def contrast(front: str, back: str) -> float:
    dark, bright = sorted(luminance(rgb(colour)) for colour in (front, back))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("appearance", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_contrast(front: Colour, back: Colour, appearance: int) -> None:
    assert contrast(front[appearance], back[appearance]) >= 4.5


@pytest.mark.parametrize("appearance", [0, 1], ids=["light", "dark"])
def test_genres_have_readable_colours_of_their_own(monkeypatch: pytest.MonkeyPatch, appearance: int) -> None:
    monkeypatch.setattr("genre_gui.widgets.theme.dark", lambda: bool(appearance))
    colours = [genre_colour(index) for index in range(15)]
    assert all(contrast(TEXT[appearance], colour) >= 4.5 for colour in colours)
    for one, other in combinations(colours, 2):
        assert sum((a - b) ** 2 for a, b in zip(rgb(one), rgb(other), strict=True)) ** 0.5 > 0.1
