"""FMA from its archives to tracks: layout, names, the official split, and clips that are bad or missing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from genre_runtime.model.metadata import AudioConfig
from genre_training.cli import main
from genre_training.data import fma
from genre_training.data.features import open_store
from genre_training.data.fma import (
    AUDIO,
    BAD_CLIPS,
    METADATA,
    SUBSETS,
    Archive,
    describe,
    fetch_fma,
    read_fma_tracks,
    read_subset,
)
from genre_training.data.folders import read_tracks
from genre_training.data.splits import split_tracks
from genre_training.data.track import DataError, Track
from tests.training.miniature import FMA_COLUMNS, write_index
from tests.training.miniature_fma import (
    ROWS,
    Server,
    archives,
    clip_name,
    mp3,
    serving,
    sha1,
    touch_clips,
    write_metadata,
)


def names(tracks: list[Track]) -> list[str]:
    return [track.track_id for track in tracks]


@contextmanager
def serving_fma(subset: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a miniature of `subset` with the checksums that are then expected."""
    files = archives(subset, SUBSETS[: SUBSETS.index(subset) + 1])
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts

    def expected(archive: Archive) -> Archive:
        content = files[f"{archive.name}.zip"]
        return replace(archive, size=len(content), unpacked=len(content), sha1=sha1(content))

    monkeypatch.setattr(fma, "METADATA", expected(METADATA))
    monkeypatch.setitem(AUDIO, subset, expected(AUDIO[subset]))
    with serving(files) as server:
        yield server


def test_facts_are_those_of_the_publishers() -> None:
    assert {archive.name for archive in (METADATA, *AUDIO.values())} == {
        "fma_metadata", "fma_small", "fma_medium", "fma_large",
    }  # fmt: skip
    assert all(len(archive.sha1) == 40 for archive in (METADATA, *AUDIO.values()))
    assert tuple(AUDIO) == SUBSETS
    assert len(BAD_CLIPS) == 21


