"""The file dialogs of the desktop on Linux: those of GNOME and others through zenity, of KDE through kdialog.

Tk's own dialog on Linux looks like 1995 and knows no bookmarks. Neither program is required: without them, or if one
fails, `open_dialog` returns `UNAVAILABLE` and the caller takes Tk's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Thread
from tkinter import BooleanVar, Event, Misc, TclError

SEPARATOR = "\x1f"
"""Between the names of several files: a name may have a line feed, but hardly this control character."""
POLL_MILLISECONDS = 50
CHOSEN, CANCELLED = 0, 1
"""Exit status of both programs."""


class Unavailable(Enum):
    """The desktop has no dialog; a type of its own, since None means that the user cancelled."""

    UNAVAILABLE = "unavailable"


UNAVAILABLE = Unavailable.UNAVAILABLE


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    title : str
    kind : {"files", "file", "folder", "save"}
    folder : str
        Folder to start in; empty for the current one.
    types : sequence of (str, str)
        Names of kinds of files, each with its patterns, such as `*.csv *.json`.
    name : str
        Proposed name of a file to save.
    """

    title: str
    kind: str
    folder: str = ""
    types: Sequence[tuple[str, str]] = ()
    name: str = ""


def open_dialog(parent: Misc, request: Request) -> list[str] | Unavailable | None:
    """Show a dialog of the desktop, while the window goes on drawing and working.

    Parameters
    ----------
    parent : Misc
        Closing it ends the dialog.
    request : Request

    Returns
    -------
    list of str, None or UNAVAILABLE
        Names of the chosen files or the folder; None if the user cancelled.
    """
    command = _command(request, str(parent.winfo_id()))
    if command is None:
        return UNAVAILABLE
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return UNAVAILABLE
    printed: list[bytes] = []
    reader = Thread(target=lambda: printed.append(process.communicate()[0]), daemon=True)
    reader.start()
    closed = _wait(parent, reader, process)
    if closed or process.returncode == CANCELLED:
        return None
    if process.returncode != CHOSEN or not printed:
        return UNAVAILABLE
    names = [name for name in os.fsdecode(printed[0]).removesuffix("\n").split(_separator(command)) if name]
    return names or None


def _wait(parent: Misc, reader: Thread, process: subprocess.Popen[bytes]) -> bool:
    """Handle events until the program ends; end it with the window. Returns whether the window was closed."""
    done, closed = BooleanVar(parent, False), False

    def poll() -> None:
        if reader.is_alive():
            parent.after(POLL_MILLISECONDS, poll)
        else:
            done.set(True)

    def close(event: Event[Misc]) -> None:
        nonlocal closed
        if event.widget is not parent:  # a window is told of the end of all that is in it
            return
        closed = True
        process.terminate()
        done.set(True)

    bound = parent.bind("<Destroy>", close, add=True)
    parent.after(0, poll)  # not now: a variable that is set before the waiting would be waited for
    try:
        parent.wait_variable(done)
        parent.unbind("<Destroy>", bound)
    except TclError:  # the window was closed meanwhile
        closed = True
        process.terminate()
    reader.join(timeout=5)
    return closed


def _command(request: Request, window: str) -> list[str] | None:
    """Return the command of the desktop's program, None if there is none."""
    if not sys.platform.startswith("linux"):
        return None
    programs = ["zenity", "kdialog"]
    if "KDE" in os.environ.get("XDG_CURRENT_DESKTOP", ""):
        programs.reverse()
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None:
        return None
    return _zenity(found, request) if found.endswith("zenity") else _kdialog(found, request, window)


def _zenity(program: str, request: Request) -> list[str]:
    start = f"{request.folder or Path.cwd()}/{request.name}"  # a folder needs the slash at its end
    command = [program, "--file-selection", f"--title={request.title}", f"--filename={start}"]
    command += [f"--file-filter={name} | {_any_case(patterns)}" for name, patterns in request.types]
    return command + {
        "files": ["--multiple", f"--separator={SEPARATOR}"],
        "folder": ["--directory"],
        "save": ["--save", "--confirm-overwrite"],
    }.get(request.kind, [])


def _kdialog(program: str, request: Request, window: str) -> list[str]:
    start = f"{request.folder or Path.cwd()}/{request.name}"  # a folder needs the slash at its end
    types = "\n".join(f"{_any_case(patterns)}|{name}" for name, patterns in request.types)
    command = [program, "--attach", window, "--title", request.title]
    if request.kind == "folder":
        return [*command, "--getexistingdirectory", start]
    if request.kind == "save":
        return [*command, "--getsavefilename", start, types]
    several = ["--multiple", "--separate-output"] if request.kind == "files" else []
    return [*command, *several, "--getopenfilename", start, types]


def _separator(command: Sequence[str]) -> str:
    return "\n" if "--separate-output" in command else SEPARATOR


def _any_case(patterns: str) -> str:
    """Return patterns that also match suffixes in capitals: GTK and Qt tell them apart."""
    return " ".join(dict.fromkeys(one for pattern in patterns.split() for one in (pattern, pattern.upper())))
