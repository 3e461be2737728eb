"""What is drawn of a model: scores of its genres, curves of its training, confusion of its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tkinter import Misc
from typing import Any

from genre_gui.drawing import Chart
from genre_gui.pictures import coloured
from genre_gui.theme import BAR, ERROR, MUTED, OUTLINE, TEXT, TRACK, Colour, colour, font


class Scores(Chart):
    """F1 of each genre as a bar, with precision, recall and number of tracks."""

    ROW = 22

    def __init__(self, master: Misc) -> None:
        super().__init__(master, self.ROW)
        self._scores: Mapping[str, Mapping[str, float]] = {}

    def show(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show scores by genre: precision, recall, f1, support."""
        self._scores = scores
        self.set_height(self.ROW * (len(scores) + 1))
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the rows."""
        width, _ = size
        row, left, right = self.px(self.ROW), self.px(100), width - self.px(186)
        columns = [(self.px(40), "f1", "F1"), (self.px(92), "precision", "prec."), (self.px(144), "recall", "recall")]
        for offset, _, heading in columns:
            self.text(right + offset, row / 2, heading, anchor="e", size=11)
        self.text(width, row / 2, "tracks", anchor="e", size=11)
        for index, (label, score) in enumerate(sorted(self._scores.items(), key=lambda item: -item[1]["f1"]), start=1):
            middle = (index + 0.5) * row
            self.text(0, middle, label, pair=TEXT)
            self.box(left, middle - self.px(4), right - left, self.px(8), colour(TRACK))
            self.box(left, middle - self.px(4), (right - left) * score["f1"], self.px(8), colour(BAR))
            for offset, name, _ in columns:
                self.text(right + offset, middle, f"{score[name]:.2f}", anchor="e")
            self.text(width, middle, f"{score['support']:.0f}", anchor="e")


class Curves(Chart):
    """Values of each epoch, several lines over one another."""

    def __init__(self, master: Misc, heading: str, lines: Sequence[tuple[str, str, Colour]]) -> None:
        super().__init__(master, 170)
        self._heading, self._lines = heading, lines
        self._history: Sequence[Mapping[str, Any]] = ()

    def show(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Show a history: for each epoch a mapping of names to numbers."""
        self._history = history
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw axes, lines and a legend."""
        width, height = size
        self.text(0, self.px(8), self._heading, pair=TEXT)
        drawn = [(name, pair, self._values(key)) for key, name, pair in self._lines]
        everything = [value for _, _, values in drawn for _, value in values]
        if not everything:
            self.text(width / 2, height / 2, "the model's file has no history", anchor="center")
            return
        low, high = min(everything), max(everything)
        span = high - low or 1.0
        left, right, top, floor = self.px(34), width - self.px(6), self.px(26), height - self.px(20)
        last = max(epoch for _, _, values in drawn for epoch, _ in values)
        for share in (0.0, 0.5, 1.0):
            y = floor - (floor - top) * share
            self.create_line(left, y, right, y, fill=colour(OUTLINE))
            self.text(left - self.px(5), y, f"{low + span * share:.2f}", anchor="e", size=10)
        self.text(left, height - self.px(8), "epoch 1", size=10)
        self.text(right, height - self.px(8), f"epoch {last:.0f}", anchor="e", size=10)
        legend = right
        for name, pair, values in drawn:
            points = [
                (left + (right - left) * (epoch - 1) / max(1, last - 1), floor - (floor - top) * (value - low) / span)
                for epoch, value in values
            ]
            if len(points) > 1:
                self.create_line(points, fill=colour(pair), width=self.px(2))
            self.text(legend, self.px(8), name, anchor="e", size=11, pair=pair)
            legend -= self.px(7 * len(name) + 10)

    def _values(self, key: str) -> list[tuple[float, float]]:
        return [
            (entry["epoch"], float(entry[key]))
            for entry in self._history
            if isinstance(entry.get(key), int | float) and isinstance(entry.get("epoch"), int | float)
        ]


TRAINING_LINES: Sequence[tuple[str, str, Colour]] = (
    ("train_loss", "training", MUTED),
    ("val_loss", "validation", BAR),
)
SCORE_LINES: Sequence[tuple[str, str, Colour]] = (
    ("val_acc", "accuracy", BAR),
    ("val_macro_f1", "macro F1", ERROR),
)


class Confusion(Chart):
    """Which genre was taken for which: a row for each true genre, shares of it as brightness."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 380)
        self._labels: Sequence[str] = ()
        self._matrix: Sequence[Sequence[float]] = ()

    def show(self, labels: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
        """Show counts: `matrix[true][answer]`."""
        self._labels, self._matrix = labels, matrix
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the cells; counts stand in those that have room."""
        width, height = size
        count = len(self._matrix)
        if not count:
            self.text(width / 2, height / 2, "the model's file has no confusion matrix", anchor="center")
            return
        left, head = self.px(96), self.px(78)
        cell = min((width - left) / count, (height - head) / count)
        for row, (label, counts) in enumerate(zip(self._labels, self._matrix, strict=False)):
            y = head + row * cell
            self.text(left - self.px(6), y + cell / 2, label, anchor="e", size=11, pair=TEXT)
            x = left + (row + 0.5) * cell
            look = font(self, 11)
            self.create_text(x, head - self.px(4), text=label, angle=60, anchor="w", fill=colour(TEXT), font=look)
            for column, value in enumerate(counts):
                share = value / max(1, sum(counts))
                red, green, blue = coloured(_level(share))
                self.box(left + column * cell, y, cell - 1, cell - 1, f"#{red:02x}{green:02x}{blue:02x}")
                if value and cell > self.px(15):
                    middle = (left + (column + 0.5) * cell, y + cell / 2)
                    pair = ("#FFFFFF", "#FFFFFF") if share < 0.55 else ("#000000", "#000000")
                    self.text(*middle, f"{value:.0f}", anchor="center", size=10, pair=pair)


def _level(share: float) -> Any:
    import numpy as np

    return np.asarray(0.06 + 0.94 * share**0.7)
