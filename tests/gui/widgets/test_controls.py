"""Labels that break their lines."""

from __future__ import annotations

import pytest

from tests.gui.conftest import OpenWindow

MANY_EVENTS = 2000
"""Of the events that Tk handles until a layout has settled, there are some dozens."""


@pytest.mark.parametrize("width", range(300, 312))
def test_layout_settles_where_a_label_is_as_wide_as_its_cell(open_window: OpenWindow, width: int) -> None:
    import tkinter

    from genre_gui.widgets.controls import label

    window = open_window()
    top = tkinter.Toplevel(window)
    top.geometry(f"{width}x200")
    top.grid_columnconfigure((0, 1), weight=1, uniform="half")
    for column, padding in enumerate([(0, 16), (0, 0)]):
        place = tkinter.Frame(top)
        place.grid(row=0, column=column, padx=padding, sticky="nsew")
        place.grid_columnconfigure(0, weight=1)
        text = "True genre in the rows and predicted genre in the columns of a table" if column else "Scores"
        label(place, text).grid(row=0, column=0, sticky="ew")
    events = 0
    while window.tk.dooneevent(2):  # 2: do not wait
        events += 1
        assert events < MANY_EVENTS
