"""What the keyboard does anywhere in the window."""

from __future__ import annotations

import sys
from collections.abc import Callable
from tkinter import Event, Misc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genre_gui.window import Window

MODIFIER = "Command" if sys.platform == "darwin" else "Control"


def bind(window: Window) -> None:
    """Bind the keys."""
    shortcuts: dict[str, Callable[[], object]] = {
        "o": window.ask_files,
        "O": window.ask_folder,
        "r": window.tracks.retry,
        "e": window.export,
        "t": window.open_tags,
        "p": window.tracks.detail.toggle,
        "f": lambda: _find(window),
    }
    for key, command in shortcuts.items():
        window.bind(f"<{MODIFIER}-{key}>", _doing(command))
    tree = window.tracks.table.tree
    for key in ("<Delete>", "<BackSpace>"):
        tree.bind(key, _doing(window.tracks.remove))
    for key in ("<Return>", "<KP_Enter>", "<Double-1>"):
        tree.bind(key, _doing(window.tracks.show_chosen))
    for key, pages in (("<Next>", 1), ("<Prior>", -1)):
        window.bind(key, _doing(lambda pages=pages: _scroll(window, pages)))  # type: ignore[misc]
    window.bind("<Escape>", _doing(lambda: _escape(window)))
    window.tracks.filter.bind("<Return>", _doing(tree.focus_set))
    window.tracks.filter.bind("<Down>", _doing(tree.focus_set))


def _doing(command: Callable[[], object]) -> Callable[[Event[Misc]], str]:
    def done(_: Event[Misc]) -> str:
        command()
        return "break"

    return done


def _find(window: Window) -> None:
    window.show_page("Tracks")
    window.tracks.filter.focus_set()


def _scroll(window: Window, pages: int) -> None:
    """Turn the pages of the model's page; the tables turn their own."""
    if "model" in vars(window) and window.model.winfo_ismapped():
        window.model.master.yview_scroll(pages, "pages")


def _escape(window: Window) -> None:
    """Leave the filter, or the page, or cancel what is in work."""
    tracks = window.tracks
    if not tracks.winfo_ismapped():
        window.show_page("Tracks")
    elif tracks.filter.get():
        tracks.filter.delete(0, "end")
        tracks.table.filter("")
        tracks.table.tree.focus_set()
    else:
        tracks.cancel()
