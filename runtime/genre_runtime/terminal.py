"""Text that comes from files and servers, printed so that it cannot steer the terminal.

Names, labels, tags, results and error messages may hold escape sequences, carriage returns and marks that reverse the
direction of text. A command runs inside `escaped_streams`, so that whatever it prints passes through one place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # all control characters but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\u2028\u2029\ud800-\udfff"  # ends of lines and paragraphs, bytes that are not UTF-8
    "]"
)


def escaped(text: object) -> str:
    """Return text with every character that steers a terminal written as an escape; tabs and line feeds stay.

    Parameters
    ----------
    text : object
        Its `str` is taken.
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


class EscapedStream:
    """A text stream that escapes what is written to it; all else is the stream's own.

    Parameters
    ----------
    stream : TextIO
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, escaped; return the number of characters that were given."""
        self.stream.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __eq__(self, other: object) -> bool:  # tqdm compares streams to know which share a terminal
        return self.stream is unescaped(other)

    def __hash__(self) -> int:
        return hash(self.stream)


def escaping(stream: TextIO) -> TextIO:
    """Return a stream that escapes what is written to the given one."""
    # A stream that the caller closed is None, and print leaves it alone.
    return stream if stream is None else cast(TextIO, EscapedStream(stream))


def unescaped(stream: Any) -> Any:
    """Return the stream below an `EscapedStream`, for progress bars and formats that escape by themselves."""
    return stream.stream if isinstance(stream, EscapedStream) else stream


@contextmanager
def escaped_streams(*, errors: bool = True) -> Iterator[None]:
    """Escape what is printed to stdout and, if `errors` is set, to stderr."""
    sys.stdout = escaping(sys.stdout)
    if errors:
        sys.stderr = escaping(sys.stderr)
    try:
        yield
    finally:  # not the former streams: `silence_decoders` puts another one in the place of stderr
        sys.stdout = unescaped(sys.stdout)
        if errors:
            sys.stderr = unescaped(sys.stderr)
