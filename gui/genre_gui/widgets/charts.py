"""A drawing that follows size and appearance, and the charts of a track: genres, and genres over time."""

from __future__ import annotations

import tkinter
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from tkinter import Misc
from tkinter.font import Font as Measure
from typing import Literal

from genre_gui.language import percent, tr
from genre_gui.widgets.tables import Tooltip, fitted
from genre_gui.widgets.theme import (
    BAR,
    CARD,
    MUTED,
    NARROW,
    TEXT,
    TRACK,
    WIDE,
    Colour,
    Font,
    colour,
    font,
    genre_colour,
    scaling,
    text_size,
)
from genre_runtime import ExcerptPrediction, Prediction
from genre_runtime.library.report.plots import clock

Anchor = Literal["w", "e", "center"]


class Chart(tkinter.Canvas):
    """A drawing that fills its cell, and is redrawn when its size or the appearance changes.

    Parameters
    ----------
    master : Misc
    height : int
        Pixels before scaling.
    """

    def __init__(self, master: Misc, height: int) -> None:
        super().__init__(master, width=1, height=1, highlightthickness=0, borderwidth=0, background=colour(CARD))
        self._margins: tuple[int, int] | None = None
        self._fonts: dict[int, Measure] = {}
        self._cut: list[tuple[tuple[float, float, float, float], str]] = []
        self.tooltip = Tooltip(self, self.text_at)
        self.set_height(height)
        self.bind("<Configure>", lambda _: self.redraw())

    def set_height(self, height: int) -> None:
        """Set the least height.

        Parameters
        ----------
        height : int
            Pixels before scaling.
        """
        self._height = height
        self.configure(height=self.px(height))

    def place_in_row(self, row: int, above: int, below: int = 0) -> None:
        """Place the chart in a row of a card, with scaled margins, which plain widgets of Tk do not have.

        Parameters
        ----------
        row : int
        above, below : int
            Margins, pixels before scaling.
        """
        self._margins = above, below
        self.grid(row=row, column=0, sticky="nsew")
        self._scale_margins()

    def _scale_margins(self) -> None:
        above, below = self._margins or (0, 0)
        self.grid_configure(padx=self.px(WIDE), pady=(self.px(above), self.px(below)))

    def redraw(self) -> None:
        """Draw again."""
        self.delete("all")
        self._fonts, self._cut = {}, []
        self.configure(background=colour(CARD), height=self.px(self._height))
        if self._margins is not None and self.grid_info():
            self._scale_margins()
        if self.winfo_width() > 1:
            self.draw((self.winfo_width(), self.winfo_height()))

    def draw(self, size: tuple[int, int]) -> None:
        """Draw into the empty canvas.

        Parameters
        ----------
        size : (int, int)
            Width and height, pixels.
        """
        raise NotImplementedError

    def px(self, length: float) -> int:
        """Return a length in pixels of the screen.

        Parameters
        ----------
        length : float
            Pixels before scaling.
        """
        return round(length * scaling(self))

    def text(
        self, x: float, y: float, text: str, *, anchor: Anchor = "w", size: int = 12, pair: Colour = MUTED
    ) -> None:
        """Draw a line of text.

        Parameters
        ----------
        x, y : float
            Pixels.
        text : str
        anchor : {"w", "e", "center"}
            The point of the text at x, y.
        size : int
            Pixels before scaling.
        pair : Colour
        """
        look: Font = font(self, size)
        self.create_text(x, y, text=text, anchor=anchor, fill=colour(pair), font=look)

    def label(
        self, x: float, y: float, text: str, room: float, *, anchor: Anchor = "w", size: int = 12, pair: Colour = MUTED
    ) -> None:
        """Draw a line of text, cut with an ellipsis if it is too wide; then the tooltip shows it whole.

        Parameters
        ----------
        x, y : float
            Pixels.
        text : str
        room : float
            Greatest width, pixels.
        anchor : {"w", "e", "center"}
        size : int
            Pixels before scaling.
        pair : Colour
        """
        shown = fitted(text, room, lambda part: self.width_of(part, size))
        self.text(x, y, shown, anchor=anchor, size=size, pair=pair)
        if shown != text:
            left = {"w": x, "e": x - room, "center": x - room / 2}[anchor]
            half = self.px(text_size(size))
            self._cut.append(((left, y - half, left + room, y + half), text))

    def width_of(self, text: str, size: int = 12) -> int:
        """Return the width of a line of text, pixels.

        Parameters
        ----------
        text : str
        size : int
            Pixels before scaling.
        """
        if size not in self._fonts:
            self._fonts[size] = Measure(self, font=font(self, size))
        return self._fonts[size].measure(text)

    def text_at(self, x: int, y: int) -> str:
        """Return the text of the tooltip at a place; empty for none.

        Parameters
        ----------
        x, y : int
            Pixels.
        """
        found = (text for (left, top, right, bottom), text in self._cut if left <= x <= right and top <= y <= bottom)
        return next(found, "")

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a filled rectangle of at least one pixel.

        Parameters
        ----------
        x, y, width, height : float
            Pixels.
        fill : str
            A colour of Tk.
        """
        self.create_rectangle(x, y, x + max(1, width), y + max(1, height), fill=fill, width=0)


class Bars(Chart):
    """Probabilities of the best genres as bars, with a line at the threshold of confident answers."""

    ROW = 26
    N_ROWS = 5

    def __init__(self, master: Misc) -> None:
        super().__init__(master, text_size(self.ROW) * self.N_ROWS)
        self.rows: list[tuple[str, float]] = []
        self._threshold = 0.0

    def show(self, prediction: Prediction | None, threshold: float = 0.0) -> None:
        """Show a prediction.

        Parameters
        ----------
        prediction : Prediction or None
            None for an empty chart.
        threshold : float
            Probability; 0 for no line.
        """
        self.rows = list(prediction.probabilities.items())[: self.N_ROWS] if prediction else []
        self._threshold = threshold
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the bars."""
        width, _ = size
        left, right = self.px(text_size(104)), width - self.px(text_size(48))
        row, thick = self.px(text_size(self.ROW)), self.px(10)
        for index, (label, value) in enumerate(self.rows):
            middle = (index + 0.5) * row
            self.label(0, middle, label, left - self.px(NARROW), size=13, pair=TEXT)
            for share, fill in ((1.0, TRACK), (value, BAR)):
                self.box(left, middle - thick / 2, (right - left) * share, thick, colour(fill))
            self.text(width, middle, percent(value), anchor="e", size=13, pair=TEXT if index == 0 else MUTED)
        if self.rows and self._threshold:
            x = left + (right - left) * self._threshold
            end = row * len(self.rows)
            self.create_line(x, 0, x, end, fill=colour(MUTED), dash=(2, 3))


