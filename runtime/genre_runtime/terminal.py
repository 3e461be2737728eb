"""Escapes text from files and servers before it reaches the terminal, and silences decoders.

File names, labels, tags and error messages may contain escape sequences, carriage returns and marks that reverse the
direction of text. A command runs inside `escaped_streams`, so that all its output is escaped in one place.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

STDERR = 2
"""File descriptor of the error stream."""

_CONTROL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # all control characters except tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\u2028\u2029\ud800-\udfff"  # ends of lines and paragraphs, bytes that are not UTF-8
    "]"
)


def escaped(text: object) -> str:
    """Return text with control characters as escapes; tabs and line feeds stay.

    Parameters
    ----------
    text : object
        Converted by `str`.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


class EscapedStream:
    """A text stream that escapes what is written to it and is otherwise the given stream.

    Parameters
    ----------
    stream : TextIO
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text with control characters as escapes.

        Parameters
        ----------
        text : str

        Returns
        -------
        int
            Number of characters of `text`, before escaping.
        """
        self.stream.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __eq__(self, other: object) -> bool:  # tqdm compares streams to know which share a terminal
        return self.stream is unescaped(other)

    def __hash__(self) -> int:
        return hash(self.stream)


def escaping(stream: TextIO) -> TextIO:
    """Return a stream that escapes what is written to the given one.

    Parameters
    ----------
    stream : TextIO
        May be None, as `sys.stdout` is if the caller closed it; then None is returned, which `print` accepts.
    """
    return stream if stream is None else cast(TextIO, EscapedStream(stream))


def unescaped(stream: Any) -> Any:
    """Return the stream inside an `EscapedStream`, for progress bars and for formats that need no escapes.

    Parameters
    ----------
    stream : TextIO
        Any other stream is returned as it is.
    """
    return stream.stream if isinstance(stream, EscapedStream) else stream


@contextmanager
def escaped_streams(*, errors: bool = True) -> Iterator[None]:
    """Escape what is printed to stdout and stderr.

    Parameters
    ----------
    errors : bool
        Whether to escape stderr as well.
    """
    sys.stdout = escaping(sys.stdout)
    if errors:
        sys.stderr = escaping(sys.stderr)
    try:
        yield
    finally:  # not the previous streams: `silence_decoders` replaces stderr
        sys.stdout = unescaped(sys.stdout)
        if errors:
            sys.stderr = unescaped(sys.stderr)


def silence_decoders() -> None:
    """Discard what C libraries write to the error stream; `sys.stderr` still reaches the terminal.

    libmpg123 prints every irregularity of an MP3 file, and libsndfile has no option to prevent it.
    """
    try:
        if sys.stderr.fileno() != STDERR:
            return
        own = os.dup(STDERR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # closed, or replaced by an object without a file descriptor
        return
    stream = open(own, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = escaping(stream) if isinstance(sys.stderr, EscapedStream) else stream
