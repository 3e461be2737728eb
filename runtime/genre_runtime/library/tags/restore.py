"""How to get a file's earlier bytes back from its later ones.

A patch lists pieces, in the earlier file's order: stretches to be copied from the later file, and the bytes that it
no longer holds. Tags change in length, so that most of a file lies in the later one too, moved by one of few
distances; those are tried at every point, and what is found nowhere is kept. Offsets and lengths are bytes.

Restoring files from a journal, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, GenreError, JournalError, TagWriteError
from genre_runtime.library.tags.audio_payload import payload_sha256
from genre_runtime.library.tags.formats import adapter_of, reading
from genre_runtime.library.tags.journal import Entry, FileState, Journal
from genre_runtime.library.tags.replace import replace_file, sha256_of

GRAIN = 32
"""Shortest stretch worth a piece of its own."""
WINDOW = 2**14
_COPY_WINDOW = 2**20
_WORTH_A_SEARCH = 2**10
_MAX_SEARCHES = 16
"""Each reads the later file once; stretches that moved by a distance of their own are few."""

MOST_LARGER = 2**26
"""Bytes that an earlier file may be longer than the later one: what tags and their padding lose at once."""
_MOST_LISTED = 2**24
"""Bytes of a list of pieces; an Ogg file of 1 GB has 12 MB of them."""
_PIECE_BYTES = 44
"""The longest entry of that list."""

_KEPT = -1
"""In the place of an offset: the bytes are kept in the patch."""


def difference(earlier: BinaryIO, later: BinaryIO) -> bytes:
    """Return a patch that `restore` makes the earlier file from, given the later one."""
    n_earlier = _size(earlier)
    distances = [0, _size(later) - n_earlier]
    pieces: list[list[int]] = []
    kept = bytearray()
    searches = _MAX_SEARCHES
    position = 0
    while position < n_earlier:
        run, distance = max((_run(earlier, later, position, distance), distance) for distance in distances)
        if run >= GRAIN:
            pieces.append([position + distance, run])
            position += run
            continue
        window = _read(earlier, position, WINDOW)
        gap = min(_gap(window, later, position + distance) for distance in distances)
        if gap == len(window) >= _WORTH_A_SEARCH and searches:
            searches -= 1
            middle = len(window) // 2
            moved = _find(later, window[middle : middle + 2 * GRAIN])
            if moved is not None and (distance := moved - position - middle) not in distances:
                distances.append(distance)
                continue
        kept += window[:gap]
        if pieces and pieces[-1][0] == _KEPT:
            pieces[-1][1] += gap
        else:
            pieces.append([_KEPT, gap])
        position += gap
    listed = json.dumps(pieces, separators=(",", ":")).encode()
    return zlib.compress(struct.pack(">I", len(listed)) + listed + kept, 9)


def restore(patch: bytes, later: BinaryIO, out: BinaryIO | io.RawIOBase, n_earlier: int) -> None:
    """Write the earlier file to `out`.

    Parameters
    ----------
    patch : bytes
        From a journal: it may be forged, so that nothing in it decides how much is unpacked or written.
    later, out : binary file objects
    n_earlier : int
        Bytes of the earlier file. It may be at most `MOST_LARGER` bytes longer than the later one.

    Raises
    ------
    JournalError
        The patch is damaged, or gives another number of bytes. Whether the result is the earlier file is for its
        checksum to say.
    """
    n_later = _size(later)
    if not 0 <= n_earlier <= n_later + MOST_LARGER:
        raise JournalError(
            f"the record names an earlier file of {n_earlier} bytes, and the file has {n_later}: tags do not make such "
            "a difference"
        )
    try:
        kept = _Unpacked(patch)
        (n_listed,) = struct.unpack(">I", kept.read(4))
        if n_listed > min(_MOST_LISTED, _PIECE_BYTES * (n_earlier // GRAIN + 2) * 2):
            raise ValueError(f"a list of pieces of {n_listed} bytes")
        pieces = [(int(offset), int(length)) for offset, length in json.loads(kept.read(n_listed))]
        if not all(_KEPT <= offset <= n_later and 0 <= length <= n_earlier for offset, length in pieces):
            raise ValueError("a piece lies nowhere")
        n_written = sum(length for _, length in pieces)
        if n_written != n_earlier:
            raise ValueError(f"{n_written} bytes in the place of {n_earlier}")
        for offset, length in pieces:
            if offset != _KEPT:
                later.seek(offset)
            source = kept if offset == _KEPT else later
            while length > 0:
                block = source.read(min(length, _COPY_WINDOW))
                if not block:
                    raise ValueError("a piece ends too early")
                out.write(block)
                length -= len(block)
    except (zlib.error, struct.error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise JournalError(f"the recorded bytes are damaged ({error}): this change cannot be undone") from error


def restored_sha256(patch: bytes, later: BinaryIO, n_earlier: int) -> str:
    """Return the sha256, hexadecimal, of what `restore` would write.

    Raises
    ------
    JournalError
    """
    digest = _Digest()
    restore(patch, later, digest, n_earlier)
    return digest.sha256.hexdigest()


class _Unpacked:
    """A patch that is decompressed as it is read: a few bytes may stand for gigabytes."""

    def __init__(self, patch: bytes) -> None:
        self._decompressor = zlib.decompressobj()
        self._packed = io.BytesIO(patch)

    def read(self, n_bytes: int) -> bytes:
        """Return that many bytes.

        Raises
        ------
        ValueError, zlib.error
            The patch ends too early or is damaged.
        """
        content = bytearray()
        while len(content) < n_bytes:
            packed = self._decompressor.unconsumed_tail or self._packed.read(WINDOW)
            block = self._decompressor.decompress(packed, n_bytes - len(content))
            if not block and not packed:
                raise ValueError("the patch ends too early")
            content += block
        return bytes(content)


class _Digest(io.RawIOBase):
    """A file that keeps the checksum alone of what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, content: Any) -> int:
        """Take bytes in."""
        self.sha256.update(content)
        return len(content)


