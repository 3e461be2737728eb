"""`genre playlist`: lists that players read back, on any system."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from genre_runtime.cli import playlist as command
from genre_runtime.library.playlists import MARK, file_names
from tests.runtime.library.results_files import HOSTILE, named, predict, small_library, written

NOT_COMPARED = (
    "genre: copies in other formats were not looked for: name the state file of `genre classify` with --state\n"
)
Outcome = tuple[int, str, str]
Playlist = Callable[..., Outcome]


@pytest.fixture
def genre_playlist(capsys: pytest.CaptureFixture[str]) -> Playlist:
    """Run the command."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())

    def run(*words: str | Path) -> Outcome:
        options = parser.parse_args(["playlist", *map(str, words)])
        status: int = options.run(options)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "all.jsonl"
    path.write_text(written(small_library()))
    return path


def read_m3u(path: Path) -> list[tuple[int, str, str]]:
    """Return (seconds, title, path) as a player does."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    files, said = [], ""
    for line in lines:
        if line.startswith("#EXTINF:"):
            said = line.removeprefix("#EXTINF:")
        elif line and not line.startswith("#"):
            seconds, title = said.split(",", 1)
            files.append((int(seconds), title, line))
    return files


def test_confident_answers_by_genre(genre_playlist: Playlist, library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "lists"
    status, out, err = genre_playlist(library, "--output", folder)
    assert status == 0
    assert out == f"{folder / 'jazz.m3u8'}: 1 file\n{folder / 'rock.m3u8'}: 2 files\n"
    assert err == f"{NOT_COMPARED}left out: 2 unsure, 2 failed\n"
    assert [(seconds, title) for seconds, title, _ in read_m3u(folder / "rock.m3u8")] == [(100, "one"), (200, "two")]
    assert read_m3u(folder / "jazz.m3u8") == [(50, "three", str(Path("/music/b/three.mp3").absolute()))]
    assert sorted(path.name for path in folder.iterdir()) == ["jazz.m3u8", "rock.m3u8"]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        (["--unsure"], {"jazz": ["three", "five"], "rock": ["one", "two", "four"]}),
        (["--unsure", "--min-confidence", "55%"], {"jazz": ["three"], "rock": ["one", "two", "four"]}),
        (["--min-confidence", "0.8"], {"jazz": ["three"], "rock": ["one"]}),
    ],
)
def test_which_answers_are_taken(
    genre_playlist: Playlist, library: Path, tmp_path: Path, words: list[str], titles: dict[str, list[str]]
) -> None:
    genre_playlist(library, "--output", tmp_path / "lists", *words)
    found = {path.stem: [title for _, title, _ in read_m3u(path)] for path in (tmp_path / "lists").iterdir()}
    assert found == titles


def test_what_is_not_music_is_in_no_playlist(genre_playlist: Playlist, tmp_path: Path) -> None:
    answers = [predict("/a.mp3", {"rock": 0.9, "jazz": 0.1}), predict("/b.mp3", {"rock": 0.9, "jazz": 0.1})]
    speech = replace(answers[1], music="speech", confident=False)
    (tmp_path / "all.jsonl").write_text(written(named([answers[0], speech])), encoding="utf-8")
    genre_playlist(tmp_path / "all.jsonl", "--output", tmp_path / "lists", "--unsure")
    assert [title for _, title, _ in read_m3u(tmp_path / "lists" / "rock.m3u8")] == ["a"]


def test_nothing_to_write_is_said(genre_playlist: Playlist, library: Path, tmp_path: Path) -> None:
    status, out, err = genre_playlist(library, "--output", tmp_path / "lists", "--min-confidence", "0.95")
    assert (status, out) == (1, "")
    assert err == "genre: nothing to write; left out: 5 unsure, 2 failed\n"


def test_relative_paths_lead_to_the_files(genre_playlist: Playlist, tmp_path: Path) -> None:
    music, lists = tmp_path / "music", tmp_path / "lists" / "by genre"
    music.mkdir()
    names = ["one.mp3", "#two.mp3", "dreißig 三十.mp3"]
    for name in names:
        (music / name).write_bytes(b"")
    results = tmp_path / "all.jsonl"
    results.write_text(written(named([predict(str(music / name), {"rock": 1.0}) for name in names])))
    genre_playlist(results, "--output", lists, "--relative")
    entries = [entry for _, _, entry in read_m3u(lists / "rock.m3u8")]
    assert entries == [f"../../music/{name}" for name in names]
    assert [(lists / entry).resolve() for entry in entries] == [(music / name).resolve() for name in names]
    genre_playlist(results, "--output", music, "--relative")
    assert [entry for _, _, entry in read_m3u(music / "rock.m3u8")] == ["one.mp3", "./#two.mp3", names[2]]


@pytest.mark.parametrize("name", ["/a\nb.mp3", "/a\rb.mp3"])
def test_no_line_breaks(genre_playlist: Playlist, tmp_path: Path, name: str) -> None:
    results = tmp_path / "all.jsonl"
    results.write_text(written(named([predict(name, {"rock": 1.0})])))
    status, out, err = genre_playlist(results, "--output", tmp_path)
    assert (status, out) == (1, "")
    assert "left out, since an M3U8 playlist cannot hold a path with a line break: use --format jspf" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_hostile_names(genre_playlist: Playlist, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    names = [*HOSTILE, "/music/blank.mp3 "]
    results.write_text(written(named([predict(name, {"rock": 1.0}) for name in names])))
    status, _, err = genre_playlist(results, "--output", tmp_path)
    assert status == 1
    said = "left out, since an M3U8 playlist cannot hold a path with a line break: use --format jspf"
    assert err == f"{NOT_COMPARED}genre: /music/new\\nline\\r.mp3: {said}\n"
    entries = [entry for _, _, entry in read_m3u(tmp_path / "rock.m3u8")]
    bytes_of = [
        unquote_to_bytes(entry.removeprefix("file://")) if entry.startswith("file:") else entry.encode()
        for entry in entries
    ]
    assert bytes_of == [name.encode("utf-8", "surrogateescape") for name in names if "\n" not in name]
    assert [entry for entry in entries if entry.startswith("file:")] == [
        "file:///music/%FF%FE%20latin.mp3",
        "file:///music/blank.mp3%20",
    ]


def test_spaces_of_every_width_stay_in_titles(genre_playlist: Playlist, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    results.write_text(written(named([predict("/music/\u5b87\u591a\u7530\u3000\u5149\xa0\u202e.mp3", {"rock": 1.0})])))
    genre_playlist(results, "--output", tmp_path)
    assert [title for _, title, _ in read_m3u(tmp_path / "rock.m3u8")] == ["\u5b87\u591a\u7530\u3000\u5149\xa0\ufffd"]


def test_names_of_playlists_suit_every_system() -> None:
    genres = [
        "rock",
        "Rock",
        "R&B / Soul",
        "R&B : Soul",
        "con",
        "LPT1.x",
        "...",
        "a. ",
        "",
        "\udcff\n",
        "é" * 300,
        "<>",
    ]
    names = file_names(genres)
    assert names[:6] == [
        "rock.m3u8",
        "Rock (2).m3u8",
        "R&B _ Soul.m3u8",
        "R&B _ Soul (2).m3u8",
        "_con.m3u8",
        "_LPT1.x.m3u8",
    ]
    assert len({name.casefold() for name in names}) == len(genres)
    for name in names:
        stem = name.removesuffix(".m3u8")
        assert stem
        assert stem[0] not in ". "
        assert stem[-1] not in ". "
        assert not set(name) & set('<>:"/\\|?*\n')
        assert len(name.encode("utf-8")) < 255


def test_own_names_join_genres(genre_playlist: Playlist, library: Path, tmp_path: Path) -> None:
    genre_map, lists = tmp_path / "map.toml", tmp_path / "lists"
    genre_map.write_text('rock = ["Loud", "All"]\njazz = "All"\n')
    genre_playlist(library, "--output", lists, "--map", genre_map)
    assert {path.stem: len(read_m3u(path)) for path in lists.iterdir()} == {"Loud": 2, "All": 3}
    genre_map.write_text('polka = "Polka"\n')
    status, _, err = genre_playlist(library, "--output", lists, "--map", genre_map)
    assert status == 2
    assert "unknown genres polka: known are jazz, rock" in err


def test_files_of_others_are_left_alone(genre_playlist: Playlist, library: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "rock.m3u8"
    theirs.write_text("#EXTM3U\nmine.mp3\n")
    status, out, err = genre_playlist(library, "--output", tmp_path)
    assert (status, out) == (2, "")
    assert "add --force" in err
    assert theirs.read_text() == "#EXTM3U\nmine.mp3\n"
    assert not (tmp_path / "jazz.m3u8").exists()
    assert genre_playlist(library, "--output", tmp_path, "--force")[0] == 0
    assert MARK in theirs.read_text()
    assert genre_playlist(library, "--output", tmp_path, "--unsure")[0] == 0  # a former one of ours
    assert len(read_m3u(theirs)) == 3


def test_a_file_is_no_folder_for_playlists(genre_playlist: Playlist, library: Path) -> None:
    for folder in (library, library / "below"):
        status, out, err = genre_playlist(library, "--output", folder)
        assert (status, out) == (2, "")
        assert "name a folder" in err


def test_the_last_answer_for_a_file_counts(genre_playlist: Playlist, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    answers = [predict("/a.mp3", {"rock": 0.9, "jazz": 0.1}), predict("/a.mp3", {"rock": 0.1, "jazz": 0.9})]
    results.write_text(written(named(answers)))
    genre_playlist(results, "--output", tmp_path / "lists")
    assert [path.name for path in (tmp_path / "lists").iterdir()] == ["jazz.m3u8"]


def test_what_is_no_result_file_is_wrong_usage(genre_playlist: Playlist, tmp_path: Path) -> None:
    status, out, err = genre_playlist(tmp_path / "none", "--output", tmp_path / "lists")
    assert (status, out) == (2, "")
    assert "cannot be read" in err
    assert not (tmp_path / "lists").exists()
