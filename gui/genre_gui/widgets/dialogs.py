"""Dialogs for choosing files, each of which returns None if it is cancelled, and files dropped onto the window."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tkinter import Misc, TclError, filedialog
from typing import Any

from genre_runtime.library.scan import AUDIO_SUFFIXES

AUDIO_PATTERNS = " ".join(f"*{suffix}" for suffix in sorted(AUDIO_SUFFIXES))


def audio_files(parent: Misc, folder: str) -> list[str] | None:
    """Ask for audio files.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    names = filedialog.askopenfilenames(
        parent=parent,
        title="Add files",
        initialdir=folder or None,
        filetypes=[("Audio", AUDIO_PATTERNS), ("All files", "*")],
    )
    return list(names) or None


def audio_folder(parent: Misc, folder: str) -> str | None:
    """Ask for a folder.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    name = filedialog.askdirectory(parent=parent, title="Add a folder", initialdir=folder or None, mustexist=True)
    return name or None


def model_file(parent: Misc) -> Path | None:
    """Ask for a model.

    Parameters
    ----------
    parent : Misc
    """
    name = filedialog.askopenfilename(
        parent=parent, title="Open a model", filetypes=[("ONNX model", "*.onnx"), ("All files", "*")]
    )
    return Path(name) if name else None


HEADS = [("Own genres", "*.genre"), ("All files", "*")]
RESULTS = [("Spreadsheet", "*.csv"), ("JSON", "*.json"), ("JSON lines", "*.jsonl")]


def head_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file of the user's own genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    name = filedialog.askopenfilename(parent=parent, title="Open genres", initialdir=folder or None, filetypes=HEADS)
    return Path(name) if name else None


def names_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file with the user's own names of genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    types = [("Names", "*.txt *.toml *.csv"), ("All files", "*")]
    name = filedialog.askopenfilename(parent=parent, title="Open names", initialdir=folder or None, filetypes=types)
    return Path(name) if name else None


def new_head_file(parent: Misc, folder: str) -> Path | None:
    """Ask where the user's own genres are written.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _save_as(parent, folder, "Save the genres", "mine.genre", HEADS)


def export_file(parent: Misc, folder: str) -> Path | None:
    """Ask for the file of an export.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _save_as(parent, folder, "Export results", "genres.csv", RESULTS)


def _save_as(parent: Misc, folder: str, title: str, name: str, types: list[tuple[str, str]]) -> Path | None:
    chosen = filedialog.asksaveasfilename(
        parent=parent,
        title=title,
        initialdir=folder or None,
        initialfile=name,
        defaultextension=Path(name).suffix,
        filetypes=types,
    )
    return Path(chosen) if chosen else None


Drop = Callable[[Sequence[str]], object]


def accept_drops(window: Any, drop: Drop) -> bool:
    """Accept dropped files; return False if tkinterdnd2 is not installed or does not load.

    Parameters
    ----------
    window : Any
    drop : callable
        Called with the names of dropped files and folders.
    """
    try:
        importlib.import_module("tkinterdnd2.TkinterDnD").require(window)
        window.tk.call("tkdnd::drop_target", "register", str(window), ("DND_Files",))
    except (ImportError, RuntimeError, TclError, OSError):
        return False
    handler = window.register(lambda names: _dropped(window, names, drop))
    window.tk.call("bind", str(window), "<<Drop:DND_Files>>", f"{handler} %D")
    return True


def _dropped(window: Misc, names: str, drop: Drop) -> str:
    drop([str(name) for name in window.tk.splitlist(names)])
    return "copy"
