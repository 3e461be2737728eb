"""Bounds on decoding, and what counts against them.

What audio may be read from: a path, bytes, or an open binary file.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, Protocol, cast

from numpy.typing import NDArray

from genre_runtime.audio.containers import find_sound, may_be_audio, not_audio, sniff_container
from genre_runtime.audio.structure import Structure, examine
from genre_runtime.errors import (
    AudioLimitError,
    AudioNotFoundError,
    EmptyAudioError,
    InvalidInputError,
    UnreadableAudioError,
)

MAX_SAMPLE_RATE = 1_536_000
"""Twice the highest rate in use, Hz. Ten seconds of what a header may claim, 4 GHz, would fill any memory."""


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds that hold while decoding, whatever a header says.

    Attributes
    ----------
    max_seconds : float
        Most seconds decoded from one file.
    max_bytes : int
        Most bytes of float32 samples, over all channels, decoded from one file.

    Raises
    ------
    InvalidInputError
        One of them is no positive number: nothing is more than NaN, so it would limit nothing.
    """

    max_seconds: float = 24 * 3600.0
    max_bytes: int = 64 * 2**30

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InvalidInputError(f"DecodeLimits.{name} is {value!r}: expected a positive number")


class Meter:
    """Counts what was decoded from one file, and stops at the limits or when told to.

    Attributes
    ----------
    n_samples : int
        Samples a channel so far.
    """

    def __init__(self, limits: DecodeLimits, stop: Event | None = None) -> None:
        self.limits = limits
        self.n_samples = 0
        self._stop = stop
        self._seconds = 0.0
        self._bytes = 0

    def add(self, block: NDArray[Any], sample_rate: int) -> None:
        """Count a block of shape (n_block, n_channels).

        Raises
        ------
        AudioLimitError
        CancelledError
            The event given was set.
        """
        if self._stop is not None and self._stop.is_set():
            raise CancelledError
        self.n_samples += block.shape[0]
        self._seconds += block.shape[0] / sample_rate
        self._bytes += block.nbytes
        if self._seconds > self.limits.max_seconds:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_seconds:g} s: shorten it or raise max_seconds",
                "max_seconds",
            )
        if self._bytes > self.limits.max_bytes:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_bytes} bytes: raise max_bytes to allow it",
                "max_bytes",
            )


AudioSource = Path | str | bytes | BinaryIO

MAX_PATH_BYTES = 3500
"""A longer path is opened here and handed to the decoders as an open file; systems refuse paths beyond 4,096 bytes."""


class Seekable(Protocol):
    """What is asked of an open file."""

    def read(self, n_bytes: int, /) -> bytes:
        """Read up to so many bytes."""
        ...

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Move; returns the position."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class FileView(io.RawIOBase):
    """Passes reading on to another file, and nothing else; a file open for writing too, PyAV would write to.

    Parameters
    ----------
    file : seekable binary file
    start : int
        Byte of the file that this one begins with.
    corrections : sequence of (int, bytes)
        Offsets in `file`, and what is read there instead.
    end : int, optional
        Byte of the file behind the last one of this one.
    owned : bool
        Whether closing this closes `file` too.
    """

    def __init__(
        self,
        file: Seekable,
        start: int = 0,
        corrections: tuple[tuple[int, bytes], ...] = (),
        *,
        end: int | None = None,
        owned: bool = False,
    ) -> None:
        self._file, self._start, self._end = file, start, end
        self._corrections, self._owned = corrections, owned

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read as much as there is room for."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def read(self, n_bytes: int = -1, /) -> bytes:
        """Read up to so many bytes; without a copy more than needed, since packets may be large."""
        if self._end is None and not self._corrections:
            return self._file.read(n_bytes)
        begin = self._file.tell()
        if self._end is not None:
            left = max(0, self._end - begin)
            n_bytes = left if n_bytes < 0 else min(n_bytes, left)
        content = self._file.read(n_bytes)
        if all(offset >= begin + len(content) or offset + len(right) <= begin for offset, right in self._corrections):
            return content
        corrected = bytearray(content)
        for offset, right in self._corrections:
            for i in range(max(offset, begin), min(offset + len(right), begin + len(content))):
                corrected[i - begin] = right[i - offset]
        return bytes(corrected)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, or stay where that is not possible; returns the position."""
        # A damaged file can send a decoder to before its beginning. The system then stays where it is; an exception
        # would come up in the middle of C, which can only print it.
        if whence == io.SEEK_SET:
            offset += self._start
        elif whence == io.SEEK_END and self._end is not None:
            offset, whence = offset + self._end, io.SEEK_SET
        with suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell() - self._start

    def close(self) -> None:
        """Close this, and the file if it is owned."""
        if self._owned:
            self._file.close()
        super().close()


def as_file(source: AudioSource) -> Path | BinaryIO:
    """Return a path, or a file object that stands at its beginning.

    Raises
    ------
    InvalidInputError
        None of the kinds of `AudioSource`, or a file object that cannot seek or is open for text.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return cast(BinaryIO, FileView(io.BytesIO(source)))
    try:
        source.seek(0)
        if isinstance(source.read(0), bytes):
            return cast(BinaryIO, FileView(source))
    except (AttributeError, OSError, ValueError) as error:
        raise InvalidInputError(
            f"audio comes from {type(source).__name__}: expected a path, bytes or a seekable binary file"
        ) from error
    raise InvalidInputError("audio comes from a file opened for text: open it with mode 'rb'")


