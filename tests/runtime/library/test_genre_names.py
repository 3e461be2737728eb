"""The spelling of names, and the user's own names in three ways of writing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.genre_names import GenreMap, conventional, distinct, read_map, spelling_key
from genre_runtime.model.metadata import default_model_path, read_metadata

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


@pytest.mark.parametrize(
    ("names", "spelling"),
    [
        (("hiphop", "hip hop", "HIP HOP", "Hip-Hop"), "Hip-Hop"),
        (("drum and bass", "D&B", "Drum & Bass", "drum'n'bass", "dnb"), "Drum and Bass"),
        (("r&b", "R'n'B", "RNB", "rhythm and blues", "Rhythm & Blues"), "R&B"),
        (("rock 'n' roll", "Rock & Roll"), "Rock and Roll"),
        (("electronic", "Electronic Music"), "Electronic"),
        (("electronica",), "Electronica"),
        (("Middle Eastern music",), "Middle Eastern"),
        (("my Own genre",), "my Own genre"),
        (("音楽",), "音楽"),
        (("",), ""),
    ],
)
def test_conventional_spelling(names: tuple[str, ...], spelling: str) -> None:
    assert {conventional(name) for name in names} == {spelling}
    assert {spelling_key(name) for name in names} == {spelling_key(spelling)}


def test_names_that_mean_the_same_are_not_spellings_of_one() -> None:
    assert spelling_key("Electronica") != spelling_key("electronic")
    assert distinct(["Rock", "ROCK", "Hip-Hop", "???", "!!!"], known=["hip hop"]) == ("Rock", "???", "!!!")


def test_all_names_of_the_model_have_a_conventional_spelling() -> None:
    metadata = read_metadata(default_model_path())
    kinds = {"style", "mood", "instrument", "voice"}
    names = [*metadata.labels, *(tag.name for tag in metadata.tags if tag.kind in kinds)]
    assert [name for name in names if not conventional(name)[0].isupper()] == []


def test_a_map_finds_other_spellings_and_wins_over_the_conventional_one() -> None:
    genre_map = GenreMap({"hip hop": ("Rap",), "pop": ()})
    genre_map.check(LABELS)
    assert genre_map.rename(("hiphop", "Hip-Hop", "POP", "rock"), conventional) == ("Rap", "Rock")


def test_unknown_labels_list_the_known() -> None:
    with pytest.raises(InvalidInputError, match="unknown labels polka, waltz: known are hiphop, jazz, pop, rock"):
        GenreMap({"polka": (), "waltz": (), "jazz": ()}).check(LABELS)
    with pytest.raises(InvalidInputError, match="rock, and the model's styles, moods and instruments"):
        GenreMap({"polka": (), "sad": ()}).check(LABELS, ["sad"])


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
