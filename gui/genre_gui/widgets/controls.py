"""Buttons, labels, menus, the header and the banner, in the style of the window and all reachable by keyboard."""

from __future__ import annotations

import math
import tkinter
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import Event, Misc
from typing import Any, Literal

import customtkinter

from genre_gui.language import mark, tr
from genre_gui.settings import Settings
from genre_gui.text import DEVICE_NAMES, device_name, one_line, shortened
from genre_gui.widgets import theme
from genre_gui.widgets.tables import Tooltip
from genre_gui.widgets.theme import (
    BAR,
    CARD,
    ERROR_CARD,
    MIDDLE,
    MUTED,
    NARROW,
    ON_PRIMARY,
    ON_TONAL,
    PRIMARY,
    PRIMARY_HOVER,
    SELECTED,
    TEXT,
    TONAL,
    TONAL_HOVER,
    TRACK,
    Colour,
    scaling,
    text_font,
    text_size,
)

Kind = Literal["filled", "tonal", "text"]
_KINDS: dict[Kind, dict[str, Any]] = {
    "filled": {"fg_color": PRIMARY, "hover_color": PRIMARY_HOVER, "text_color": ON_PRIMARY},
    "tonal": {"fg_color": TONAL, "hover_color": TONAL_HOVER, "text_color": ON_TONAL},
    "text": {"fg_color": "transparent", "hover_color": TRACK, "text_color": PRIMARY},
}
HEIGHT = 36
ARROW_WIDTH = 66
"""Of a menu, beside its text."""

STEADY = 4
"""Pixels before scaling by which a cell grows without a label breaking its lines anew."""

RING, RING_GAP = 2, 1
"""Width of the ring around the widget with the focus, and its distance."""


class _Button(customtkinter.CTkButton):  # type: ignore[misc]
    """A button whose surface also says whether it is enabled."""

    def __init__(self, master: Misc, fg_color: Any, **options: Any) -> None:
        self._enabled_colour = fg_color
        super().__init__(master, fg_color=fg_color, **options)

    def configure(self, require_redraw: bool = False, **options: Any) -> None:
        """Change options; see customtkinter."""
        if "state" in options and self._enabled_colour != "transparent":
            options["fg_color"] = TRACK if options["state"] == "disabled" else self._enabled_colour
        super().configure(require_redraw=require_redraw, **options)


def button(master: Misc, text: str, command: Callable[[], object], kind: Kind = "tonal", width: int = 0) -> Any:
    """Return a button that Space and Return press.

    Parameters
    ----------
    master : Misc
    text : str
    command : callable
    kind : {"filled", "tonal", "text"}
    width : int
        Pixels before scaling; 0 for that of the text.
    """
    made = _Button(
        master,
        text=text,
        command=command,
        width=width,
        height=text_size(HEIGHT),
        corner_radius=text_size(HEIGHT) // 2,
        text_color_disabled=MUTED,
        font=text_font(bold=True),
        **_KINDS[kind],
    )

    def press(_: Event[Misc]) -> str:
        made.invoke()
        return "break"

    make_focusable(made)
    for key in ("<space>", "<Return>", "<KP_Enter>"):
        tkinter.Misc.bind(made, key, press)
    return made


def label(master: Misc, text: str = "", *, size: int = 13, colour: Colour = TEXT, bold: bool = False) -> Any:
    """Return a label that breaks its lines at its width.

    Parameters
    ----------
    master : Misc
    text : str
    size : int
        Pixels before scaling.
    colour : Colour
    bold : bool
    """
    font = text_font(size, bold=bold)
    made = customtkinter.CTkLabel(
        master, text=text, height=0, width=0, font=font, text_color=colour, anchor="w", justify="left"
    )

    def wrap(event: Event[Misc]) -> None:
        width, before = math.ceil(event.width / scaling(made)), made.cget("wraplength")
        if not before <= width < before + STEADY:  # a cell as wide as its text would follow the text, which follows it
            made.configure(wraplength=width)

    tkinter.Misc.bind(made, "<Configure>", wrap, add=True)
    return made


