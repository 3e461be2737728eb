"""The earlier file comes back from the later one, and a patch is small where little changed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest

from genre_runtime.errors import JournalError
from genre_runtime.library.tags.restore import difference, restore

RNG = np.random.default_rng(5)
SOUND = RNG.bytes(600_000)
PICTURE = RNG.bytes(80_000)


def renumbered(sound: bytes) -> bytes:
    changed = bytearray(sound)
    for start in range(0, len(changed), 4_000):
        changed[start + 18 : start + 26] = RNG.bytes(8)
    return bytes(changed)


class OpenFile(io.BytesIO):
    """As strict as a file on the disk."""

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        if n_bytes is not None and n_bytes < -1:
            raise ValueError("read length must be non-negative or -1")
        return super().read(n_bytes)


CASES = {
    "equal": (SOUND, SOUND, 100),
    "grown in front": (SOUND, b"head" * 100 + SOUND, 100),
    "shrunk in front": (b"head" * 100 + SOUND, SOUND, 200),
    "much shrunk in front": (PICTURE[:50_000] + SOUND, SOUND, 51_000),
    "grown behind": (SOUND, SOUND + b"tail" * 100, 100),
    "size in front, chunk behind": (b"RIFF1234" + SOUND, b"RIFF5678" + SOUND + b"tail", 200),
    "grown at both ends": (b"a" * 90 + SOUND, b"b" * 500 + SOUND + b"tail" * 7, 300),
    "pages renumbered": (SOUND, b"x" * 77 + renumbered(SOUND), 15_000),
    "a picture that moved the other way": (b"1" * 64 + PICTURE + b"2" * 500 + SOUND, b"2" * 700 + PICTURE + SOUND, 400),
    "silence": (bytes(300_000) + b"end", b"new" + bytes(300_001), 600),
    "nothing in common": (PICTURE, SOUND[:70_000], 81_000),
    "from nothing": (b"", b"abc", 60),
    "to nothing": (b"abc", b"", 60),
}


@pytest.mark.parametrize("name", CASES)
def test_restores_and_stays_small(name: str) -> None:
    earlier, later, most = CASES[name]
    patch = difference(OpenFile(earlier), OpenFile(later))
    out = io.BytesIO()
    restore(patch, OpenFile(later), out, len(earlier))
    assert out.getvalue() == earlier
    assert len(patch) <= most


def test_restores_any_edit() -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        earlier = bytearray(rng.bytes(int(rng.integers(0, 60_000))))
        later = bytearray(earlier)
        for _ in range(int(rng.integers(0, 6))):
            start = int(rng.integers(0, len(later) + 1))
            later[start : start + int(rng.integers(0, 3_000))] = rng.bytes(int(rng.integers(0, 3_000)))
        out = io.BytesIO()
        restore(difference(OpenFile(earlier), OpenFile(later)), io.BytesIO(later), out, len(earlier))
        assert out.getvalue() == earlier


def listing(pieces: bytes) -> bytes:
    return zlib.compress(struct.pack(">I", len(pieces)) + pieces)


@pytest.mark.parametrize(
    "patch",
    [
        *(b"", b"no zlib", zlib.compress(b"\0"), zlib.compress(b"\0\0\0\x02{}[]")[:-3]),
        *map(listing, (b"[[Infinity,1]]", b"[[0,NaN]]", b"[[-5,1]]", b"[[0,-5]]", b"[[0,%d]]" % 2**64, b"[[null,1]]")),
        listing(100_000 * b"["),
    ],
)
def test_damaged_patches_are_named(patch: bytes) -> None:
    with pytest.raises(JournalError, match="damaged"):
        restore(patch, io.BytesIO(SOUND), io.BytesIO(), 1_000)
