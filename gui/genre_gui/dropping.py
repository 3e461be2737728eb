"""Files dropped onto the window, where the library for that is installed and loads."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from tkinter import Misc, TclError
from typing import Any

Drop = Callable[[Sequence[str]], object]


def accept_drops(window: Any, drop: Drop) -> bool:
    """Call `drop` with the names of what is dropped; return whether that can happen at all."""
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
