"""What is drawn of a track: bars of its genres and its spectrogram, and what all charts have in common."""

from __future__ import annotations

import tkinter
from collections.abc import Sequence
from tkinter import Misc
from typing import Literal

from genre_gui.pictures import Sound, ppm, spectrogram
from genre_gui.theme import (
    BAR,
    CARD,
    MUTED,
    TEXT,
    TRACK,
    WIDE,
    Colour,
    Font,
    colour,
    font,
    scaling,
)
from genre_gui.words import clock
from genre_runtime import Prediction

Anchor = Literal["w", "e", "center"]


class Chart(tkinter.Canvas):
    """A drawing that fills its place and is drawn anew when that, or the appearance, changes.

    Parameters
    ----------
    master : Misc
    height : int
        Pixels before scaling.
    """

    def __init__(self, master: Misc, height: int) -> None:
        super().__init__(master, width=1, height=1, highlightthickness=0, borderwidth=0, background=colour(CARD))
        self.set_height(height)
        self.bind("<Configure>", lambda _: self.redraw())

    def set_height(self, height: int) -> None:
        """Ask for a height, pixels before scaling."""
        self._height = height
        self.configure(height=self.px(height))

    def put(self, row: int, above: int, below: int = 0) -> None:
        """Put it into a row of a card; unlike customtkinter's widgets, plain ones do not scale their margins."""
        self.grid(row=row, column=0, padx=self.px(WIDE), pady=(self.px(above), self.px(below)), sticky="nsew")

    def redraw(self) -> None:
        """Draw again."""
        self.delete("all")
        self.configure(background=colour(CARD), height=self.px(self._height))
        if self.winfo_width() > 1:
            self.draw((self.winfo_width(), self.winfo_height()))

    def draw(self, size: tuple[int, int]) -> None:
        """Draw into an empty canvas of `size`, width and height in pixels."""
        raise NotImplementedError

    def px(self, length: float) -> int:
        """Return a length of the layout in pixels of the screen."""
        return round(length * scaling(self))

    def text(
        self, x: float, y: float, text: str, *, anchor: Anchor = "w", size: int = 12, pair: Colour = MUTED
    ) -> None:
        """Write one line."""
        look: Font = font(self, size)
        self.create_text(x, y, text=text, anchor=anchor, fill=colour(pair), font=look)

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Fill a rectangle."""
        self.create_rectangle(x, y, x + max(1, width), y + max(1, height), fill=fill, width=0)


class Bars(Chart):
    """A bar for each of the best genres; the threshold of confidence is a line through them."""

    ROW = 26
    MOST = 5

    def __init__(self, master: Misc) -> None:
        super().__init__(master, self.ROW * self.MOST)
        self.rows: list[tuple[str, float]] = []
        self._threshold = 0.0

    def show(self, prediction: Prediction | None, threshold: float = 0.0) -> None:
        """Show a prediction, or nothing."""
        self.rows = list(prediction.probabilities.items())[: self.MOST] if prediction else []
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


class Spectrogram(Chart):
    """What the model heard, low notes at the bottom."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 72)
        self._picture = tkinter.PhotoImage(master=self)  # one for good: Tk cannot free them in another thread
        self._sounds: Sequence[Sound] = ()
        self._top_db = 80.0
        self._words = ""

    def show(self, sounds: Sequence[Sound], top_db: float = 80.0) -> None:
        """Show spectrograms side by side."""
        self._sounds, self._top_db, self._words = sounds, top_db, ""
        self.redraw()

    def say(self, words: str) -> None:
        """Show words instead."""
        self._sounds, self._words = (), words
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the picture and the times below it, if there is room for them."""
        width, height = size
        floor = height - self.px(18)
        if floor < 1:
            return
        if not self._sounds:
            if self._words:
                self.box(0, 0, width, floor, colour(TRACK))
                self.text(width / 2, floor / 2, self._words, anchor="center")
            return
        gap = tuple(value // 256 for value in self.winfo_rgb(colour(CARD)))
        pixels = spectrogram(self._sounds, width, floor, self._top_db, (gap[0], gap[1], gap[2]))
        self._picture.configure(data=ppm(pixels), format="ppm", width=pixels.shape[1], height=pixels.shape[0])
        self.create_image(0, 0, image=self._picture, anchor="nw")
        self.text(0, height - self.px(7), clock(self._sounds[0].start_seconds))
        self.text(width, height - self.px(7), clock(self._sounds[-1].end_seconds), anchor="e")