def menu(master: Misc, values: Sequence[str], command: Callable[[str], object], width: int = 0) -> Any:
    """Return a menu of values, which Up and Down change.

    Parameters
    ----------
    master : Misc
    values : sequence of str
    command : callable
        Called with the chosen value.
    width : int
        Pixels before scaling; 0 for that of the longest value.
    """
    look = text_font()
    width = width or max((look.measure(value) for value in values), default=0) + text_size(ARROW_WIDTH)
    made = customtkinter.CTkOptionMenu(
        master,
        values=list(values),
        command=command,
        width=width,
        height=text_size(HEIGHT),
        corner_radius=text_size(HEIGHT) // 2,
        fg_color=TONAL,
        button_color=TONAL,
        button_hover_color=TONAL_HOVER,
        text_color=ON_TONAL,
        dropdown_fg_color=CARD,
        dropdown_text_color=TEXT,
        dropdown_hover_color=TRACK,
        font=look,
        dropdown_font=look,
        dynamic_resizing=False,
    )
    _bind_arrow_keys(made, command, "<Up>", "<Down>")
    return made


def tabs(master: Misc, values: Sequence[str], command: Callable[[str], object]) -> Any:
    """Return a row of exclusive choices, which Left and Right change.

    Parameters
    ----------
    master : Misc
    values : sequence of str
    command : callable
        Called with the chosen value.
    """
    made = customtkinter.CTkSegmentedButton(
        master,
        values=list(values),
        command=command,
        height=text_size(HEIGHT),
        corner_radius=text_size(HEIGHT) // 2,
        border_width=0,
        fg_color=TRACK,
        selected_color=SELECTED,
        selected_hover_color=SELECTED,
        unselected_color=TRACK,
        unselected_hover_color=TONAL,
        text_color=TEXT,
        font=text_font(bold=True),
    )
    _bind_arrow_keys(made, command, "<Left>", "<Right>")
    return made


def card(master: Misc, colour: Colour = CARD) -> Any:
    """Return a surface with round corners.

    Parameters
    ----------
    master : Misc
    colour : Colour
    """
    return customtkinter.CTkFrame(master, corner_radius=2 * NARROW, fg_color=colour)


def switch(master: Misc, text: str, command: Callable[[], object]) -> Any:
    """Return a switch that Space turns.

    Parameters
    ----------
    master : Misc
    text : str
    command : callable
    """
    made = customtkinter.CTkSwitch(
        master, text=text, command=command, text_color=TEXT, progress_color=BAR, font=text_font()
    )
    make_focusable(made)

    def turn(_: Event[Misc]) -> str:
        made.toggle()
        return "break"

    for key in ("<space>", "<Return>", "<KP_Enter>"):
        tkinter.Misc.bind(made, key, turn)
    return made


def make_focusable(widget: Any) -> None:
    """Let Tab reach a widget that customtkinter leaves out; see `FocusRing`.

    Parameters
    ----------
    widget : Any
    """
    widget.tk.call(str(widget), "configure", "-takefocus", 1)


class FocusRing:
    """A frame around the widget with the focus, from the first Tab to the next click.

    Parameters
    ----------
    window : Misc
        Its widgets get the ring.

    Attributes
    ----------
    sides : list of tkinter.Frame
        Empty while it is hidden.
    """

    def __init__(self, window: Misc) -> None:
        self._window = window
        self.sides: list[tkinter.Frame] = []
        self._keyboard = False
        window.bind("<FocusIn>", lambda event: self._show(event.widget), add=True)
        window.bind("<FocusOut>", lambda _: self.hide(), add=True)
        window.bind("<Button>", lambda _: self._use_keyboard(False), add=True)
        for key in ("<Tab>", "<Shift-Tab>", "<<PrevWindow>>"):
            window.bind(key, lambda _: self._use_keyboard(True), add=True)

    def hide(self) -> None:
        """Hide the ring."""
        for side in self.sides:
            side.destroy()
        self.sides = []

    def _use_keyboard(self, used: bool) -> None:
        self._keyboard = used
        self.hide()

    def _show(self, widget: Any) -> None:
        self.hide()
        if isinstance(widget.master, customtkinter.CTkEntry | customtkinter.CTkTextbox):
            widget = widget.master  # its part has the focus
        if not self._keyboard or widget is self._window or not widget.winfo_ismapped():
            return
        thick, gap = round(RING * scaling(widget)), round(RING_GAP * scaling(widget))
        for across, far in ((True, 0), (True, 1), (False, 0), (False, 1)):
            master = self._window if isinstance(widget.master, Flow) else widget.master  # a Flow would cut it off
            side = tkinter.Frame(master, background=theme.colour(PRIMARY), width=thick, height=thick)
            out = gap if far else -gap - thick
            if across:
                side.place(in_=widget, bordermode="outside", rely=far, y=out, x=-gap, relwidth=1, width=2 * gap)
            else:
                side.place(in_=widget, bordermode="outside", relx=far, x=out, y=-gap - thick, relheight=1)
                side.place_configure(height=2 * (gap + thick))
            side.lift()
            self.sides.append(side)


