"""The user's own names, in three ways of writing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.genre_names import GenreMap, read_map

LABELS = ("hiphop", "jazz", "rock", "pop")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.txt", "\ufeff# mine\nhiphop = Hip-Hop = Rap\r\n\n Jazz=\nrock = Metal # loud\n"),
        ("map.csv", 'label,name\nhiphop,Hip-Hop = Rap\nJAZZ,\nrock,"Metal # loud"\n'),
        ("map.toml", 'hiphop = "Hip-Hop = Rap"\njazz = ""\nrock = "Metal # loud"\n'),
    ],
)
def test_three_ways(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    genre_map = read_map(path)
    genre_map.check(LABELS)
    assert genre_map.rename(LABELS) == ("Hip-Hop = Rap", "Metal # loud", "pop")


def test_several_names_and_doubles(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('rock = ["Rock", "Guitar"]\npop = "Rock"\njazz = []\n')
    assert read_map(path).rename(("pop", "rock", "jazz")) == ("Rock", "Guitar")
    assert GenreMap().rename(("rock",)) == ("rock",)


def test_unknown_labels_list_the_known() -> None:
    with pytest.raises(InvalidInputError, match="unknown genres polka, waltz: known are hiphop, jazz, pop, rock"):
        GenreMap({"polka": (), "waltz": (), "jazz": ()}).check(LABELS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("map.txt", b"rock\n", "line 1 is 'rock'"),
        ("map.txt", b"rock = a\nROCK = b\n", "'ROCK' is named twice"),
        ("map.txt", b"rock = a\0b\n", "is not a genre's name"),
        ("map.txt", b"\xff\xfe", "cannot be used"),
        ("map.csv", b"rock,a,b\n", "row 1"),
        ("map.toml", b"rock = 3\n", "expected text"),
        ("map.toml", b"rock = \n", "cannot be used"),
        ("map.toml", b"[rock]\na = 'b'\n", "expected text"),
        ("missing.toml", None, "cannot be read"),
    ],
)
def test_errors_are_named(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=words):
        read_map(path)
