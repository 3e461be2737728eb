"""The table of tracks: thousands of rows, sorted and filtered, the same row for a track from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from tkinter import Event, Misc, ttk
from typing import Literal

import customtkinter

from genre_gui.tracks import Cells, State, Track, arranged
from genre_gui.widgets.controls import card, label, scrolled
from genre_gui.widgets.theme import ERROR, MUTED, NARROW, TABLE, WARNING, colour, scaling

HEADINGS = Cells("File", "Genre", "Confidence", "Length", "   State")
WIDTHS = Cells(*map(str, (120, 66, 96, 64, 92)))
"""Least widths, pixels before scaling; file and genre share what is left."""

NUMBERS = ("confidence", "duration")
MOST_ROWS = 100
"""Rows drawn anew at a time: more would stop the window."""

REARRANGE_SECONDS = 0.5
"""A table that is sorted while results come in is put in order this often, not at each of them."""


class QueueTable(customtkinter.CTkFrame):  # type: ignore[misc]
    """Rows of tracks.

    Parameters
    ----------
    master : Misc
    tracks : mapping of int to Track
        Looked at whenever rows are shown.
    chosen : callable
        Told when another row is chosen.

    Attributes
    ----------
    tree : ttk.Treeview
        Its items are the tracks' numbers.
    """

    def __init__(self, master: Misc, tracks: Mapping[int, Track], chosen: Callable[[], object]) -> None:
        super().__init__(master, fg_color="transparent")
        self._tracks = tracks
        self._column: str | None = None
        self._descending = False
        self._filter = ""
        self._rows: set[int] = set()
        self._behind: dict[int, None] = {}
        self._empty = ""
        self._arranged_at = 0.0
        self._out_of_order = False
        self.grid_rowconfigure(0, weight=1)
        self.grid_columnconfigure(0, weight=1)
        surface = card(self)
        surface.grid(row=0, column=0, sticky="nsew")
        surface.grid_rowconfigure(0, weight=1)
        surface.grid_columnconfigure(0, weight=1)
        self.tree = ttk.Treeview(surface, columns=Cells._fields, show="headings", style=TABLE, selectmode="extended")
        self.tree.grid(row=0, column=0, padx=(NARROW, 0), pady=NARROW, sticky="nsew")
        scrolled(self.tree)
        self.hint = label(surface, "", size=15, colour=MUTED)
        self.hint.configure(justify="center", anchor="center")
        self._head()
        self._size_columns()
        self.restyle()
        self.tree.bind("<<TreeviewSelect>>", lambda _: chosen())
        self.tree.bind("<Control-a>", self.choose_all)
        self.tree.bind("<Command-a>", self.choose_all)

    def restyle(self) -> None:
        """Take the colours of the present appearance."""
        for state, pair in ((State.FAILED, ERROR), (State.UNSURE, WARNING), (State.CANCELLED, MUTED)):
            self.tree.tag_configure(state.name, foreground=colour(pair))
        for state in (State.WAITING, State.LISTENING):
            self.tree.tag_configure(state.name, foreground=colour(MUTED))

    def selected(self) -> list[int]:
        """Return the numbers of the chosen tracks, in the order shown."""
        return [int(item) for item in self.tree.selection()]

    def shown(self) -> list[int]:
        """Return the numbers of the tracks that pass the filter, in the order shown."""
        return [int(item) for item in self.tree.get_children()]

    def show(self, numbers: Iterable[int]) -> None:
        """Show how tracks stand now, new ones in new rows: a few at once, and more with every `tick`."""
        self._behind.update(dict.fromkeys(numbers))
        self._show_some()

    def tick(self) -> None:
        """Go on with what is left to do."""
        if self._behind:
            self._show_some()
        self.arrange(now=False)

    @property
    def behind(self) -> int:
        """Number of tracks whose rows do not show yet how they stand."""
        return len(self._behind)

    def _show_some(self) -> None:
        for number in list(islice(self._behind, MOST_ROWS)):
            del self._behind[number]
            if number not in self._tracks:
                continue
            track, item = self._tracks[number], str(number)
            cells = track.cells()
            cells = cells._replace(state=f"   {cells.state}")  # apart from the numbers, which end where it begins
            if number in self._rows:
                self.tree.item(item, values=cells, tags=(track.state.name,))
            else:
                self.tree.insert("", "end", item, values=cells, tags=(track.state.name,))
                self._rows.add(number)
            self._out_of_order = self._out_of_order or self._column is not None or bool(self._filter)
        self._show_hint()

    def missing(self) -> list[int]:
        """Return the numbers of the tracks that have no row yet, in the order of adding."""
        return [number for number in self._tracks if number not in self._rows]

    def forget(self) -> None:
        """Drop the rows of tracks that are gone; where they were, the next row is chosen."""
        gone = self._rows - self._tracks.keys()
        rows = self.shown()
        place = next((place for place, number in enumerate(rows) if number in gone), None)
        self.tree.delete(*map(str, gone))
        self._rows -= gone
        left = self.shown()
        if place is not None and left:
            self.choose(left[min(place, len(left) - 1)])
        self._show_hint()

    def choose(self, number: int) -> None:
        """Choose one track and bring it into view."""
        self.tree.selection_set(str(number))
        self.tree.focus(str(number))
        self.tree.see(str(number))

    def choose_all(self, _: Event[Misc] | None = None) -> str:
        """Choose every row shown."""
        self.tree.selection_set(self.tree.get_children())
        return "break"

    def filter(self, text: str) -> None:
        """Show only tracks in which all words of a text stand."""
        self._filter = text
        self.arrange()

    def sort(self, column: str) -> None:
        """Sort by a column, the second time the other way round, the third time as they were added."""
        if self._column != column:
            self._column, self._descending = column, False
        elif not self._descending:
            self._descending = True
        else:
            self._column = None
        self._head()
        self.arrange()

    def arrange(self, *, now: bool = True) -> None:
        """Put the rows in order, if need be; unless `now`, not too often."""
        if not now and (not self._out_of_order or time.monotonic() < self._arranged_at + REARRANGE_SECONDS):
            return
        numbers = arranged(self._tracks.values(), self._filter, self._column, self._descending)
        self.tree.set_children("", *(str(number) for number in numbers if number in self._rows))
        self._out_of_order, self._arranged_at = False, time.monotonic()
        self._show_hint()

    def _head(self) -> None:
        for name, heading in zip(Cells._fields, HEADINGS, strict=True):
            arrow = (" ▼" if self._descending else " ▲") if name == self._column else ""
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            self.tree.heading(name, text=heading + arrow, anchor=anchor, command=lambda name=name: self.sort(name))

    def _size_columns(self) -> None:
        """Give all columns their least width: a table that is made wider than its place is cut off at its right."""
        for name, width in zip(Cells._fields, WIDTHS, strict=True):
            pixels = round(int(width) * scaling(self))
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            self.tree.column(name, width=pixels, minwidth=pixels, anchor=anchor, stretch=name in ("file", "genre"))

    def say_when_empty(self, words: str) -> None:
        """Say what to do while no row is shown."""
        self._empty = words
        self._show_hint()

    def _show_hint(self) -> None:
        if self.tree.get_children():
            self.hint.place_forget()
            return
        self.hint.configure(text="No track fits the filter." if self._tracks else self._empty)
        self.hint.place(relx=0.5, rely=0.5, anchor="center")
