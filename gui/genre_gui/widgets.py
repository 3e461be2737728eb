"""Buttons, labels and menus in the window's style, all of which the keyboard reaches."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Sequence
from tkinter import Event, Misc, ttk
from typing import Any, Literal

import customtkinter

from genre_gui.theme import (
    CARD,
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
