"""The table of tracks: sorts and filters thousands of rows; each track keeps its row."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from tkinter import Event, Misc
from typing import Literal

import customtkinter

from genre_gui.language import mark, tr
from genre_gui.language import number as decimal
from genre_gui.settings import Settings
from genre_gui.tracks import Cells, State, Track, filter_and_sort
from genre_gui.widgets.controls import card, label
from genre_gui.widgets.tables import Table
from genre_gui.widgets.theme import (
    CARD,
    ERROR,
    MUTED,
    ON_TONAL,
    TEXT,
    TONAL,
    WARNING,
    colour,
    font,
    scaling,
    text_size,
)

HEADINGS = Cells(
    mark("File"),
    mark("Genre"),
    mark("Confidence"),
    mark("Length"),
    mark("State"),
    mark("Artist"),
    mark("Title"),
    mark("Album"),
    mark("Folder"),
)
GAP = "   "
"""Between the numbers, which are right-aligned, and the state."""

WIDTHS = Cells(*map(str, (150, 90, 96, 64, 104, 120, 150, 130, 150)))
"""Pixels before scaling."""

ORDER = ("file", "artist", "title", "album", "folder", "genre", "confidence", "duration", "state")
"""Columns from left to right; the user chooses which of them are shown."""

LEAST_WIDTH, MOST_WIDTH = 48, 4000
"""Of a column with text, pixels before scaling. Those with text share the room that is left, or lacking."""

NUMBERS = ("confidence", "duration")
FIXED = (*NUMBERS, "state")
BUSY_SECONDS = 0.02
"""Processor time of drawing rows at a stretch: more would delay the window."""

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
    columns, widths : str
        As in the settings; what is not valid there is ignored.

    Attributes
    ----------
    tree : Table
        Its items are the tracks' numbers.
    """

    def __init__(
        self,
        master: Misc,
        tracks: Mapping[int, Track],
        on_select: Callable[[], object],
        columns: str = Settings.columns,
        widths: str = "",
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._tracks = tracks
        self._column: str | None = None
        self._descending = False
        self._filter = ""
        self._alike: Mapping[int, float] = {}
        self._menu: tkinter.Menu | None = None
        self._applied: dict[str, int] = {}
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
        self.tree = Table(surface, Cells._fields, "extended")
        self.hint = label(surface, "", size=15, colour=MUTED)
        self.hint.configure(justify="center", anchor="center")
        self._head()
        self._wanted = _parsed_widths(widths)
        for name, least in self._wanted.items():
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            self.tree.column(name, width=least, minwidth=LEAST_WIDTH, anchor=anchor, stretch=False)
        self._show_columns(columns.split())
        self.tree.bind("<Configure>", lambda _: self._fit_columns(), add=True)
        self.tree.bind("<ButtonRelease-1>", self._take_widths, add=True)
        self.restyle()
        self.tree.bind("<<TreeviewSelect>>", lambda _: on_select())
        self.tree.bind("<Control-a>", self.select_all)
        self.tree.bind("<Command-a>", self.select_all)
        for click in ("<Button-2>", "<Button-3>", "<Control-Button-1>"):  # a Mac has no third button
            self.tree.bind(click, self._menu_of_heading)
        for key in ("<Shift-F10>", "<Menu>"):
            if key != "<Menu>" or self.tk.call("tk", "windowingsystem") == "x11":
                self.tree.bind(key, lambda _: self._offer_columns(self.tree.winfo_rootx(), self.tree.winfo_rooty()))

    def restyle(self) -> None:
        """Apply the colours and the scaling of the present appearance."""
        self.tree.restyle()
        self._fit_columns()
        for state, pair in ((State.FAILED, ERROR), (State.UNSURE, WARNING)):
            self.tree.tag_configure(state.name, foreground=colour(pair))
        for state in (State.WAITING, State.ANALYSING, State.CANCELLED, State.GONE):
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
        until = time.thread_time() + BUSY_SECONDS
        while self._behind and time.thread_time() < until:
            number = next(iter(self._behind))
            del self._behind[number]
            if number not in self._tracks:
                continue
            track, item = self._tracks[number], str(number)
            cells = track.cells()
            state = decimal(self._alike[number], 2) if number in self._alike else cells.state
            cells = cells._replace(state=f"{GAP}{state}")
            if number in self._rows:
                if self.tree.item(item, "values") == cells:
                    continue  # a stored answer was found for a row that shows it
                if track.state is State.ANALYSING and self.tree.tag_has(track.state.name, item):
                    self.tree.item(item, values=cells)
                    continue  # only its progress has changed, by which nothing is sorted
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
        headings = HEADINGS._replace(state=mark("Similarity")) if self._alike else HEADINGS
        for name, heading in zip(Cells._fields, headings, strict=True):
            arrow = (" ▼" if self._descending else " ▲") if name == self._column else ""
            anchor: Literal["e", "w"] = "e" if name in NUMBERS else "w"
            gap = GAP if name == "state" else ""
            self.tree.heading(
                name, text=f"{gap}{tr(heading)}{arrow}", anchor=anchor, command=lambda name=name: self.sort(name)
            )

    @property
    def columns(self) -> str:
        """The columns that are shown, as in the settings."""
        return " ".join(self._shown)

    @property
    def widths(self) -> str:
        """The widths of columns that were changed, as in the settings."""
        own = _parsed_widths("")
        return " ".join(f"{name}={width}" for name, width in self._wanted.items() if width != own[name])

    def _show_columns(self, names: Iterable[str]) -> None:
        wanted = set(names)
        self._shown = [name for name in ORDER if name in wanted] or ["file"]
        self.tree.configure(displaycolumns=self._shown)
        self._fit_columns()

    def _fit_columns(self, kept: str = "") -> None:
        """Make the columns as wide as the table: those with text share the room in proportion to their own width.

        Parameters
        ----------
        kept : str
            A column that keeps its width.
        """
        scale = scaling(self)
        room = self.tree.winfo_width() / scale
        if room < LEAST_WIDTH:  # not drawn yet
            return
        widths = {name: float(self._wanted[name]) for name in self._shown}
        elastic = {name: width for name, width in widths.items() if name not in FIXED and name != kept}
        room -= sum(widths.values()) - sum(elastic.values())
        while elastic:
            share = room / sum(elastic.values())
            narrow = [name for name, width in elastic.items() if width * share < LEAST_WIDTH]
            widths |= {name: max(width * share, LEAST_WIDTH) for name, width in elastic.items()}
            if not narrow:
                break
            room -= LEAST_WIDTH * len(narrow)
            elastic = {name: width for name, width in elastic.items() if name not in narrow}
        self._applied = {name: int(width * scale) for name, width in widths.items()}
        for name, pixels in self._applied.items():
            self.tree.column(name, width=pixels)
        self.tree.cut_texts()

    def _take_widths(self, _: Event[Misc]) -> None:
        """Keep the widths after the border of a column was moved, and let the other columns follow."""
        now = {name: int(self.tree.column(name, "width")) for name in self._shown}
        moved = [name for name, width in now.items() if width != self._applied.get(name, width)]
        if moved:
            self._wanted |= {name: max(LEAST_WIDTH, round(width / scaling(self))) for name, width in now.items()}
            self._fit_columns(moved[0])
            self._wanted |= {name: round(width / scaling(self)) for name, width in self._applied.items()}

    def _menu_of_heading(self, event: Event[Misc]) -> str | None:
        if self.tree.identify_region(event.x, event.y) not in ("heading", "separator"):
            return None
        self._offer_columns(event.x_root, event.y_root)
        return "break"

    def _offer_columns(self, x: int, y: int) -> None:
        """Show a menu of all columns, in which those that are shown are ticked, and of the orders."""
        if self._menu is not None:
            self._menu.destroy()
        self._menu = menu = tkinter.Menu(self, tearoff=False, font=font(self, 13), borderwidth=1, relief="flat")
        self._ticks = {name: tkinter.BooleanVar(self, name in self._shown) for name in ORDER}
        for name, ticked in self._ticks.items():
            heading = tr(getattr(HEADINGS, name))
            menu.add_checkbutton(label=heading, variable=ticked, command=partial(self.toggle_column, name))
        orders = tkinter.Menu(menu, tearoff=False, font=font(self, 13), borderwidth=1, relief="flat")
        for one in (menu, orders):
            one.configure(background=colour(CARD), foreground=colour(TEXT), selectcolor=colour(TEXT))
            one.configure(activebackground=colour(TONAL), activeforeground=colour(ON_TONAL))
        for name in ORDER:
            orders.add_command(label=tr(getattr(HEADINGS, name)), command=partial(self.sort, name))
        menu.add_separator()
        menu.add_cascade(label=tr("Sort by"), menu=orders)
        menu.tk_popup(x, y)

    def toggle_column(self, name: str) -> None:
        """Show a column, or hide it unless it is the last one.

        Parameters
        ----------
        name : str
            A field of `Cells`.
        """
        self._show_columns(set(self._shown) ^ {name} or {name})

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
        self.hint.configure(text=tr("No track matches the filter.") if self._tracks else self._empty)
        self.hint.place(relx=0.5, rely=0.5, anchor="center")


def _parsed_widths(text: str) -> dict[str, int]:
    """Return the width of every column; the default where the settings have none that is valid."""
    found = dict(pair.split("=", 1) for pair in text.split() if "=" in pair)
    widths = {}
    for name in ORDER:
        width, default = found.get(name, ""), int(getattr(WIDTHS, name))
        default = text_size(default) if name in FIXED else default  # the others share the room
        valid = width.isascii() and width.isdigit() and len(width) < 6
        widths[name] = min(max(int(width), LEAST_WIDTH), MOST_WIDTH) if valid else default
    return widths
