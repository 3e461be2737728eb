"""Examples: their genres under one spelling, and groups that keep an artist together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.genre_names import GenreMap, read_map, spelling_key
from genre_runtime.library.learning.examples import (
    SAME_GENRES,
    Example,
    examples_from_csv,
    examples_from_folders,
    examples_from_tags,
    group_of,
    means_same,
    renamed,
    separate,
    settle_names,
)
from genre_runtime.library.tags import write_genres
from genre_runtime.library.tags.names import TrackNames
from tests.runtime.library.conftest import MakeFile

NO_MAP = GenreMap()


def example(*genres: str) -> Example:
    return Example(Path("song.mp3"), genres, "group")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Hip-Hop", "hip hop"),
        ("Hip-Hop", "HIPHOP"),
        ("Bossa Nova", "bossa_nova"),
        ("Música Popular", "Musica popular"),
        ("Musique Française", "MUSIQUE FRANC\u0327AISE"),
        ("Drum & Bass", "drum and bass"),
        ("Drum + Bass", "Drum & Bass"),
        ("Straße", "strasse"),
        ("DnB", "Drum & Bass"),
        ("R&B", "RnB"),
        ("Folk Music", "folk"),
    ],
)
def test_spellings_of_one_name(name: str, other: str) -> None:
    assert spelling_key(name) == spelling_key(other)
    assert means_same(name, other)


@pytest.mark.parametrize(
    ("name", "other"), [("Rock", "Pop"), ("Dub", "Dubstep"), ("演歌", "歌謡曲"), ("Metal", "Rock"), ("Music", "")]
)
def test_other_names(name: str, other: str) -> None:
    assert spelling_key(name) != spelling_key(other)
    assert not means_same(name, other)


@pytest.mark.parametrize(("name", "other"), [("Rap", "Hip-Hop"), ("Electronica", "Electronic Music"), ("OST", "score")])
def test_names_that_mean_the_same(name: str, other: str) -> None:
    assert means_same(name, other)
    assert means_same(other, name)


def test_no_name_is_in_two_lists() -> None:
    names = [name for names in SAME_GENRES for name in {spelling_key(name) for name in names}]
    assert sorted(names) == sorted(set(names))


def test_the_most_frequent_spelling_is_used() -> None:
    examples = [example("hip hop"), example("Hip-Hop"), example("Hip-Hop", "Jazz"), example("HIPHOP"), example()]
    names = settle_names(examples)
    assert names.joined == {"Hip-Hop": ("hip hop", "HIPHOP")}
    assert names.proposals == ()
    assert [one.genres for one in renamed(examples, names)] == [
        *(("Hip-Hop",), ("Hip-Hop",), ("Hip-Hop", "Jazz"), ("Hip-Hop",), ())
    ]


def test_two_spellings_in_one_file_are_one_genre() -> None:
    examples = [example("Hip-Hop"), example("Hip-Hop", "hip hop")]
    assert renamed(examples, settle_names(examples))[1].genres == ("Hip-Hop",)


def test_proposals_name_the_rarer_first_and_change_nothing() -> None:
    examples = [example("Rap"), example("Hip-Hop"), example("Hip-Hop"), example("Metal")]
    names = settle_names(examples)
    assert names.proposals == (("Rap", "Hip-Hop"),)
    assert names.joined == {}
    assert renamed(examples, names) == examples


def test_names_of_signs_only_stay_apart() -> None:
    names = settle_names([example("???"), example("!!!"), example("???")])
    assert names.joined == {}
    assert names.spelling == {"???": "???", "!!!": "!!!"}


def test_a_map_joins_what_was_proposed(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(".flac")
    write_genres(path, ["Rap", "Noise", "Jazz"], journal=None)
    (tmp_path / "map.txt").write_text("Rap = Hip-Hop\nNoise =\n")
    (found,) = examples_from_tags([path], read_map(tmp_path / "map.txt"))
    assert found.genres == ("Hip-Hop", "Jazz")


def test_genres_are_separated() -> None:
    assert separate(["Rock; Pop", "Jazz / Funk", "R&B/Soul", "Rock"]) == ("Rock", "Pop", "Jazz", "Funk", "R&B/Soul")
    assert separate(["One\0Two", " ; ", "", "bad\x07"]) == ("One", "Two")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (TrackNames("Björk", "Other", "Album"), "artist bjork"),
        (TrackNames("BJÖRK", "", ""), "artist bjork"),
        (TrackNames("", "Björk", "Album"), "artist bjork"),
        (TrackNames("Various Artists", "Björk", "Album"), "artist bjork"),
        (TrackNames("Various Artists", "VA", "The Album"), "album thealbum"),
        (TrackNames("Unknown Artist", "", "The Album"), "album thealbum"),
        (TrackNames("", "", "The Album"), "album thealbum"),
        (TrackNames("???", "", ""), "artist ???"),
        (TrackNames(), "folder {folder}"),
        (TrackNames("various", "", ""), "folder {folder}"),
    ],
)
def test_groups(names: TrackNames, expected: str) -> None:
    path = Path("music") / "album" / "song.mp3"
    assert group_of(path, read=lambda _: names) == expected.format(folder=path.parent)


def test_a_folder_of_many_artists_is_not_a_group() -> None:
    path = Path("music") / "Jazz" / "song.mp3"
    assert group_of(path, depth=0, read=lambda _: TrackNames()) == f"file {path}"


def test_a_file_without_readable_tags_teaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp3"
    path.write_text("no music")
    (found,) = examples_from_tags([path], NO_MAP)
    assert found == Example(path, (), f"folder {tmp_path}")


def test_folders_below_a_root_are_genres(tmp_path: Path) -> None:
    paths = [
        tmp_path / "loose.mp3",
        tmp_path / "Dub" / "one.mp3",
        tmp_path / "Dub" / "Artist" / "two.mp3",
        tmp_path / "Dub" / "Artist" / "three.mp3",
        Path("elsewhere") / "four.mp3",
    ]
    found = list(examples_from_folders(paths, [tmp_path], NO_MAP))
    assert [one.genres for one in found] == [(), ("Dub",), ("Dub",), ("Dub",), ()]
    assert found[1].group == f"file {paths[1]}", "a folder of a genre holds many artists"
    assert found[2].group == found[3].group == f"folder {paths[2].parent}"
    (mapped,) = examples_from_folders(paths[1:2], [tmp_path], GenreMap({"dub": ("Reggae",)}))
    assert mapped.genres == ("Reggae",)


MakeList = Callable[[str], list[Example]]


@pytest.fixture
def read_list(tmp_path: Path) -> MakeList:
    """Return a function that writes a list and reads it."""

    def read(text: str) -> list[Example]:
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode())
        return examples_from_csv(path, NO_MAP)

    return read


def test_a_list_with_artists(read_list: MakeList, tmp_path: Path) -> None:
    found = read_list("\ufeffPath, Genre ,artist,year\nsub/a.mp3,Rock; Pop,Björk,1\n\n/b.mp3,Jazz,Various,2\n,x,y,3\n")
    assert found == [
        Example(tmp_path / "sub" / "a.mp3", ("Rock", "Pop"), "artist bjork"),
        Example(Path("/b.mp3"), ("Jazz",), f"folder {Path('/')}"),
    ]


@pytest.mark.parametrize("column", ["genre", "genres", "label"])
def test_names_of_the_genre_column(read_list: MakeList, column: str) -> None:
    (found,) = read_list(f"path,{column}\na.mp3,Rock\n")
    assert found.genres == ("Rock",)


def test_a_row_that_ends_early(read_list: MakeList) -> None:
    assert [one.genres for one in read_list("path,genre,artist\na.mp3\nb.mp3,Rock\n")] == [(), ("Rock",)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,genre\na.mp3,Rock\n", ["file, genre", "expected path, genre"]),
        ("path,artist\na.mp3,Me\n", ["path, artist", "expected path, genre"]),
        ("", ["(none)", "expected path, genre"]),
        ('path,genre\n"a.mp3,Rock\n', ["not CSV"]),
    ],
)
def test_lists_that_cannot_be_used(read_list: MakeList, text: str, words: Sequence[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_list(text)
    assert all(word in str(caught.value) for word in words)


def test_a_list_with_semicolons(read_list: MakeList, tmp_path: Path) -> None:
    assert read_list("path;genre;artist\na.mp3;Rock;Me\n") == [Example(tmp_path / "a.mp3", ("Rock",), "artist me")]


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        examples_from_csv(tmp_path / "gone.csv", NO_MAP)
    (tmp_path / "latin.csv").write_bytes("path,genre\né.mp3,Rock\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match="UTF-8"):
        examples_from_csv(tmp_path / "latin.csv", NO_MAP)
