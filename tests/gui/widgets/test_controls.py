"""Labels that break their lines, and rows of widgets that do so."""

from __future__ import annotations

import tkinter
from typing import Any

import pytest

from genre_gui.settings import Settings
from tests.gui.conftest import OpenWindow

MANY_EVENTS = 2000
"""Of the events that Tk handles until a layout has settled, there are some dozens."""


@pytest.mark.parametrize("width", range(300, 312))
def test_layout_settles_where_a_label_is_as_wide_as_its_cell(open_window: OpenWindow, width: int) -> None:
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


@pytest.mark.parametrize("scale", ["100", "125", "150", "200"])
def test_label_as_wide_as_its_text_has_one_line(open_window: OpenWindow, scale: str) -> None:
    from genre_gui.widgets.controls import label

    window = open_window(settings=Settings(theme="light", scale=scale))
    top = tkinter.Toplevel(window)
    made = [label(top, "word" + n * "i") for n in range(12)]
    for shown in made:
        shown.grid(sticky="w")
    window.update()
    assert len({shown.winfo_height() for shown in made}) == 1


def test_row_of_buttons_goes_on_in_further_rows(open_window: OpenWindow) -> None:
    from genre_gui.widgets.controls import Flow, button

    window = open_window()
    top = tkinter.Toplevel(window)
    top.grid_columnconfigure(0, weight=1)
    flow = Flow(top)
    flow.grid(sticky="ew")
    for n in range(6):
        flow.add(button(flow, f"Button {n}", lambda: None))
    for width, n_rows in ((900, 1), (320, 2), (900, 1)):
        top.geometry(f"{width}x300")
        window.update()
        assert len({child.winfo_y() for child in flow._shown}) == n_rows
        assert all(child.winfo_x() + child.winfo_width() <= width for child in flow._shown)
        assert all(child.winfo_y() + child.winfo_height() <= flow.winfo_height() for child in flow._shown)


@pytest.mark.parametrize("text_size", ["100", "150"])
def test_every_button_of_the_smallest_window_is_inside_it(open_window: OpenWindow, text_size: str) -> None:
    from genre_gui.widgets.controls import Flow

    settings = Settings(theme="light", language="de", text_size=text_size, size="100x100")
    window = open_window(settings=settings)
    for page in ("Tracks", "Tags", "Check tags", "Learn"):
        window.show_page(page)
        window.update()
        flows = [widget for widget in descendants(window) if isinstance(widget, Flow) and widget.winfo_viewable()]
        assert flows
        for flow in flows:
            for child in flow._shown:
                assert child.winfo_x() + child.winfo_width() <= flow.winfo_width(), child


@pytest.mark.parametrize("scale", ["100", "200"])
def test_ring_around_a_button_of_a_row_is_whole(open_window: OpenWindow, scale: str) -> None:
    window = open_window(settings=Settings(theme="light", language="de", scale=scale, size="100x100"))
    window.show_page("Learn")
    window.update()
    for widget in window.learn.tools._shown:
        window._ring._keyboard = True
        window._ring._show(widget)
        window.update()
        assert len(window._ring.sides) == 4
        for side in window._ring.sides:
            assert side.winfo_x() >= 0
            assert side.winfo_y() >= 0
            assert side.winfo_x() + side.winfo_width() <= side.master.winfo_width()
            assert side.winfo_y() + side.winfo_height() <= side.master.winfo_height()


def descendants(widget: Any) -> list[Any]:
    return [found for child in widget.winfo_children() for found in (child, *descendants(child))]
