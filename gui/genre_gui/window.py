"""The window: choose a file, see its genres."""

from __future__ import annotations

import sys
from pathlib import Path
from tkinter import TclError, filedialog

import customtkinter

from genre_gui.worker import Outcome, Worker
from genre_runtime import GenreError, Prediction

POLL_MILLISECONDS = 50
TOP_GENRES = 5
AUDIO_PATTERNS = "*.mp3 *.flac *.wav *.ogg *.opus *.m4a *.aac *.aif *.aiff *.wma *.ape"


class Window(customtkinter.CTk):  # type: ignore[misc]
    """Main window.

    Parameters
    ----------
    worker : Worker
        Does the work; the window only asks it for outcomes.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker
        self.title("Music genres")
        self.geometry("520x420")
        self.minsize(420, 360)
        self.grid_columnconfigure(0, weight=1)
        self._choose = customtkinter.CTkButton(self, text="Choose a file ...", command=self._ask, height=44)
        self._choose.grid(row=0, column=0, padx=24, pady=(24, 12), sticky="ew")
        self.status = customtkinter.CTkLabel(self, text="No file yet", wraplength=460, anchor="w", justify="left")
        self.status.grid(row=1, column=0, padx=24, pady=8, sticky="ew")
        self.answer = customtkinter.CTkLabel(self, text="", font=customtkinter.CTkFont(size=28, weight="bold"))
        self.answer.grid(row=2, column=0, padx=24, pady=8, sticky="w")
        self._bars = customtkinter.CTkFrame(self, fg_color="transparent")
        self._bars.grid(row=3, column=0, padx=24, pady=8, sticky="nsew")
        self._bars.grid_columnconfigure(1, weight=1)
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.after(POLL_MILLISECONDS, self._poll)

    def classify(self, path: Path) -> None:
        """Send a file to the worker and say so."""
        self.status.configure(text=f"Listening to {path.name} ...")
        self.answer.configure(text="")
        self._worker.submit(path)

    def close(self) -> None:
        """Close at once, whatever is in work."""
        self._worker.close()
        self.destroy()

    def _ask(self) -> None:
        name = filedialog.askopenfilename(
            parent=self, title="Choose a file", filetypes=[("Audio", AUDIO_PATTERNS), ("All files", "*")]
        )
        if name:
            self.classify(Path(name))

    def _poll(self) -> None:
        while not self._worker.outcomes.empty():
            self._show(*self._worker.outcomes.get())
        self.after(POLL_MILLISECONDS, self._poll)

    def _show(self, path: Path, outcome: Outcome) -> None:
        for child in self._bars.winfo_children():
            child.destroy()
        if isinstance(outcome, GenreError):
            self.answer.configure(text="")
            self.status.configure(text=f"{path.name}: {outcome}")
            return
        unsure = "" if outcome.confident else f"Not sure: {outcome.reason}."
        self.status.configure(text=f"{path.name} ({outcome.duration_seconds:.0f} s, {outcome.device})\n{unsure}")
        self.answer.configure(text=f"{outcome.label}, {outcome.confidence:.0%}")
        self._show_bars(outcome)

    def _show_bars(self, prediction: Prediction) -> None:
        for row, (label, value) in enumerate(list(prediction.probabilities.items())[:TOP_GENRES]):
            customtkinter.CTkLabel(self._bars, text=label, width=110, anchor="w").grid(row=row, column=0)
            bar = customtkinter.CTkProgressBar(self._bars)
            bar.set(value)
            bar.grid(row=row, column=1, sticky="ew", padx=8, pady=6)
            customtkinter.CTkLabel(self._bars, text=f"{value:.0%}", width=44, anchor="e").grid(row=row, column=2)


def main() -> int:
    """Open the window; returns the exit status."""
    worker = Worker()
    try:
        window = Window(worker)
    except TclError as error:
        print(f"genre-gui: no window can be opened ({error}): start it from a desktop session", file=sys.stderr)
        return 1
    for name in sys.argv[1:]:
        window.classify(Path(name))
    window.mainloop()
    return 0
