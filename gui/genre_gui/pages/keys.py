"""Keys of the window."""

from __future__ import annotations

import sys
import tkinter
from collections.abc import Callable
from tkinter import Misc
from typing import Any

MODIFIER = "Command" if sys.platform == "darwin" else "Control"


def bind_keys(window: Any) -> None:
    """Bind the keys of the window and of its table.

    Parameters
    ----------
    window : Window
    """
    tracks, tree = window.tracks, window.tracks.table.tree
    shortcuts: dict[str, Callable[[], object]] = {
        "o": window.ask_files,
        "O": window.ask_folder,
        "r": tracks.retry,
        "e": window.export,
        "t": window.open_tags,
        "p": tracks.detail.toggle,
        "f": lambda: _find(window),
        "l": window.more_like_this,
        "q": window.close,
        "w": window.close,
    }
    for key, command in shortcuts.items():
        window.bind(f"<{MODIFIER}-{key}>", _handler(command))
    for key in ("<Delete>", "<BackSpace>"):
        tree.bind(key, _handler(tracks.remove))
    for key in ("<Return>", "<KP_Enter>", "<Double-1>"):
        tree.bind(key, _handler(tracks.show_selected))
    window.bind("<Next>", _handler(lambda: _scroll(window, 1)))
    window.bind("<Prior>", _handler(lambda: _scroll(window, -1)))
    window.bind("<Escape>", _handler(lambda: _escape(window)))
    tracks.filter.bind("<Return>", _handler(tree.focus_set))
    tracks.filter.bind("<Down>", _handler(tree.focus_set))


def _find(window: Any) -> None:
    window.show_page("Tracks")
    window.tracks.filter.focus_set()


def _scroll(window: Any, pages: int) -> None:
    """Scroll the page about the model; the tables scroll by themselves."""
    if "model" in vars(window) and window.model.winfo_ismapped():
        window.model.master.yview_scroll(pages, "pages")


def _escape(window: Any) -> None:
    """Leave the page, clear the filter, or cancel tracks."""
    tracks = window.tracks
    if not tracks.winfo_ismapped():
        window.show_page("Tracks")
    elif tracks.filter.get():
        tracks.clear_filter()
        tracks.table.tree.focus_set()
    else:
        tracks.cancel()


def _handler(command: Callable[[], object]) -> Callable[[tkinter.Event[Misc]], str]:
    def handle(_: tkinter.Event[Misc]) -> str:
        command()
        return "break"

    return handle
