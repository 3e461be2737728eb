"""Names and numbers as the window shows them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from genre_gui.language import mark, tr
from genre_gui.phrases import translated
from genre_runtime import GenreError

MAX_NAME_LENGTH = 48

DEVICE_NAMES = {
    "auto": mark("Automatic"),
    "cuda": "CUDA",
    "tensorrt": "TensorRT",
    "directml": "DirectML",
    "coreml": "Core ML",
    "openvino": "OpenVINO",
    "cpu": "CPU",
}


def one_line(text: str) -> str:
    """Return text on one line that every toolkit can draw: line breaks become spaces, undecodable bytes U+FFFD.

    Parameters
    ----------
    text : str
    """
    if text.isprintable() and "  " not in text and text == text.strip():
        return text  # nearly all: thousands of names are searched with every key
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(name: str, longest: int = MAX_NAME_LENGTH) -> str:
    """Return a name on one line, without its middle if it is too long.

    Parameters
    ----------
    name : str
    longest : int
        Number of characters.
    """
    name = one_line(name)
    if len(name) <= longest:
        return name
    ending = longest // 3
    return f"{name[: longest - ending - 1]}…{name[-ending:]}"


def folder_name(folder: Path) -> str:
    """Return a folder on one line, with `~` for the user's home folder.

    Parameters
    ----------
    folder : Path
    """
    with suppress(RuntimeError, ValueError):  # there is no home, or the folder is elsewhere
        home = Path.home()
        if home != Path(home.anchor):
            return one_line(str("~" / folder.relative_to(home)))
    return one_line(str(folder))


def device_name(device: str) -> str:
    """Return the name of a device for display.

    Parameters
    ----------
    device : str
        The runtime's code, such as `cuda`.
    """
    return tr(DEVICE_NAMES[device]) if device in DEVICE_NAMES else one_line(device)


def sentence(error: GenreError) -> str:
    """Return the message of an error in the language of the window, on one line, with a capital first letter.

    Parameters
    ----------
    error : GenreError
    """
    return capitalised(translated(one_line(str(error))))


def capitalised(text: str) -> str:
    """Return text with a capital first letter.

    Parameters
    ----------
    text : str
    """
    return text[:1].upper() + text[1:]
