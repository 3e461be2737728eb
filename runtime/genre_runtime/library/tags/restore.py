"""Restore files from a journal, byte for byte, with patches that turn the later file into the earlier one.

A patch lists pieces in the order of the earlier file: ranges to copy from the later file, and bytes that the later file
does not contain. When tags change in length, most bytes of a file move by one of a few distances. These are tried at
every position; bytes found nowhere are stored. Offsets and lengths are bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, GenreError, JournalError, TagWriteError
from genre_runtime.library.tags.base import read_at
from genre_runtime.library.tags.formats import adapter_of, audio_sha256, tag_errors
from genre_runtime.library.tags.journal import Entry, FileState, Journal
from genre_runtime.library.tags.replace import replace_file, sha256_of

_SHORTEST_COPY = 32
"""A shorter range is stored, not copied."""
_WINDOW = 2**14
_COPY_WINDOW = 2**20
_WORTH_A_SEARCH = 2**10
_MAX_SEARCHES = 16
"""Each reads the later file once. Few ranges move by a distance of their own."""

MOST_LARGER = 2**26
"""Bytes that an earlier file may be longer than the later one: tags and padding that one change removes."""
_MOST_LISTED = 2**24
"""Bytes of a list of pieces; that of an Ogg file of 1 GB has 12 MB."""
_PIECE_BYTES = 44
"""The longest entry of that list."""

_STORED = -1
"""Instead of an offset: the bytes are stored in the patch."""


def difference(earlier: BinaryIO, later: BinaryIO) -> bytes:
    """Return a patch from which `restore` rebuilds the earlier file, given the later one.

    Parameters
    ----------
    earlier, later : binary file object
        Seekable.
    """
    n_earlier = _size(earlier)
    distances = [0, _size(later) - n_earlier]
    pieces: list[list[int]] = []
    stored = bytearray()
    searches = _MAX_SEARCHES
    position = 0
    while position < n_earlier:
        run, distance = max((_run(earlier, later, position, distance), distance) for distance in distances)
        if run >= _SHORTEST_COPY:
            pieces.append([position + distance, run])
            position += run
            continue
        window = read_at(earlier, position, _WINDOW)
        gap = min(_gap(window, later, position + distance) for distance in distances)
        if gap == len(window) >= _WORTH_A_SEARCH and searches:
            searches -= 1
            middle = len(window) // 2
            moved = _find(later, window[middle : middle + 2 * _SHORTEST_COPY])
            if moved is not None and (distance := moved - position - middle) not in distances:
                distances.append(distance)
                continue
        stored += window[:gap]
        if pieces and pieces[-1][0] == _STORED:
            pieces[-1][1] += gap
        else:
            pieces.append([_STORED, gap])
        position += gap
    listed = json.dumps(pieces, separators=(",", ":")).encode()
    return zlib.compress(struct.pack(">I", len(listed)) + listed + stored, 9)


def restore(patch: bytes, later: BinaryIO, out: BinaryIO | io.RawIOBase, n_earlier: int) -> None:
    """Write the earlier file to `out`. The caller compares its checksum.

    Parameters
    ----------
    patch : bytes
        From a journal. It may be forged, so the bytes unpacked and written are limited by `n_earlier`.
    later, out : binary file object
    n_earlier : int
        Bytes of the earlier file, at most `MOST_LARGER` more than those of the later one.

    Raises
    ------
    JournalError
        The patch is damaged, or gives another number of bytes.
    """
    n_later = _size(later)
    if not 0 <= n_earlier <= n_later + MOST_LARGER:
        raise JournalError(
            f"the record names an earlier file of {n_earlier} bytes, but the file has {n_later}: tags cannot explain "
            "such a difference"
        )
    try:
        stored = _Decompressed(patch)
        (n_listed,) = struct.unpack(">I", stored.read(4))
        if n_listed > min(_MOST_LISTED, _PIECE_BYTES * (n_earlier // _SHORTEST_COPY + 2) * 2):
            raise ValueError(f"a list of pieces of {n_listed} bytes")
        pieces = [(int(offset), int(length)) for offset, length in json.loads(stored.read(n_listed))]
        if not all(_STORED <= offset <= n_later and 0 <= length <= n_earlier for offset, length in pieces):
            raise ValueError("a piece outside the file")
        n_written = sum(length for _, length in pieces)
        if n_written != n_earlier:
            raise ValueError(f"{n_written} bytes instead of {n_earlier}")
        for offset, length in pieces:
            if offset != _STORED:
                later.seek(offset)
            source = stored if offset == _STORED else later
            while length > 0:
                block = source.read(min(length, _COPY_WINDOW))
                if not block:
                    raise ValueError("a piece ends too early")
                out.write(block)
                length -= len(block)
    except (zlib.error, struct.error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise JournalError(f"the recorded bytes are damaged ({error}): this change cannot be undone") from error


def restored_sha256(patch: bytes, later: BinaryIO, n_earlier: int) -> str:
    """Return the sha256 of what `restore` would write, hexadecimal.

    Parameters
    ----------
    patch, later, n_earlier
        As for `restore`.

    Raises
    ------
    JournalError
    """
    digest = _Digest()
    restore(patch, later, digest, n_earlier)
    return digest.sha256.hexdigest()


class _Decompressed:
    """A patch that is decompressed while it is read, since a few bytes may expand to gigabytes."""

    def __init__(self, patch: bytes) -> None:
        self._decompressor = zlib.decompressobj()
        self._packed = io.BytesIO(patch)

    def read(self, n_bytes: int) -> bytes:
        """Return exactly `n_bytes` bytes.

        Raises
        ------
        ValueError, zlib.error
            The patch ends too early or is damaged.
        """
        content = bytearray()
        while len(content) < n_bytes:
            packed = self._decompressor.unconsumed_tail or self._packed.read(_WINDOW)
            block = self._decompressor.decompress(packed, n_bytes - len(content))
            if not block and not packed:
                raise ValueError("the patch ends too early")
            content += block
        return bytes(content)


class _Digest(io.RawIOBase):
    """A file that computes the checksum of what is written to it and discards the rest."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, content: Any) -> int:
        """Add bytes to the checksum."""
        self.sha256.update(content)
        return len(content)


