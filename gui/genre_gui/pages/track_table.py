"""The table of tracks: sorts and filters thousands of rows; each track keeps its row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from tkinter import Event, Misc, ttk
from typing import Literal

import customtkinter

from genre_gui.tracks import Cells, State, Track, filter_and_sort
from genre_gui.widgets.controls import add_scrollbar, card, label
from genre_gui.widgets.theme import ERROR, MUTED, NARROW, TABLE, WARNING, colour, scaling

HEADINGS = Cells("File", "Genre", "Confidence", "Length", "   State")
WIDTHS = Cells(*map(str, (120, 66, 96, 64, 92)))
"""Least widths, pixels before scaling; file and genre share the rest."""

NUMBERS = ("confidence", "duration")
MAX_ROWS = 100
"""Rows drawn at once: more would delay the window."""

REARRANGE_SECONDS = 0.5
"""Least time between two sorts while results arrive."""


class TrackTable(customtkinter.CTkFrame):  # type: ignore[misc]
    """Rows of tracks.

    Parameters
    ----------
    master : Misc
    tracks : mapping of int to Track
        Read whenever rows are shown.
    on_select : callable
        Called when another row is selected.

    Attributes
    ----------
    tree : ttk.Treeview
        Its items are the tracks' numbers.
    """

    def __init__(self, master: Misc, tracks: Mapping[int, Track], on_select: Callable[[], object]) -> None:
        super().__init__(master, fg_color="transparent")
        self._tracks = tracks
        self._column: str | None = None
        self._descending = False
        self._filter = ""
        self._alike: Mapping[int, float] = {}
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
        add_scrollbar(self.tree)
        self.hint = label(surface, "", size=15, colour=MUTED)
        self.hint.configure(justify="center", anchor="center")
        self._head()
        self._size_columns()
        self.restyle()
        self.tree.bind("<<TreeviewSelect>>", lambda _: on_select())
        self.tree.bind("<Control-a>", self.select_all)
        self.tree.bind("<Command-a>", self.select_all)

    def restyle(self) -> None:
        """Apply the colours of the present appearance."""
        for state, pair in ((State.FAILED, ERROR), (State.UNSURE, WARNING), (State.CANCELLED, MUTED)):
            self.tree.tag_configure(state.name, foreground=colour(pair))
        for state in (State.WAITING, State.ANALYSING):
            self.tree.tag_configure(state.name, foreground=colour(MUTED))

    def selected(self) -> list[int]:
        """Return the numbers of the selected tracks, in the order shown."""
        return [int(item) for item in self.tree.selection()]

    def shown(self) -> list[int]:
        """Return the numbers of the tracks that pass the filter, in the order shown."""
        return [int(item) for item in self.tree.get_children()]

    def show(self, numbers: Iterable[int]) -> None:
        """Update the rows of tracks and add missing ones: a few at once, and more with every call of `go_on`.

        Parameters
        ----------
        numbers : iterable of int
        """
        self._behind.update(dict.fromkeys(numbers))
        self._show_some()

    def go_on(self) -> None:
        """Continue with pending rows, and sort if it is due."""
        if self._behind:
            self._show_some()
        self.arrange(now=False)

    @property
    def behind(self) -> int:
        """Number of tracks whose rows are not up to date."""
        return len(self._behind)

    def _show_some(self) -> None:
        for number in list(islice(self._behind, MAX_ROWS)):
            del self._behind[number]
            if number not in self._tracks:
                continue
            track, item = self._tracks[number], str(number)
            cells = track.cells()
            state = f"{self._alike[number]:.2f}" if number in self._alike else cells.state
            cells = cells._replace(state=f"   {state}")  # a gap to the right-aligned numbers
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

    def drop_removed(self) -> None:
        """Drop the rows of removed tracks, and select the row that follows them."""
        gone = self._rows - self._tracks.keys()
        rows = self.shown()
        place = next((place for place, number in enumerate(rows) if number in gone), None)
        self.tree.delete(*map(str, gone))
        self._rows -= gone
        left = self.shown()
        if place is not None and left:
            self.select(left[min(place, len(left) - 1)])
        self._show_hint()

    def select(self, number: int) -> None:
        """Select one track and scroll to it.

        Parameters
        ----------
        number : int
        """
        self.tree.selection_set(str(number))
        self.tree.focus(str(number))
        self.tree.see(str(number))

    def select_all(self, _: Event[Misc] | None = None) -> str:
        """Select every row."""
        self.tree.selection_set(self.tree.get_children())
        return "break"

    def filter(self, text: str) -> None:
        """Show only tracks that match a text.

        Parameters
        ----------
        text : str
            See `filter_and_sort`.
        """
        self._filter = text
        self.arrange()

    def sort(self, column: str) -> None:
        """Sort by a column; the second time in reverse, the third time in the order of adding.

        Parameters
        ----------
        column : str
            A field of `Cells`.
        """
        if self._alike:
            self._alike = {}
            self.show(list(self._rows))
        if self._column != column:
            self._column, self._descending = column, False
        elif not self._descending:
            self._descending = True
        else:
            self._column = None
        self._head()
        self.arrange()

    def sort_alike(self, similarities: Mapping[int, float]) -> None:
        """Sort by similarity to a track and show it in place of the state, until another order is chosen.

        Parameters
        ----------
        similarities : mapping of int to float
            By number, in the order to show; tracks that are not in it come last.
        """
        self._alike, self._column = similarities, None
        self._head()
        self.show(list(self._rows))
        self.arrange()

    def arrange(self, *, now: bool = True) -> None:
        """Apply filter and order to the rows.

        Parameters
        ----------
        now : bool
            False to do it only if rows have changed, and not too often.
        """
        if not now and (not self._out_of_order or time.monotonic() < self._arranged_at + REARRANGE_SECONDS):
            return
        numbers = filter_and_sort(self._tracks.values(), self._filter, self._column, self._descending)
        if self._alike:
            rank = {number: place for place, number in enumerate(self._alike)}
            numbers.sort(key=lambda number: rank.get(number, len(rank)))
        self.tree.set_children("", *(str(number) for number in numbers if number in self._rows))
        self._out_of_order, self._arranged_at = False, time.monotonic()
        self._show_hint()

    def _head(self) -> None:
        headings = HEADINGS._replace(state="   Similarity") if self._alike else HEADINGS
        for name, heading in zip(Cells._fields, headings, strict=True):
            arrow = (" ▼" if self._descending else " ▲") if name == self._column else ""
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            self.tree.heading(name, text=heading + arrow, anchor=anchor, command=lambda name=name: self.sort(name))

    def _size_columns(self) -> None:
        """Set the least widths: a table that is wider than its cell is cut off on the right."""
        for name, width in zip(Cells._fields, WIDTHS, strict=True):
            pixels = round(int(width) * scaling(self))
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            self.tree.column(name, width=pixels, minwidth=pixels, anchor=anchor, stretch=name in ("file", "genre"))

    def set_hint(self, message: str) -> None:
        """Set the text shown while there is no track.

        Parameters
        ----------
        message : str
        """
        self._empty = message
        self._show_hint()

    def _show_hint(self) -> None:
        if self.tree.get_children():
            self.hint.place_forget()
            return
        self.hint.configure(text="No track matches the filter." if self._tracks else self._empty)
        self.hint.place(relx=0.5, rely=0.5, anchor="center")
