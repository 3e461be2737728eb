"""Dialogs for choosing files, each of which returns None if it is cancelled, and files dropped onto the window."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tkinter import Misc, TclError, filedialog
from typing import Any

from genre_gui.widgets.desktop import Request, Unavailable, open_dialog
from genre_runtime.library.scan import AUDIO_SUFFIXES

ALL = ("All files", "*")
AUDIO = [("Audio", " ".join(f"*{suffix}" for suffix in sorted(AUDIO_SUFFIXES))), ALL]
MODELS = [("ONNX model", "*.onnx"), ALL]
HEADS = [("Own genres", "*.genre"), ALL]
NAMES = [("Names", "*.txt *.toml *.csv"), ALL]
RESULTS = [("Spreadsheet", "*.csv"), ("JSON", "*.json"), ("JSON lines", "*.jsonl")]


def audio_files(parent: Misc, folder: str) -> list[str] | None:
    """Ask for audio files.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _ask(parent, Request("Add files", "files", folder, AUDIO))


def audio_folder(parent: Misc, folder: str) -> str | None:
    """Ask for a folder.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return next(iter(_ask(parent, Request("Add a folder", "folder", folder)) or ()), None)


def model_file(parent: Misc) -> Path | None:
    """Ask for a model.

    Parameters
    ----------
    parent : Misc
    """
    return _path(parent, Request("Open a model", "file", types=MODELS))


def head_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file of the user's own genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _path(parent, Request("Open genres", "file", folder, HEADS))


def names_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file with the user's own names of genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _path(parent, Request("Open names", "file", folder, NAMES))


def new_head_file(parent: Misc, folder: str) -> Path | None:
    """Ask where the user's own genres are written.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _path(parent, Request("Save the genres", "save", folder, HEADS, "mine.genre"))


def export_file(parent: Misc, folder: str) -> Path | None:
    """Ask for the file of an export.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _path(parent, Request("Export results", "save", folder, RESULTS, "genres.csv"))


def _path(parent: Misc, request: Request) -> Path | None:
    names = _ask(parent, request)
    if names is None:
        return None
    path = Path(names[0])
    # Tk adds the suffix itself, the desktop's dialogs do not.
    return path if path.suffix or request.kind != "save" else path.with_suffix(Path(request.name).suffix)


def _ask(parent: Misc, request: Request) -> list[str] | None:
    """Show the dialog of the desktop, or that of Tk if there is none."""
    chosen = open_dialog(parent, request)
    return _ask_tk(parent, request) if isinstance(chosen, Unavailable) else chosen


def _ask_tk(parent: Misc, request: Request) -> list[str] | None:
    common: dict[str, Any] = {"parent": parent, "title": request.title, "initialdir": request.folder or None}
    if request.kind == "folder":
        names = [filedialog.askdirectory(**common, mustexist=True)]
    elif request.kind == "files":
        names = list(filedialog.askopenfilenames(**common, filetypes=request.types))
    elif request.kind == "file":
        names = [filedialog.askopenfilename(**common, filetypes=request.types)]
    else:
        common |= {"initialfile": request.name, "defaultextension": Path(request.name).suffix}
        names = [filedialog.asksaveasfilename(**common, filetypes=request.types)]
    return [str(name) for name in names if name] or None


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
