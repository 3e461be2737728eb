"""Ways to damage a file. Each takes the content, a source of randomness and all seeds, and says what it did."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from tests.runtime.ogg_pages import with_right_checksums

MAX_BYTES = 2**20
"""Larger mutants are cut: copies of copies would grow without end."""

HEADER_BYTES = 512
"""A third of the changes strike here, where the sizes, rates and counts stand."""

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 655_350, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAGICS = (
    *(b"\0\0\0\x18ftypM4A \0\0\0\0", b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"MAC \x96\x0f"),
    *(b"OggS\0\2", b"fLaC\0\0\0\x22", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64", b"FORM\0\0\xff\xffAIFFCOMM"),
    *(b".snd\0\0\0\x18", b"wvpk", b"TTA1\1\0\1\0\x10\0", b"MPCKSH", b"MP+\7", b"\xff\xf1\x50\x80", b"\xff\xfb\x90\x64"),
    *(b"ID3\3\0\0\0\0\2\1", b"caff\0\1\0\0desc", b"riff\x2e\x91\xcf\x11", b"Creative Voice File\x1a\x1a\0\x0a\1"),
)

Mutator = Callable[[bytearray, Random, Sequence[bytes]], bytearray]


def _place(content: bytearray, random: Random) -> int:
    """Draw an offset, a third of the time within the header."""
    n = len(content) if random.random() < 0.67 else min(len(content), HEADER_BYTES)
    return random.randrange(max(1, n))


def _stretch(content: bytearray, random: Random) -> slice:
    start = _place(content, random)
    return slice(start, start + 2 ** random.randrange(11))


def flip_bits(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Flip 1 to 32 single bits."""
    for _i in range(2 ** random.randrange(6)):
        if content:
            content[_place(content, random)] ^= 1 << random.randrange(8)
    return content


def overwrite(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Overwrite a stretch by zeros, ones, one repeated byte or noise."""
    where = _stretch(content, random)
    n = len(content[where])
    fill = random.choice((b"\0", b"\xff", random.randbytes(1), b""))
    content[where] = fill * n if fill else random.randbytes(n)
    return content


def remove(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Take a stretch out."""
    del content[_stretch(content, random)]
    return content


def duplicate(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Repeat a stretch up to 16 times."""
    where = _stretch(content, random)
    content[where.start : where.start] = content[where] * random.randint(1, 16)
    return content


def swap(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Let two stretches change places."""
    a, b = sorted((_stretch(content, random), _stretch(content, random)), key=lambda where: where.start)
    first, second = content[a.start : min(a.stop, b.start)], content[b]
    content[b] = first
    content[a.start : a.start + len(first)] = second
    return content


def truncate(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Cut the end off."""
    return content[: _place(content, random)]


def splice(content: bytearray, random: Random, others: Sequence[bytes]) -> bytearray:
    """Go on, from some place, with another file."""
    other = bytearray(random.choice(others))
    return content[: _place(content, random)] + other[_place(other, random) :]


def extreme_number(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Set 1 to 4 integers of 1 to 8 bytes, of either byte order, to an extreme value or change them by a little."""
    for _i in range(random.randint(1, 4)):
        n = random.choice((1, 2, 3, 4, 4, 8))
        where = slice(start := _place(content, random), start + n)
        order = random.choice(("little", "big"))
        value = random.choice(_EXTREMES)
        if random.random() < 0.3:
            value = int.from_bytes(content[where], "big") + random.randint(-4, 4)
        n = len(content[where])
        content[where] = (value % 256**n).to_bytes(n, "big" if order == "big" else "little")
    return content


def extreme_float(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Write NaN, an infinity or an absurd number where a float may stand."""
    value = random.choice((float("nan"), float("inf"), -float("inf"), 3e38, 1e-40, 0.0, -1.0))
    piece = struct.pack(random.choice("<>") + random.choice("fd"), value)
    start = _place(content, random)
    content[start : start + len(piece)] = piece
    return content[:MAX_BYTES]


def magic_and_noise(content: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Forget the file: a valid beginning and random bytes, or a valid beginning before the file."""
    magic = random.choice(_MAGICS)
    rest = random.randbytes(random.randrange(4_096)) if random.random() < 0.7 else content[len(magic) :]
    return bytearray(magic + rest)


MUTATORS: tuple[Mutator, ...] = (
    *(flip_bits, flip_bits, overwrite, remove, duplicate, swap, truncate, splice),
    *(extreme_number, extreme_number, extreme_number, extreme_float),
)


def mutate(content: bytes, random: Random, others: Sequence[bytes]) -> tuple[bytes, str]:
    """Apply 1 to 4 mutators, rarely `magic_and_noise` alone; return the mutant and the mutators' names."""
    if random.random() < 0.03:
        return bytes(magic_and_noise(bytearray(content), random, others)), "magic_and_noise"
    chosen = [random.choice(MUTATORS) for _ in range(random.choice((1, 1, 1, 2, 2, 3)))]
    mutant = bytearray(content)
    for mutator in chosen:
        mutant = mutator(mutant, random, others)[:MAX_BYTES]
    how = "+".join(mutator.__name__ for mutator in chosen)
    if mutant[:4] == b"OggS" and random.random() < 0.7:  # decoders pass over a page whose checksum is wrong
        return with_right_checksums(bytes(mutant)), how + "+with_right_checksums"
    return bytes(mutant), how


_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**63, 1e308, -0.0, 10**400, float("nan"), float("inf"), "", "x" * 10_000, "\ud800", "\0"),
    *([], {}, [[]], [None], {"": 0}, [0] * 1_000, "../best_model.onnx", "/dev/zero", "best_model.logmel.onnx"),
)


def mutate_sidecar(content: bytes, random: Random) -> tuple[bytes, str]:
    """Change, drop, rename or add one or two values of a JSON object, at any depth, and keep it JSON."""
    values = json.loads(content)
    for _ in range(random.randint(1, 2)):
        node: Any = values
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = random.choice(keys) if keys else None
            inner = node[key] if key is not None else None
            if not isinstance(inner, dict | list) or not inner or random.random() < 0.3:
                break
            node = inner
        what = random.random()
        if key is None or what < 0.1:
            if isinstance(node, dict):
                node["added"] = deepcopy(random.choice(_VALUES))
        elif what < 0.25:
            del node[key]
        else:
            node[key] = deepcopy(random.choice(_VALUES))  # lists may be changed in turn
    return json.dumps(values).encode(), "mutate_sidecar"


def mutate_graph(content: bytes, random: Random) -> tuple[bytes, str]:
    """Change letters of names in a graph, so that it stays a graph: other operators, inputs, outputs."""
    mutant = bytearray(content)
    names = list(re.finditer(rb"[A-Za-z_]{3,}", content))
    for name in random.sample(names, random.randint(1, 2)):
        other = random.choice(names).group()
        if len(other) == len(name.group()) and random.random() < 0.5:
            mutant[name.start() : name.end()] = other
        else:
            mutant[random.randrange(name.start(), name.end())] = random.randrange(97, 123)
    return bytes(mutant), "mutate_graph"
