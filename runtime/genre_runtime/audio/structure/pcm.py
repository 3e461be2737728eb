"""Formats made of chunks (WAV, AIFF, CAF, Wave64) and AU: whether the audio is as long as its chunk claims.

Interrupted recorders and programs that write to a pipe leave a size of 0, -1 or an outdated one. libsndfile trusts it;
with the corrected size it reads all samples.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from genre_runtime.audio.structure import Examiner, Structure, read_at

MAX_CHUNKS = 1000
ENDLESS = 0x7FFF0000
"""Sizes from here on are placeholders of programs that write to a pipe."""

AIFC_PCM = (b"NONE", b"twos", b"sowt", b"fl32", b"FL32")
"""Encodings of AIFF-C whose frames all have the same size."""

PADDING_BYTES = 8
"""This many bytes or fewer after the audio are padding."""


class _Chunk(NamedTuple):
    name: bytes
    size_offset: int
    size_format: str
    begin: int  # offset of the content
    n_bytes: int
    end: int  # offset of the next chunk


class _ChunkFormat(NamedTuple):
    """How the chunks of a format are written."""

    header: str  # of `struct`: name and size
    alignment: int = 2
    counted_bytes: int = 0  # of the header, included in the size

    def read(self, file: BinaryIO, offset: int) -> _Chunk | None:
        n_header, size_format = struct.calcsize(self.header), self.header[0] + self.header[-1]
        head = read_at(file, offset, n_header)
        if len(head) < n_header:
            return None
        name, n_bytes = struct.unpack(self.header, head)
        n_bytes -= self.counted_bytes
        begin = offset + n_header
        end = begin + n_bytes + -n_bytes % self.alignment
        return _Chunk(name[:4], begin - struct.calcsize(size_format), size_format, begin, n_bytes, end)

    def read_all(self, file: BinaryIO, offset: int, size: int) -> dict[bytes, _Chunk]:
        """Return the first chunk of each name, as far as sizes lead to a next chunk."""
        chunks: dict[bytes, _Chunk] = {}
        for _ in range(MAX_CHUNKS):
            chunk = self.read(file, offset) if offset < size else None
            if chunk is None:
                break
            chunks.setdefault(chunk.name, chunk)
            if chunk.end <= offset:
                break
            offset = chunk.end
        return chunks

    def fills_rest(self, file: BinaryIO, offset: int, size: int) -> bool:
        """Tell whether chunks fill the rest of the file, as they do after an audio chunk of correct size."""
        for _ in range(MAX_CHUNKS):
            if size - offset <= PADDING_BYTES:
                return True
            chunk = self.read(file, offset)
            if chunk is None or not (chunk.name.isascii() and chunk.name.decode().isprintable()):
                return False
            if chunk.n_bytes < 0 or chunk.begin + chunk.n_bytes > size + PADDING_BYTES:
                return False
            offset = chunk.end
        return True


_RIFF = _ChunkFormat("<4sI")
_RIFX = _ChunkFormat(">4sI")
_CAF = _ChunkFormat(">4sq", alignment=1)
_W64 = _ChunkFormat("<16sQ", alignment=8, counted_bytes=24)


def _examine_wav(file: BinaryIO, start: int, size: int) -> Structure:
    """WAV of Microsoft and EBU: RIFF, RIFX (big-endian), RF64 and BW64 (sizes of 64 bits)."""
    magic = read_at(file, start, 4)
    chunk_format = _RIFX if magic == b"RIFX" else _RIFF
    chunks = chunk_format.read_all(file, start + 12, size)
    data, sizes = chunks.get(b"data"), chunks.get(b"ds64")
    if data is None:
        return Structure()
    if magic in (b"RF64", b"BW64") and sizes is not None and data.n_bytes == 0xFFFFFFFF:
        (n_bytes,) = struct.unpack("<Q", read_at(file, sizes.begin + 8, 8).ljust(8, b"\0"))
        data = _Chunk(b"data", sizes.begin + 8, "<Q", data.begin, n_bytes, data.begin + n_bytes + n_bytes % 2)
    return _compare_size(file, data, size, _byte_rate(file, chunks, chunk_format), chunk_format)


def _examine_aiff(file: BinaryIO, start: int, size: int) -> Structure:
    """AIFF and AIFF-C; the number of frames has a chunk of its own."""
    chunks = _RIFX.read_all(file, start + 12, size)
    common, data = chunks.get(b"COMM"), chunks.get(b"SSND")
    if data is None or common is None:
        return Structure()
    n_channels, n_frames, bits = struct.unpack(">HIH", read_at(file, common.begin, 8).ljust(8, b"\0"))
    frame_bytes = n_channels * ((bits + 7) // 8)
    rate = _extended(read_at(file, common.begin + 8, 10))
    compared = _compare_size(file, data, size, rate * frame_bytes, _RIFX, header_bytes=8)
    is_pcm = common.n_bytes == 18 or read_at(file, common.begin + 18, 4) in AIFC_PCM
    available = (size - data.begin if compared.corrections else data.n_bytes) - 8
    if not is_pcm or not frame_bytes or not rate or available < 0:
        return compared
    if abs(available // frame_bytes - n_frames) * frame_bytes <= PADDING_BYTES:
        return compared
    announced = n_frames / rate if n_frames * frame_bytes > available and n_frames < ENDLESS else None
    frames = (common.begin + 2, struct.pack(">I", available // frame_bytes))
    return Structure(announced_seconds=announced, corrections=(*compared.corrections, frames))


def _examine_au(file: BinaryIO, start: int, size: int) -> Structure:
    """AU of Sun and NeXT; nothing follows the audio."""
    head = read_at(file, start, 24)
    if len(head) < 24:
        return Structure()
    offset, n_bytes, encoding, rate, n_channels = struct.unpack_from(">5I", head, 4)
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)
    available = size - start - offset
    if n_bytes >= ENDLESS or abs(available - n_bytes) <= PADDING_BYTES:
        return Structure()
    byte_rate = rate * n_channels * width
    announced = n_bytes / byte_rate if byte_rate and n_bytes > available else None
    return Structure(announced_seconds=announced, corrections=((start + 8, b"\xff" * 4),))


def _examine_caf(file: BinaryIO, start: int, size: int) -> Structure:
    """Apple's Core Audio Format; a size of -1 means to the end of the file."""
    chunks = _CAF.read_all(file, start + 8, size)
    data, description = chunks.get(b"data"), _content(file, chunks.get(b"desc"), 32)
    if data is None or len(description) < 32 or data.n_bytes == -1:
        return Structure()
    rate, _, _, n_packet, frames_per_packet = struct.unpack_from(">d4sIII", description)
    byte_rate = rate * n_packet / frames_per_packet if frames_per_packet and 0 < rate < 1e7 else 0
    return _compare_size(file, data, size, byte_rate, _CAF, header_bytes=4)


