"""Dialogs for choosing files, each of which returns None if it is cancelled, and files dropped onto the window.

On Linux they are those of the desktop, if it has a program for them, otherwise Tk's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tkinter import Misc, TclError, filedialog, messagebox
from typing import Any

from genre_gui.language import mark, tr
from genre_gui.widgets import desktop_dialogs
from genre_gui.widgets.desktop_dialogs import DialogFailedError, Question
from genre_runtime.library.scan import AUDIO_SUFFIXES

Filters = Sequence[tuple[str, Sequence[str]]]
ALL_FILES = (mark("All files"), ("*",))
AUDIO = (mark("Audio"), tuple(f"*{suffix}" for suffix in sorted(AUDIO_SUFFIXES)))
MODELS = (mark("ONNX model"), ("*.onnx",))
HEADS = (mark("Own genres"), ("*.genre",))
NAMES = (mark("Names"), ("*.txt", "*.toml", "*.csv"))
RESULTS = (
    (mark("Spreadsheet"), ("*.csv",)),
    (mark("JSON"), ("*.json",)),
    (mark("JSON lines"), ("*.jsonl",)),
)


def audio_files(parent: Misc, folder: str) -> list[str] | None:
    """Ask for audio files.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _ask(parent, Question("files", tr("Add files"), folder, filters=(AUDIO, ALL_FILES))) or None


def audio_folder(parent: Misc, folder: str) -> str | None:
    """Ask for a folder.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return next(iter(_ask(parent, Question("folder", tr("Add a folder"), folder))), None)


def model_file(parent: Misc) -> Path | None:
    """Ask for a model.

    Parameters
    ----------
    parent : Misc
    """
    return _file(parent, tr("Open a model"), "", (MODELS, ALL_FILES))


def head_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file of the user's own genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _file(parent, tr("Open genres"), folder, (HEADS, ALL_FILES))


def names_file(parent: Misc, folder: str) -> Path | None:
    """Ask for a file with the user's own names of genres.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _file(parent, tr("Open names"), folder, (NAMES, ALL_FILES))


def new_head_file(parent: Misc, folder: str) -> Path | None:
    """Ask where the user's own genres are written.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _new_file(parent, Question("save", tr("Save the genres"), folder, "mine.genre", (HEADS,)))


def export_file(parent: Misc, folder: str) -> Path | None:
    """Ask for the file of an export.

    Parameters
    ----------
    parent : Misc
    folder : str
        Folder to start in.
    """
    return _new_file(parent, Question("save", tr("Export results"), folder, "genres.csv", RESULTS))


def _file(parent: Misc, title: str, folder: str, filters: Filters) -> Path | None:
    return next(map(Path, _ask(parent, Question("file", title, folder, filters=filters))), None)


def _new_file(parent: Misc, question: Question) -> Path | None:
    """Ask for a file to write; it gets the suffix of the proposed name if it has none."""
    found = _ask(parent, question)
    if not found:
        return None
    path = Path(found[0])
    if path.suffix:
        return path
    path = path.with_name(path.name + Path(question.name).suffix)
    text = tr("{name} exists already. Replace it?", name=path.name)
    if path.exists() and not messagebox.askokcancel(question.title, text, parent=parent):
        return None  # the dialog has asked about the name without the suffix
    return path


def _ask(parent: Misc, question: Question) -> list[str]:
    filters = [
        (tr(name), list(dict.fromkeys((*patterns, *map(str.upper, patterns))))) for name, patterns in question.filters
    ]
    program = desktop_dialogs.program()
    if program is not None:
        shown = Question(question.kind, question.title, question.folder, question.name, filters)
        try:
            return desktop_dialogs.ask(parent, program, shown)
        except DialogFailedError:
            pass
    options: dict[str, Any] = {"parent": parent, "title": question.title, "initialdir": question.folder or None}
    types = [(name, " ".join(patterns)) for name, patterns in filters]
    if question.kind == "folder":
        name = filedialog.askdirectory(**options, mustexist=True)
    elif question.kind == "files":
        return list(filedialog.askopenfilenames(**options, filetypes=types))
    elif question.kind == "file":
        name = filedialog.askopenfilename(**options, filetypes=types)
    else:
        suffix = Path(question.name).suffix
        name = filedialog.asksaveasfilename(
            **options, initialfile=question.name, defaultextension=suffix, filetypes=types
        )
    return [name] if name else []


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
