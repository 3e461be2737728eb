"""A strip at the top that says something, and may ask something; it never stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from tkinter import Misc

import customtkinter

from genre_gui.theme import ERROR_CARD, MIDDLE, NARROW, TEXT, TONAL
from genre_gui.widgets import button, label

Answer = tuple[str, Callable[[], object]]


class Banner(customtkinter.CTkFrame):  # type: ignore[misc]
    """Words with up to two answers and a way to dismiss them; hidden while there is nothing to say."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, corner_radius=2 * NARROW, fg_color=TONAL)
        self.grid_columnconfigure(0, weight=1)
        self.words = label(self, colour=TEXT)
        self.words.grid(row=0, column=0, padx=MIDDLE, pady=NARROW, sticky="ew")
        self.answers = [button(self, "", self.hide, "filled" if place == 0 else "text") for place in range(2)]
        for place, answer in enumerate(self.answers):
            answer.grid(row=0, column=1 + place, padx=(0, NARROW), pady=NARROW)
        self._dismiss = button(self, "✕", self.hide, "text", width=36)
        self._dismiss.grid(row=0, column=3, padx=(0, NARROW), pady=NARROW)

    def say(self, words: str, *answers: Answer, bad: bool = False) -> None:
        """Show words, and a button for each answer."""
        self.configure(fg_color=ERROR_CARD if bad else TONAL)
        self.words.configure(text=words)
        for place, shown in enumerate(self.answers):
            if place < len(answers):
                text, command = answers[place]
                shown.configure(text=text, command=self._closing(command))
                shown.grid()
            else:
                shown.grid_remove()
        self.grid()

    def hide(self) -> None:
        """Take it away."""
        self.grid_remove()

    def _closing(self, command: Callable[[], object]) -> Callable[[], None]:
        def answered() -> None:
            self.hide()
            command()

        return answered
