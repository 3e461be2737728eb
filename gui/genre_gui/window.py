"""The window: choose a file, see its genres."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tkinter import TclError, filedialog

import customtkinter

from genre_gui.result import ResultCard, shortened
from genre_gui.theme import BACKGROUND, ON_PRIMARY, PRIMARY, PRIMARY_HOVER, WIDE
from genre_gui.version import __version__
from genre_gui.worker import Outcome, Worker
from genre_runtime import GenreError
from genre_runtime.files import AUDIO_SUFFIXES

POLL_MILLISECONDS = 50
AUDIO_PATTERNS = " ".join(f"*{suffix}" for suffix in sorted(AUDIO_SUFFIXES))


class Window(customtkinter.CTk):  # type: ignore[misc]
    """Main window.

    Parameters
    ----------
    worker : Worker
        Does the work; the window only asks it for outcomes.

    Attributes
    ----------
    card : ResultCard
        How the file stands.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(fg_color=BACKGROUND)
        self._worker = worker
        self.title("Music genres")
        self.geometry("520x460")
        self.minsize(400, 440)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        choose = customtkinter.CTkButton(
            self,
            text="Choose a file ...",
            command=self._ask,
            height=44,
            corner_radius=22,
            font=customtkinter.CTkFont(size=15, weight="bold"),
            fg_color=PRIMARY,
            hover_color=PRIMARY_HOVER,
            text_color=ON_PRIMARY,
        )
        choose.grid(row=0, column=0, padx=WIDE, pady=WIDE, sticky="ew")
        self.card = ResultCard(self)
        self.card.grid(row=1, column=0, padx=WIDE, pady=(0, WIDE), sticky="nsew")
        self.card.show_words("No file yet", "Choose a piece of music to see its genres.")
        self.protocol("WM_DELETE_WINDOW", self.close)
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)

    def classify(self, path: Path) -> None:
        """Send a file to the worker and say so."""
        self.card.show_words(shortened(path.name), "Listening ...")
        self._worker.submit(path)

    def close(self) -> None:
        """Close at once, whatever is in work."""
        self._worker.close()
        self.after_cancel(self._next_poll)
        self.destroy()

    def _ask(self) -> None:
        name = filedialog.askopenfilename(
            parent=self, title="Choose a file", filetypes=[("Audio", AUDIO_PATTERNS), ("All files", "*")]
        )
        if name:
            self.classify(Path(name))

    def _poll(self) -> None:
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)
        while not self._worker.outcomes.empty():
            self._show(*self._worker.outcomes.get())

    def _show(self, path: Path, outcome: Outcome) -> None:
        if isinstance(outcome, GenreError):
            self.card.show_error(path.name, outcome)
        else:
            self.card.show_prediction(path.name, outcome)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window; returns the exit status."""
    parser = argparse.ArgumentParser(prog="genre-gui", description="Show the genres of music in a window.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="classify it when the window is open")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends it, without a traceback
    if sys.platform.startswith("linux"):  # to follow the desktop customtkinter would start a program every 30 ms
        customtkinter.set_appearance_mode(customtkinter.get_appearance_mode())
    worker = Worker()
    try:
        window = Window(worker)
    except TclError as error:
        worker.close()
        print(f"genre-gui: no window can be opened ({error}): start it from a desktop session", file=sys.stderr)
        return 1
    for path in options.files:
        window.classify(path)
    window.mainloop()
    worker.close()  # however the window went
    return 0
