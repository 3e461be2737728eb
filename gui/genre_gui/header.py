"""The strip at the top: pages, the model in use, its device, the theme."""

from __future__ import annotations

from collections.abc import Callable
from tkinter import Misc

import customtkinter

from genre_gui.backend import Backend
from genre_gui.settings import THEMES, Settings
from genre_gui.theme import MIDDLE, MUTED, NARROW
from genre_gui.widgets import label, menu, tabs
from genre_gui.words import DEVICE_NAMES, device_name, shortened

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
        self.model = label(self, "The model is loading …", colour=MUTED)
        self.model.configure(anchor="e", justify="right")
        self.model.grid(row=0, column=1, padx=MIDDLE, sticky="ew")
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

    def show_model(self, backend: Backend, asked: str) -> None:
        """Show which model is in use and where it really runs, and offer what ONNX Runtime has."""
        from genre_runtime.session import available_devices

        self.model.configure(text=f"{shortened(backend.name)} on {device_name(backend.device)}")
        self._offer({*ALWAYS_NAMED, *available_devices(), asked})

    def _offer(self, devices: set[str]) -> None:
        self.device.configure(values=[name for code, name in DEVICE_NAMES.items() if code in devices])
