"""The page that writes genres into the tags of files: shows the changes, writes them, and can undo them."""

from __future__ import annotations

from collections.abc import Callable
from tkinter import Misc
from typing import TYPE_CHECKING, Any

import customtkinter

from genre_gui.text import one_line, sentence
from genre_gui.widgets.controls import button, card, label, make_focusable, menu
from genre_gui.widgets.tables import Table
from genre_gui.widgets.theme import BAR, ERROR, MIDDLE, MUTED, NARROW, TEXT, colour
from genre_gui.workers.background import Tagged, TagsFinished, TagsUndone
from genre_gui.workers.tasks import TagOptions
from genre_runtime import GenreError
from genre_runtime.errors import counted

if TYPE_CHECKING:
    from genre_runtime.library.tags import Mode


MODES: dict[str, Mode] = {
    "only if there is none": "empty",
    "replace genres": "overwrite",
    "add to genres": "append",
}
COLUMNS = (("file", "File", 240), ("old", "Genre now", 150), ("new", "Genre after", 150), ("why", "", 380))


class TagsPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """A table of the changes, with options above it and the buttons that write and undo below.

    Parameters
    ----------
    master : Misc
    plan : callable
        Called with the options; returns how many files have an answer.
    write, undo, leave : callable
    """

    def __init__(
        self,
        master: Misc,
        plan: Callable[[TagOptions], int],
        write: Callable[[], object],
        undo: Callable[[], object],
        leave: Callable[[], object],
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._plan, self._start = plan, write
        self._n_changes = 0
        self._writing = False
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        options = customtkinter.CTkFrame(self, fg_color="transparent")
        options.grid(row=0, column=0, pady=(0, NARROW), sticky="ew")
        label(options, "Write genres into the files:", bold=True).grid(row=0, column=0, padx=(0, MIDDLE))
        self.mode = menu(options, list(MODES), lambda _: self.refresh(), width=190)
        self.mode.grid(row=0, column=1, padx=(0, MIDDLE))
        self.top = menu(options, ("1 genre", "up to 2 genres", "up to 3 genres"), lambda _: self.refresh(), width=160)
        self.top.grid(row=0, column=2, padx=(0, MIDDLE))
        self.unsure = customtkinter.CTkSwitch(
            options, text="also unsure answers", command=self.refresh, text_color=TEXT, progress_color=BAR
        )
        make_focusable(self.unsure)
        self.unsure.grid(row=0, column=3)
        self.tree = self._table()
        self.restyle()
        actions = customtkinter.CTkFrame(self, fg_color="transparent")
        actions.grid(row=2, column=0, pady=(NARROW, 0), sticky="ew")
        actions.grid_columnconfigure(1, weight=1)
        self.write = button(actions, "Write", self._write, "filled")
        self.write.grid(row=0, column=0)
        self.message = label(actions, colour=MUTED)
        self.message.grid(row=0, column=1, padx=MIDDLE, sticky="ew")
        self.undo = button(actions, "Undo the last changes", undo)
        self.undo.grid(row=0, column=2, padx=(0, NARROW))
        button(actions, "Back", leave, "text").grid(row=0, column=3)

    def refresh(self, mode: Mode | None = None) -> None:
        """Show what would be written with the present options.

        Parameters
        ----------
        mode : {"empty", "overwrite", "append"}, optional
            What is to become of present genres; None for the present choice.
        """
        if mode is not None:
            self.mode.set(next(name for name, code in MODES.items() if code == mode))
        if not self._writing:
            self._begin()
            top = int(next(c for c in self.top.get() if c.isdigit()))
            count = self._plan(TagOptions(MODES[self.mode.get()], bool(self.unsure.get()), top))
            self.message.configure(text=f"Reading the tags of {counted(count, 'file')} …")

    def handle(self, event: Tagged | TagsFinished) -> None:
        """Show the result for a file, or the end of a run.

        Parameters
        ----------
        event : Tagged or TagsFinished
        """
        if isinstance(event, TagsFinished):
            self._finish(event)
            return
        outcome = event.outcome
        if isinstance(outcome, GenreError):
            row, tag = ("", "", sentence(outcome)), "bad"
        else:
            why = outcome.reason or ("written" if outcome.written else "")
            self._n_changes += outcome.reason is None
            new = "; ".join(outcome.new) if outcome.reason is None else ""
            row, tag = (one_line("; ".join(outcome.old)), one_line(new), one_line(why)), "plain"
            tag = "plain" if outcome.reason is None else "same"
        self.tree.insert("", "end", values=(one_line(event.path.name), *row), tags=(tag,))

    def show_undone(self, event: TagsUndone) -> None:
        """Show the restored files.

        Parameters
        ----------
        event : TagsUndone
        """
        self.tree.delete(*self.tree.get_children())
        for undone in event.outcomes:
            message = sentence(undone.error) if undone.error else "restored" if undone.n_restored else "unchanged"
            row = (one_line(undone.path.name), one_line("; ".join(undone.genres)), "", message)
            self.tree.insert("", "end", values=row, tags=("bad" if undone.error else "plain",))
        count = sum(undone.n_restored > 0 for undone in event.outcomes)
        self.message.configure(text=f"{counted(count, 'file')} restored byte for byte.")
        self.write.configure(state="disabled")

    def restyle(self) -> None:
        """Apply the colours and the scaling of the present appearance."""
        self.tree.restyle()
        for tag, pair in (("bad", ERROR), ("same", MUTED), ("plain", TEXT)):
            self.tree.tag_configure(tag, foreground=colour(pair))

    def _write(self) -> None:
        self._writing = True
        self._begin()
        self._start()
        self.message.configure(text="Writing …")

    def _begin(self) -> None:
        self.tree.delete(*self.tree.get_children())
        self._n_changes = 0
        self.write.configure(state="disabled")

    def _finish(self, event: TagsFinished) -> None:
        self._writing = False
        files = counted(self._n_changes, "file")
        if event.write:
            self.message.configure(text=f"{files} written.")
            return
        self.message.configure(text=f"{files} would change." if self._n_changes else "Nothing would change.")
        self.write.configure(text=f"Write {files}", state="normal" if self._n_changes else "disabled")

    def _table(self) -> Any:
        surface = card(self)
        surface.grid(row=1, column=0, sticky="nsew")
        surface.grid_rowconfigure(0, weight=1)
        surface.grid_columnconfigure(0, weight=1)
        names = [name for name, _, _ in COLUMNS]
        tree = Table(surface, names, "browse")
        for name, heading, _ in COLUMNS:
            tree.heading(name, text=heading, anchor="w")
            tree.column(name, anchor="w")
        tree.set_widths({name: width for name, _, width in COLUMNS})
        return tree
