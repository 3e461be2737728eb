"""MP4 and QuickTime: indexes that name more samples than the file can hold.

FFmpeg lays out an entry of memory for each sample that an index names before it reads one of them: 24 KB that named 85
million samples took 3 GB. Boxes as in ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from genre_runtime.audio.structure.finding import Structure, read_at
from genre_runtime.errors import UnreadableAudioError

MAX_INDEX_ENTRIES = 6_000_000
"""More than a day of AAC at 48 kHz has, 4.1 million; FFmpeg takes some 40 bytes for each."""

MAX_SEGMENTS = 65_536
"""Of all segment indexes together; FFmpeg's time for them grows with the square of their number."""

MAX_BOXES = 100_000
_INSIDE = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts"))
MAX_DEPTH = 8
MAX_ROW_BYTES = 2**26
_PCM_ENTRY_SAMPLES = 1024
"""FFmpeg makes one entry of so many uncompressed samples."""


def examine(file: BinaryIO, start: int, size: int) -> Structure:
    """Add up the samples that all indexes name.

    Raises
    ------
    UnreadableAudioError
        There are more of them than bytes in the file, or too many for any recording.
    """
    counter = _Counter(file, size - start)
    counter.walk(start, size, 0)
    return Structure()


class _Table:
    """What one sample table names."""

    def __init__(self) -> None:
        self.n_samples = self.sample_bytes = self.n_chunks = 0
        self.durations: list[tuple[int, int]] = []
        self.chunks: list[tuple[int, int]] = []

    @property
    def chunk_sizes(self) -> list[tuple[int, int]]:
        """Numbers of chunks, and of the samples in each of them."""
        firsts = [first for first, _ in self.chunks[1:]] + [self.n_chunks + 1]
        return [
            (max(0, min(following, self.n_chunks + 1) - first), n_samples)
            for (first, n_samples), following in zip(self.chunks, firsts, strict=False)
        ]

    @property
    def n_entries(self) -> int:
        """Entries that FFmpeg makes: one a sample, of uncompressed sound one a thousand."""
        if self.sample_bytes and len(self.durations) == 1 and self.durations[0][1] == 1:
            return sum(n * -(-n_samples // _PCM_ENTRY_SAMPLES) for n, n_samples in self.chunk_sizes)
        return self.n_samples


class _Counter:
    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self._file, self._n_bytes = file, n_bytes
        self._n_boxes = self._n_entries = self._n_segments = 0
        self._table = _Table()

    def walk(self, offset: int, end: int, depth: int) -> None:
        while offset + 8 <= end:
            self._n_boxes += 1
            if self._n_boxes > MAX_BOXES:
                raise UnreadableAudioError(f"the mov file has more than {MAX_BOXES:,} boxes: it is damaged or forged")
            head = read_at(self._file, offset, 16)
            n_bytes, name = int.from_bytes(head[:4]), head[4:8]
            begin = offset + 8
            if n_bytes == 1:
                n_bytes, begin = int.from_bytes(head[8:16]), offset + 16
            elif n_bytes == 0:
                n_bytes = end - offset
            if n_bytes < begin - offset:
                return
            if name in _INSIDE and depth < MAX_DEPTH:
                self.walk(begin, min(offset + n_bytes, end), depth + 1)
                if name == b"stbl":
                    self._count_table()
            else:
                self._read(name, begin, min(offset + n_bytes, end))
            offset += n_bytes

    def _read(self, name: bytes, begin: int, end: int) -> None:
        table = self._table
        if name == b"stsz":
            table.sample_bytes, table.n_samples = self._number(begin + 4), self._number(begin + 8)
            self._check(table.n_samples * max(1, table.sample_bytes), name)
        elif name == b"stz2":
            table.n_samples = self._number(begin + 8)
            self._check(table.n_samples, name)
        elif name == b"trun":
            self._check(self._number(begin + 4), name)
            self._add(self._number(begin + 4), name)
        elif name == b"stts":
            table.durations = [(row[0], row[1]) for row in self._rows(begin, end, ">2I")]
            self._check(sum(n_samples for n_samples, _ in table.durations), name)
        elif name == b"ctts":
            self._check(sum(row[0] for row in self._rows(begin, end, ">2I")), name)
        elif name == b"stsc":
            table.chunks = [(row[0], row[1]) for row in self._rows(begin, end, ">3I")]
        elif name in (b"stco", b"co64"):
            table.n_chunks = min(self._number(begin + 4), max(0, end - begin - 8) // (4 if name == b"stco" else 8))
        elif name == b"sidx":
            self._n_segments += int.from_bytes(read_at(self._file, begin + (30 if self._version(begin) else 22), 2))
            if self._n_segments > MAX_SEGMENTS:
                raise _forged(name, f"{self._n_segments:,} segments, expected at most {MAX_SEGMENTS:,}")
        elif name == b"cmov":
            raise UnreadableAudioError("the mov file has a compressed index, which is not supported: save it again")

    def _version(self, begin: int) -> int:
        return int.from_bytes(read_at(self._file, begin, 1))

    def _number(self, offset: int) -> int:
        return int.from_bytes(read_at(self._file, offset, 4))

    def _rows(self, begin: int, end: int, form: str) -> Iterator[tuple[int, ...]]:
        width = struct.calcsize(form)
        n_bytes = min(width * self._number(begin + 4), max(0, end - begin - 8), MAX_ROW_BYTES)
        rows = read_at(self._file, begin + 8, n_bytes)
        return struct.iter_unpack(form, rows[: len(rows) // width * width])

    def _count_table(self) -> None:
        table, self._table = self._table, _Table()
        self._check(sum(n * n_samples for n, n_samples in table.chunk_sizes), b"stsc")
        self._add(table.n_entries, b"stsz")

    def _check(self, n_samples: int, name: bytes) -> None:
        if n_samples > self._n_bytes:
            raise _forged(name, f"{n_samples:,} samples in {self._n_bytes:,} bytes")

    def _add(self, n_entries: int, name: bytes) -> None:
        self._n_entries += n_entries
        if self._n_entries > MAX_INDEX_ENTRIES:
            raise _forged(name, f"{self._n_entries:,} samples, of which a day has {MAX_INDEX_ENTRIES:,} at most")


def _forged(name: bytes, found: str) -> UnreadableAudioError:
    return UnreadableAudioError(f"the index ({name.decode()}) of the mov file names {found}: it is damaged or forged")
