"""The confusion matrix as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

CELL = 34
MARGIN = 130


def confusion_svg(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Draw tracks by true genre (row) and answered genre (column); the shade is the share of the row.

    Parameters
    ----------
    labels : sequence of str
    matrix : n_labels rows of n_labels counts
    """
    side = MARGIN + CELL * len(labels) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side}" height="{side}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Confusion matrix: true genres in rows, answers in columns</title>",
        f'<rect width="{side}" height="{side}" fill="white"/>',
    ]
    for i, label in enumerate(labels):
        place = MARGIN + CELL * (i + 0.5)
        name = escape(label)
        parts.append(f'<text x="{MARGIN - 6}" y="{place + 4}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({place + 4} {MARGIN - 6}) rotate(-60)">{name}</text>')
        n_row = sum(matrix[i]) or 1
        parts.extend(_cell(i, j, count, count / n_row) for j, count in enumerate(matrix[i]))
    return "\n".join([*parts, "</svg>", ""])


def _cell(i: int, j: int, count: int, share: float) -> str:
    x, y = MARGIN + CELL * j, MARGIN + CELL * i
    ink = "white" if share > 0.5 else "black"
    number = f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle" fill="{ink}">{count}</text>'
    return (
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" stroke="#ddd" fill="#08519c" '
        f'fill-opacity="{share:.3f}"/>{number if count else ""}'
    )
