"""Colours and spacing, in one place. A colour is a pair: light appearance, dark appearance."""

from __future__ import annotations

Colour = tuple[str, str]

BACKGROUND: Colour = ("#F3F5F8", "#111418")
CARD: Colour = ("#FFFFFF", "#1D2127")
TEXT: Colour = ("#1A1D21", "#E4E7EB")
MUTED: Colour = ("#59636E", "#9BA6B2")
ERROR: Colour = ("#B3261E", "#F2B8B5")
PRIMARY: Colour = ("#1A5FB4", "#2F6FBF")
PRIMARY_HOVER: Colour = ("#164F96", "#255FA8")
ON_PRIMARY: Colour = ("#FFFFFF", "#FFFFFF")
BAR: Colour = ("#1A5FB4", "#7FB2F0")
TRACK: Colour = ("#E2E7ED", "#2F353D")

WIDE, MIDDLE, NARROW = 24, 16, 8
"""Distances, pixels before scaling."""
