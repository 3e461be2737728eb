"""The page of settings: language, appearance, size of everything and of text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui import __version__
from genre_gui.language import LANGUAGES, localised, mark, tr
from genre_gui.settings import SCALES, TEXT_SIZES, THEMES, Settings
from genre_gui.widgets.controls import card, label, menu
from genre_gui.widgets.theme import MIDDLE, MUTED, NARROW, WIDE

THEME_NAMES = dict(zip(THEMES, (mark("System"), mark("Light"), mark("Dark")), strict=True))
ROWS = (
    ("language", mark("Language"), mark("The window is opened again in that language; nothing is lost.")),
    ("theme", mark("Appearance"), mark("Of the system when the window was opened, or always light or dark.")),
    ("scale", mark("Size of everything"), mark("Automatic is the scale that the desktop sets for its screen.")),
    ("text_size", mark("Size of text"), mark("On top of the size of everything; rows and buttons grow with it.")),
)
"""Name of each setting, its caption and its explanation."""


class SettingsPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """A menu for each setting; what is chosen is used at once.

    Parameters
    ----------
    master : Misc
    settings : Settings
        The present values.
    choose : callable
        Called with the name and the value of a setting.

    Attributes
    ----------
    menus : mapping of str to Any
        By the names of the settings.
    """

    def __init__(self, master: Misc, settings: Settings, choose: Callable[[str, str], object]) -> None:
        super().__init__(master, fg_color="transparent")
        self._choose = choose
        self.grid_columnconfigure(0, weight=1)
        surface = card(self)
        surface.grid(row=0, column=0, sticky="new")
        surface.grid_columnconfigure(2, weight=1)
        self.menus: dict[str, Any] = {}
        for row, (name, caption, explanation) in enumerate(ROWS):
            above = MIDDLE if row == 0 else NARROW
            below = MIDDLE if row == len(ROWS) - 1 else NARROW
            label(surface, tr(caption), bold=True).grid(row=row, column=0, padx=WIDE, pady=(above, below), sticky="w")
            made = self.menus[name] = menu(surface, list(choices(name).values()), partial(self.choose_text, name))
            made.set(choices(name)[getattr(settings, name)])
            made.grid(row=row, column=1, pady=(above, below), sticky="w")
            told = label(surface, tr(explanation), colour=MUTED)
            told.grid(row=row, column=2, padx=WIDE, pady=(above, below), sticky="ew")
        version = label(self, f"genre-gui {__version__}", size=12, colour=MUTED)
        version.grid(row=1, column=0, padx=WIDE, pady=MIDDLE, sticky="ew")

    def restyle(self) -> None:
        """Do nothing: these widgets follow the appearance by themselves."""

    def choose_text(self, name: str, text: str) -> None:
        """Change a setting to the value with a text.

        Parameters
        ----------
        name : {"language", "theme", "scale", "text_size"}
        text : str
            One of `choices`.
        """
        self._choose(name, next(code for code, shown in choices(name).items() if shown == text))


def choices(name: str) -> dict[str, str]:
    """Return the values of a setting, each with its text.

    Parameters
    ----------
    name : {"language", "theme", "scale", "text_size"}
    """
    if name == "language":
        return {"system": tr("System"), **LANGUAGES}
    if name == "theme":
        return {code: tr(text) for code, text in THEME_NAMES.items()}
    percents = SCALES if name == "scale" else TEXT_SIZES
    return {code: tr("Automatic") if code == "auto" else localised(f"{code}%") for code in percents}
