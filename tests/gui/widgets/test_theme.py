"""Text can be read in both appearances: contrast of at least 4.5 to 1 (WCAG 2.2, level AA)."""

from __future__ import annotations

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


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("appearance", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), PAIRS)
def test_contrast(front: Colour, back: Colour, appearance: int) -> None:
    dark, bright = sorted(luminance(colour[appearance]) for colour in (front, back))
    assert (bright + 0.05) / (dark + 0.05) >= 4.5
