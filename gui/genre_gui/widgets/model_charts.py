"""Charts of a model: scores, training, confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tkinter import Misc
from typing import Any

from genre_gui.language import mark, number, tr
from genre_gui.widgets.charts import Chart
from genre_gui.widgets.tables import fitted
from genre_gui.widgets.theme import BAR, ERROR, MUTED, NARROW, OUTLINE, TEXT, TRACK, Colour, colour, font, text_size
from genre_runtime import spectrogram_palette

_PALETTE = spectrogram_palette(256).tolist()


class Scores(Chart):
    """F1 of each genre as a bar, with precision, recall and number of tracks."""

    ROW = 22

    def __init__(self, master: Misc) -> None:
        super().__init__(master, text_size(self.ROW))
        self._scores: Mapping[str, Mapping[str, float]] = {}

    def show(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show scores.

        Parameters
        ----------
        scores : mapping of str to mapping
            For each genre `precision`, `recall`, `f1` and `support`.
        """
        self._scores = scores
        self.set_height(text_size(self.ROW) * (len(scores) + 1))
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the rows."""
        width, _ = size
        row, left = self.px(text_size(self.ROW)), self.px(text_size(100))
        headings = {"f1": "F1", "precision": tr("precision"), "recall": tr("recall"), "support": tr("tracks")}
        columns, place = [], float(width)
        for name, heading in reversed(headings.items()):
            columns.append((place, name, heading))
            place -= max(self.width_of(heading, 11), self.width_of("0.00")) + self.px(12)
        right = max(place, left + self.px(NARROW))
        for x, _, heading in columns:
            self.text(x, row / 2, heading, anchor="e", size=11)
        for index, (label, score) in enumerate(sorted(self._scores.items(), key=lambda item: -item[1]["f1"]), start=1):
            middle = (index + 0.5) * row
            self.label(0, middle, label, left - self.px(NARROW), pair=TEXT)
            self.box(left, middle - self.px(4), right - left, self.px(8), colour(TRACK))
            self.box(left, middle - self.px(4), (right - left) * score["f1"], self.px(8), colour(BAR))
            for x, name, _ in columns:
                self.text(x, middle, number(score[name], 0 if name == "support" else 2), anchor="e")


class Curves(Chart):
    """Values of each epoch as lines.

    Parameters
    ----------
    master : Misc
    heading : str
    lines : sequence of (str, str, Colour)
        Key in the history, name in the legend, colour.
    """

    def __init__(self, master: Misc, heading: str, lines: Sequence[tuple[str, str, Colour]]) -> None:
        super().__init__(master, 170)
        self._heading, self._lines = heading, lines
        self._history: Sequence[Mapping[str, Any]] = ()

    def show(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Show a training.

        Parameters
        ----------
        history : sequence of mapping
            For each epoch names and numbers.
        """
        self._history = history
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw axes, lines and a legend."""
        width, height = size
        self.text(0, self.px(8), self._heading, pair=TEXT)
        drawn = [(name, pair, self._values(key)) for key, name, pair in self._lines]
        everything = [value for _, _, values in drawn for _, value in values]
        if not everything:
            self.text(width / 2, height / 2, tr("not recorded for this model"), anchor="center")
            return
        low, high = min(everything), max(everything)
        span = high - low or 1.0
        left, right, top, floor = self.px(34), width - self.px(6), self.px(26), height - self.px(20)
        last = max(epoch for _, _, values in drawn for epoch, _ in values)
        for share in (0.0, 0.5, 1.0):
            y = floor - (floor - top) * share
            self.create_line(left, y, right, y, fill=colour(OUTLINE))
            self.text(left - self.px(5), y, number(low + span * share, 2), anchor="e", size=10)
        self.text(left, height - self.px(8), tr("epoch {n}", n=1), size=10)
        self.text(right, height - self.px(8), tr("epoch {n}", n=round(last)), anchor="e", size=10)
        legend = right
        for name, pair, values in drawn:
            if not values:
                continue
            points = [
                (left + (right - left) * (epoch - 1) / max(1, last - 1), floor - (floor - top) * (value - low) / span)
                for epoch, value in values
            ]
            points = points if len(points) > 1 else [points[0], (points[0][0] + self.px(3), points[0][1])]
            self.create_line(points, fill=colour(pair), width=self.px(2))
            self.text(legend, self.px(8), tr(name), anchor="e", size=11, pair=pair)
            legend -= self.width_of(tr(name), 11) + self.px(14)

    def _values(self, key: str) -> list[tuple[float, float]]:
        return [
            (entry["epoch"], float(entry[key]))
            for entry in self._history
            if isinstance(entry.get(key), int | float) and isinstance(entry.get("epoch"), int | float)
        ]


TRAINING_LINES: Sequence[tuple[str, str, Colour]] = (
    ("train_loss", mark("training"), MUTED),
    ("val_loss", mark("validation"), BAR),
)
SCORE_LINES: Sequence[tuple[str, str, Colour]] = (
    ("val_acc", mark("accuracy"), BAR),
    ("val_macro_f1", mark("macro F1"), ERROR),
)


class Confusion(Chart):
    """Confusion matrix: rows are the true genres, brightness is the fraction of the row."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 380)
        self._labels: Sequence[str] = ()
        self._matrix: Sequence[Sequence[float]] = ()

    def show(self, labels: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
        """Show a confusion matrix.

        Parameters
        ----------
        labels : sequence of str
        matrix : sequence of sequence of float
            Counts, `matrix[true][answer]`.
        """
        self._labels, self._matrix = labels, matrix
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the cells, with counts if there is room."""
        width, height = size
        count = len(self._matrix)
        if not count:
            self.text(width / 2, height / 2, tr("not recorded for this model"), anchor="center")
            return
        left, head = self.px(text_size(96)), self.px(text_size(78))
        cell = min((width - left) / count, (height - head) / count)
        for row, (label, counts) in enumerate(zip(self._labels, self._matrix, strict=False)):
            y = head + row * cell
            self.label(left - self.px(6), y + cell / 2, label, left - self.px(6), anchor="e", size=11, pair=TEXT)
            x = left + (row + 0.5) * cell
            look = font(self, 11)
            shown = fitted(label, head, lambda part: self.width_of(part, 11))
            self.create_text(x, head - self.px(4), text=shown, angle=60, anchor="w", fill=colour(TEXT), font=look)
            if shown != label:
                self._cut.append(((x - cell / 2, 0, x + cell / 2, head), label))
            for column, value in enumerate(counts):
                share = value / max(1, sum(counts))
                red, green, blue = _PALETTE[round((0.06 + 0.94 * share**0.7) * (len(_PALETTE) - 1))]
                self.box(left + column * cell, y, cell - 1, cell - 1, f"#{red:02x}{green:02x}{blue:02x}")
                if value and cell > self.px(15):
                    middle = (left + (column + 0.5) * cell, y + cell / 2)
                    pair = ("#FFFFFF", "#FFFFFF") if share < 0.55 else ("#000000", "#000000")
                    self.text(*middle, number(value), anchor="center", size=10, pair=pair)