def _run(earlier: BinaryIO, later: BinaryIO, position: int, distance: int) -> int:
    """Count the bytes from `position` on that lie in the later file too, `distance` further on."""
    run, window = 0, GRAIN  # most places that are tried match nothing: look closer only where it is worth it
    while True:
        a = _read(earlier, position + run, window)
        b = _read(later, position + run + distance, window)
        n = min(len(a), len(b))
        differing = np.flatnonzero(_array(a)[:n] != _array(b)[:n])
        if differing.size:
            return run + int(differing[0])
        run += n
        if n < window:
            return run
        window = min(16 * window, _COPY_WINDOW)


def _gap(window: bytes, later: BinaryIO, offset: int) -> int:
    """Return where in `window` the first grain begins that the later file holds at the same place from `offset` on."""
    skipped = -(min(0, offset) // GRAIN) * GRAIN  # whole grains that would lie before the file's beginning
    if skipped >= len(window):
        return len(window)
    other = _read(later, offset + skipped, len(window) - skipped)
    n = min(len(window) - skipped, len(other)) // GRAIN
    if n < 1:
        return len(window)
    equal = _array(window)[skipped : skipped + n * GRAIN] == _array(other)[: n * GRAIN]
    found = np.flatnonzero(equal.reshape(n, GRAIN).all(axis=1))
    return skipped + int(found[0]) * GRAIN if found.size else len(window)


def _find(file: BinaryIO, needle: bytes) -> int | None:
    """Return the offset of `needle`, or None; a needle of one value would be found everywhere and anywhere."""
    if len(set(needle)) == 1:
        return None
    offset = 0
    while len(block := _read(file, offset, _COPY_WINDOW)) >= len(needle):
        found = block.find(needle)
        if found >= 0:
            return offset + found
        offset += len(block) - len(needle) + 1
    return None


def _read(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Read; what lies before the file's beginning is read as nothing at all."""
    if offset < 0:
        return b""
    file.seek(offset)
    return file.read(n_bytes)


def _array(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


@dataclass(frozen=True)
class Undone:
    """What became of one file of a journal.

    Attributes
    ----------
    path : Path
        The file, or the journal itself where a line of it cannot be read.
    n_restored : int
        Changes taken back; none where the file was already as it had been.
    genres : tuple of str
        What the file says now.
    error : GenreError or None
        Why it could not be restored, or not all the way.
    """

    path: Path
    n_restored: int
    genres: tuple[str, ...] = ()
    error: GenreError | None = None


def undo(journal: Journal | Path | str) -> Iterator[Undone]:
    """Restore every file of a journal, the latest change first, with its modification time.

    A file that is not as the journal left it is named and left alone; doing it twice does no harm.

    Yields
    ------
    Undone
        One a file, and one a line that cannot be read; an error never ends the run.

    Raises
    ------
    JournalError
        There is no journal, or nothing in it.
    """
    book = journal if isinstance(journal, Journal) else Journal(Path(journal))
    changes: dict[Path, list[Entry]] = {}
    lines = list(book.read())
    for _, entry in reversed(lines):
        if isinstance(entry, Entry):
            changes.setdefault(entry.path, []).append(entry)
    if not changes:
        raise JournalError(f"the journal {str(book.path)!r} records no change: name the file that was printed")
    for path, entries in changes.items():
        yield _undo_file(path, entries)
    for number, entry in lines:
        if isinstance(entry, JournalError):
            yield Undone(book.path, 0, error=JournalError(f"line {number}: {entry}"))


def _undo_file(path: Path, entries: Sequence[Entry]) -> Undone:
    """Take back a file's changes, the latest first, from the one that it is in the state of."""
    n_restored, known = 0, False
    unusable: JournalError | None = None
    genres: tuple[str, ...] = ()
    try:
        sha256 = _sha256(path)
        for entry in entries:
            if sha256 == entry.new.sha256:
                try:
                    _restore(path, entry)
                except JournalError as error:  # another record of the same change may do
                    unusable, known = error, True
                    continue
                n_restored, unusable = n_restored + 1, None
            elif sha256 != entry.old.sha256:  # made and taken back before, or never made
                continue
            sha256, known, genres = entry.old.sha256, True, entry.old_genres
        if unusable is not None:
            raise unusable
        if not known:
            raise ChangedFileError("the file was changed since: it is not as the journal left it, and stays as it is")
    except GenreError as error:
        return Undone(path, n_restored, genres, error)
    return Undone(path, n_restored, genres)


def _restore(path: Path, entry: Entry) -> None:
    """Put the earlier file back, if it is audio and differs from the present one in its tags alone.

    A journal is a file like any other: what it says may be forged, and must not be used to write what it likes to any
    file whose content is known.
    """

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with reading(path, original):
            before = _audio_sha256(original)
        copy.seek(0)
        copy.truncate()
        restore(entry.patch, original, copy, entry.old.size)
        copy.flush()
        if sha256_of(copy) != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")
        with reading(path, copy):
            after = _audio_sha256(copy)
        if before != after:
            raise JournalError("the recorded file has other audio than the present one, which stays as it is")

    def check(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:  # noqa: ARG001
        if old.sha256 != entry.new.sha256:
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        if new.sha256 != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")

    replace_file(path, edit, check, lambda status: entry.old.mtime_ns)  # noqa: ARG005


def _audio_sha256(file: BinaryIO) -> str:
    adapter_of(file).check(file)
    return payload_sha256(file)


def _sha256(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # reading a pipe would wait for ever
            raise ChangedFileError("this is no regular file any more, and stays as it is")
        with open(path, "rb") as file:
            return sha256_of(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise TagWriteError.from_os_error(path, error) from error
