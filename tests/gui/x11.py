"""What a window manager does with a window, by libX11, which Tk needs anyway: find it by its title, ask it to close."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CLIENT_MESSAGE = 33


class _ClientMessage(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("room", ctypes.c_byte * 192),  # an XEvent is larger than this one
    )


_ignore = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: 0)


@contextmanager
def _opened() -> Iterator[tuple[Any, ctypes.c_void_p]]:
    library = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    library.XOpenDisplay.restype = ctypes.c_void_p
    for name in ("XDefaultRootWindow", "XInternAtom"):
        getattr(library, name).restype = ctypes.c_ulong
    library.XSetErrorHandler.restype = ctypes.c_void_p
    before = library.XSetErrorHandler(_ignore)  # a window may go while it is looked at, and the usual answer is exit()
    display = ctypes.c_void_p(library.XOpenDisplay(None))
    assert display.value, "the screen of the tests cannot be opened"
    try:
        yield library, display
    finally:
        library.XSync(display, 0)
        library.XCloseDisplay(display)
        library.XSetErrorHandler(ctypes.c_void_p(before))


def find(title: str) -> int | None:
    """Return the top window of that title, if there is one."""
    with _opened() as (library, display):
        return _find(library, display, title)


def ask_to_close(title: str) -> None:
    """Send what the close button of a window's frame sends."""
    with _opened() as (library, display):
        window = _find(library, display, title)
        assert window is not None, f"no window is called {title}"
        message = _ClientMessage(type=_CLIENT_MESSAGE, window=window, format=32)
        message.message_type = library.XInternAtom(display, b"WM_PROTOCOLS", 0)
        message.data[0] = library.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
        assert library.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
        library.XSync(display, 0)


def _find(library: Any, display: ctypes.c_void_p, title: str) -> int | None:
    root, parent = ctypes.c_ulong(), ctypes.c_ulong()
    children, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
    top = ctypes.c_ulong(library.XDefaultRootWindow(display))
    library.XQueryTree(display, top, *(ctypes.byref(each) for each in (root, parent, children, count)))
    for window in children[: count.value]:
        name = ctypes.c_char_p()
        if library.XFetchName(display, ctypes.c_ulong(window), ctypes.byref(name)) and name.value == title.encode():
            return int(window)
    return None
