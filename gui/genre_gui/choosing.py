"""The system's dialogs for choosing files; each returns None if the user changed their mind."""

from __future__ import annotations

from pathlib import Path
from tkinter import Misc, filedialog

from genre_runtime.files import AUDIO_SUFFIXES

AUDIO_PATTERNS = " ".join(f"*{suffix}" for suffix in sorted(AUDIO_SUFFIXES))


def audio_files(parent: Misc, folder: str) -> list[str] | None:
    """Ask for audio files."""
    names = filedialog.askopenfilenames(
        parent=parent,
        title="Add files",
        initialdir=folder or None,
        filetypes=[("Audio", AUDIO_PATTERNS), ("All files", "*")],
    )
    return list(names) or None


def audio_folder(parent: Misc, folder: str) -> str | None:
    """Ask for a folder."""
    name = filedialog.askdirectory(parent=parent, title="Add a folder", initialdir=folder or None, mustexist=True)
    return name or None


def model_file(parent: Misc) -> Path | None:
    """Ask for a model."""
    name = filedialog.askopenfilename(
        parent=parent, title="Open a model", filetypes=[("ONNX model", "*.onnx"), ("All files", "*")]
    )
    return Path(name) if name else None


def export_file(parent: Misc, folder: str) -> Path | None:
    """Ask where results go."""
    name = filedialog.asksaveasfilename(
        parent=parent,
        title="Export results",
        initialdir=folder or None,
        initialfile="genres.csv",
        defaultextension=".csv",
        filetypes=[("Spreadsheet", "*.csv"), ("JSON", "*.json"), ("JSON lines", "*.jsonl")],
    )
    return Path(name) if name else None
