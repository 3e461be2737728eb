"""Charts of a track (genres, genres over time) and of a model (scores, training, confusion matrix)."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Mapping, Sequence
from tkinter import Misc
from typing import Any, Literal

from genre_gui.widgets.theme import (
    BAR,
    CARD,
    ERROR,
    MUTED,
    NARROW,
    OUTLINE,
    TEXT,
    TRACK,
    WIDE,
    Colour,
    Font,
    colour,
    font,
    genre_colour,
    scaling,
)
from genre_runtime import ExcerptPrediction, Prediction, spectrogram_palette
from genre_runtime.library.report.plots import clock

_PALETTE = spectrogram_palette(256).tolist()

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
        super().__init__(master, self.ROW * self.N_ROWS)
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
        left, right, row, thick = self.px(104), width - self.px(44), self.px(self.ROW), self.px(10)
        for index, (label, value) in enumerate(self.rows):
            middle = (index + 0.5) * row
            self.text(0, middle, label, size=13, pair=TEXT)
            for share, fill in ((1.0, TRACK), (value, BAR)):
                self.box(left, middle - thick / 2, (right - left) * share, thick, colour(fill))
            self.text(width, middle, f"{value:.0%}", anchor="e", size=13, pair=TEXT if index == 0 else MUTED)
        if self.rows and self._threshold:
            x = left + (right - left) * self._threshold
            end = row * len(self.rows)
            self.create_line(x, 0, x, end, fill=colour(MUTED), dash=(2, 3))


class Timeline(Chart):
    """The best genre of each excerpt as a column, as high as its probability; a click seeks.

    Attributes
    ----------
    on_seek : callable
        Called with the time that was clicked, seconds.
    """

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 84)
        self.prediction: Prediction | None = None
        self._labels: Sequence[str] = ()
        self._cursor: float | None = None
        self.on_seek: Callable[[float], object] = lambda _: None
        self.bind("<Button-1>", self._seek)
        self.bind("<B1-Motion>", self._seek)

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
        message, room = clock(self._cursor), self.px(70)  # not over the times at both ends
        place = min(max(x, room), width - room)
        self.create_text(
            place, floor + self.px(11), text=message, fill=colour(TEXT), font=font(self, 12, "bold"), tags="cursor"
        )

    def _seek(self, event: tkinter.Event[Misc]) -> None:
        if self.prediction is not None:
            share = min(max(event.x / max(1, self.winfo_width()), 0.0), 1.0)
            self.on_seek(share * self.prediction.duration_seconds)

    def _column(self, excerpt: ExcerptPrediction, start: float, end: float, floor: int) -> None:
        label, value = max(excerpt.probabilities.items(), key=lambda item: item[1])
        message, level = (f"{label} {value:.0%}", value) if not excerpt.silent else ("silent", 0.0)
        index = self._labels.index(label) if label in self._labels else 0
        gap = 1 if end - start > self.px(NARROW) else 0
        self.box(start, floor * (1 - level), end - start - gap, floor * level, genre_colour(index))
        if len(message) * self.px(7) < end - start:
            self.text((start + end) / 2, floor - self.px(12), message, anchor="center", pair=TEXT)


class Scores(Chart):
    """F1 of each genre as a bar, with precision, recall and number of tracks."""

    ROW = 22

    def __init__(self, master: Misc) -> None:
        super().__init__(master, self.ROW)
        self._scores: Mapping[str, Mapping[str, float]] = {}

    def show(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show scores.

        Parameters
        ----------
        scores : mapping of str to mapping
            For each genre `precision`, `recall`, `f1` and `support`.
        """
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
            self.text(width / 2, height / 2, "not recorded for this model", anchor="center")
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
            if not values:
                continue
            points = [
                (left + (right - left) * (epoch - 1) / max(1, last - 1), floor - (floor - top) * (value - low) / span)
                for epoch, value in values
            ]
            points = points if len(points) > 1 else [points[0], (points[0][0] + self.px(3), points[0][1])]
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
            self.text(width / 2, height / 2, "not recorded for this model", anchor="center")
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
                red, green, blue = _PALETTE[round((0.06 + 0.94 * share**0.7) * (len(_PALETTE) - 1))]
                self.box(left + column * cell, y, cell - 1, cell - 1, f"#{red:02x}{green:02x}{blue:02x}")
                if value and cell > self.px(15):
                    middle = (left + (column + 0.5) * cell, y + cell / 2)
                    pair = ("#FFFFFF", "#FFFFFF") if share < 0.55 else ("#000000", "#000000")
                    self.text(*middle, f"{value:.0f}", anchor="center", size=10, pair=pair)
