"""Audio sources (a path, bytes or an open binary file), and limits on how much is decoded from one."""

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
from typing import Any, BinaryIO, cast

from numpy.typing import NDArray

from genre_runtime.audio.containers import examine, find_audio_start, may_be_audio, not_audio_error, sniff_container
from genre_runtime.audio.structure import Structure
from genre_runtime.errors import (
    AudioLimitError,
    AudioNotFoundError,
    EmptyAudioError,
    InvalidInputError,
    UnreadableAudioError,
)

MAX_SAMPLE_RATE = 1_536_000
"""Twice the highest rate in use, Hz. A header may claim 4 GHz, of which ten seconds exceed any memory."""


@dataclass(frozen=True)
class DecodeLimits:
    """Limits on what is decoded from one file, whatever its header claims.

    Attributes
    ----------
    max_seconds : float
        Most seconds of audio.
    max_bytes : int
        Most bytes of float32 samples, all channels together.

    Raises
    ------
    InvalidInputError
        A value is not a positive number.
    """

    max_seconds: float = 24 * 3600.0
    max_bytes: int = 64 * 2**30

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:  # NaN limits nothing
                raise InvalidInputError(f"DecodeLimits.{name} is {value!r}: expected a positive number")


class DecodeBudget:
    """Counts what is decoded from one file, and raises when a limit is exceeded or `stop` is set.

    Parameters
    ----------
    limits : DecodeLimits
    stop : threading.Event, optional

    Attributes
    ----------
    n_samples : int
        Samples per channel so far.
    """

    def __init__(self, limits: DecodeLimits, stop: Event | None = None) -> None:
        self.limits, self.stop = limits, stop
        self.n_samples = 0
        self._seconds = 0.0
        self._bytes = 0

    def renewed(self) -> DecodeBudget:
        """Return an unspent budget with the same limits, to decode the file another time."""
        return DecodeBudget(self.limits, self.stop)

    def spend(self, block: NDArray[Any], sample_rate: int) -> None:
        """Count a block.

        Parameters
        ----------
        block : ndarray of shape (n_block, n_channels)
        sample_rate : int
            Of the block, Hz.

        Raises
        ------
        AudioLimitError
        CancelledError
            `stop` is set.
        """
        if self.stop is not None and self.stop.is_set():
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
"""A longer path is passed to the decoders as an open file; systems refuse paths of more than 4,096 bytes."""


class FileView(io.RawIOBase):
    """A read-only view of part of a file. PyAV would write to a file that is open for writing.

    Parameters
    ----------
    file : seekable binary file
    start : int
        First byte of the view.
    corrections : sequence of (int, bytes)
        Offsets in `file` and the bytes to return in place of those in the file.
    end : int, optional
        End of the view, a byte of `file`; by default the end of the file.
    owned : bool
        Whether closing the view closes `file`, too.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int = 0,
        corrections: tuple[tuple[int, bytes], ...] = (),
        *,
        end: int | None = None,
        owned: bool = False,
    ) -> None:
        self._file, self._start, self._end = file, start, end
        self._corrections, self._owned = corrections, owned

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as the file goes.

        Parameters
        ----------
        buffer : writable bytes-like

        Returns
        -------
        int
            Number of bytes read.
        """
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def read(self, n_bytes: int = -1, /) -> bytes:
        """Read bytes.

        Parameters
        ----------
        n_bytes : int
            Most bytes to read; a negative number reads to the end.
        """
        if self._end is None and not self._corrections:
            return self._file.read(n_bytes)
        begin = self._file.tell()
        if self._end is not None:
            left = max(0, self._end - begin)
            n_bytes = left if n_bytes < 0 else min(n_bytes, left)
        content = self._file.read(n_bytes)
        if all(offset >= begin + len(content) or offset + len(right) <= begin for offset, right in self._corrections):
            return content  # without a copy, because packets may be large
        corrected = bytearray(content)
        for offset, right in self._corrections:
            for i in range(max(offset, begin), min(offset + len(right), begin + len(content))):
                corrected[i - begin] = right[i - offset]
        return bytes(corrected)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset and return the position; do not move if the offset is invalid.

        Parameters
        ----------
        offset : int
        whence : int
            As of `io.IOBase.seek`.
        """
        # A damaged file may send a decoder to a negative offset. An exception would reach C code, which only prints it.
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
        """Close the view, and the file if it is owned."""
        if self._owned:
            self._file.close()
        super().close()


def as_file(source: AudioSource) -> Path | BinaryIO:
    """Return a source as a path, or as a read-only file at position 0.

    Parameters
    ----------
    source : path, bytes or seekable binary file object

    Raises
    ------
    InvalidInputError
        Another type, or a file object that cannot seek or is open for text.
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
    """A source with its container and structure.

    Attributes
    ----------
    source : path, bytes or seekable binary file object
    container : str or None
        FFmpeg's name of the container; None for formats that at most libsndfile reads.
    head : bytes
        First 64 KiB of the audio.
    start : int
        Byte at which the audio begins.
    is_skippable : bool
        Whether decoders skip what precedes the audio on their own.
    structure : Structure
    """

    source: AudioSource
    container: str | None
    head: bytes
    start: int
    is_skippable: bool
    structure: Structure

    def open(self) -> Path | BinaryIO:
        """Return the path or file that a decoder reads, or a view of it that begins with the audio."""
        needs_view = self.structure.corrections or not self.is_skippable
        file = as_file(self.source)
        if not needs_view and isinstance(file, Path) and len(os.fsencode(file.absolute())) <= MAX_PATH_BYTES:
            return file
        return self.view(self.start if needs_view else 0, None)

    def view(self, start: int, end: int | None) -> BinaryIO:
        """Return part of the file as a file.

        Parameters
        ----------
        start : int
            First byte.
        end : int or None
            End; None for the end of the file.
        """
        file = as_file(self.source)
        owned = isinstance(file, Path)
        opened = file.open("rb") if isinstance(file, Path) else file
        view = FileView(opened, start, self.structure.corrections, end=end, owned=owned)
        view.seek(0)
        return cast(BinaryIO, view)


def probe(source: AudioSource) -> AudioFile:
    """Find the container, the start of the audio and the structure of a source.

    Parameters
    ----------
    source : path, bytes or seekable binary file object

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, InvalidInputError
    """
    with _open_regular_file(source) as file:
        size = file.seek(0, io.SEEK_END)
        if not size:
            raise EmptyAudioError("the file is empty (0 bytes): expected audio")
        audio = find_audio_start(file)
        if not may_be_audio(audio.head):
            raise not_audio_error(audio.head)
        container = sniff_container(audio.head)
        structure = examine(file, container, audio.offset, size)
    # Without a header frame, libmpg123 counts a tag as audio when it estimates the length.
    is_skippable = audio.is_skippable and container in ("mp3", "aac") and structure.seconds is None
    return AudioFile(source, container, audio.head, audio.offset, is_skippable or not audio.offset, structure)


@contextmanager
def _open_regular_file(source: AudioSource) -> Iterator[BinaryIO]:
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
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
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
