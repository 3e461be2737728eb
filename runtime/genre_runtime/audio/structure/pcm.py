"""Files of chunks (WAV, AIFF, CAF, Wave64) and AU: whether the sound is as long as its chunk says.

Recorders that were cut off and programs that write to a pipe leave sizes of 0, -1 or of the moment. libsndfile believes
them; with the true size in its place it reads all there is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from genre_runtime.audio.structure.finding import Structure, read_at

MAX_CHUNKS = 1000
ENDLESS = 0x7FFF0000
"""A size from here on is what writes to a pipe name, not a length that was meant."""

AIFC_PCM = (b"NONE", b"twos", b"sowt", b"fl32", b"FL32")
"""Kinds of AIFF-C whose frames have one size."""

PADDING_BYTES = 8
"""So little behind the sound is padding."""


class _Chunk(NamedTuple):
    name: bytes
    size_at: int  # where its size stands
    begin: int  # where its content begins
    n_bytes: int
    behind: int  # where the next chunk begins


Reader = Callable[[BinaryIO, int], _Chunk | None]


def examine_wav(file: BinaryIO, start: int, size: int) -> Structure:
    """WAV of Microsoft and EBU: RIFF, RIFX (big-endian), RF64 and BW64 (sizes of 64 bits)."""
    magic = read_at(file, start, 4)
    order = ">" if magic == b"RIFX" else "<"
    chunks, data = _chunks(file, start + 12, size, _reader(f"{order}4sI"), b"data")
    if data is None:
        return Structure()
    form = next((read_at(file, chunk.begin, 16) for chunk in chunks if chunk.name == b"fmt "), b"")
    byte_rate = struct.unpack_from(f"{order}I", form, 8)[0] if len(form) >= 16 else 0
    if magic in (b"RF64", b"BW64"):
        sizes = next((chunk for chunk in chunks if chunk.name == b"ds64"), None)
        if sizes is None or data.n_bytes != 0xFFFFFFFF:
            return _compared(file, data, size, byte_rate, _reader("<4sI"), "<I")
        (n_bytes,) = struct.unpack("<Q", read_at(file, sizes.begin + 8, 8).ljust(8, b"\0"))
        wide = _Chunk(b"data", sizes.begin + 8, data.begin, n_bytes, data.begin + n_bytes + n_bytes % 2)
        return _compared(file, wide, size, byte_rate, _reader("<4sI"), "<Q")
    return _compared(file, data, size, byte_rate, _reader(f"{order}4sI"), f"{order}I")


def examine_aiff(file: BinaryIO, start: int, size: int) -> Structure:
    """AIFF and AIFF-C; the number of frames stands in a chunk of its own."""
    chunks, sound = _chunks(file, start + 12, size, _reader(">4sI"), b"SSND")
    common = next((chunk for chunk in chunks if chunk.name == b"COMM"), None)
    if sound is None or common is None:
        return Structure()
    n_channels, n_frames, bits = struct.unpack(">HIH", read_at(file, common.begin, 8).ljust(8, b"\0"))
    frame_bytes = n_channels * ((bits + 7) // 8)
    rate = _extended(read_at(file, common.begin + 8, 10))
    compared = _compared(file, sound, size, rate * frame_bytes, _reader(">4sI"), ">I", header_bytes=8)
    is_pcm = common.n_bytes == 18 or read_at(file, common.begin + 18, 4) in AIFC_PCM
    there = (size - sound.begin if compared.corrections else sound.n_bytes) - 8
    if not is_pcm or not frame_bytes or not rate or there < 0:
        return compared
    if abs(there // frame_bytes - n_frames) * frame_bytes <= PADDING_BYTES:
        return compared
    announced = n_frames / rate if n_frames * frame_bytes > there and n_frames < ENDLESS else None
    frames = (common.begin + 2, struct.pack(">I", there // frame_bytes))
    return Structure(announced_seconds=announced, corrections=(*compared.corrections, frames))


def examine_au(file: BinaryIO, start: int, size: int) -> Structure:
    """AU of Sun and NeXT; nothing follows the sound."""
    head = read_at(file, start, 24)
    if len(head) < 24:
        return Structure()
    offset, n_bytes, encoding, rate, n_channels = struct.unpack_from(">5I", head, 4)
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)
    there = size - start - offset
    if n_bytes >= ENDLESS or abs(there - n_bytes) <= PADDING_BYTES:
        return Structure()
    byte_rate = rate * n_channels * width
    announced = n_bytes / byte_rate if byte_rate and n_bytes > there else None
    return Structure(announced_seconds=announced, corrections=((start + 8, struct.pack(">I", 0xFFFFFFFF)),))


def examine_caf(file: BinaryIO, start: int, size: int) -> Structure:
    """Apple's Core Audio Format; a size of -1 means to the end of the file."""
    chunks, data = _chunks(file, start + 8, size, _reader(">4sq"), b"data")
    described = next((read_at(file, chunk.begin, 32) for chunk in chunks if chunk.name == b"desc"), b"")
    if data is None or len(described) < 32 or data.n_bytes == -1:
        return Structure()
    rate, _, _, n_packet, frames_a_packet = struct.unpack_from(">d4sIII", described)
    byte_rate = rate * n_packet / frames_a_packet if frames_a_packet and 0 < rate < 1e7 else 0
    return _compared(file, data, size, byte_rate, _reader(">4sq"), ">q", header_bytes=4)


