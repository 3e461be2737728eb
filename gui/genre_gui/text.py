"""Names and numbers as the window shows them."""

from __future__ import annotations

from genre_runtime import GenreError

LONGEST_NAME = 48

DEVICE_NAMES = {
    "auto": "Automatic",
    "cuda": "CUDA",
    "tensorrt": "TensorRT",
    "directml": "DirectML",
    "coreml": "Core ML",
    "openvino": "OpenVINO",
    "cpu": "CPU",
}


def one_line(text: str) -> str:
    """Put any text on one line that every toolkit can draw: line breaks become spaces, undecodable bytes a mark."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Put a name on one line, and cut the middle out of a long one: its two ends tell most."""
    name = one_line(name)
    if len(name) <= longest:
        return name
    ending = longest // 3
    return f"{name[: longest - ending - 1]}…{name[-ending:]}"


def device_name(device: str) -> str:
    """Return a device as people write it."""
    return DEVICE_NAMES.get(device, one_line(device))


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sentence(error: GenreError) -> str:
    """Return an error's words on one line, beginning with a capital."""
    return capitalised(one_line(str(error)))


def capitalised(text: str) -> str:
    """Return text beginning with a capital."""
    return text[:1].upper() + text[1:]