def test_data_verb_fetches_unpacks_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "--subset", "medium", "--data", str(tmp_path / "data")]
    with serving_fma("medium", monkeypatch) as server:
        server.breaks = [200, 300]
        assert main([*command, "--url", server.url]) == 0
        printed = capsys.readouterr().out
        assert [name for name, _ in server.requests] == ["fma_metadata.zip"] * 3 + ["fma_medium.zip"]
        assert main([*command, "--url", server.url]) == 0
        assert len(server.requests) == 4
    assert capsys.readouterr().out == printed
    assert [line.split() for line in printed.splitlines()] == [
        ["fma_medium", "train", "validation", "test"],
        ["folk", "0", "0", "1"],
        ["hiphop", "1", "1", "0"],
        ["historic", "1", "0", "0"],
        ["soul", "0", "0", "1"],
        ["all", "2", "1", "2"],
        ["left", "out:", "1", "known", "to", "be", "empty", "or", "cut", "short"],
    ]
    found = {path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*.*")}
    assert "fma_medium/000/000002.mp3" in found
    assert not {"fma_medium.zip", "fma_metadata.zip", "fma_metadata/features.csv"} & found


def test_kept_archives_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_fma("small", monkeypatch) as server:
        fetch_fma(tmp_path, "small", server.url, keep_archives=True)
        shutil.rmtree(tmp_path / "fma_small")
        clips = fetch_fma(tmp_path, "small", server.url, keep_archives=True)
        assert len(server.requests) == 2
    assert len(clips.tracks) == 3
    assert {path.name for path in tmp_path.glob("*.zip")} == {"fma_metadata.zip", "fma_small.zip"}


def test_missing_clip_comes_back_when_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_fma("small", monkeypatch) as server:
        fetch_fma(tmp_path, "small", server.url)
        (tmp_path / "fma_small" / clip_name(ROWS[0])).unlink()
        clips = fetch_fma(tmp_path, "small", server.url)
        assert [name for name, _ in server.requests].count("fma_small.zip") == 2
    assert len(clips.tracks) == 3
    assert describe(clips).endswith("left out: nothing")


def test_interrupted_download_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fma, "fetch", interrupted)
    assert main(["data", "--data", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "genre-train: interrupted; the same command continues from there\n"


def test_server_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_fma("small", monkeypatch) as server:
        server.files.clear()
        (tmp_path / "fma_metadata.zip.part").write_bytes(b"what has arrived")
        assert main(["data", "--data", str(tmp_path), "--url", server.url]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("genre-train: http://127.0.0.1")
    assert "fma_metadata.zip: the server answered 404" in last
    assert last.endswith("fma_metadata.zip.part; to begin anew, remove it")
    assert (tmp_path / "fma_metadata.zip.part").read_bytes() == b"what has arrived"


def test_unknown_subset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no subset 'full': expected one of small, medium, large"):
        fetch_fma(tmp_path, "full")


def test_tracks_carry_this_projects_names(tmp_path: Path) -> None:
    touch_clips(write_metadata(tmp_path), "large")
    tracks = read_fma_tracks(tmp_path)
    assert [(t.track_id, t.label, t.group, t.official) for t in tracks] == [
        ("fma/000002", "hiphop", "fma/1", "train"),
        ("fma/000005", "hiphop", "fma/2", "validation"),
        ("fma/000140", "folk", "fma/3", "test"),
        ("fma/000148", "historic", "fma/4", "train"),
        ("fma/001487", "soul", "fma/5", "test"),
        ("fma/003001", "easy listening", "fma/6", "train"),
    ]
    assert {track.source for track in tracks} == {"fma"}
    assert tracks[4].path == tmp_path / "fma_large" / "001" / "001487.mp3"
    clips = read_subset(tmp_path, "large")
    assert dict(clips.left_out) == {"known to be empty or cut short": 1, "without a single top genre": 1}


def test_each_subset_holds_the_smaller_ones_and_the_largest_there_is_taken(tmp_path: Path) -> None:
    write_metadata(tmp_path)
    assert read_fma_tracks(tmp_path) == []
    for subset, expected in (("small", 3), ("medium", 5), ("large", 6)):
        touch_clips(tmp_path, subset)
        tracks = read_fma_tracks(tmp_path)
        assert len(tracks) == expected
        assert {track.path.parts[-3] for track in tracks} == {f"fma_{subset}"}


def test_without_metadata_there_is_nothing(tmp_path: Path) -> None:
    touch_clips(tmp_path, "small")
    assert read_fma_tracks(tmp_path) == []
    with pytest.raises(
        DataError, match=r"expected fma_metadata/tracks\.csv and fma_medium \(from `genre-train data`\)"
    ):
        read_tracks(tmp_path)


def test_missing_files_are_counted_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch_clips(write_metadata(tmp_path), "medium", ROWS[2:])
    assert names(read_tracks(tmp_path)) == ["fma/000140", "fma/000148", "fma/001487"]
    assert capsys.readouterr().err == "fma_medium: left out 2 clips whose file is missing\n"


def test_not_one_usable_clip_is_an_error(tmp_path: Path) -> None:
    touch_clips(write_metadata(tmp_path), "medium", [row for row in ROWS if row.number == 1486])
    with pytest.raises(DataError, match=r"no usable clip of FMA medium, left out: 5 whose file is missing, 1 known"):
        read_tracks(tmp_path)


def test_official_split_is_that_of_the_table(tmp_path: Path) -> None:
    touch_clips(write_metadata(tmp_path), "medium")
    tracks = read_tracks(tmp_path)
    split = split_tracks(tracks, "official", 0)
    assert names([tracks[i] for i in split.train]) == ["fma/000002", "fma/000148"]
    assert names([tracks[i] for i in split.validation]) == ["fma/000005"]
    assert names([tracks[i] for i in split.test]) == ["fma/000140", "fma/001487"]


def test_audio_takes_the_place_of_the_pictures(tmp_path: Path) -> None:
    write_index(tmp_path / "fma_small" / "index.csv", FMA_COLUMNS, [("000002", "hiphop", "1", "7", "training")])
    (tmp_path / "fma_small" / "logmel").mkdir()
    (tmp_path / "fma_small" / "logmel" / "000002.png").touch()
    write_metadata(tmp_path)
    assert names(read_tracks(tmp_path)) == ["fma_small/000002"]
    touch_clips(tmp_path, "medium")
    assert {track.source for track in read_tracks(tmp_path)} == {"fma"}


def test_cut_and_empty_files_never_end_a_run(tmp_path: Path) -> None:
    write_metadata(tmp_path)
    whole = mp3(2.0)
    for row, content in zip(ROWS[:3], (whole, whole[: len(whole) // 2], b""), strict=True):
        path = tmp_path / "fma_small" / clip_name(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    store = open_store(read_tracks(tmp_path), AudioConfig(), tmp_path / "cache")
    assert names(store.tracks) == ["fma/000002", "fma/000005"]
    assert list(store.left_out) == ["fma/000140"]


def table(folder: Path) -> Path:
    return write_metadata(folder) / "fma_metadata" / "tracks.csv"


def test_table_with_a_very_long_field_is_read(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("Of two", "x" * 200_000), encoding="utf-8")
    before = csv.field_size_limit()
    touch_clips(tmp_path, "small")
    assert len(read_fma_tracks(tmp_path)) == 3
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("genre_top", "genre", r"lacks the columns \[\('track', 'genre_top'\)\]"),
        ("validation", "tuning", r"line 7.*split \['tuning'\]; expected 15 columns.*remove the folder fma_metadata"),
        ("\n5,", "\nfive,", r"line 7.*track \['five'\]"),
        ("3001,", "3001", r"line 19: 14 columns"),
    ],
)
def test_damaged_table_is_named_by_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = table(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    touch_clips(tmp_path, "large")
    with pytest.raises(DataError, match=message):
        read_fma_tracks(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"' + b"x" * (1 << 24) + b"xx"])
def test_table_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    table(tmp_path).write_bytes(content)
    touch_clips(tmp_path, "small")
    with pytest.raises(DataError, match=r"tracks\.csv (lacks the columns|is damaged).*run `genre-train data` again"):
        read_fma_tracks(tmp_path)