def _run(earlier: BinaryIO, later: BinaryIO, position: int, distance: int) -> int:
    """Count the bytes from `position` on that equal those of the later file at `position + distance`."""
    run, window = 0, _SHORTEST_COPY  # most tries match nothing: begin with a small window
    while True:
        a = read_at(earlier, position + run, window)
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
    """Return the position of the first block of `window` that equals the later file's, which begins at `offset`."""
    skipped = -(min(0, offset) // _SHORTEST_COPY) * _SHORTEST_COPY  # whole blocks before the beginning of the file
    if skipped >= len(window):
        return len(window)
    other = read_at(later, offset + skipped, len(window) - skipped)
    n = min(len(window) - skipped, len(other)) // _SHORTEST_COPY
    if n < 1:
        return len(window)
    equal = _array(window)[skipped : skipped + n * _SHORTEST_COPY] == _array(other)[: n * _SHORTEST_COPY]
    found = np.flatnonzero(equal.reshape(n, _SHORTEST_COPY).all(axis=1))
    return skipped + int(found[0]) * _SHORTEST_COPY if found.size else len(window)


def _find(file: BinaryIO, needle: bytes) -> int | None:
    """Return the offset of `needle`, or None. A needle of one repeated byte would match anywhere."""
    if len(set(needle)) == 1:
        return None
    offset = 0
    while len(block := read_at(file, offset, _COPY_WINDOW)) >= len(needle):
        found = block.find(needle)
        if found >= 0:
            return offset + found
        offset += len(block) - len(needle) + 1
    return None


def _read(file: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Read; nothing is read at a negative offset."""
    return read_at(file, offset, n_bytes) if offset >= 0 else b""


def _array(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


@dataclass(frozen=True)
class Undone:
    """Result of undoing the changes of one file.

    Attributes
    ----------
    path : Path
        The file, or the journal if one of its lines cannot be read.
    n_restored : int
        Changes undone; 0 if the file was restored before.
    values : mapping of str to tuple of str
        Values of the restored fields, by name.
    error : GenreError or None
        Why the file was not restored, or not completely.
    """

    path: Path
    n_restored: int
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error: GenreError | None = None

    @property
    def genres(self) -> tuple[str, ...]:
        """Genres of the restored file; empty if only other fields were restored."""
        return self.values.get("genre", ())


def undo(journal: Journal | Path | str) -> Iterator[Undone]:
    """Restore every file of a journal, the latest change first, with its modification time.

    A file that was changed since is reported and not restored. Files that were restored before stay as they are.

    Parameters
    ----------
    journal : Journal or path

    Yields
    ------
    Undone
        One for each file and for each line that cannot be read.

    Raises
    ------
    JournalError
        The journal does not exist or is empty.
    """
    book = journal if isinstance(journal, Journal) else Journal(Path(journal))
    changes: dict[Path, list[Entry]] = {}
    lines = list(book.read())
    for _, entry in reversed(lines):
        if isinstance(entry, Entry):
            changes.setdefault(entry.path, []).append(entry)
    if not changes:
        raise JournalError(
            f"the journal {str(book.path)!r} records no change: name the file that `genre tag --write` printed"
        )
    for path, entries in changes.items():
        yield _undo_file(path, entries)
    for number, entry in lines:
        if isinstance(entry, JournalError):
            yield Undone(book.path, 0, error=JournalError(f"line {number}: {entry}"))


def _undo_file(path: Path, entries: Sequence[Entry]) -> Undone:
    """Undo the changes of a file, the latest first, beginning with the one whose result is the present file."""
    n_restored, known = 0, False
    unusable: JournalError | None = None
    values: dict[str, tuple[str, ...]] = {}
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
            elif sha256 != entry.old.sha256:  # undone before, or never made
                continue
            sha256, known = entry.old.sha256, True
            values |= entry.old_values
        if unusable is not None:
            raise unusable
        if not known:
            raise ChangedFileError("the file was changed after the journal was written: it stays as it is")
    except GenreError as error:
        return Undone(path, n_restored, values, error)
    return Undone(path, n_restored, values)


def _restore(path: Path, entry: Entry) -> None:
    """Restore the earlier file, if it holds the same audio as the present one.

    A journal may be forged. It must not be a way to write anything to a file whose content is known.
    """

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with tag_errors(path, original):
            before = _audio_sha256(original)
        copy.seek(0)
        copy.truncate()
        restore(entry.patch, original, copy, entry.old.size)
        copy.flush()
        if sha256_of(copy) != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")
        with tag_errors(path, copy):
            after = _audio_sha256(copy)
        if before != after:
            raise JournalError("the recorded file has other audio than the present one: the file stays as it is")

    def check(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:  # noqa: ARG001
        if old.sha256 != entry.new.sha256:
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        if new.sha256 != entry.old.sha256:
            raise JournalError("the recorded bytes do not give the old file: the file stays as it is")

    replace_file(path, edit, check, entry.old.mtime_ns)


def _audio_sha256(file: BinaryIO) -> str:
    adapter_of(file).check(file)
    return audio_sha256(file)


def _sha256(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # reading a pipe could wait forever
            raise ChangedFileError("this is not a regular file any more: it stays as it is")
        with open(path, "rb") as file:
            return sha256_of(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise TagWriteError.from_os_error(path, error) from error
