"""Formats with an index or a length in their header: MP4, WMA, AVI, Monkey's Audio and True Audio.

FFmpeg allocates memory for each entry that an index names before it reads one of them: 24 KB that named 85 million
samples took 3 GB. Files whose index names more than they can hold are refused. For WMA and AVI the announced length is
read, because FFmpeg reports only what is left of a truncated file. MP4 boxes as in ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from genre_runtime.audio.structure import Examiner, Structure, find_all, read_at
from genre_runtime.errors import UnreadableAudioError

HEADER_BYTES = 2**16
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST = 1

MAX_INDEX_ENTRIES = 6_000_000
"""More than a day of AAC at 48 kHz has, 4.1 million; FFmpeg needs about 40 bytes for each."""

MAX_SEGMENTS = 65_536
"""In all segment indexes together; FFmpeg's time for them grows with the square of their number."""

MAX_BOXES = 100_000
_CONTAINER_BOXES = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts"))
MAX_DEPTH = 8
MAX_ROW_BYTES = 2**26
_PCM_ENTRY_SAMPLES = 1024
"""FFmpeg makes one entry for this many uncompressed samples."""


def _examine_asf(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the play duration of the file properties object, less the time that a player buffers first."""
    head = read_at(file, start, HEADER_BYTES)
    at = head.find(_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return Structure()
    ticks, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    seconds = ticks / 1e7 - preroll / 1e3
    return Structure(announced_seconds=seconds if seconds > 0 and not flags & _BROADCAST else None)


def _examine_avi(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the length of the first audio stream from its header."""
    head = read_at(file, start, HEADER_BYTES)
    for at in find_all(head, b"strh"):
        if len(head) >= at + 44 and head[at + 8 : at + 12] == b"auds":
            scale, rate, _, n_units = struct.unpack_from("<4I", head, at + 28)
            return Structure(announced_seconds=n_units * scale / rate if rate and n_units else None)
    return Structure()


def _examine_ape(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the number of frames and the seek table that the header names with the file's size."""
    head = read_at(file, start, 76)
    if len(head) < 76:
        return Structure()
    (version,) = struct.unpack_from("<H", head, 4)
    if version >= 3980:
        descriptor, _, table = struct.unpack_from("<3I", head, 8)
        body = read_at(file, start + descriptor, 24)
        n_frames = struct.unpack_from("<I", body, 12)[0] if len(body) == 24 else 0
    else:
        n_frames, table = struct.unpack_from("<2I", head, 24)
        table = 0 if table > size else table
    return _check_seek_table("ape", max(table, 4 * n_frames), size)


def _examine_tta(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the seek table that the number of samples implies with the file's size."""
    head = read_at(file, start, 22)
    if len(head) < 22:
        return Structure()
    rate, n_samples = struct.unpack_from("<2I", head, 10)
    return _check_seek_table("tta", 4 * (n_samples // max(1, 256 * rate // 245)), size)


def _check_seek_table(name: str, n_bytes: int, size: int) -> Structure:
    if n_bytes > size:
        raise UnreadableAudioError(
            f"the {name} file is damaged or forged: its header names a seek table of {n_bytes:,} bytes, more than the "
            f"{size:,} bytes of the file"
        )
    return Structure()


def _examine_mp4(file: BinaryIO, start: int, size: int) -> Structure:
    """Add up the samples that all indexes name, and refuse more than bytes in the file or than any recording has."""
    _IndexCounter(file, size - start).walk(start, size)
    return Structure()


EXAMINERS: dict[str, Examiner] = {
    "asf": _examine_asf,
    "avi": _examine_avi,
    "ape": _examine_ape,
    "tta": _examine_tta,
    "mov": _examine_mp4,
}


class _SampleTable:
    """The numbers of one sample table box."""

    def __init__(self) -> None:
        self.n_samples = self.sample_bytes = self.n_chunks = 0
        self.durations: list[tuple[int, int]] = []
        self.chunks: list[tuple[int, int]] = []

    @property
    def chunk_sizes(self) -> list[tuple[int, int]]:
        """Runs of chunks: the number of chunks and the samples in each of them."""
        firsts = [first for first, _ in self.chunks[1:]] + [self.n_chunks + 1]
        return [
            (max(0, min(following, self.n_chunks + 1) - first), n_samples)
            for (first, n_samples), following in zip(self.chunks, firsts, strict=False)
        ]

    @property
    def n_entries(self) -> int:
        """Entries that FFmpeg makes: one per sample, or one per 1,024 uncompressed samples."""
        if self.sample_bytes and len(self.durations) == 1 and self.durations[0][1] == 1:
            return sum(n * -(-n_samples // _PCM_ENTRY_SAMPLES) for n, n_samples in self.chunk_sizes)
        return self.n_samples


class _IndexCounter:
    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self._file, self._n_bytes = file, n_bytes
        self._n_boxes = self._n_entries = self._n_segments = 0
        self._table = _SampleTable()

    def walk(self, offset: int, end: int, depth: int = 0) -> None:
        """Read the boxes between two offsets."""
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
            if name in _CONTAINER_BOXES and depth < MAX_DEPTH:
                self.walk(begin, min(offset + n_bytes, end), depth + 1)
                if name == b"stbl":
                    self._count_table()
            else:
                self._read_box(name, begin, min(offset + n_bytes, end))
            offset += n_bytes

    def _read_box(self, name: bytes, begin: int, end: int) -> None:
        table = self._table
        if name == b"stsz":
            table.sample_bytes, table.n_samples = self._read_number(begin + 4), self._read_number(begin + 8)
            self._check_samples(table.n_samples * max(1, table.sample_bytes), name)
        elif name == b"stz2":
            table.n_samples = self._read_number(begin + 8)
            self._check_samples(table.n_samples, name)
        elif name == b"trun":
            self._check_samples(self._read_number(begin + 4), name)
            self._add_entries(self._read_number(begin + 4), name)
        elif name == b"stts":
            table.durations = [(row[0], row[1]) for row in self._read_rows(begin, end, ">2I")]
            self._check_samples(sum(n_samples for n_samples, _ in table.durations), name)
        elif name == b"ctts":
            self._check_samples(sum(row[0] for row in self._read_rows(begin, end, ">2I")), name)
        elif name == b"stsc":
            table.chunks = [(row[0], row[1]) for row in self._read_rows(begin, end, ">3I")]
        elif name in (b"stco", b"co64"):
            table.n_chunks = min(self._read_number(begin + 4), max(0, end - begin - 8) // (4 if name == b"stco" else 8))
        elif name == b"sidx":
            version = self._read_number(begin) >> 24
            self._n_segments += int.from_bytes(read_at(self._file, begin + (30 if version else 22), 2))
            if self._n_segments > MAX_SEGMENTS:
                raise _forged(name, f"{self._n_segments:,} segments, expected at most {MAX_SEGMENTS:,}")
        elif name == b"cmov":
            raise UnreadableAudioError("the mov file has a compressed index, which is not supported: save it again")

    def _read_number(self, offset: int) -> int:
        return int.from_bytes(read_at(self._file, offset, 4))

    def _read_rows(self, begin: int, end: int, form: str) -> Iterator[tuple[int, ...]]:
        width = struct.calcsize(form)
        n_bytes = min(width * self._read_number(begin + 4), max(0, end - begin - 8), MAX_ROW_BYTES)
        rows = read_at(self._file, begin + 8, n_bytes)
        return struct.iter_unpack(form, rows[: len(rows) // width * width])

    def _count_table(self) -> None:
        table, self._table = self._table, _SampleTable()
        self._check_samples(sum(n * n_samples for n, n_samples in table.chunk_sizes), b"stsc")
        self._add_entries(table.n_entries, b"stsz")

    def _check_samples(self, n_samples: int, name: bytes) -> None:
        if n_samples > self._n_bytes:
            raise _forged(name, f"{n_samples:,} samples in {self._n_bytes:,} bytes")

    def _add_entries(self, n_entries: int, name: bytes) -> None:
        self._n_entries += n_entries
        if self._n_entries > MAX_INDEX_ENTRIES:
            raise _forged(name, f"{self._n_entries:,} samples, expected at most {MAX_INDEX_ENTRIES:,}")


def _forged(name: bytes, found: str) -> UnreadableAudioError:
    return UnreadableAudioError(f"the index ({name.decode()}) of the mov file names {found}: it is damaged or forged")
