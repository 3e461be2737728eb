"""The strip at the top: pages, the model in use, its device, the theme."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from tkinter import Misc

import customtkinter

from genre_gui.backend import Backend
from genre_gui.link import Link, LinkState
from genre_gui.settings import THEMES, Settings
from genre_gui.theme import ERROR, GOOD, MIDDLE, MUTED, NARROW
from genre_gui.widgets import label, menu, tabs
from genre_gui.words import DEVICE_NAMES, device_name, shortened

LONGEST_LINK = 90
PAGES = ("Tracks", "Model", "Tags")
ALWAYS_NAMED = ("auto", "cpu", "cuda")
"""Offered even where ONNX Runtime lacks them: who asks for one is told why it cannot be had."""


class Header(customtkinter.CTkFrame):  # type: ignore[misc]
    """Pages at the left, menus at the right.

    Parameters
    ----------
    master : Misc
    settings : Settings
    choose_page, choose_device, choose_theme : callable
        Called with the name chosen.
    """

    def __init__(
        self,
        master: Misc,
        settings: Settings,
        choose_page: Callable[[str], object],
        choose_device: Callable[[str], object],
        choose_theme: Callable[[str], object],
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self.grid_columnconfigure(1, weight=1)
        self._pages = tabs(self, PAGES, choose_page)
        self._pages.grid(row=0, column=0)
        words = customtkinter.CTkFrame(self, fg_color="transparent")
        words.grid(row=0, column=1, padx=MIDDLE, sticky="ew")
        words.grid_columnconfigure(0, weight=1)
        self.model = label(words, "The model is loading …", colour=MUTED)
        self.link = label(words, "", size=12, colour=MUTED)
        for row, shown in enumerate((self.model, self.link)):
            shown.configure(anchor="e", justify="right")
            shown.grid(row=row, column=0, sticky="ew")
        self.link.grid_remove()
        codes = {name: code for code, name in DEVICE_NAMES.items()}
        self.device = menu(self, [], lambda name: choose_device(codes[name]), width=124)
        self._offer({*ALWAYS_NAMED, settings.device})
        self.show_device(settings.device)
        self.device.grid(row=0, column=2, padx=(0, NARROW))
        self.theme = menu(
            self, [name.capitalize() for name in THEMES], lambda name: choose_theme(name.lower()), width=108
        )
        self.theme.set(settings.theme.capitalize())
        self.theme.grid(row=0, column=3)

    def choose_page(self, name: str) -> None:
        """Mark the page that is shown."""
        self._pages.set(name)

    def show_device(self, device: str) -> None:
        """Show the device asked for."""
        self.device.set(device_name(device))

    def show_model(self, backend: Backend, asked: str, devices: Iterable[str]) -> None:
        """Show which model is in use and where it really runs, and offer what ONNX Runtime has."""
        self.model.configure(text=f"{shortened(backend.name)} on {device_name(backend.device)}")
        self._offer({*ALWAYS_NAMED, *devices, asked})

    def show_link(self, link: Link) -> None:
        """Show how the connection to the service stands."""
        colours = {LinkState.CONNECTED: GOOD, LinkState.UNREADY: MUTED}
        self.link.configure(text=f"●  {shortened(link.words, LONGEST_LINK)}", text_color=colours.get(link.state, ERROR))
        self.link.grid()

    def fix(self) -> None:
        """Leave the device to the service."""
        self.device.grid_remove()

    def _offer(self, devices: set[str]) -> None:
        self.device.configure(values=[name for code, name in DEVICE_NAMES.items() if code in devices])
