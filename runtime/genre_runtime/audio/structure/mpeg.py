"""MPEG audio (MP3, MP2, MP1): whether the header frame is correct and all frames are of one kind.

Frame headers as in ISO/IEC 11172-3 and 13818-3, header frames as Xing and LAME write them ("Xing" for variable, "Info"
for constant bit rate). Without a header frame, decoders estimate the length from the file's size and first bit rate.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from genre_runtime.audio.structure import UNRELIABLE, Examiner, Structure, find_all, read_at

N_SPOTS = 32
SPOT_BYTES = 4096
"""Holds two whole frames wherever it begins: the longest frame of layer III has 1,441 bytes, of layer II 1,729."""

TOLERANCE = 0.1
"""Share by which the mean frame size at the spots may differ from the size that the header frame implies."""

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
    """The contents of a frame header."""

    n_bytes: int
    n_samples: int
    sample_rate: int
    is_mono: bool
    kilobits: int
    version: int
    layer: int

    @property
    def kind(self) -> tuple[int, int, int, bool]:
        """Properties that must not change within a stream, or libsndfile stops reading."""
        return self.version, self.layer, self.sample_rate, self.is_mono


@lru_cache(maxsize=4096)
def parse_header(header: bytes) -> Frame | None:
    """Parse a frame header; None if it is invalid or has a free bit rate.

    Parameters
    ----------
    header : bytes
        Four bytes.
    """
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
    """Return the offset of the first run of consecutive frames of one kind, or None.

    Parameters
    ----------
    content : bytes
    n_frames : int
        Length of the run.
    """
    for at in find_all(content, b"\xff"):
        first, end = parse_header(content[at : at + 4]), at
        for _ in range(n_frames):
            frame = parse_header(content[end : end + 4])
            if first is None or frame is None or frame.kind != first.kind:
                break
            end += frame.n_bytes
        else:
            return at
    return None


def find_adts(content: bytes, n_frames: int) -> int | None:
    """Return the offset of the first run of consecutive ADTS frames of AAC, or None.

    Parameters
    ----------
    content : bytes
    n_frames : int
        Length of the run.
    """
    for at in find_all(content, b"\xff"):
        end = at
        for _ in range(n_frames):
            header = content[end : end + 6]
            n_bytes = int.from_bytes(header[3:6]) >> 5 & 0x1FFF if len(header) == 6 else 0
            if n_bytes < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
                break
            end += n_bytes
        else:
            return at
    return None


def _examine_mpeg(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the header frame, if there is one, with the frames at up to `N_SPOTS` places in the file."""
    head = read_at(file, start, 2 * SPOT_BYTES)
    at = find_frames(head)
    first = None if at is None else parse_header(head[at : at + 4])
    if at is None or first is None:
        return UNRELIABLE
    begin, end = start + at, _end_of_frames(file, size)
    counted = _header_frame_counts(head[at : at + first.n_bytes], first)
    n_frames, n_bytes = counted if counted is not None else (None, None)
    announced = None if not n_frames else n_frames * first.n_samples / first.sample_rate
    frames = _frames_at_spots(file, begin + (first.n_bytes if counted else 0), end)
    if frames is None or any(frame.kind != first.kind for frame in frames):
        return Structure(is_reliable=False, announced_seconds=announced)
    constant = len({frame.kilobits for frame in frames}) == 1
    mean = sum(frame.n_bytes for frame in frames) / len(frames)
    if not n_frames:
        seconds = (end - begin) / mean * first.n_samples / first.sample_rate
        return Structure(is_reliable=constant, seconds=seconds if constant else None)
    implied = (end - begin) / n_frames
    is_reliable = (
        abs(implied - mean) <= (TOLERANCE / 4 if constant else TOLERANCE) * mean + (2 * mean + 2048) / n_frames
    )
    if n_bytes and abs(end - begin - n_bytes) > 0.01 * n_bytes + SPOT_BYTES:
        is_reliable = False
    return Structure(is_reliable=is_reliable, announced_seconds=announced)


EXAMINERS: dict[str, Examiner] = {"mp3": _examine_mpeg}


def _header_frame_counts(frame: bytes, first: Frame) -> tuple[int | None, int | None] | None:
    """Return the numbers of frames and bytes that a header frame names; None if this is an ordinary frame."""
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
    """Return frames at places spread over the stream; None if a place has none."""
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
    """Return the offset at which the frames end and trailing tags begin."""
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
