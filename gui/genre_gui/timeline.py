"""Genres over time, and the cursor of what is played."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Sequence
from tkinter import Misc

from genre_gui.drawing import Chart
from genre_gui.theme import NARROW, TEXT, TRACK, colour, font, genre_colour
from genre_gui.words import clock
from genre_runtime import Prediction
from genre_runtime.prediction import ExcerptPrediction


class Timeline(Chart):
    """Which genre each stretch of the track speaks for: a column each, as high as it is sure.

    Attributes
    ----------
    sought : callable
        Told the time, seconds, on which the mouse was pressed.
    """

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 84)
        self.prediction: Prediction | None = None
        self._labels: Sequence[str] = ()
        self._cursor: float | None = None
        self.sought: Callable[[float], object] = lambda _: None
        self.bind("<Button-1>", self._seek)
        self.bind("<B1-Motion>", self._seek)

    def show(self, prediction: Prediction | None, labels: Sequence[str] = ()) -> None:
        """Show a prediction, or nothing; `labels` give each genre its colour."""
        self.prediction, self._labels = prediction, labels
        self.redraw()

    def move_cursor(self, seconds: float | None) -> None:
        """Show where the track is played; None: nowhere."""
        if seconds != self._cursor:
            self._cursor = seconds
            self._draw_cursor()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the columns and the time below them."""
        width, height = size
        if self.prediction is None:
            return
        duration = max(self.prediction.duration_seconds, 1e-6)
        floor = height - self.px(18)
        self.box(0, 0, width, floor, colour(TRACK))
        for excerpt in self.prediction.excerpts:
            start, end = excerpt.start_seconds / duration * width, min(1, excerpt.end_seconds / duration) * width
            self._column(excerpt, start, max(start + 1, end), floor)
        self.text(0, height - self.px(7), "0:00")
        self.text(width, height - self.px(7), clock(duration), anchor="e")
        self._draw_cursor()

    def _draw_cursor(self) -> None:
        self.delete("cursor")
        if self._cursor is None or self.prediction is None or not self.prediction.duration_seconds > 0:
            return
        width, floor = self.winfo_width(), self.winfo_height() - self.px(18)
        x = min(1.0, self._cursor / self.prediction.duration_seconds) * (width - 1)
        self.create_line(x, 0, x, floor, fill=colour(TEXT), width=self.px(2), tags="cursor")
        words, room = clock(self._cursor), self.px(70)  # between the times of both ends
        place = min(max(x, room), width - room)
        self.create_text(
            place, floor + self.px(11), text=words, fill=colour(TEXT), font=font(self, 12, "bold"), tags="cursor"
        )

    def _seek(self, event: tkinter.Event[Misc]) -> None:
        if self.prediction is not None:
            share = min(max(event.x / max(1, self.winfo_width()), 0.0), 1.0)
            self.sought(share * self.prediction.duration_seconds)

    def _column(self, excerpt: ExcerptPrediction, start: float, end: float, floor: int) -> None:
        label, value = max(excerpt.probabilities.items(), key=lambda item: item[1])
        words, level = (f"{label} {value:.0%}", value) if not excerpt.silent else ("silent", 0.0)
        index = self._labels.index(label) if label in self._labels else 0
        gap = 1 if end - start > self.px(NARROW) else 0
        self.box(start, floor * (1 - level), end - start - gap, floor * level, genre_colour(index))
        if len(words) * self.px(7) < end - start:
            self.text((start + end) / 2, floor - self.px(12), words, anchor="center", pair=TEXT)