def _bind_arrow_keys(widget: Any, command: Callable[[str], object], back: str, forward: str) -> None:
    def step(by: int) -> Callable[[Event[Misc]], str]:
        def move(_: Event[Misc]) -> str:
            values = widget.cget("values")
            place = (values.index(widget.get()) if widget.get() in values else 0) + by
            if 0 <= place < len(values):
                widget.set(values[place])
                command(values[place])
            return "break"

        return move

    make_focusable(widget)
    tkinter.Misc.bind(widget, back, step(-1))
    tkinter.Misc.bind(widget, forward, step(1))


class Flow(customtkinter.CTkFrame):  # type: ignore[misc]
    """Widgets from left to right, in further rows where they do not fit; `gap` is between them."""

    def __init__(self, master: Misc, gap: int = NARROW) -> None:
        super().__init__(master, fg_color="transparent", height=text_size(HEIGHT))
        tkinter.Misc.bind(self, "<Configure>", lambda _: self._arrange(), add=True)
        self._gap, self._shown = gap, list[Any]()

    def add(self, widget: Any) -> None:
        """Add a widget, a child of this frame, at the end."""
        self._shown.append(widget)
        tkinter.Misc.bind(widget, "<Configure>", lambda _: self._arrange(), add=True)
        self._arrange()

    def _arrange(self) -> None:
        gap, left, top, height = round(self._gap * scaling(self)), 0, 0, 0
        for widget in filter(Misc.winfo_exists, self._shown):  # not while the window is closed
            width = widget.winfo_reqwidth()
            if left and left + width > self.winfo_width() > 1:
                left, top, height = 0, top + height + round(NARROW / 2 * scaling(self)), 0
            height = max(height, widget.winfo_reqheight(), round(text_size(HEIGHT) * scaling(self)))
            self.tk.call("place", widget, "-x", left, "-y", top + height // 2, "-anchor", "w")
            left += width + gap
        self.tk.call(self, "configure", "-height", top + height)


Answer = tuple[str, Callable[[], object]]


class Banner(customtkinter.CTkFrame):  # type: ignore[misc]
    """A message with up to two buttons and one to dismiss it; hidden without a message."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, corner_radius=2 * NARROW, fg_color=TONAL)
        self.grid_columnconfigure(0, weight=1)
        self.message = label(self, colour=TEXT)
        self.message.grid(row=0, column=0, padx=MIDDLE, pady=NARROW, sticky="ew")
        self.answers = [button(self, "", self.hide, "filled" if place == 0 else "text") for place in range(2)]
        for place, answer in enumerate(self.answers):
            answer.grid(row=0, column=1 + place, padx=(0, NARROW), pady=NARROW)
        self._dismiss = button(self, "✕", self.hide, "text", width=36)
        self._dismiss.grid(row=0, column=3, padx=(0, NARROW), pady=NARROW)

    def show(self, message: str, *answers: Answer, bad: bool = False) -> None:
        """Show a message.

        Parameters
        ----------
        message : str
        *answers : (str, callable)
            Text and command of each button.
        bad : bool
            An error.
        """
        self.configure(fg_color=ERROR_CARD if bad else TONAL)
        self.message.configure(text=message)
        for place, shown in enumerate(self.answers):
            if place < len(answers):
                text, command = answers[place]
                shown.configure(text=text, command=self._hiding(command))
                shown.grid()
            else:
                shown.grid_remove()
        self.grid()

    def hide(self) -> None:
        """Hide the banner."""
        self.grid_remove()

    def _hiding(self, command: Callable[[], object]) -> Callable[[], None]:
        def answered() -> None:
            self.hide()
            command()

        return answered


MAX_LINK_LENGTH = 90
PAGES = (mark("Tracks"), mark("Tags"), mark("Check tags"), mark("Learn"), mark("Model"), mark("Settings"))
DEVICE_WIDTH = 132
ALWAYS_NAMED = ("auto", "cpu", "cuda")
"""Offered even if ONNX Runtime lacks them: choosing one shows the reason why it cannot be used."""


class Header(customtkinter.CTkFrame):  # type: ignore[misc]
    """Pages on the left, the model and the menu of devices on the right.

    Parameters
    ----------
    master : Misc
    settings : Settings
    choose_page, choose_device : callable
        Called with one of `PAGES` or a device.
    """

    def __init__(
        self,
        master: Misc,
        settings: Settings,
        choose_page: Callable[[str], object],
        choose_device: Callable[[str], object],
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self.grid_columnconfigure(1, weight=1)
        pages = {tr(name): name for name in PAGES}
        self._pages = tabs(self, list(pages), lambda text: choose_page(pages[text]))
        self._pages.grid(row=0, column=0)
        texts = customtkinter.CTkFrame(self, fg_color="transparent")
        texts.grid(row=0, column=1, padx=MIDDLE, sticky="ew")
        texts.grid_columnconfigure(0, weight=1)
        self.model = label(texts, tr("The model is loading …"), colour=MUTED)
        self.link = label(texts, "", size=12, colour=MUTED)
        for row, shown in enumerate((self.model, self.link)):
            shown.configure(anchor="e", justify="right")
            shown.grid(row=row, column=0, sticky="ew")
        self.link.grid_remove()
        self._whole = {self.model: "", self.link: ""}
        for shown in self._whole:
            Tooltip(shown, partial(self._tooltip, shown))
        codes = {tr(name): code for code, name in DEVICE_NAMES.items()}
        self.device = menu(self, [], lambda name: choose_device(codes[name]), width=text_size(DEVICE_WIDTH))
        self.offer_devices({settings.device})
        self.show_device(settings.device)
        self.device.grid(row=0, column=2)

    def _tooltip(self, shown: Any, *_: int) -> str:
        """Return the whole text of a label that shows a part of it."""
        whole = self._whole[shown]
        return "" if whole in shown.cget("text") else whole

    def mark_page(self, name: str) -> None:
        """Mark the page that is shown.

        Parameters
        ----------
        name : str
            One of `PAGES`.
        """
        self._pages.set(tr(name))

    def show_device(self, device: str) -> None:
        """Show the requested device.

        Parameters
        ----------
        device : str
        """
        self.device.set(device_name(device))

    def offer_devices(self, devices: set[str]) -> None:
        """Fill the menu of devices.

        Parameters
        ----------
        devices : set of str
            `ALWAYS_NAMED` are added.
        """
        offered = devices.union(ALWAYS_NAMED)
        self.device.configure(values=[tr(name) for code, name in DEVICE_NAMES.items() if code in offered])

    def show_model(self, name: str, device: str) -> None:
        """Show the model and the device in use.

        Parameters
        ----------
        name : str
        device : str
        """
        self._whole[self.model] = one_line(name)
        self.model.configure(text=tr("{model} on {device}", model=shortened(name), device=device_name(device)))

    def show_link(self, message: str, colour: Colour) -> None:
        """Show the state of the connection to the service.

        Parameters
        ----------
        message : str
        colour : Colour
        """
        self._whole[self.link] = one_line(message)
        self.link.configure(text=f"●  {shortened(message, MAX_LINK_LENGTH)}", text_color=colour)
        self.link.grid()

    def hide_device(self) -> None:
        """Hide the menu of devices."""
        self.device.grid_remove()
