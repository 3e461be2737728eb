"""The desktop's own dialogs: any name comes back, the window goes on, and Tk's dialog is there if theirs is not."""

from __future__ import annotations

import os
import sys
import tkinter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genre_gui.widgets import desktop_dialogs, dialogs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have their own dialogs")

ODD_NAMES = ["/a b/c.mp3", "/line\nfeed.mp3", "/pipe|.mp3", os.fsdecode(b"/not \xff utf-8.mp3"), "/'\"$(x).mp3"]

Fake = Callable[..., Path]
PROGRAM = desktop_dialogs.program
"""The function itself: other tests have none of the desktop's dialogs."""


@pytest.fixture
def root(display: None) -> Iterator[tkinter.Tk]:
    root = tkinter.Tk()
    yield root
    root.destroy()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Writes a program in place of zenity or kdialog that notes its arguments; returns the file with these."""
    monkeypatch.setattr(desktop_dialogs, "program", PROGRAM)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(folder / name) if (folder / name).exists() else None)

    def write(name: str, names: list[str], separator: str, status: int = 0, wait: float = 0) -> Path:
        noted, printed = tmp_path / "arguments", tmp_path / "printed"
        printed.write_bytes(os.fsencode(separator.join(names) + "\n") if names else b"")
        program = folder / name
        stay = f"exec sleep {wait}" if wait > 1 else f"sleep {wait}"  # a child of its own would outlive the program
        lines = ("#!/bin/sh", f"printf '%s\\0' \"$@\" > '{noted}'", stay, f"cat '{printed}'", f"exit {status}", "")
        program.write_text("\n".join(lines), encoding="utf-8")
        program.chmod(0o755)
        return noted

    return write


def test_zenity_gives_names_of_any_kind_back(root: tkinter.Tk, fake: Fake) -> None:
    noted = fake("zenity", ODD_NAMES, "//")
    assert dialogs.audio_files(root, "/music") == ODD_NAMES
    arguments = noted.read_text(encoding="utf-8").split("\0")
    assert "--filename=/music/" in arguments
    assert any(one.startswith("--file-filter=Audio | ") and {"*.mp3", "*.MP3"} <= set(one.split()) for one in arguments)


def test_kdialog_is_asked_on_kde(root: tkinter.Tk, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are separated by line feeds, which a name may contain: the files that exist tell."""
    names = [str(tmp_path / name) for name in ("a b.mp3", "line\nfeed.mp3", "c.mp3")]
    for name in names:
        Path(name).touch()
    fake("zenity", ["/wrong"], "//")
    noted = fake("kdialog", names, "\n")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
    assert dialogs.audio_files(root, "/music") == names
    assert {"--multiple", "--separate-output", "/music/"} <= set(noted.read_text(encoding="utf-8").split("\0"))
    fake("kdialog", ["/line\nfeed"], "\n")
    assert dialogs.audio_folder(root, "") == "/line\nfeed"


def test_file_to_save_gets_its_suffix(root: tkinter.Tk, fake: Fake) -> None:
    noted = fake("zenity", ["/music/mine"], "//")
    assert dialogs.export_file(root, "/music") == Path("/music/mine.csv")
    assert "--filename=/music/genres.csv" in noted.read_text(encoding="utf-8").split("\0")
    fake("zenity", ["/music/mine.jsonl"], "//")
    assert dialogs.export_file(root, "/music") == Path("/music/mine.jsonl")


def test_cancelled_is_none(root: tkinter.Tk, fake: Fake) -> None:
    fake("zenity", [], "//", status=1)
    assert dialogs.audio_files(root, "") is None
    assert dialogs.model_file(root) is None


@pytest.mark.parametrize("status", [None, 255, 127])
def test_tk_is_asked_where_the_desktop_has_no_dialog(
    root: tkinter.Tk, fake: Fake, status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status is not None:
        fake("zenity", [], "//", status=status)
    monkeypatch.setattr("tkinter.filedialog.askopenfilename", lambda **_: "/from tk.onnx")
    assert dialogs.model_file(root) == Path("/from tk.onnx")


def test_window_works_while_a_dialog_is_open(root: tkinter.Tk, fake: Fake) -> None:
    fake("zenity", ["/a.mp3"], "//", wait=0.5)
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        root.after(20, tick)

    tick()
    tooltip = tkinter.Label(root)
    root.after(100, tooltip.destroy)
    assert dialogs.audio_files(root, "") == ["/a.mp3"]
    assert len(ticks) > 5


def test_closing_the_window_ends_the_dialog(display: None, fake: Fake) -> None:
    fake("zenity", ["/a.mp3"], "//", wait=60)
    root = tkinter.Tk()
    root.after(200, root.destroy)
    assert dialogs.audio_files(root, "") is None
