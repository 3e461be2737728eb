"""What the model says of itself: scores, curves, confusion, where it comes from; and another one can be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui.backend import Backend
from genre_gui.model_charts import SCORE_LINES, TRAINING_LINES, Confusion, Curves, Scores
from genre_gui.provenance import UNKNOWN, facts_in_words, headline, history_of, matrix_of, scores_of
from genre_gui.theme import MIDDLE, MUTED, NARROW, WIDE
from genre_gui.widgets import button, card, label
from genre_gui.words import device_name, one_line

N_NUMBERS = 5


class ModelPanel(customtkinter.CTkScrollableFrame):  # type: ignore[misc]
    """A page about the model in use.

    Parameters
    ----------
    master : Misc
    open_model : callable
        Asks for another model.
    try_devices : callable
        Finds out which devices work.
    """

    def __init__(self, master: Misc, open_model: Callable[[], object], try_devices: Callable[[], object]) -> None:
        super().__init__(master, fg_color="transparent", corner_radius=0)
        self.grid_columnconfigure((0, 1), weight=1, uniform="half")
        top = self._card(0, 0, columns=2)
        top.grid_columnconfigure(0, weight=1)
        self.name = label(top, "The model is loading …", size=20, bold=True)
        self.name.grid(row=0, column=0, padx=WIDE, pady=(MIDDLE, NARROW), sticky="ew")
        button(top, "Which devices work?", try_devices, "text").grid(row=0, column=1, padx=0, pady=(MIDDLE, NARROW))
        self.open = button(top, "Open another model …", open_model)
        self.open.grid(row=0, column=2, padx=WIDE, pady=(MIDDLE, NARROW))
        strip = customtkinter.CTkFrame(top, fg_color="transparent")
        strip.grid(row=1, column=0, columnspan=3, padx=WIDE, pady=(0, NARROW), sticky="ew")
        self.numbers = [self._number(strip, column) for column in range(N_NUMBERS)]
        self.devices = label(top, "", size=12, colour=MUTED)
        self.devices.grid(row=2, column=0, columnspan=3, padx=WIDE, pady=(0, MIDDLE), sticky="ew")
        self.scores = self._chart(1, 0, "Scores of each genre", Scores)
        self.confusion = self._chart(1, 1, "True genre (rows) and answer (columns)", Confusion)
        self.losses = self._chart(2, 0, "", lambda place: Curves(place, "Loss", TRAINING_LINES))
        self.accuracy = self._chart(2, 1, "", lambda place: Curves(place, "Validation", SCORE_LINES))
        bottom = self._card(3, 0, columns=2)
        bottom.grid_columnconfigure(0, weight=1)
        self.facts = label(bottom, size=13)
        self.facts.grid(row=0, column=0, padx=WIDE, pady=MIDDLE, sticky="ew")

    def show(self, backend: Backend) -> None:
        """Show a model that is ready."""
        metadata = backend.metadata
        self.name.configure(text=f"{one_line(backend.name)} on {device_name(backend.device)}")
        self.devices.grid_remove()
        for (value, words), (number, caption) in zip(headline(metadata), self.numbers, strict=False):
            number.configure(text=value)
            caption.configure(text=words)
        self.scores.show(scores_of(metadata))
        self.confusion.show(metadata.labels, matrix_of(metadata))
        self.losses.show(history_of(metadata))
        self.accuracy.show(history_of(metadata))
        self.facts.configure(text=facts_in_words(metadata))

    def fix(self) -> None:
        """Offer no other model."""
        self.open.grid_remove()

    def show_devices(self, answers: Mapping[str, str]) -> None:
        """Show which devices work, and why others do not."""
        self.devices.configure(
            text="\n".join(f"{device_name(device)}: {one_line(words)}" for device, words in answers.items())
        )
        self.devices.grid()

    def restyle(self) -> None:
        """Draw again in the present appearance."""
        for chart in (self.scores, self.confusion, self.losses, self.accuracy):
            chart.redraw()

    def _card(self, row: int, column: int, columns: int = 1) -> Any:
        made = card(self)
        padding = (0, MIDDLE) if column == 0 and columns == 1 else 0
        made.grid(row=row, column=column, columnspan=columns, padx=padding, pady=(0, MIDDLE), sticky="nsew")
        return made

    def _chart(self, row: int, column: int, heading: str, make: Callable[[Any], Any]) -> Any:
        place = self._card(row, column)
        place.grid_columnconfigure(0, weight=1)
        if heading:
            label(place, heading, bold=True).grid(row=0, column=0, padx=WIDE, pady=(MIDDLE, 0), sticky="ew")
        chart = make(place)
        chart.put(1, MIDDLE, MIDDLE)
        return chart

    def _number(self, master: Any, column: int) -> tuple[Any, Any]:
        master.grid_columnconfigure(column, weight=1)
        number, caption = label(master, UNKNOWN, size=24, bold=True), label(master, "", size=12, colour=MUTED)
        number.grid(row=0, column=column, sticky="ew")
        caption.grid(row=1, column=column, sticky="ew")
        return number, caption