def examine_w64(file: BinaryIO, start: int, size: int) -> Structure:
    """Sony's Wave64: names of 16 bytes, sizes that include the header, eight bytes aligned."""

    def read(file: BinaryIO, offset: int) -> _Chunk | None:
        head = read_at(file, offset, 24)
        if len(head) < 24:
            return None
        n_bytes = int.from_bytes(head[16:24], "little") - 24
        return _Chunk(head[:4], offset + 16, offset + 24, n_bytes, offset + 24 + n_bytes + -n_bytes % 8)

    chunks, data = _chunks(file, start + 40, size, read, b"data")
    if data is None:
        return Structure()
    form = next((read_at(file, chunk.begin, 16) for chunk in chunks if chunk.name == b"fmt "), b"")
    byte_rate = struct.unpack_from("<I", form, 8)[0] if len(form) >= 16 else 0
    return _compared(file, data, size, byte_rate, read, "<Q", counted_header=24)


def _reader(form: str) -> Reader:
    """Return a function that reads a chunk's name and size at an offset; chunks are two bytes aligned."""
    head_bytes = struct.calcsize(form)
    aligned = head_bytes == 8

    def read(file: BinaryIO, offset: int) -> _Chunk | None:
        head = read_at(file, offset, head_bytes)
        if len(head) < head_bytes:
            return None
        name, n_bytes = struct.unpack(form, head)
        begin = offset + head_bytes
        return _Chunk(name, offset + 4, begin, n_bytes, begin + n_bytes + (n_bytes % 2 if aligned else 0))

    return read


def _chunks(file: BinaryIO, offset: int, size: int, read: Reader, wanted: bytes) -> tuple[list[_Chunk], _Chunk | None]:
    """Return the chunks before the one that is wanted, and that one, if it is there.

    What stands behind it, as COMM may in AIFF, is among the chunks too where its size can be believed.
    """
    chunks: list[_Chunk] = []
    found = None
    for _ in range(MAX_CHUNKS):
        chunk = read(file, offset) if offset < size else None
        if chunk is None:
            break
        chunks.append(chunk)
        if chunk.name == wanted and found is None:
            found = chunk
        if chunk.behind <= offset:
            break
        offset = chunk.behind
    return chunks, found


def _compared(
    file: BinaryIO,
    data: _Chunk,
    size: int,
    byte_rate: float,
    read: Reader,
    form: str,
    *,
    header_bytes: int = 0,
    counted_header: int = 0,
) -> Structure:
    """Compare the size of the chunk of sound with what lies in the file behind its beginning.

    `header_bytes` of the chunk precede its samples; `counted_header` bytes before it count in its size.
    """
    there = size - data.begin
    endless = data.n_bytes < 0 or data.n_bytes >= ENDLESS
    if data.n_bytes > there:
        known = byte_rate and not endless
        announced = (data.n_bytes - header_bytes) / byte_rate if known else None
        return Structure(announced_seconds=announced, corrections=_with_size(data, there + counted_header, form))
    if there - data.n_bytes <= PADDING_BYTES or _chunks_follow(file, data.behind, size, read):
        return Structure()
    return Structure(corrections=_with_size(data, there + counted_header, form))


def _with_size(data: _Chunk, n_bytes: int, form: str) -> tuple[tuple[int, bytes], ...]:
    largest = 2 ** (8 * struct.calcsize(form) - 1) - 1 if form[-1] == "q" else 2 ** (8 * struct.calcsize(form)) - 2
    return ((data.size_at, struct.pack(form, min(n_bytes, largest))),)


def _chunks_follow(file: BinaryIO, offset: int, size: int, read: Reader) -> bool:
    """Tell whether chunks fill the rest of the file, as a chunk of sound with a true size has behind it."""
    for _ in range(MAX_CHUNKS):
        if size - offset <= PADDING_BYTES:
            return True
        chunk = read(file, offset)
        if chunk is None or not (chunk.name.isascii() and chunk.name.decode().isprintable()):
            return False
        if chunk.n_bytes < 0 or chunk.begin + chunk.n_bytes > size + PADDING_BYTES:
            return False
        offset = chunk.behind
    return True


def _extended(number: bytes) -> float:
    """Return an 80-bit float of the Standard Apple Numerics Environment."""
    if len(number) < 10:
        return 0.0
    exponent = int.from_bytes(number[:2]) & 0x7FFF
    mantissa = int.from_bytes(number[2:10])
    power = exponent - 16383 - 63
    return float(mantissa) * 2.0**power if -100 < power < 0 else 0.0