def _examine_w64(file: BinaryIO, start: int, size: int) -> Structure:
    """Sony's Wave64: names of 16 bytes, sizes that include the header, aligned to eight bytes."""
    chunks = _W64.read_all(file, start + 40, size)
    data = chunks.get(b"data")
    return _compare_size(file, data, size, _byte_rate(file, chunks, _W64), _W64) if data else Structure()


EXAMINERS: dict[str, Examiner] = {
    "wav": _examine_wav,
    "aiff": _examine_aiff,
    "au": _examine_au,
    "caf": _examine_caf,
    "w64": _examine_w64,
}


def _content(file: BinaryIO, chunk: _Chunk | None, n_bytes: int) -> bytes:
    return read_at(file, chunk.begin, n_bytes) if chunk else b""


def _byte_rate(file: BinaryIO, chunks: dict[bytes, _Chunk], chunk_format: _ChunkFormat) -> int:
    """Return the bytes per second that a WAV's `fmt ` chunk names, 0 if there is none."""
    content = _content(file, chunks.get(b"fmt "), 16)
    return int.from_bytes(content[8:12], "big" if chunk_format is _RIFX else "little") if len(content) == 16 else 0


def _compare_size(
    file: BinaryIO, data: _Chunk, size: int, byte_rate: float, chunk_format: _ChunkFormat, *, header_bytes: int = 0
) -> Structure:
    """Compare the size of the audio chunk, of which `header_bytes` precede the samples, with the rest of the file."""
    available = size - data.begin
    if data.n_bytes > available:
        known = byte_rate and 0 <= data.n_bytes < ENDLESS
        announced = (data.n_bytes - header_bytes) / byte_rate if known else None
    elif available - data.n_bytes <= PADDING_BYTES or chunk_format.fills_rest(file, data.end, size):
        return Structure()
    else:
        announced = None
    width = 8 * struct.calcsize(data.size_format)
    largest = 2 ** (width - 1) - 1 if data.size_format[-1] == "q" else 2**width - 2
    true_size = struct.pack(data.size_format, min(available + chunk_format.counted_bytes, largest))
    return Structure(announced_seconds=announced, corrections=((data.size_offset, true_size),))


def _extended(number: bytes) -> float:
    """Return an 80-bit float of the Standard Apple Numerics Environment."""
    if len(number) < 10:
        return 0.0
    exponent = int.from_bytes(number[:2]) & 0x7FFF
    mantissa = int.from_bytes(number[2:10])
    power = exponent - 16383 - 63
    return float(mantissa) * 2.0**power if -100 < power < 0 else 0.0