LEGEND = 22
"""Height of the legend, pixels before scaling."""

N_NAMED = 3
"""Genres of an excerpt in its tooltip."""

STEP_SECONDS = 5.0
"""By an arrow key."""


class Timeline(Chart):
    """The best genre of each excerpt as a column, as high as its probability, and a legend; a click or arrows seek.

    Attributes
    ----------
    on_seek : callable
        Called with the time that was clicked, seconds.
    """

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 66 + text_size(18 + LEGEND))
        self.prediction: Prediction | None = None
        self._labels: Sequence[str] = ()
        self._cursor: float | None = None
        self.on_seek: Callable[[float], object] = lambda _: None
        self.bind("<Button-1>", self._seek)
        self.bind("<B1-Motion>", self._seek)
        self.configure(takefocus=True)
        for key, seconds in (("<Left>", -STEP_SECONDS), ("<Right>", STEP_SECONDS)):
            self.bind(key, partial(self._step, seconds))

    def show(self, prediction: Prediction | None, labels: Sequence[str] = ()) -> None:
        """Show a prediction.

        Parameters
        ----------
        prediction : Prediction or None
            None for an empty chart.
        labels : sequence of str
            The model's genres; the place of each gives its colour.
        """
        self.prediction, self._labels = prediction, labels
        self.redraw()

    def move_cursor(self, seconds: float | None) -> None:
        """Move the cursor of playback.

        Parameters
        ----------
        seconds : float or None
            None hides the cursor.
        """
        if seconds != self._cursor:
            self._cursor = seconds
            self._draw_cursor()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the columns and the times below them."""
        width, height = size
        if self.prediction is None:
            return
        duration = max(self.prediction.duration_seconds, 1e-6)
        floor = self._floor(height)
        self.box(0, 0, width, floor, colour(TRACK))
        excerpts = self.prediction.excerpts
        for excerpt, following in zip_longest(excerpts, excerpts[1:]):
            seconds = min(excerpt.end_seconds, following.start_seconds if following else duration)  # they may overlap
            start, end = excerpt.start_seconds / duration * width, min(1, seconds / duration) * width
            self._column(excerpt, start, max(start + 1, end), floor)
        middle = floor + self.px(text_size(11))
        self.text(0, middle, "0:00")
        self.text(width, middle, clock(duration), anchor="e")
        self._draw_legend(width, height - self.px(text_size(LEGEND) / 2))
        self._draw_cursor()

    def text_at(self, x: int, y: int) -> str:
        """Return the genres of the excerpt at a place, or the whole legend below."""
        if self.prediction is None:
            return ""
        floor = self._floor(self.winfo_height())
        if y > floor + self.px(text_size(18)):
            return "\n".join(f"{name}: {percent(share)}" for name, share in self._genres())
        seconds = x / max(1, self.winfo_width()) * self.prediction.duration_seconds
        for excerpt in self.prediction.excerpts:
            if y <= floor and excerpt.start_seconds <= seconds < excerpt.end_seconds:
                best = sorted(excerpt.probabilities.items(), key=lambda item: -item[1])[:N_NAMED]
                named = ", ".join(f"{name} {percent(value)}" for name, value in best)
                span = f"{clock(excerpt.start_seconds)}\N{EN DASH}{clock(excerpt.end_seconds)}"
                return f"{span}   " + (tr("silent") if excerpt.silent else named)
        return ""

    def _floor(self, height: int) -> int:
        return height - self.px(text_size(18 + LEGEND))

    def _genres(self) -> list[tuple[str, float]]:
        """Return the best genres of all excerpts that are not silent, each with its share of the excerpts."""
        excerpts = [one for one in (self.prediction.excerpts if self.prediction else ()) if not one.silent]
        best = Counter(max(one.probabilities, key=one.probabilities.__getitem__) for one in excerpts)
        return [(name, count / len(excerpts)) for name, count in best.most_common()]

    def _draw_legend(self, width: int, y: float) -> None:
        """Draw a square and the name of each genre, as many as there is room for; the tooltip has all of them."""
        x, square, gap = 0.0, self.px(9), self.px(5)
        names = [name for name, _ in self._genres()]
        for place, name in enumerate(names):
            rest = self.width_of(f"  +{len(names) - place}", 11) if place + 1 < len(names) else 0
            if x + square + gap + self.width_of(name, 11) + rest > width and place:
                self.text(x, y, f"+{len(names) - place}", size=11)
                return
            self.box(x, y - square / 2, square, square, genre_colour(self._index(name)))
            self.label(x + square + gap, y, name, width - x - square - gap, size=11)
            x += square + gap + self.width_of(name, 11) + self.px(14)

    def _index(self, label: str) -> int:
        return self._labels.index(label) if label in self._labels else 0

    def _step(self, seconds: float, _: tkinter.Event[Misc]) -> str:
        if self.prediction is not None:
            place = (self._cursor or 0.0) + seconds
            self.on_seek(min(max(place, 0.0), self.prediction.duration_seconds))
        return "break"

    def _draw_cursor(self) -> None:
        self.delete("cursor")
        if self._cursor is None or self.prediction is None or not self.prediction.duration_seconds > 0:
            return
        width, floor = self.winfo_width(), self._floor(self.winfo_height())
        x = min(1.0, self._cursor / self.prediction.duration_seconds) * (width - 1)
        self.create_line(x, 0, x, floor, fill=colour(TEXT), width=self.px(2), tags="cursor")
        message, room = clock(self._cursor), self.px(text_size(70))  # not over the times at both ends
        place = min(max(x, room), width - room)
        self.create_text(
            place,
            floor + self.px(text_size(11)),
            text=message,
            fill=colour(TEXT),
            font=font(self, 12, "bold"),
            tags="cursor",
        )

    def _seek(self, event: tkinter.Event[Misc]) -> None:
        if self.prediction is not None:
            share = min(max(event.x / max(1, self.winfo_width()), 0.0), 1.0)
            self.on_seek(share * self.prediction.duration_seconds)

    def _column(self, excerpt: ExcerptPrediction, start: float, end: float, floor: int) -> None:
        label, value = max(excerpt.probabilities.items(), key=lambda item: item[1])
        message, level = (f"{label} {percent(value)}", value) if not excerpt.silent else (tr("silent"), 0.0)
        gap = 1 if end - start > self.px(NARROW) else 0
        self.box(start, floor * (1 - level), end - start - gap, floor * level, genre_colour(self._index(label)))
        if self.width_of(message) + self.px(4) < end - start:
            self.text((start + end) / 2, floor - self.px(12), message, anchor="center", pair=TEXT)
