"""MPEG audio (MP3, MP2, MP1): whether the header frame tells the truth, and all frames are of one kind.

Frame headers as in ISO/IEC 11172-3 and 13818-3; the header frames of Xing/LAME ("Xing" of variable, "Info" of constant
bit rate). A file without such a frame has no length: decoders multiply its size by the bit rate of its beginning.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from genre_runtime.audio.structure.finding import MEASURE, Structure, read_at

N_SPOTS = 32
SPOT_BYTES = 4096
"""Two whole frames fit in, wherever it begins: the longest frame of layer III has 1,441 bytes, of layer II 1,729."""

CLOSE = 0.1
"""Share by which the mean frame at the spots may differ from what the header frame implies."""

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Frame(NamedTuple):
    """What a frame header says."""

    n_bytes: int
    n_samples: int
    sample_rate: int
    is_mono: bool
    kilobits: int
    version: int
    layer: int

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """What must not change within a stream for libsndfile to read on."""
        return self.version, self.layer, self.sample_rate, self.is_mono


@lru_cache(maxsize=4096)
def parse_header(header: bytes) -> Frame | None:
    """Read the four bytes of a frame header; None if they are not one, or the bit rate is free."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or not 1 <= bitrate <= 14 or rate == 3:
        return None
    is_mpeg1 = version == 3
    sample_rate = _RATES[version][rate]
    kilobits = _BITRATES[is_mpeg1, layer][bitrate - 1]
    if layer == 1:
        n_samples, n_bytes = 384, (12_000 * kilobits // sample_rate + padding) * 4
    else:
        n_samples = 1152 if is_mpeg1 or layer == 2 else 576
        n_bytes = n_samples // 8 * 1000 * kilobits // sample_rate + padding
    return Frame(n_bytes, n_samples, sample_rate, header[3] >> 6 == 3, kilobits, version, layer)


def find_frames(content: bytes, n_frames: int = 2) -> int | None:
    """Return where the first `n_frames` frames in a row of one kind begin in `content`, or None."""
    at = content.find(b"\xff")
    while at >= 0:
        first, behind = parse_header(content[at : at + 4]), at
        for _ in range(n_frames - 1):
            frame = parse_header(content[behind : behind + 4])
            if first is None or frame is None or frame.kind != first.kind:
                break
            behind += frame.n_bytes
        else:
            last = parse_header(content[behind : behind + 4])
            if first is not None and last is not None and last.kind == first.kind:
                return at
        at = content.find(b"\xff", at + 1)
    return None


def find_adts(content: bytes, n_frames: int) -> int | None:
    """Return where the first `n_frames` ADTS frames of AAC in a row begin in `content`, or None."""
    at = content.find(b"\xff")
    while at >= 0:
        behind = at
        for _ in range(n_frames):
            header = content[behind : behind + 6]
            n_bytes = int.from_bytes(header[3:6]) >> 5 & 0x1FFF if len(header) == 6 else 0
            if n_bytes < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
                break
            behind += n_bytes
        else:
            return at
        at = content.find(b"\xff", at + 1)
    return None


def examine(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the header frame, if there is one, with frames at some thirty places of the file."""
    head = read_at(file, start, 2 * SPOT_BYTES)
    at = find_frames(head)
    first = None if at is None else parse_header(head[at : at + 4])
    if at is None or first is None:
        return MEASURE
    begin, end = start + at, _end_of_frames(file, size)
    counted = _header_frame(head[at : at + first.n_bytes], first)
    n_frames, n_bytes = counted if counted is not None else (None, None)
    announced = None if not n_frames else n_frames * first.n_samples / first.sample_rate
    frames = _frames_at_spots(file, begin + (first.n_bytes if counted else 0), end)
    if frames is None or any(frame.kind != first.kind for frame in frames):
        return Structure(believable=False, announced_seconds=announced)
    constant = len({frame.kilobits for frame in frames}) == 1
    mean = sum(frame.n_bytes for frame in frames) / len(frames)
    if not n_frames:
        seconds = (end - begin) / mean * first.n_samples / first.sample_rate
        return Structure(believable=constant, seconds=seconds if constant else None)
    implied = (end - begin) / n_frames
    believable = abs(implied - mean) <= (CLOSE / 4 if constant else CLOSE) * mean + (2 * mean + 2048) / n_frames
    if n_bytes and abs(end - begin - n_bytes) > 0.01 * n_bytes + SPOT_BYTES:
        believable = False
    return Structure(believable=believable, announced_seconds=announced)


def _header_frame(frame: bytes, first: Frame) -> tuple[int | None, int | None] | None:
    """Return the numbers of frames and bytes that a Xing or Info frame names; None if this is no such frame."""
    side_information = {(3, False): 32, (3, True): 17}.get((first.version, first.is_mono), 9 if first.is_mono else 17)
    for at in (4 + side_information, 6 + side_information):  # with a checksum, two bytes later
        if frame[at : at + 4] in (b"Xing", b"Info"):
            flags, *numbers = struct.unpack_from(">3I", frame.ljust(at + 16, b"\0"), at + 4)
            n_frames = numbers.pop(0) if flags & 1 else None
            return n_frames, numbers.pop(0) if flags & 2 else None
    if frame[36:40] == b"VBRI":
        n_bytes, n_frames = struct.unpack_from(">2I", frame.ljust(54, b"\0"), 46)
        return n_frames, n_bytes
    return None


def _frames_at_spots(file: BinaryIO, begin: int, end: int) -> list[Frame] | None:
    """Return frames at places spread over the stream; None if there is a place without any."""
    last = max(begin, end - SPOT_BYTES)
    n_spots = min(N_SPOTS, (last - begin) // SPOT_BYTES + 2)
    frames: list[Frame] = []
    for i in range(n_spots):
        offset = begin + (last - begin) * i // max(1, n_spots - 1)
        content = read_at(file, offset, min(SPOT_BYTES, end - offset))
        at = find_frames(content)
        if at is None:
            if len(content) < SPOT_BYTES and frames:
                break
            return None
        while frame := parse_header(content[at : at + 4]):
            frames.append(frame)
            at += frame.n_bytes
    return frames


def _end_of_frames(file: BinaryIO, size: int) -> int:
    """Return where the frames end and tags at the end of the file begin."""
    end = size
    if read_at(file, end - 128, 3) == b"TAG":
        end -= 128
    footer = read_at(file, end - 32, 32)
    if footer[:8] == b"APETAGEX":
        n_bytes, _, flags = struct.unpack_from("<3I", footer, 12)
        end -= n_bytes + (32 if flags >> 31 else 0)
    trailer = read_at(file, end - 15, 15)
    if trailer[6:] == b"LYRICS200" and trailer[:6].isdigit():
        end -= 15 + int(trailer[:6])
    return max(0, end)
