"""Colours, fonts and spacing. A colour is a pair: light appearance, dark appearance."""

from __future__ import annotations

import colorsys
import ctypes
import sys
from functools import cache
from tkinter import Misc, ttk
from typing import Any

import customtkinter

Colour = tuple[str, str]
Font = tuple[str, int, str]

BACKGROUND: Colour = ("#F1F4FA", "#101418")
CARD: Colour = ("#FFFFFF", "#1B2026")
TEXT: Colour = ("#181C20", "#E1E2E8")
MUTED: Colour = ("#545C66", "#A0A8B2")
ERROR: Colour = ("#B3261E", "#F2B8B5")
WARNING: Colour = ("#7A5200", "#F1C172")
GOOD: Colour = ("#1B6E3C", "#8FD6A4")
PRIMARY: Colour = ("#1A5FB4", "#9ECAFF")
PRIMARY_HOVER: Colour = ("#164F96", "#BBD9FF")
ON_PRIMARY: Colour = ("#FFFFFF", "#00315B")
TONAL: Colour = ("#D7E3F8", "#2F4156")
TONAL_HOVER: Colour = ("#C5D6F2", "#3A4F68")
ON_TONAL: Colour = ("#101C2B", "#D7E3F8")
SELECTED: Colour = ("#BBD4F7", "#37557A")
ERROR_CARD: Colour = ("#FBE9E7", "#4A2321")
BAR: Colour = ("#1A5FB4", "#7FB2F0")
TRACK: Colour = ("#E3E8F0", "#30363E")
OUTLINE: Colour = ("#C3C7CF", "#454B54")

WIDE, MIDDLE, NARROW = 24, 16, 8
"""Spacing, pixels before scaling."""

TABLE = "Genre.Treeview"
ROW_HEIGHT = 30


def dark() -> bool:
    """Return whether the appearance is dark."""
    return bool(customtkinter.get_appearance_mode() == "Dark")


def colour(pair: Colour) -> str:
    """Return the colour of a pair for the present appearance.

    Parameters
    ----------
    pair : Colour
    """
    return pair[dark()]


def choose_appearance(theme: str) -> None:
    """Change the appearance.

    On Linux the system is asked once: to follow it, customtkinter would start a program every 30 ms.

    Parameters
    ----------
    theme : {"system", "light", "dark"}
    """
    if theme == "system" and sys.platform.startswith("linux"):
        import darkdetect  # type: ignore[import-untyped]

        theme = "dark" if darkdetect.theme() == "Dark" else "light"
    customtkinter.set_appearance_mode(theme)


_LUMINANCES = (0.6, 0.42, 0.28), (0.12, 0.035, 0.07)
"""Of the genres' colours in the light and the dark appearance: hues alone would make two of fifteen genres alike."""

_SATURATIONS = 0.6, 0.6


def genre_colour(index: int) -> str:
    """Return a colour on which text in `TEXT` is readable, unlike those of all other genres.

    Parameters
    ----------
    index : int
        Of the genre in the model's labels.
    """
    return _genre_colour(index, dark=dark())


