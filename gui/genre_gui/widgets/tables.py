"""Tables and tooltips: a text that is cut ends in an ellipsis, and the tooltip shows it whole."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Mapping, Sequence
from tkinter import Event, Misc, TclError, ttk
from tkinter.font import Font
from typing import Any, Literal

import customtkinter

from genre_gui.widgets.theme import CARD, MIDDLE, NARROW, TABLE, TEXT, TONAL, colour, font, scaling, text_size

ELLIPSIS = "…"
CELL_PADDING = 14
"""Of a cell, left and right together, pixels before scaling."""

TOOLTIP_MILLISECONDS = 500
TOOLTIP_WIDTH = 560
LEAST_SHARE = 0.6
"""Of the width of a column in a narrow table; then it scrolls."""

MAX_WIDTHS = 20_000
"""Measured texts to remember."""


class Tooltip:
    """Shows a text beside the pointer when it rests on a widget.

    Parameters
    ----------
    widget : Misc
    text : callable
        Takes the pointer's position in the widget; returns the text, empty for none.
    """

    def __init__(self, widget: Misc, text: Callable[[int, int], str]) -> None:
        self._widget, self._text = widget, text
        self._shown = ""
        self._timer: str | None = None
        self._window: tkinter.Toplevel | None = None
        widget.bind("<Motion>", self._moved, add=True)  # customtkinter binds the parts of its widgets
        for event in ("<Leave>", "<Button>", "<Key>", "<Destroy>", "<Unmap>", "<MouseWheel>"):
            widget.bind(event, lambda _: self.hide(), add=True)

    def hide(self) -> None:
        """Hide the text."""
        if self._timer is not None:
            self._widget.after_cancel(self._timer)
        if self._window is not None:
            self._window.destroy()
        self._timer, self._window, self._shown = None, None, ""

    def _moved(self, event: Event[Misc]) -> None:
        text = self._text(event.x, event.y)
        if text == self._shown:
            return
        self.hide()
        self._shown = text
        if text:
            place = event.x_root, event.y_root
            self._timer = self._widget.after(TOOLTIP_MILLISECONDS, lambda: self._show(text, *place))

    def _show(self, text: str, x: int, y: int) -> None:
        self._timer, scale = None, scaling(self._widget)
        self._window = window = tkinter.Toplevel(self._widget, background=colour(TONAL), padx=1, pady=1)
        window.withdraw()
        window.overrideredirect(True)
        shown = tkinter.Label(window, text=text, font=font(self._widget, 12), justify="left")
        shown.configure(background=colour(CARD), foreground=colour(TEXT), wraplength=round(TOOLTIP_WIDTH * scale))
        shown.configure(padx=round(NARROW * scale), pady=round(4 * scale))
        shown.pack()
        window.update_idletasks()
        left = min(x + MIDDLE, window.winfo_screenwidth() - window.winfo_reqwidth())
        below = y + round(20 * scale)
        if below + window.winfo_reqheight() > window.winfo_screenheight():
            below = y - window.winfo_reqheight() - NARROW
        window.geometry(f"+{max(0, left)}+{max(0, below)}")
        window.deiconify()


def fitted(text: str, room: float, width: Callable[[str], float]) -> str:
    """Return a text, cut with an ellipsis if it is too wide.

    Parameters
    ----------
    text : str
    room : float
        Pixels.
    width : callable
        Returns the width of a text, pixels.
    """
    if not text or width(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle].rstrip() + ELLIPSIS) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS


class Table(ttk.Treeview):
    """A table in column 0 of a card, with scroll bars that are hidden while everything fits.

    `item(name, "values")` returns the whole texts. Only the texts of the rows in sight are measured and cut.

    Parameters
    ----------
    master : Misc
        The card.
    columns : sequence of str
    select : {"browse", "extended"}
    """

    def __init__(self, master: Misc, columns: Sequence[str], select: Literal["browse", "extended"]) -> None:
        super().__init__(master, columns=tuple(columns), show="headings", style=TABLE, selectmode=select)
        self._whole: dict[str, tuple[str, ...]] = {}
        self._set_widths: dict[str, int] = {}
        self._cut: dict[str, tuple[str, ...]] = {}
        self._headings: dict[str, str] = {}
        self._cut_headings: dict[str, str] = {}
        self._widths: dict[tuple[str, bool], int] = {}
        self._fonts: dict[bool, Font] = {}
        self._due: str | None = None
        self.tooltip = Tooltip(self, self._text_at)
        self.grid(row=0, column=0, padx=(NARROW, 0), pady=NARROW, sticky="nsew")
        master.grid_columnconfigure(1, minsize=round(NARROW * scaling(self)))  # beside the rows without a scroll bar
        self._bars = self._bar("vertical"), self._bar("horizontal")
        self.configure(yscrollcommand=lambda *_: self._scrolled(), xscrollcommand=lambda *_: self._scrolled())
        self.bind("<Configure>", lambda _: self._resized(), add=True)
        self.bind("<ButtonRelease-1>", lambda _: self.cut_texts(), add=True)
        self.bind("<Destroy>", lambda _: self._forget(), add=True)

    def set_widths(self, widths: Mapping[str, int]) -> None:
        """Set widths of columns.

        Parameters
        ----------
        widths : mapping of str to int
            Pixels before scaling, at the usual size of text.
        """
        self._set_widths = dict(widths)
        self._fit()

    def _resized(self) -> None:
        self._fit()
        self.cut_texts()

    def _fit(self) -> None:
        """Give columns that stretch the room that is left, in proportion to their own widths."""
        own = {name: text_size(self._set_widths[name]) for name in self._shown() if name in self._set_widths}
        elastic = sum(width for name, width in own.items() if self.column(name, "stretch"))
        fixed = sum(own.values()) - elastic
        scale = scaling(self)
        share = max(LEAST_SHARE, (self.winfo_width() / scale - fixed) / elastic) if elastic else 1.0
        for name, width in own.items():
            factor = share if self.column(name, "stretch") else 1.0
            self.column(name, width=int(width * factor * scale))

    def show_columns(self, names: Sequence[str]) -> None:
        """Show these columns, in this order.

        Parameters
        ----------
        names : sequence of str
        """
        self.configure(displaycolumns=list(names))
        self._fit()

    def _shown(self) -> Sequence[str]:
        shown: Sequence[str] = self["displaycolumns"]
        return self["columns"] if tuple(shown) == ("#all",) else shown

    def insert(self, parent: str, index: Any, iid: Any = None, **options: Any) -> str:
        """Insert a row; see `ttk.Treeview`, whose own method takes three times as long."""
        words = [word for name, value in options.items() for word in (f"-{name}", value)]
        item = str(self.tk.call(self, "insert", parent, index, *(() if iid is None else ("-id", iid)), *words))
        self._keep(item, options)
        return item

    def item(self, item: Any, option: Any = None, **options: Any) -> Any:
        """Change a row or return an option of it; see `ttk.Treeview`."""
        if option == "values" and item in self._whole:
            return self._whole[item]
        self._keep(item, options)
        return super().item(item, option, **options)

    def heading(self, column: Any, option: Any = None, **options: Any) -> Any:
        """Change a heading or return an option of it; see `ttk.Treeview`."""
        if option == "text" and column in self._headings:
            return self._headings[column]
        if "text" in options:
            self._headings[column] = self._cut_headings[column] = options["text"]
            self.cut_texts()
        return super().heading(column, option, **options)

    def delete(self, *items: Any) -> None:
        """Delete rows; see `ttk.Treeview`."""
        for item in items:
            self._whole.pop(item, None)
            self._cut.pop(item, None)
        super().delete(*items)

    def set_children(self, item: Any, *newchildren: Any) -> None:
        """Arrange rows; see `ttk.Treeview`."""
        super().set_children(item, *newchildren)
        self.cut_texts()

    def restyle(self) -> None:
        """Apply the present scaling."""
        self._fonts.clear()
        self.set_widths(self._set_widths)
        self._widths.clear()
        self.cut_texts()

    def cut_texts(self) -> None:
        """Cut the texts in sight to the width of their columns, as soon as the window is idle."""
        if self._due is None:
            self._due = self.after_idle(self._cut_texts)

    def _keep(self, item: str, options: dict[str, Any]) -> None:
        if "values" in options:
            self._whole[item] = tuple(map(str, options["values"]))
            self._cut.pop(item, None)
            self.cut_texts()

    def _forget(self) -> None:
        if self._due is not None:
            self.after_cancel(self._due)

    def _cut_texts(self) -> None:
        self._due = None
        self.tooltip.hide()
        self._show_bars()
        padding = round(CELL_PADDING * scaling(self))
        columns = self["columns"]
        room = {columns.index(name): self.column(name, "width") - padding for name in self._shown()}
        for name in self._shown():
            heading = self._headings.get(name, "")
            text = fitted(heading, self.column(name, "width") - padding, lambda part: self._width(part, heading=True))
            if text != self._cut_headings.get(name, ""):
                self._cut_headings[name] = text
                super().heading(name, text=text)
        for item in self.in_sight():
            whole = self._whole.get(item)
            if whole is None:
                continue
            texts = tuple(fitted(text, room[n], self._width) if n in room else text for n, text in enumerate(whole))
            if texts != self._cut.get(item, whole):
                super().item(item, values=texts)
            self._cut[item] = texts

    def in_sight(self) -> list[str]:
        """Return the rows in sight."""
        height, step = self.winfo_height(), int(ttk.Style(self).configure(TABLE, "rowheight") or 20)
        found = (self.identify_row(y) for y in range(0, height + step, max(1, step // 2)))
        return [item for item in dict.fromkeys(found) if item]

    def _width(self, text: str, *, heading: bool = False) -> int:
        width = self._widths.get((text, heading))
        if width is None:
            if heading not in self._fonts:
                self._fonts[heading] = Font(self, font=font(self, 12, "bold") if heading else font(self, 13))
            if len(self._widths) > MAX_WIDTHS:
                self._widths.clear()
            width = self._widths[text, heading] = self._fonts[heading].measure(text)
        return width

    def _text_at(self, x: int, y: int) -> str:
        item, column, region = self.identify_row(y), self.identify_column(x), self.identify_region(x, y)
        try:
            name = self.column(column, "id")
            n = self["columns"].index(name)
        except (TclError, ValueError):
            return ""
        if region in ("heading", "separator"):
            heading = self._headings.get(name, "")
            return heading if heading != self._cut_headings.get(name, "") else ""
        if item not in self._cut or region != "cell":
            return ""
        whole = self._whole[item][n]
        return whole if whole != self._cut[item][n] else ""

    def _scrolled(self) -> None:
        self._show_bars()
        self.cut_texts()

    def _bar(self, orientation: Literal["vertical", "horizontal"]) -> Any:
        vertical = orientation == "vertical"
        command = self.yview if vertical else self.xview
        bar = customtkinter.CTkScrollbar(self.master, command=command, fg_color=CARD, orientation=orientation)
        if vertical:
            bar.grid(row=0, column=1, pady=MIDDLE, padx=2, sticky="ns")
        else:
            bar.grid(row=1, column=0, padx=MIDDLE, pady=2, sticky="ew")
        bar.grid_remove()
        return bar

    def _show_bars(self) -> None:
        """Move the scroll bars; Tk does not report columns that have become wider than the table."""
        for bar, (first, last) in zip(self._bars, (self.yview(), self.xview()), strict=True):
            bar.set(first, last)
            if first <= 0.0 and last >= 1.0:
                bar.grid_remove()
            else:
                bar.grid()
