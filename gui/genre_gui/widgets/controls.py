"""Buttons, labels and menus in the window's style, all of which the keyboard reaches.

A strip at the top that says something, and may ask something; it never stands in the way.

The strip at the top: pages, the model in use, its device, the theme.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Iterable, Sequence
from tkinter import Event, Misc, ttk
from typing import Any, Literal

import customtkinter

from genre_gui.backends.base import Backend
from genre_gui.backends.link import Link, LinkState
from genre_gui.settings import THEMES, Settings
from genre_gui.text import DEVICE_NAMES, device_name, shortened
from genre_gui.widgets.theme import (
    CARD,
    ERROR,
    ERROR_CARD,
    GOOD,
    MIDDLE,
    MUTED,
    NARROW,
    ON_PRIMARY,
    ON_TONAL,
    PRIMARY,
    PRIMARY_HOVER,
    SELECTED,
    TEXT,
    TONAL,
    TONAL_HOVER,
    TRACK,
    Colour,
    scaling,
)

Kind = Literal["filled", "tonal", "text"]
_KINDS: dict[Kind, dict[str, Any]] = {
    "filled": {"fg_color": PRIMARY, "hover_color": PRIMARY_HOVER, "text_color": ON_PRIMARY},
    "tonal": {"fg_color": TONAL, "hover_color": TONAL_HOVER, "text_color": ON_TONAL},
    "text": {"fg_color": "transparent", "hover_color": TRACK, "text_color": PRIMARY},
}
HEIGHT = 36


def button(master: Misc, text: str, command: Callable[[], object], kind: Kind = "tonal", width: int = 0) -> Any:
    """Return a button that Space and Return press."""
    made = customtkinter.CTkButton(
        master,
        text=text,
        command=command,
        width=width,
        height=HEIGHT,
        corner_radius=HEIGHT // 2,
        text_color_disabled=MUTED,
        font=customtkinter.CTkFont(size=13, weight="bold"),
        **_KINDS[kind],
    )

    def press(_: Event[Misc]) -> str:
        made.invoke()
        return "break"

    reachable(made, made)
    for key in ("<space>", "<Return>", "<KP_Enter>"):
        tkinter.Misc.bind(made, key, press)
    return made


def label(master: Misc, text: str = "", *, size: int = 13, colour: Colour = TEXT, bold: bool = False) -> Any:
    """Return a label whose lines break where it ends."""
    font = customtkinter.CTkFont(size=size, weight="bold" if bold else "normal")
    made = customtkinter.CTkLabel(
        master, text=text, height=0, width=0, font=font, text_color=colour, anchor="w", justify="left"
    )

    def wrap(event: Event[Misc]) -> None:
        made.configure(wraplength=max(1, int(event.width / scaling(made))))

    tkinter.Misc.bind(made, "<Configure>", wrap, add=True)
    return made


def menu(master: Misc, values: Sequence[str], command: Callable[[str], object], width: int = 130) -> Any:
    """Return a menu of values through which Up and Down go."""
    made = customtkinter.CTkOptionMenu(
        master,
        values=list(values),
        command=command,
        width=width,
        height=HEIGHT,
        corner_radius=HEIGHT // 2,
        fg_color=TONAL,
        button_color=TONAL,
        button_hover_color=TONAL_HOVER,
        text_color=ON_TONAL,
        dropdown_fg_color=CARD,
        dropdown_text_color=TEXT,
        dropdown_hover_color=TRACK,
        font=customtkinter.CTkFont(size=13),
        dynamic_resizing=False,
    )
    _stepping(made, command, "<Up>", "<Down>")
    return made


def tabs(master: Misc, values: Sequence[str], command: Callable[[str], object]) -> Any:
    """Return a row of exclusive choices through which Left and Right go."""
    made = customtkinter.CTkSegmentedButton(
        master,
        values=list(values),
        command=command,
        height=HEIGHT,
        corner_radius=HEIGHT // 2,
        border_width=0,
        fg_color=TRACK,
        selected_color=SELECTED,
        selected_hover_color=SELECTED,
        unselected_color=TRACK,
        unselected_hover_color=TONAL,
        text_color=TEXT,
        font=customtkinter.CTkFont(size=13, weight="bold"),
    )
    _stepping(made, command, "<Left>", "<Right>")
    return made


def card(master: Misc, colour: Colour = CARD) -> Any:
    """Return a surface with round corners."""
    return customtkinter.CTkFrame(master, corner_radius=2 * NARROW, fg_color=colour)


def scrolled(table: ttk.Treeview) -> None:
    """Put a bar beside a table in column 0 of a card, for as long as not all of it fits."""
    bar = customtkinter.CTkScrollbar(table.master, command=table.yview, fg_color=CARD)
    bar.grid(row=0, column=1, pady=MIDDLE, padx=2, sticky="ns")

    def moved(first: float, last: float) -> None:
        bar.set(first, last)
        if float(first) <= 0.0 and float(last) >= 1.0:
            bar.grid_remove()
        else:
            bar.grid()

    table.configure(yscrollcommand=moved)


def reachable(widget: Any, ring: Any = None) -> None:
    """Let Tab reach a widget that customtkinter leaves out, and show by a ring that it has."""
    widget.tk.call(str(widget), "configure", "-takefocus", 1)
    if ring is not None:
        tkinter.Misc.bind(widget, "<FocusIn>", lambda _: ring.configure(border_width=2, border_color=MUTED), add=True)
        tkinter.Misc.bind(widget, "<FocusOut>", lambda _: ring.configure(border_width=0), add=True)


def _stepping(widget: Any, command: Callable[[str], object], back: str, forward: str) -> None:
    def step(by: int) -> Callable[[Event[Misc]], str]:
        def move(_: Event[Misc]) -> str:
            values = widget.cget("values")
            place = (values.index(widget.get()) if widget.get() in values else 0) + by
            if 0 <= place < len(values):
                widget.set(values[place])
                command(values[place])
            return "break"

        return move

    reachable(widget)
    tkinter.Misc.bind(widget, back, step(-1))
    tkinter.Misc.bind(widget, forward, step(1))


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