@dataclass(frozen=True)
class AudioFile:
    """A source whose first bytes and structure were looked at.

    Attributes
    ----------
    source : path, bytes or seekable binary file object
    container : str or None
        FFmpeg's name of the container; None for what libsndfile alone may know.
    head : bytes
        First 64 KiB of the sound.
    start : int
        Byte at which the sound begins.
    plain : bool
        Whether decoders skip by themselves what is in front of the sound.
    structure : Structure
    """

    source: AudioSource
    container: str | None
    head: bytes
    start: int
    plain: bool
    structure: Structure

    def opened(self) -> Path | BinaryIO:
        """Return what a decoder is to read: the path or file itself, or a view of it that begins with the sound."""
        needs_view = self.structure.corrections or not self.plain
        file = as_file(self.source)
        if not needs_view and isinstance(file, Path) and len(os.fsencode(file.absolute())) <= MAX_PATH_BYTES:
            return file
        return self.view(self.start if needs_view else 0, None)

    def view(self, start: int, end: int | None) -> BinaryIO:
        """Return the bytes from `start` to `end` as a file of their own."""
        file = as_file(self.source)
        owned = isinstance(file, Path)
        opened = file.open("rb") if isinstance(file, Path) else file
        view = FileView(opened, start, self.structure.corrections, end=end, owned=owned)
        view.seek(0)
        return cast(BinaryIO, view)


def look_at(source: AudioSource) -> AudioFile:
    """Find out what a source is, having made sure that it is a regular file.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, InvalidInputError
    """
    with _opened(source) as file:
        size = file.seek(0, io.SEEK_END)
        if not size:
            raise EmptyAudioError("the file is empty (0 bytes): expected audio")
        sound = find_sound(file)
        if not may_be_audio(sound.head):
            raise not_audio(sound.head)
        container = sniff_container(sound.head)
        structure = examine(file, container, sound.offset, size)
    # Without a header frame, libmpg123 takes a tag for sound when it guesses a length.
    skipped = sound.plain and container in ("mp3", "aac") and structure.seconds is None
    return AudioFile(source, container, sound.head, sound.offset, skipped or not sound.offset, structure)


@contextmanager
def _opened(source: AudioSource) -> Iterator[BinaryIO]:
    file = as_file(source)
    if not isinstance(file, Path):
        yield file
        return
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(file) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnreadableAudioError(f"the path cannot be looked up: {why}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UnreadableAudioError(f"the path is {kind}: expected an audio file")
    try:
        opened = file.open("rb", buffering=0)
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error
    with opened:
        try:
            yield cast(BinaryIO, opened)
        except OSError as error:
            raise UnreadableAudioError(f"the file cannot be read: {error.strerror or error}") from error
