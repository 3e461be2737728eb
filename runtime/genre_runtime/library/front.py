"""Where the ID3v2 tags in front of a file's audio begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

_MOST_TAGS = 64
"""In front of one file; more of them are damage."""


def front_size(file: BinaryIO) -> int:
    """Return the bytes of the first ID3v2 tag at the beginning of a file, without its footer; 0 if there is none."""
    return _size_at(file, 0)[0]


def has_footer(file: BinaryIO) -> bool:
    """Return whether the first ID3v2 tag has a footer, which mutagen leaves behind."""
    return _size_at(file, 0)[1] > 0


def front_end(file: BinaryIO) -> int:
    """Return where the last of the ID3v2 tags in front of a file ends."""
    *_, end = (0, *(offset + size for offset, size in front_tags(file)))
    return end


def front_tags(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield offset and size, with the footer, of each ID3v2 tag in front of the audio."""
    offset = 0
    for _ in range(_MOST_TAGS):
        size = sum(_size_at(file, offset))
        if not size:
            return
        yield offset, size
        offset += size


def _size_at(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Return the bytes of a tag and of its footer."""
    file.seek(offset)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or head[3] > 4:
        return 0, 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size, 10 if head[5] & 0x10 else 0
