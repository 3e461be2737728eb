"""Tags damaged at random: a file is written and comes back byte for byte, or stays as it is with an error of ours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from genre_runtime.errors import GenreError
from genre_runtime.library.tags import Mode, undo, write_genres
from tests.runtime.library.conftest import SUFFIXES

N_MUTANTS = 20
"""Of each container; thousands more were tried by hand."""

REACH = 600
"""Damage lies this near to an end of the file, where tags are; bytes."""


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Change, cut out and put in some bytes."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        position = rng.randrange(min(REACH, len(changed)))
        position = position if rng.random() < 0.7 else len(changed) - 1 - position
        kind = rng.random()
        if kind < 0.5:
            changed[position] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind < 0.75:
            del changed[position : position + rng.randrange(1, 40)]
        else:
            changed[position:position] = rng.randbytes(rng.randrange(1, 40))
    return bytes(changed)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_tags_lose_nothing(
    originals: dict[str, Path], tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    tagged = tmp_path / f"tagged{suffix}"
    tagged.write_bytes(originals[suffix].read_bytes())
    write_genres(tagged, ["Rock", "Folk"], journal=None)
    path, journal = tmp_path / f"song{suffix}", tmp_path / "journal.jsonl"
    rng = random.Random(suffix)
    modes: tuple[Mode, ...] = ("overwrite", "append")
    for number in range(N_MUTANTS):
        content = mutant(tagged.read_bytes(), rng)
        path.write_bytes(content)
        journal.unlink(missing_ok=True)
        try:
            change = write_genres(path, ["Jazz", "Pop"], rng.choice(modes), journal=journal)
        except GenreError:
            assert path.read_bytes() == content, number
            continue
        if change.written:
            assert [item.error for item in undo(journal)] == [None], number
        assert path.read_bytes() == content, number
        assert {item.name for item in tmp_path.iterdir()} <= {path.name, tagged.name, journal.name}
