"""The elements of a JSON array, decoded one at a time, however the array is laid out in lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

CHUNK = 1 << 16
"""Characters read at first; more for elements that are longer."""

LONGEST = 1 << 26
"""Characters of an element; text that goes on for longer is torn."""

_BETWEEN = re.compile(r"[\s,]*")


def array_elements(start: str, rest: TextIO) -> Iterator[Any]:
    """Yield elements until the array ends; where text is torn or no JSON, that text, and then no more.

    Parameters
    ----------
    start : str
        What was read behind the opening bracket already.
    rest : TextIO
        The text that follows.

    Yields
    ------
    Any
        A JSON value; a str is what could not be decoded, cut to some hundred characters.
    """
    decoder = json.JSONDecoder()
    buffer, position, more = start, 0, CHUNK
    while True:
        position = _end(buffer, position)
        try:
            if buffer[position : position + 1] == "]":
                return
            element, position = decoder.raw_decode(buffer, position)
            more = CHUNK
        except (ValueError, RecursionError):  # cut short as yet, or no JSON
            text = rest.read(more) if len(buffer) - position < LONGEST else ""
            buffer, position = buffer[position:] + text, 0
            if not text:
                if buffer:
                    yield f"{buffer[:200]} ..."
                return
            more *= 2  # so that a long element is not decoded again and again
            continue
        yield element if not isinstance(element, str) else json.dumps(element)


def _end(buffer: str, position: int) -> int:
    between = _BETWEEN.match(buffer, position)
    return between.end() if between else position
