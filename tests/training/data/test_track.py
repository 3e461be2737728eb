"""Track lists from a data folder: every layout, and what is wrong with a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_runtime.errors import GenreError
from genre_training.data.folders import read_audio_tracks, read_tracks
from genre_training.data.track import DataError, label_names
from tests.training.miniature import FMA_COLUMNS as FMA
from tests.training.miniature import GENRES, write_index
from tests.training.miniature import GTZAN_COLUMNS as GTZAN

AUDIO = ("file", "genre", "artist", "source")


def write_part(folder: Path, part: str, columns: tuple[str, ...], *rows: tuple[str, ...]) -> Path:
    """Write one part with empty files: `read_tracks` only looks whether they are there."""
    write_index(folder / part / "index.csv", columns, rows)
    below = folder / part if part == "audio" else folder / part / "logmel"
    below.mkdir(exist_ok=True)
    for row in rows:
        (below / (row[0] if part == "audio" else f"{row[0]}.png")).touch()
    return folder


def test_miniature_folder_holds_every_clip_once(miniature: Path) -> None:
    tracks = read_tracks(miniature)
    ids = [track.track_id for track in tracks]
    assert len(ids) == len(set(ids)) == 96
    assert {track.source for track in tracks} == {"fma_small", "gtzan", "synth"}
    assert label_names(tracks) == GENRES
    assert tracks == read_tracks(miniature)


def test_fma_groups_are_artists_and_blocks_where_the_artist_is_unknown(tmp_path: Path) -> None:
    rows = (("1", "rock", "7", "3", "training"), ("2", "jazz", "8", "3", "test"), ("3", "jazz", "3", "", "training"))
    tracks = read_tracks(write_part(tmp_path, "fma_small", FMA, *rows))
    assert [(t.track_id, t.label, t.group, t.part, t.official) for t in tracks] == [
        ("fma_small/1", "rock", "fma_small/3", None, "train"),
        ("fma_small/2", "jazz", "fma_small/3", None, "test"),
        ("fma_small/3", "jazz", "fma_small/block 3", None, "train"),
    ]


def test_gtzan_says_itself_what_is_held_out(tmp_path: Path) -> None:
    rows = (
        ("blues.1", "blues", "train", "Slayer"),
        ("blues.2", "blues", "validation", "Burning Spear"),
        ("blues.3", "blues", "train", "Burning Spear"),
        ("blues.4", "blues", "train", ""),
        ("blues.5", "blues", "validation", ""),
    )
    tracks = read_tracks(write_part(tmp_path, "gtzan", GTZAN, *rows))
    assert [track.part for track in tracks] == ["train", "test", "test", "train", "test"]
    assert [track.group for track in tracks[:3]] == ["gtzan/Slayer", "gtzan/Burning Spear", "gtzan/Burning Spear"]
    assert len({track.group for track in tracks}) == 4


def test_audio_is_grouped_by_artist_within_its_source(tmp_path: Path) -> None:
    rows = (("emotify_a_1.opus", "pop", "Ada", "emotify"), ("gtzan_b.wav", "rock", "Ada", "gtzan"))
    tracks = read_tracks(write_part(tmp_path, "audio", AUDIO, *rows))
    assert [(t.track_id, t.group) for t in tracks] == [("emotify/a_1", "emotify/Ada"), ("gtzan/b", "gtzan/Ada")]


def test_audio_of_a_picture_is_not_counted_twice(tmp_path: Path) -> None:
    write_part(tmp_path, "gtzan", GTZAN, ("blues.1", "blues", "validation", ""))
    write_part(tmp_path, "audio", AUDIO, ("gtzan_blues.1.opus", "blues", "", "gtzan"), ("x_1.wav", "pop", "", "x"))
    assert [track.path.name for track in read_tracks(tmp_path)] == ["blues.1.png", "x_1.wav"]
    audio = read_audio_tracks(tmp_path)
    assert [(track.path.name, track.part) for track in audio] == [("gtzan_blues.1.opus", "test"), ("x_1.wav", None)]


@pytest.mark.parametrize("missing", FMA)
def test_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    columns = tuple(column for column in FMA if column != missing)
    write_index(tmp_path / "fma_small" / "index.csv", columns, [("1", "rock")])
    with pytest.raises(DataError, match=rf"index\.csv lacks the columns \['{missing}'\]"):
        read_tracks(tmp_path)


def test_empty_index_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gtzan").mkdir()
    (tmp_path / "gtzan" / "index.csv").touch()
    with pytest.raises(DataError, match="lacks the columns"):
        read_tracks(tmp_path)


@pytest.mark.parametrize(
    ("row", "column"), [(("1", "rock"), "block"), (("1", "", "7", "", ""), "genre"), (("1",), "genre")]
)
def test_incomplete_row_is_named_by_its_line(tmp_path: Path, row: tuple[str, ...], column: str) -> None:
    write_index(tmp_path / "fma_small" / "index.csv", FMA, [("0", "rock", "7", "1", "test"), row])
    with pytest.raises(DataError, match=rf"line 3, has no value for .*{column}"):
        read_tracks(tmp_path)


def test_missing_file_is_counted_and_named(tmp_path: Path) -> None:
    write_part(tmp_path, "fma_small", FMA, *((name, "rock", "7", "", "") for name in "123"))
    for name in ("2", "3"):
        (tmp_path / "fma_small" / "logmel" / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"names 2 missing files, the first is .*2\.png"):
        read_tracks(tmp_path)


def test_clip_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    write_part(tmp_path, "audio", AUDIO, ("x_1.wav", "pop", "A", "x"), ("x_1.flac", "rock", "A", "x"))
    with pytest.raises(DataError, match=r"the index has 1 clip more than once, the first is x/1"):
        read_tracks(tmp_path)


def test_folder_without_any_part_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fma_small/index\.csv") as error:
        read_tracks(tmp_path / "nowhere")
    assert isinstance(error.value, GenreError)
    assert error.value.code == "data"
