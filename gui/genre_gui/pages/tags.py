"""The page that writes genres into the tags of files: shows the changes, writes those chosen, and can undo them."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from pathlib import Path
from tkinter import Event, Misc
from typing import TYPE_CHECKING, Any

import customtkinter

from genre_gui.language import mark, plural, tr
from genre_gui.phrases import translated
from genre_gui.text import one_line, sentence, shortened
from genre_gui.widgets.controls import Flow, button, card, label, menu, switch
from genre_gui.widgets.tables import Table
from genre_gui.widgets.theme import CARD, ERROR, MIDDLE, MUTED, NARROW, PRIMARY, TEXT, colour, font
from genre_gui.workers.background import Tagged, TagsFinished, TagsUndone
from genre_gui.workers.tagging import TagOptions, Values, Write
from genre_runtime import GenreError

if TYPE_CHECKING:
    from genre_runtime.library.tags import Change, Mode


MODES: dict[str, Mode] = {
    mark("only if there is none"): "empty",
    mark("replace genres"): "overwrite",
    mark("add to genres"): "append",
}
FIELDS: dict[str, tuple[str, ...]] = {
    mark("genre"): ("genre",),
    mark("genre with styles"): ("genre=genre,styles",),
    mark("genre, style"): ("genre", "style"),
    mark("genre, style, mood"): ("genre", "style", "mood"),
}
"""Fields as for `genre tag --field`, by their name in the menu."""

COLUMNS = (
    ("file", mark("File"), 240),
    ("old", mark("Genre now"), 140),
    ("genre", mark("Genre after"), 150),
    ("why", "", 300),
    ("ticked", "", 34),
    ("style", mark("Style after"), 150),
    ("mood", mark("Mood after"), 120),
)
ORDER = ("ticked", "file", "old", "genre", "style", "mood", "why")
TICKED, NOT_TICKED = "☑", "☐"
NO_NAMES = mark("Own names …")
TOPS = (mark("1 genre"), mark("up to 2 genres"), mark("up to 3 genres"))


class TagsPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """A table of the changes, with options above it and the buttons that write and undo below.

    Parameters
    ----------
    master : Misc
    plan : callable
        Called with the options; returns how many files have an answer.
    write : callable
        Called with the files to leave out and the corrected values of files.
    undo, leave : callable
    ask_names : callable
        Asks for a file with the user's own names.
    """

    def __init__(
        self,
        master: Misc,
        plan: Callable[[TagOptions], int],
        write: Write,
        undo: Callable[[], object],
        leave: Callable[[], object],
        ask_names: Callable[[], Path | None],
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._plan, self._start, self._ask_names = plan, write, ask_names
        self._rows: dict[str, Path] = {}
        self._changes: dict[str, Change] = {}
        self._left_out: set[Path] = set()
        self._corrected: dict[Path, dict[str, tuple[str, ...]]] = {}
        self._names: Path | None = None
        self._editor: tkinter.Entry | None = None
        self._writing = False
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        self._option_row().grid(row=0, column=0, pady=(0, NARROW), sticky="ew")
        self.tree = self._table()
        self.restyle()
        actions = customtkinter.CTkFrame(self, fg_color="transparent")
        actions.grid(row=2, column=0, pady=(NARROW, 0), sticky="ew")
        actions.grid_columnconfigure(1, weight=1)
        self.write = button(actions, tr("Write"), self._write, "filled")
        self.write.grid(row=0, column=0)
        self.message = label(actions, colour=MUTED)
        self.message.grid(row=0, column=1, padx=MIDDLE, sticky="ew")
        self.undo = button(actions, tr("Undo the last changes"), undo)
        self.undo.grid(row=0, column=2, padx=(0, NARROW))
        button(actions, tr("Back"), leave, "text").grid(row=0, column=3)

    def show(self, mode: Mode | None = None) -> None:
        """Show what would be written into other files; all of them are ticked and none is corrected.

        Parameters
        ----------
        mode : {"empty", "overwrite", "append"}, optional
            What is to become of present genres; None for the present choice.
        """
        if mode is not None:
            self.mode.set(next(tr(name) for name, code in MODES.items() if code == mode))
        if not self._writing:
            self._left_out, self._corrected = set(), {}
        self.refresh()

    def refresh(self) -> None:
        """Show what would be written with the present options."""
        if not self._writing:
            self._begin()
            top = 1 + next(place for place, name in enumerate(TOPS) if tr(name) == self.top.get())
            fields = next(fields for name, fields in FIELDS.items() if tr(name) == self.fields.get())
            mode = next(code for name, code in MODES.items() if tr(name) == self.mode.get())
            shown = {"style", "mood"} - set(fields)
            self.tree.show_columns([name for name in ORDER if name not in shown])
            options = TagOptions(mode, bool(self.unsure.get()), top, fields, self._names)
            count = self._plan(options)
            message = plural("Reading the tags of {n} file …", "Reading the tags of {n} files …", count)
            self.message.configure(text=message)

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
        item = self.tree.insert("", "end", values=("",) * len(COLUMNS))
        self._rows[item] = event.path
        if isinstance(outcome, GenreError):
            values = (one_line(event.path.name), "", "", sentence(outcome), "", "", "")
            self.tree.item(item, values=values, tags=("bad",))
        else:
            self._changes[item] = outcome
            self._show_row(item)

    def show_undone(self, event: TagsUndone) -> None:
        """Show the restored files.

        Parameters
        ----------
        event : TagsUndone
        """
        self._begin()
        for undone in event.outcomes:
            message = (
                sentence(undone.error) if undone.error else tr("restored") if undone.n_restored else tr("unchanged")
            )
            row = (one_line(undone.path.name), one_line("; ".join(undone.genres)), "", message, "", "", "")
            self.tree.insert("", "end", values=row, tags=("bad" if undone.error else "plain",))
        count = sum(undone.n_restored > 0 for undone in event.outcomes)
        message = plural("{n} file restored byte for byte.", "{n} files restored byte for byte.", count)
        if not any(undone.error or undone.n_restored for undone in event.outcomes):
            message = tr("Nothing to undo: all files are as they were before.")
        self.message.configure(text=message)

    def restyle(self) -> None:
        """Apply the colours and the scaling of the present appearance."""
        self.tree.restyle()
        for tag, pair in (("bad", ERROR), ("same", MUTED), ("plain", TEXT), ("corrected", PRIMARY)):
            self.tree.tag_configure(tag, foreground=colour(pair))

    def toggle(self, items: tuple[str, ...]) -> None:
        """Tick or untick rows that would change: all are ticked unless all were.

        Parameters
        ----------
        items : tuple of str
        """
        paths = {self._rows[item] for item in items if item in self._changes and self._values(item)}
        self._left_out = self._left_out - paths if paths & self._left_out else self._left_out | paths
        for item in items:
            if item in self._changes:
                self._show_row(item)
        self._count()

    def correct(self, item: str, field: str, text: str) -> None:
        """Set what is written into a field of one file, in place of what it has now.

        Parameters
        ----------
        item : str
            The row.
        field : {"genre", "style", "mood"}
        text : str
            Values, separated by semicolons; empty to leave the field as it is.
        """
        values = tuple(value for part in text.split(";") if (value := one_line(part.strip())))
        if item not in self._changes or values == self._values(item).get(field, ()):
            return
        path = self._rows[item]
        self._corrected[path] = {**self._values(item), field: values}
        self._left_out.discard(path)
        self._show_row(item)
        self._count()

    def _values(self, item: str) -> dict[str, tuple[str, ...]]:
        """Return what would be written into each field of a row."""
        own = self._corrected.get(self._rows[item])
        if own is None:
            own = {name: one.new for name, one in self._changes[item].fields.items() if one.reason is None}
        return {name: values for name, values in own.items() if values}

    def _show_row(self, item: str) -> None:
        change, path = self._changes[item], self._rows[item]
        values = {name: one_line("; ".join(found)) for name, found in self._values(item).items()}
        corrected = path in self._corrected and not change.written
        why = tr("written") if change.written else tr("corrected") if corrected else translated(change.reason or "")
        ticked = "" if change.written or not values else NOT_TICKED if path in self._left_out else TICKED
        old = change.fields["genre"].old if "genre" in change.fields else ()
        genre, style, mood = (values.get(name, "") for name in ("genre", "style", "mood"))
        row = (one_line(path.name), one_line("; ".join(old)), genre, one_line(why), ticked, style, mood)
        plain = values and path not in self._left_out
        self.tree.item(item, values=row, tags=("corrected" if corrected and plain else "plain" if plain else "same",))

    def _chosen(self) -> int:
        """Return how many files would be written."""
        return sum(self._rows[item] not in self._left_out and bool(self._values(item)) for item in self._changes)

    def _count(self) -> None:
        count = self._chosen()
        message = plural("{n} file would change.", "{n} files would change.", count)
        self.message.configure(text=message if count else tr("Nothing would change."))
        text = plural("Write {n} file", "Write {n} files", count)
        self.write.configure(text=text, state="normal" if count else "disabled")

    def _write(self) -> None:
        self._close_editor()
        self._writing = True
        corrected: dict[Path, Values] = {}
        left_out = set(self._left_out)
        for path in self._corrected:
            values = {name: found for name, found in self._corrected[path].items() if found}
            if values:
                corrected[path] = values
            else:
                left_out.add(path)
        self._begin()
        self._corrected = {}
        self._start(left_out, corrected)
        self.message.configure(text=tr("Writing …"))

    def _begin(self) -> None:
        self._close_editor()
        self.tree.delete(*self.tree.get_children())
        self._rows, self._changes = {}, {}
        self.write.configure(state="disabled")

    def _finish(self, event: TagsFinished) -> None:
        self._writing = False
        if event.write:
            count = sum(change.written for change in self._changes.values())
            self.message.configure(text=plural("{n} file written.", "{n} files written.", count))
        else:
            self._count()

    def _choose_names(self) -> None:
        """Ask for the user's own names, or do without those in use."""
        chosen = None if self._names is not None else self._ask_names()
        if chosen != self._names:
            self._names = chosen
            self.names.configure(text=tr(NO_NAMES) if chosen is None else f"✕  {shortened(chosen.name, 24)}")
            self.refresh()

    def _clicked(self, event: Event[Misc]) -> None:
        if self.tree.identify_column(event.x) != "#1":
            return
        if self.tree.identify_region(event.x, event.y) == "heading":
            self.toggle(self.tree.get_children())
        elif item := self.tree.identify_row(event.y):
            self.toggle((item,))

    def _edit_at(self, event: Event[Misc]) -> str:
        item = self.tree.identify_row(event.y)
        name = str(self.tree.column(self.tree.identify_column(event.x), "id"))
        if item and name in ("genre", "style", "mood"):
            self._edit(item, name)
        return "break"

    def _edit_selected(self, _: Event[Misc]) -> str:
        if item := self.tree.focus():
            self._edit(item, "genre")
        return "break"

    def _edit(self, item: str, field: str) -> None:
        """Open an entry over a cell."""
        self._close_editor()
        box = self.tree.bbox(item, field)
        if item not in self._changes or self._changes[item].written or not box or self._writing:
            return
        editor = self._editor = tkinter.Entry(self.tree, font=font(self, 13), relief="flat", highlightthickness=1)
        editor.configure(background=colour(CARD), foreground=colour(TEXT), insertbackground=colour(TEXT))
        editor.insert(0, "; ".join(self._values(item).get(field, self._changes[item].old if field == "genre" else ())))
        editor.select_range(0, "end")
        x, y, width, height = box
        editor.place(x=x, y=y, width=width, height=height)
        editor.focus_set()

        def accept(_: Event[Misc]) -> str:
            text = editor.get()
            self._close_editor()
            self.correct(item, field, text)
            return "break"

        for key in ("<Return>", "<KP_Enter>", "<FocusOut>"):
            editor.bind(key, accept)
        editor.bind("<Escape>", lambda _: self._close_editor())

    def _close_editor(self) -> str:
        editor, self._editor = self._editor, None
        if editor is not None:
            editor.destroy()
            self.tree.focus_set()
        return "break"

    def _option_row(self) -> Any:
        options = Flow(self)
        options.add(label(options, tr("Write"), bold=True))
        self.fields = menu(options, list(map(tr, FIELDS)), lambda _: self.refresh())
        self.mode = menu(options, list(map(tr, MODES)), lambda _: self.refresh())
        self.top = menu(options, list(map(tr, TOPS)), lambda _: self.refresh())
        self.names = button(options, tr(NO_NAMES), self._choose_names)
        self.unsure = switch(options, tr("also unsure answers"), self.refresh)
        for widget in (self.fields, self.mode, self.top, self.names, self.unsure):
            options.add(widget)
        return options

    def _table(self) -> Table:
        surface = card(self)
        surface.grid(row=1, column=0, sticky="nsew")
        surface.grid_rowconfigure(0, weight=1)
        surface.grid_columnconfigure(0, weight=1)
        tree = Table(surface, [name for name, _, _ in COLUMNS], "extended")
        for name, heading, _ in COLUMNS:
            tree.heading(name, text=tr(heading) or (TICKED if name == "ticked" else ""), anchor="w")
            tree.column(name, anchor="w", stretch=name != "ticked")
        tree.set_widths({name: width for name, _, width in COLUMNS})
        tree.bind("<Button-1>", self._clicked, add=True)
        tree.bind("<Double-1>", self._edit_at)
        tree.bind("<space>", lambda _: self.toggle(tree.selection()))
        for key in ("<F2>", "<Return>"):
            tree.bind(key, self._edit_selected)
        tree.bind("<MouseWheel>", lambda _: self._close_editor(), add=True)
        return tree
