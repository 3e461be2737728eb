"""Pictures of a report as SVG: bars, a histogram and a timeline.

Lengths are percentages, so that pictures stretch with the page while their text keeps its size; colours are classes of
the page's style sheet, so that they follow light and dark. All text is escaped by `text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from genre_runtime.formats import printable
from genre_runtime.library.report import Parts
from genre_runtime.library.timeline import Block, Timeline

HISTOGRAM_HEIGHT = 170
TIMELINE_HEIGHT = 240
AXIS_HEIGHT = 24
"""Pixels."""


def text(value: str) -> str:
    """Return text for HTML on one line: markup, control, direction and undecodable characters are harmless."""
    return escape(printable(value))


def clock(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bar(parts: Parts, most: float) -> str:
    """Return a bar of a confident and an unsure part; `most` is full length. Its row has the numbers as text."""
    scale = 100 / most if most else 0.0
    return (
        '<svg class="bar" aria-hidden="true" focusable="false">'
        + _rect("sure", 0, 0, parts.confident * scale, 100)
        + _rect("unsure", parts.confident * scale, 0, parts.unsure * scale, 100)
        + "</svg>"
    )


def histogram(bins: Sequence[Parts], label: str) -> str:
    """Return columns over 0 to 100 %, confident parts below.

    Parameters
    ----------
    bins : sequence of Parts
        Numbers of files, at equal steps.
    label : str
        What a screen reader says instead.
    """
    most = max((parts.total for parts in bins), default=0) or 1
    width = 100 / len(bins)
    columns = []
    for number, parts in enumerate(bins):
        x, sure, unsure = number * width, 100 * parts.confident / most, 100 * parts.unsure / most
        words = f"{x:.0f} to {x + width:.0f}%: {parts.confident:.0f} confident, {parts.unsure:.0f} unsure"
        columns.append(
            f"<g><title>{words}</title>"
            + _rect("sure", x + width * 0.06, 100 - sure, width * 0.88, sure)
            + _rect("unsure", x + width * 0.06, 100 - sure - unsure, width * 0.88, unsure)
            + "</g>"
        )
    scale = [(value, f"{value}%") for value in (0, 20, 40, 60, 80, 100)]
    return _picture(HISTOGRAM_HEIGHT, "".join(columns), scale, label)


def timeline_picture(timeline: Timeline, label: str) -> str:
    """Return genres stacked over time; the best of a stretch is named in it."""
    total = timeline.duration_seconds
    blocks = []
    heard = [block for block in timeline.blocks if not block.silent]
    for number, genre in enumerate(timeline.genres):
        path = "".join(_area(block, block.tops[number], block.tops[number + 1]) for block in heard)
        blocks.append(f'<path class="{colour(number, timeline.genres)}" d="{path}"><title>{text(genre)}</title></path>')
    silent = "".join(_area(block, 0, 1) for block in timeline.blocks if block.silent)
    blocks.append(f'<path class="silent" d="{silent}"><title>silent</title></path>')
    stretched = f'<svg viewBox="0 0 {total:.6g} 1" preserveAspectRatio="none">{"".join(blocks)}</svg>'
    names = "".join(
        f'<text class="name" x="{100 * x / total:.2f}%" y="{100 * y:.2f}%">{text(genre)}</text>'
        for genre, x, y in timeline.names
    )
    scale = [(100 * second / total, clock(second)) for second in timeline.ticks]
    return _picture(TIMELINE_HEIGHT, stretched + names, scale, label)


def legend(entries: Mapping[str, str]) -> str:
    """Return a list of (class, words)."""
    items = (
        f'<li><svg class="swatch" aria-hidden="true" focusable="false">{_rect(name, 0, 0, 100, 100)}</svg>'
        f"{text(words)}</li>"
        for name, words in entries.items()
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def colour(number: int, genres: Sequence[str]) -> str:
    """Return the class of a stacked genre; the last is what is left."""
    return "rest" if number == len(genres) - 1 else f"genre{number}"


def _picture(height: int, content: str, scale: Sequence[tuple[float, str]], label: str) -> str:
    marks = "".join(
        f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="100%"/>' for x, _ in scale if 0 < x < 100
    )
    words = "".join(
        f'<text class="tick{" first" if x < 3 else " last" if x > 97 else ""}" x="{x:.2f}%" y="16">{text(word)}</text>'
        for x, word in scale
    )
    return (
        f'<svg class="picture" height="{height + AXIS_HEIGHT}" role="img" aria-label="{text(label)}">'
        f'<svg height="{height}">{marks}{content}<line class="axis" x1="0" x2="100%" y1="100%" y2="100%"/></svg>'
        f'<svg y="{height}" height="{AXIS_HEIGHT}">{words}</svg></svg>'
    )


def _area(block: Block, top: float, bottom: float) -> str:
    if bottom - top < 0.0005:  # thinner than a pixel
        return ""
    return f"M{block.start:.6g} {top:.4f}H{block.end:.6g}V{bottom:.4f}H{block.start:.6g}Z"


def _rect(name: str, x: float, y: float, width: float, height: float) -> str:
    if width <= 0 or height <= 0:
        return ""
    return f'<rect class="{name}" x="{x:.3f}%" y="{y:.3f}%" width="{width:.3f}%" height="{height:.3f}%"/>'
