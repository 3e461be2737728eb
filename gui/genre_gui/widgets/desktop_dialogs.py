"""The file dialogs of the desktop on Linux, by the programs zenity (GNOME and others) and kdialog (KDE).

They run beside the window, which goes on meanwhile. Names of files are bytes to these programs: zenity separates them
by `//`, which no path contains; kdialog by line breaks, so that its answer is compared with the files that exist.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tkinter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tkinter import Misc
from typing import IO, Literal

Kind = Literal["files", "file", "folder", "save"]
POLL_MILLISECONDS = 50
SEPARATOR = "//"
END_SECONDS = 2.0
CHOSEN, CANCELLED = 0, 1


class DialogFailedError(RuntimeError):
    """The program cannot show a dialog, so another one is needed."""


@dataclass(frozen=True)
class Question:
    """What a dialog asks for.

    Attributes
    ----------
    kind : {"files", "file", "folder", "save"}
    title : str
    folder : str
        Folder to start in; empty for the usual one.
    name : str
        Name of the file to save.
    filters : sequence of (str, sequence of str)
        Name of each kind of files, and its patterns.
    """

    kind: Kind
    title: str
    folder: str = ""
    name: str = ""
    filters: Sequence[tuple[str, Sequence[str]]] = ()


def program() -> str | None:
    """Return the program of this desktop, or None if there is none."""
    if not sys.platform.startswith("linux"):
        return None
    names = ["zenity", "kdialog"]
    desktops = os.environ.get("XDG_CURRENT_DESKTOP", "").lower().split(":")
    if {"kde", "lxqt"} & set(desktops):
        names.reverse()
    return next((found for name in names if (found := shutil.which(name))), None)


_open: list[subprocess.Popen[bytes]] = []


def ask(parent: Misc, path: str, question: Question) -> list[str]:
    """Show a dialog and return the chosen paths when it is closed; a dialog that is still open is closed first.

    Parameters
    ----------
    parent : Misc
        The window; if it is closed meanwhile, the dialog is closed, too.
    path : str
        The program.
    question : Question

    Raises
    ------
    DialogFailedError
    """
    for other in _open:
        other.terminate()
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        process = _started(path, arguments(path, question, parent.winfo_toplevel().winfo_id()), answer, errors)
        _open.append(process)
        try:
            _wait(parent, process)
        finally:
            _open.remove(process)
            _end(process)
        for file in (answer, errors):
            file.seek(0)
        text, complaint = answer.read(), os.fsdecode(errors.read())
    if process.returncode == CHOSEN and text:
        return parsed(path, text, several=question.kind == "files")
    if process.returncode in (CHOSEN, CANCELLED) and "display" not in complaint:
        return []
    if process.returncode < 0:  # closed by us, or killed
        return []
    raise DialogFailedError(complaint)


def arguments(path: str, question: Question, window: int) -> list[str]:
    """Return the arguments of a program.

    Parameters
    ----------
    path : str
        The program.
    question : Question
    window : int
        Number of the window that the dialog belongs to.
    """
    folder = os.path.join(question.folder, "") if question.folder else ""  # noqa: PTH118 - a slash at its end
    start = folder + question.name
    if os.path.basename(path) == "kdialog":  # noqa: PTH119
        verbs = {"files": "getopenfilename", "file": "getopenfilename", "save": "getsavefilename"}
        several = ["--multiple", "--separate-output"] if question.kind == "files" else []
        verb = "--" + verbs.get(question.kind, "getexistingdirectory")
        filters = [f"{name} ({' '.join(patterns)})" for name, patterns in question.filters[:1]]
        return ["--title", question.title, "--attach", str(window), *several, verb, start or ".", *filters]
    found = ["--file-selection", f"--title={question.title}", f"--separator={SEPARATOR}"]
    found += [f"--filename={start}"] if start else []
    found += {"files": ["--multiple"], "folder": ["--directory"], "save": ["--save", "--confirm-overwrite"]}.get(
        question.kind, []
    )
    return found + [f"--file-filter={name} | {' '.join(patterns)}" for name, patterns in question.filters]


def parsed(path: str, answer: bytes, *, several: bool) -> list[str]:
    """Return the paths in the answer of a program.

    Parameters
    ----------
    path : str
        The program.
    answer : bytes
    several : bool
        Whether there may be more than one.
    """
    text = os.fsdecode(answer.removesuffix(b"\n"))
    if not several or not text:
        return [text] if text else []
    if os.path.basename(path) != "kdialog":  # noqa: PTH119
        first, *others = text.split(SEPARATOR + "/")  # each path begins with a slash
        return [first, *(f"/{other}" for other in others)]
    found, name = [], ""
    for line in text.split("\n"):
        name = f"{name}\n{line}" if name else line
        if os.path.exists(name):  # noqa: PTH110 - a name may contain line breaks
            found.append(name)
            name = ""
    return [*found, name] if name else found


def _started(path: str, words: Sequence[str], answer: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen([path, *words], stdin=subprocess.DEVNULL, stdout=answer, stderr=errors)
    except (OSError, ValueError) as error:
        raise DialogFailedError(str(error)) from error


def _wait(parent: Misc, process: subprocess.Popen[bytes]) -> None:
    """Handle events until the program has ended or the window is closed."""
    marker = tkinter.Frame(parent)

    def poll() -> None:
        if process.poll() is None:
            marker.after(POLL_MILLISECONDS, poll)
        else:
            marker.destroy()

    poll()
    with suppress(tkinter.TclError):  # the window was closed
        parent.wait_window(marker)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