@cache
def _genre_colour(index: int, *, dark: bool) -> str:
    hue = index * 0.381966 % 1.0  # the golden angle: any number of hues stays far apart
    luminances, low, high = _LUMINANCES[dark], 0.0, 1.0
    for _ in range(12):  # the lightness at which this hue has the luminance
        middle = (low + high) / 2
        rgb = colorsys.hls_to_rgb(hue, middle, _SATURATIONS[dark])
        darker = luminance(rgb) < luminances[index % len(luminances)]
        low, high = (middle, high) if darker else (low, middle)
    red, green, blue = colorsys.hls_to_rgb(hue, low, _SATURATIONS[dark])
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance of a colour, 0 to 1, as WCAG 2.2 defines it.

    Parameters
    ----------
    rgb : (float, float, float)
        Red, green and blue, 0 to 1.
    """
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class _Text:
    scale = 1.0


def choose_text_size(size: str) -> None:
    """Change the size of text, and of the rows and buttons that hold it, for widgets made from now on.

    Parameters
    ----------
    size : str
        Per cent.
    """
    _Text.scale = int(size) / 100


def text_size(pixels: float) -> int:
    """Return a length that grows with the text.

    Parameters
    ----------
    pixels : float
        At the usual size of text.
    """
    return round(pixels * _Text.scale)


def text_font(size: int = 13, *, bold: bool = False) -> Any:
    """Return a font for a widget of customtkinter.

    Parameters
    ----------
    size : int
        Pixels before scaling, at the usual size of text.
    bold : bool
    """
    return customtkinter.CTkFont(size=text_size(size), weight="bold" if bold else "normal")


POINTS_PER_INCH, USUAL_DPI = 72, 96
STEP = 0.25
LARGEST_SCALE = 4.0


def choose_scale(root: Misc, scale: str) -> None:
    """Change the size of everything in the window.

    Parameters
    ----------
    root : Misc
    scale : {"auto", "100", "125", "150", "200"}
        Per cent; `auto` for that of the screen. Windows and macOS scale by themselves; the per cents come on top.
    """
    factor = screen_scale(root) if scale == "auto" else int(scale) / 100
    dpi = _xft_dpi(root.winfo_screen()) if sys.platform.startswith("linux") else 0.0
    if dpi:  # Tk turns pixels of a font to points by its own dpi, and Xft turns points to pixels by this one
        root.tk.call("tk", "scaling", dpi / POINTS_PER_INCH)
    customtkinter.set_window_scaling(factor)
    customtkinter.set_widget_scaling(factor)


def screen_scale(root: Misc) -> float:
    """Return the scale that the desktop sets for its screen, in steps of a quarter; 1 on Windows and macOS.

    Parameters
    ----------
    root : Misc
    """
    if not sys.platform.startswith("linux"):
        return 1.0
    dpi = _xft_dpi(root.winfo_screen()) or root.winfo_fpixels("1i")
    return min(max(round(dpi / USUAL_DPI / STEP) * STEP, 1.0), LARGEST_SCALE)


def _xft_dpi(screen: str) -> float:
    """Return the resource `Xft.dpi`, which desktops set and Tk 8.6 does not read; 0 if there is none."""
    try:
        library = ctypes.CDLL("libX11.so.6")
        library.XOpenDisplay.restype, library.XGetDefault.restype = ctypes.c_void_p, ctypes.c_char_p
        display = ctypes.c_void_p(library.XOpenDisplay(screen.encode()))
        if not display:
            return 0.0
        try:
            value = library.XGetDefault(display, b"Xft", b"dpi")
            dpi = float(value) if value else 0.0
        finally:
            library.XCloseDisplay(display)
    except (OSError, AttributeError, ValueError):
        return 0.0
    return dpi if USUAL_DPI / 2 <= dpi <= LARGEST_SCALE * USUAL_DPI else 0.0


def scaling(widget: Misc) -> float:
    """Return pixels of the screen for each pixel of the layout.

    Parameters
    ----------
    widget : Misc
    """
    return float(customtkinter.ScalingTracker.get_widget_scaling(widget))


def font(widget: Misc, size: int, weight: str = "normal") -> Font:
    """Return the font of the window for a plain Tk widget.

    Parameters
    ----------
    widget : Misc
    size : int
        Pixels before scaling, at the usual size of text.
    weight : {"normal", "bold"}
    """
    family = customtkinter.ThemeManager.theme["CTkFont"]["family"]
    return str(family), -round(text_size(size) * scaling(widget)), weight


def style_tables(root: Misc) -> None:
    """Apply the colours of the present appearance to all tables.

    Parameters
    ----------
    root : Misc
    """
    style = ttk.Style(root)
    style.theme_use("clam")  # the only built-in theme whose colours can all be changed on every system
    style.configure(
        TABLE,
        background=colour(CARD),
        fieldbackground=colour(CARD),
        foreground=colour(TEXT),
        bordercolor=colour(CARD),
        lightcolor=colour(CARD),
        darkcolor=colour(CARD),
        borderwidth=0,
        relief="flat",
        font=font(root, 13),
        rowheight=round(text_size(ROW_HEIGHT) * scaling(root)),
    )
    style.map(TABLE, background=[("selected", colour(TONAL))], foreground=[("selected", colour(ON_TONAL))])
    style.configure(
        f"{TABLE}.Heading",
        background=colour(CARD),
        foreground=colour(MUTED),
        bordercolor=colour(CARD),
        lightcolor=colour(CARD),
        darkcolor=colour(OUTLINE),
        relief="flat",
        font=font(root, 12, "bold"),
        padding=(round(4 * scaling(root)), round(6 * scaling(root))),
    )
    style.map(f"{TABLE}.Heading", background=[("active", colour(TRACK))], foreground=[("active", colour(TEXT))])
    style.layout(TABLE, [("Treeview.treearea", {"sticky": "nswe"})])
