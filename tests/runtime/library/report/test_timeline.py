"""The genres of a track over time: what is drawn is what the excerpts say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.report import plots as timelines
from genre_runtime.library.report.figures import read_report
from genre_runtime.library.report.plots import REST, clock, make_timeline
from genre_runtime.library.results.read import Results
from genre_runtime.prediction import Prediction
from tests.runtime.library.results_files import named, predict, small_library, written

ROCK, JAZZ = {"rock": 0.7, "jazz": 0.2, "pop": 0.1}, {"rock": 0.1, "jazz": 0.6, "pop": 0.3}


def track(name: str = "/music/long.mp3") -> Prediction:
    """Forty seconds of rock, ten of silence, twenty of jazz."""
    return predict(name, *[ROCK] * 4, JAZZ, *[JAZZ] * 2, silent=[4])


def test_blocks_stack_to_the_whole() -> None:
    timeline = make_timeline(track())
    assert timeline is not None
    assert timeline.genres == ("rock", "jazz", "pop", REST)
    assert [block.silent for block in timeline.blocks] == [False] * 4 + [True] + [False] * 2
    assert timeline.blocks[0].tops == pytest.approx((0, 0.7, 0.9, 1, 1))
    assert timeline.blocks[-1].tops == pytest.approx((0, 0.1, 0.7, 1, 1))
    assert (timeline.blocks[0].start, timeline.blocks[-1].end) == (0, 70)
    assert timeline.duration_seconds == 70


def test_stretches_and_names() -> None:
    timeline = make_timeline(track())
    assert timeline is not None
    found = [(stretch.start, stretch.end, stretch.genre) for stretch in timeline.stretches]
    assert found == [(0, 40, "rock"), (50, 70, "jazz")]
    assert [stretch.probability for stretch in timeline.stretches] == pytest.approx([0.7, 0.6])
    assert [(genre, x) for genre, x, _ in timeline.names] == [("rock", 20), ("jazz", 20), ("pop", 60)]


def test_a_stretch_is_as_probable_as_its_excerpts_on_average() -> None:
    timeline = make_timeline(predict("/a.mp3", {"rock": 0.9, "jazz": 0.1}, {"rock": 0.5, "jazz": 0.3, "pop": 0.2}))
    assert timeline is not None
    (stretch,) = timeline.stretches
    assert stretch.genre == "rock"
    assert stretch.probability == pytest.approx(0.7)


@pytest.mark.parametrize("n_excerpts", [1, 3, 900])
def test_the_legend_names_what_is_drawn(n_excerpts: int) -> None:
    timeline = make_timeline(predict("/a.mp3", *[{"rock": 0.75, "jazz": 0.25, "pop": 0.0}] * n_excerpts))
    assert timeline is not None
    assert [text for _, text in timeline.legend] == ["rock", "jazz"]
    timeline = make_timeline(track())
    assert timeline is not None
    assert [text for _, text in timeline.legend] == ["rock", "jazz", "pop", "silent"]


def test_rare_genres_are_the_rest() -> None:
    labels = {f"genre {number}": (10 - number) / 55 for number in range(10)}
    timeline = make_timeline(predict("/a.mp3", labels))
    assert timeline is not None
    assert timeline.genres == (*list(labels)[: timelines.N_GENRES], REST)
    tops = timeline.blocks[0].tops
    assert tops[-1] - tops[-2] == pytest.approx((4 + 3 + 2 + 1) / 55)


def test_long_tracks_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MOST_BLOCKS", 3)
    timeline = make_timeline(track())
    assert timeline is not None
    assert [(block.start, block.end) for block in timeline.blocks] == [(0, 30), (30, 60), (60, 70)]
    assert timeline.blocks[1].tops[1] == pytest.approx((0.7 + 0.1) / 2)  # without the silent one
    assert len(timeline.stretches) == 2


def test_picture_covers_each_excerpt_once() -> None:
    timeline = make_timeline(track())
    assert timeline is not None
    paths = "".join(path for _, _, path in timeline.layers)
    areas = [tuple(map(float, area)) for area in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H", paths)]
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in areas) == pytest.approx(70)


@pytest.mark.parametrize("seconds", [0.4, 12, 60, 3_000, 40_000, 10**9])
def test_axis_has_a_few_marks(seconds: float) -> None:
    timeline = make_timeline(predict("/a.mp3", ROCK, seconds=seconds))
    assert timeline is not None
    assert 1 <= len(timeline.ticks) <= 7
    assert all(0 <= position <= 100 for position, _ in timeline.ticks)


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 61, 3_599, 3_600, 360_000)] == [
        *("0:00", "1:00", "1:01", "59:59", "1:00:00", "100:00:00"),
    ]


@pytest.fixture
def results(tmp_path: Path) -> str:
    path = tmp_path / "all.jsonl"
    tracks = [track("/music/b/long.mp3"), track("/music/c/song.mp3"), track("/music/d/song.mp3")]
    path.write_text(written([*small_library(), *named([*tracks, predict("/music/longest.mp3", *[ROCK] * 9)])]))
    return str(path)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, "/music/longest.mp3"),
        ("/music/a/one.mp3", "/music/a/one.mp3"),
        ("one.mp3", "/music/a/one.mp3"),
        ("c/song.mp3", "/music/c/song.mp3"),
        ("/music/d/song.mp3", "/music/d/song.mp3"),
    ],
)
def test_which_track_is_drawn(results: str, wanted: str | None, found: str) -> None:
    timeline = read_report(Results(results), wanted).timeline
    assert timeline is not None
    assert timeline.path == Path(found)


@pytest.mark.parametrize(
    ("wanted", "words"), [("song.mp3", "2 tracks"), ("ong.mp3", "no answer"), ("/music/b/noise.mp3", "no answer")]
)
def test_no_track_or_several(results: str, wanted: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read_report(Results(results), wanted)


def test_without_long_tracks_nothing_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_text(written(small_library()))
    assert read_report(Results(str(path))).timeline is None
