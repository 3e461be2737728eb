"""The card that shows how one file stands: waiting, classified or not readable."""

from __future__ import annotations

from tkinter import Event, Misc

import customtkinter

from genre_gui.theme import BAR, CARD, ERROR, MIDDLE, MUTED, NARROW, TEXT, TRACK, WIDE, Colour
from genre_runtime import GenreError, Prediction

TOP_GENRES = 5
LONGEST_NAME = 48


class ResultCard(customtkinter.CTkFrame):  # type: ignore[misc]
    """A caption with the file, and below it a genre with bars, or words."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, corner_radius=MIDDLE, fg_color=CARD)
        self.grid_columnconfigure(0, weight=1)
        self.caption = self._label(0, size=13, colour=MUTED, space_above=WIDE)
        self.answer = self._label(1, size=28, colour=TEXT, weight="bold", space_above=NARROW)
        self.words = self._label(2, size=14, colour=TEXT, space_above=NARROW)
        self.bars = customtkinter.CTkFrame(self, fg_color="transparent")
        self.bars.grid(row=3, column=0, padx=WIDE, pady=MIDDLE, sticky="new")
        self.bars.grid_columnconfigure(1, weight=1)
        # One font for all bars: a font dropped with its label may be collected in the worker's thread, which
        # then waits for the main loop, and for a second each time once the window is closed.
        self._bar_font = customtkinter.CTkFont(size=13)
        self.bind("<Configure>", self._wrap)

    def show_words(self, caption: str, words: str = "") -> None:
        """Show no genre, only what is going on."""
        self._show(caption, "", words, TEXT)

    def show_error(self, name: str, error: GenreError) -> None:
        """Show why the file has no genre."""
        self._show(shortened(name), "", str(error), ERROR)

    def show_prediction(self, name: str, prediction: Prediction) -> None:
        """Show the genre, what speaks against it, and a bar for each of the best genres."""
        caption = f"{shortened(name)}  ·  {prediction.duration_seconds:.0f} s  ·  {prediction.device}"
        doubt = "" if prediction.confident else f"Not sure: {prediction.reason}."
        self._show(caption, prediction.label, doubt, MUTED)
        for row, (label, value) in enumerate(list(prediction.probabilities.items())[:TOP_GENRES]):
            self._bar(row, label, value)

    def _show(self, caption: str, answer: str, words: str, colour: Colour) -> None:
        for child in self.bars.winfo_children():
            child.destroy()
        self.words.configure(text_color=colour)
        for label, text in ((self.caption, caption), (self.answer, answer), (self.words, words)):
            label.configure(text=text)
            if text:
                label.grid()
            else:
                label.grid_remove()

    def _bar(self, row: int, label: str, value: float) -> None:
        name = customtkinter.CTkLabel(self.bars, text=label, font=self._bar_font, text_color=TEXT, anchor="w")
        name.grid(row=row, column=0, sticky="w")
        bar = customtkinter.CTkProgressBar(self.bars, fg_color=TRACK, progress_color=BAR)
        bar.set(value)
        bar.grid(row=row, column=1, sticky="ew", padx=MIDDLE)
        text = f"{value:.0%}"
        percent = customtkinter.CTkLabel(self.bars, text=text, font=self._bar_font, text_color=MUTED, anchor="e")
        percent.grid(row=row, column=2, sticky="e")

    def _label(
        self, row: int, *, size: int, colour: Colour, space_above: int, weight: str = "normal"
    ) -> customtkinter.CTkLabel:
        font = customtkinter.CTkFont(size=size, weight=weight)
        label = customtkinter.CTkLabel(
            self, text="", height=0, font=font, text_color=colour, anchor="w", justify="left"
        )
        label.grid(row=row, column=0, padx=WIDE, pady=(space_above, 0), sticky="ew")
        return label

    def _wrap(self, event: Event[Misc]) -> None:
        """Break lines where the card ends, whatever its width."""
        width = event.width / customtkinter.ScalingTracker.get_widget_scaling(self) - 2 * WIDE
        for label in (self.caption, self.answer, self.words):
            label.configure(wraplength=max(1, int(width)))


def shortened(name: str) -> str:
    """Put a file name on one line, and cut the middle out of a long one: its two ends tell most."""
    name = " ".join(name.split())
    if len(name) <= LONGEST_NAME:
        return name
    ending = LONGEST_NAME // 3
    return f"{name[: LONGEST_NAME - ending - 1]}…{name[-ending:]}"
