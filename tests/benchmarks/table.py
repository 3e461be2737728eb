"""The figures as a table: on a terminal, as Markdown, and in docs/speed.md between its markers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genre_runtime.output_files import replacing
from tests.benchmarks.figures import BenchmarkError, Figure

README = Path(__file__).with_name("README.md")
"""Explains the measures and the keys of the results."""

DOCUMENT = Path(__file__).parents[2] / "docs" / "speed.md"
"""Holds the tables."""

NAME = "results"
HEADER = ("measure", "what", "median", "least to largest", "rounds", "target", "met")


def in_words(value: float, unit: str) -> str:
    """Write a value to three significant digits."""
    if unit == "share":
        return f"{value:.0%}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 0
    return f"{value:.{digits}f}" + ("" if unit == "ratio" else f" {unit}")


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """One tuple of cells a figure, as `HEADER` names them; a measure's name stands only in its first row."""
    table: list[tuple[str, ...]] = []
    seen = ""
    for one in figures:
        target, met = "", ""
        if one.target is not None:
            bound = in_words(one.target.bound, one.unit)
            target = f"at {'most' if one.target.at_most else 'least'} {bound}"
            met = "yes" if one.met else "no"
        spread = f"{in_words(one.low, one.unit)} to {in_words(one.high, one.unit)}" if one.n > 1 else ""
        name = "" if one.measure == seen else one.measure
        table.append((name, one.name, in_words(one.value, one.unit), spread, str(one.n), target, met))
        seen = one.measure
    return table


def terminal(figures: Sequence[Figure]) -> str:
    """Columns of equal width."""
    table = [HEADER, *rows(figures)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines)


def markdown(figures: Sequence[Figure], date: str, machine: dict[str, Any]) -> str:
    """A table to paste into a document, under a line that says when and on what."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    cells = [HEADER, ("---",) * len(HEADER), *((f"`{row[0]}`" if row[0] else "", *row[1:]) for row in rows(figures))]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    where = f"{machine['cpu']}, {machine['cores']} of {machine['cores_available']} cores, {machine['system']}"
    return "\n".join([f"{date}, {where}. {versions}.", "", *lines])


def markers(name: str) -> tuple[str, str]:
    """The lines between which a table of that name stands."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def write_readme(text: str, path: Path = DOCUMENT, name: str = NAME) -> None:
    """Put `text` between the markers of that name in a document.

    Raises
    ------
    BenchmarkError
        The markers are not there, once each and in order.
    """
    content = path.read_text(encoding="utf-8")
    first, last = markers(name)
    before, begin, rest = content.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in after or last in after:
        raise BenchmarkError(f"{path.name} lacks the markers {first} and {last}: put each in once, in this order")
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")
