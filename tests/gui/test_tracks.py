"""Rows as text, sorted and filtered; needs no screen."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from genre_gui.text import one_line, shortened
from genre_gui.tracks import State, Track, filter_and_sort
from genre_runtime.errors import AudioNotFoundError
from tests.gui.fake_backend import prediction


def tracks() -> list[Track]:
    """Four tracks: two with an answer, one that failed, one that waits."""
    made = [Track(number, Path("music", name)) for number, name in enumerate(["b.mp3", "C.mp3", "a.mp3", "d.mp3"])]
    made[0].finish(prediction(made[0].path, "tone", 0.9, 200))
    made[1].finish(prediction(made[1].path, "noise", 0.4, 30))
    made[2].finish(AudioNotFoundError(made[2].path))
    return made


def test_cells_say_how_a_track_stands() -> None:
    cells = [track.cells() for track in tracks()]
    assert cells[0][:5] == ("b.mp3", "tone", "90%", "3:20", "done")
    assert cells[1][:5] == ("C.mp3", "noise", "40%", "0:30", "not sure")
    assert cells[2].state == "failed"
    assert cells[2].genre.startswith("No file at")
    assert cells[3] == ("d.mp3", "", "", "", "waiting", "", "", "", "music")


def test_a_track_that_is_not_music_has_no_genre() -> None:
    song, talk = Track(0, Path("song.mp3")), Track(1, Path("talk.mp3"))
    song.finish(replace(prediction(song.path, confidence=0.4), music="music", styles=("house",)))
    talk.finish(replace(prediction(talk.path), music="speech", confident=False, styles=("house",)))
    assert talk.cells()[1:3] == ("speech", "")
    assert filter_and_sort([song, talk], "house") == [0]
    assert filter_and_sort([song, talk], "speech") == [1]
    assert filter_and_sort([song, talk], column="confidence", descending=True) == [0, 1]


@pytest.mark.parametrize(
    ("column", "descending", "expected"),
    [
        (None, False, [0, 1, 2, 3]),
        ("file", False, [2, 0, 1, 3]),
        ("file", True, [3, 1, 0, 2]),
        ("confidence", False, [1, 0, 2, 3]),
        ("confidence", True, [0, 1, 3, 2]),
        ("duration", False, [1, 0, 2, 3]),
        ("genre", False, [1, 0, 2, 3]),
        ("state", False, [3, 0, 1, 2]),
    ],
)
def test_order(column: str | None, descending: bool, expected: list[int]) -> None:
    assert filter_and_sort(tracks(), "", column, descending) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", [0, 1, 2, 3]), ("c.MP3", [1]), ("tone", [0]), ("not", [1]), ("not noise", [1]), ("music/", [0, 1, 2, 3])],
)
def test_filter(text: str, expected: list[int]) -> None:
    assert filter_and_sort(tracks(), text.replace("/", os.sep)) == expected


def test_names_in_the_tags_are_shown_sorted_and_filtered() -> None:
    made = tracks()
    made[0].artist, made[0].title, made[0].album = "Zoe", "Ünder", "Third"
    made[3].artist, made[3].title = "abba", "Over"
    assert made[0].cells()[5:] == ("Zoe", "Ünder", "Third", "music")
    assert filter_and_sort(made, "", "artist") == [3, 0, 2, 1], "tracks without an artist are last"
    assert filter_and_sort(made, "", "artist", descending=True)[:2] == [0, 3]
    assert filter_and_sort(made, "", "title") == [3, 0, 2, 1]
    assert filter_and_sort(made, "zoe ünder tone") == [0]


def test_the_folder_is_named_by_its_last_two_parts() -> None:
    made = [Track(n, Path("home", "music", name, "CD1", "1.mp3")) for n, name in enumerate(("Zoe", "abba"))]
    assert made[0].cells().folder == str(Path("Zoe", "CD1"))
    assert filter_and_sort(made, "", "folder") == [1, 0]


def test_names_are_one_line_and_drawable_whatever_they_hold() -> None:
    name = os.fsdecode(b"two\nlines\t\xff\x1b[31m.wav") if sys.platform != "win32" else "two\nlines\t\x1b[31m.wav"
    shown = one_line(name)
    assert shown.startswith("two lines ")
    assert shown.isprintable()
    shown.encode()  # no lone surrogate is left


def test_long_names_keep_both_ends() -> None:
    shown = shortened("a_name_without_any_gap_" * 10 + "the_end.wav")
    assert len(shown) == 48
    assert shown.startswith("a_name_without")
    assert shown.endswith("the_end.wav")
    assert shortened("short.wav") == "short.wav"


def test_state_of_an_unfinished_track_is_waiting() -> None:
    assert Track(0, Path("a.wav")).state is State.WAITING
