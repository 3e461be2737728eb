"""`genre playlist`: lists that players read back, on any system."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit
from urllib.request import url2pathname

import pytest
import soundfile

from genre_runtime.cli import playlist as command
from genre_runtime.errors import UsageError
from genre_runtime.library.playlists import MARK, Condition, file_names, select_tracks
from genre_runtime.prediction import Prediction
from tests.runtime.library.results_files import HOSTILE, named, predict, small_library, written
from tests.synthetic import tone

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
    assert "left out: an M3U8 playlist cannot hold a path with a line break: use --format jspf" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_hostile_names(genre_playlist: Playlist, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    names = [*HOSTILE, "/music/blank.mp3 "]
    results.write_text(written(named([predict(name, {"rock": 1.0}) for name in names])))
    status, _, err = genre_playlist(results, "--output", tmp_path)
    assert status == 1
    said = "left out: an M3U8 playlist cannot hold a path with a line break: use --format jspf"
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows such names")
@pytest.mark.parametrize("form", ["m3u8", "jspf"])
def test_a_name_that_no_file_can_have(genre_playlist: Playlist, tmp_path: Path, form: str) -> None:
    results = tmp_path / "all.jsonl"
    results.write_text(written(named([predict("/\ud800.mp3", {"rock": 1.0})])))
    status, _, err = genre_playlist(results, "--output", tmp_path, "--format", form)
    assert status == 1
    assert "/\\ud800.mp3: left out: a file of this system cannot have this name" in err


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
    assert "unknown labels polka: known are jazz, rock" in err


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


def tagged() -> list[Prediction]:
    """Return five tracks with styles and moods, the last of which is unsure, and one of speech."""
    rock, jazz = {"rock": 0.9, "jazz": 0.1}, {"rock": 0.1, "jazz": 0.9}
    return [
        replace(predict("/one.mp3", rock), styles=("punk rock", "grunge"), moods=("angry",), voice=("singing",)),
        replace(predict("/two.mp3", rock), styles=("grunge",), moods=("sad", "tender"), instruments=("guitar",)),
        replace(predict("/three.mp3", jazz), styles=("swing",), moods=("happy", "tender"), instruments=("piano",)),
        replace(predict("/four.mp3", jazz), instruments=("French horn",)),
        replace(predict("/five.mp3", {"rock": 0.5, "jazz": 0.5}), moods=("tender",), instruments=("piano",)),
        replace(predict("/speech.mp3", rock), music="speech", confident=False, moods=("tender",)),
    ]


@pytest.fixture
def tagged_library(tmp_path: Path) -> Path:
    path = tmp_path / "tagged.jsonl"
    path.write_text(written(named(tagged())), encoding="utf-8")
    return path


TENDER = {"sad": ["two"], "tender": ["two", "three"]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--by", "style"], {"grunge": ["one", "two"], "punk rock": ["one"], "swing": ["three"]}),
        (["--by", "mood", "--where", "genre=rock"], {"angry": ["one"], "sad": ["two"], "tender": ["two"]}),
        (["--name", "Quiet", "--where", "mood=tender"], {"Quiet": ["two", "three", "five"]}),
        (["--name", "x", "--where", "MOOD = Tender,angry", "--where", "genre!=jazz"], {"x": ["one", "two"]}),
        (["--where", "mood=tender", "--where", "instrument!=piano"], {"rock": ["two"]}),
        (["--where", "mood=tender", "--where", "mood!=Scary", "--where", "instrument!=piano"], {"rock": ["two"]}),
        (["--where", "instrument=french-horn", "--unsure"], {"jazz": ["four"]}),
        (["--where", "voice=singing", "--where", "style=Punk Rock"], {"rock": ["one"]}),
        (["--by", "mood", "--min-confidence", "60%"], {"angry": ["one"], "happy": ["three"], **TENDER}),
    ],
)
def test_conditions_and_what_playlists_are_by(
    genre_playlist: Playlist, tagged_library: Path, tmp_path: Path, words: list[str], expected: dict[str, list[str]]
) -> None:
    assert genre_playlist(tagged_library, "--output", tmp_path / "lists", "--keep-duplicates", *words)[0] == 0
    found = {path.stem: [title for _, title, _ in read_m3u(path)] for path in (tmp_path / "lists").iterdir()}
    assert found == expected


def test_files_in_no_playlist_are_counted(genre_playlist: Playlist, tagged_library: Path, tmp_path: Path) -> None:
    words = ["--by", "style", "--where", "genre=jazz", "--keep-duplicates"]
    _, _, err = genre_playlist(tagged_library, "--output", tmp_path / "lists", *words)
    assert err == "left out: 3 not as --where says, 1 not music, 1 without a style\n"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("mood!=tendre", "no result has the mood 'tendre': did you mean 'tender'?"),
        ("mood=tendre", "no result has the mood 'tendre': did you mean 'tender'?"),
        ("genre=polka", "no result has the genre 'polka': the results have 'jazz', 'rock'"),
        ("genre=rock,jaz", "no result has the genre 'jaz': did you mean 'jazz'?"),
        ("style=,", "style=, names nothing"),
        ("voice=rapping", "no result has the voice 'rapping': the results have 'singing'"),
    ],
)
def test_a_name_that_no_result_has(
    genre_playlist: Playlist, tagged_library: Path, tmp_path: Path, condition: str, said: str
) -> None:
    status, out, err = genre_playlist(tagged_library, "--output", tmp_path / "lists", "--where", condition)
    assert (status, out, err) == (2, "", f"genre: {said}\n")
    assert not (tmp_path / "lists").exists()


@pytest.mark.parametrize(
    ("condition", "said"),
    [("mod=happy", "did you mean 'mood'?"), ("happy", "the fields are genre"), ("mood=", "expected FIELD=NAME")],
)
def test_what_is_no_condition(condition: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        Condition.parse(condition)


def test_a_name_with_commas(tmp_path: Path) -> None:
    genres = {"Folk, World": 0.9, "Folk": 0.1}
    results = named([predict("/one.mp3", genres), predict("/two.mp3", {"Folk, World": 0.1, "Folk": 0.9})])
    assert [track.path for track in select_tracks(results, [Condition("genre", "folk, world")]).tracks] == [
        Path("/one.mp3")
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_jspf_is_what_xspf_org_says(genre_playlist: Playlist, tmp_path: Path) -> None:
    music, lists = tmp_path / "music", tmp_path / "lists"
    music.mkdir()
    names = ["a #1 100%.mp3", "dreißig 三十?.mp3", " blank", "line\nbreak.mp3", "c:d.mp3"]
    for name in names:
        (music / name).write_bytes(b"")
    results = tmp_path / "all.jsonl"
    results.write_text(written(named([predict(str(music / name), {"rock": 1.0}) for name in names])), encoding="utf-8")
    for words, base in (([], ""), (["--relative"], lists.as_uri() + "/")):
        assert genre_playlist(results, "--output", lists, "--format", "jspf", *words)[0] == 0
        playlist = json.loads((lists / "rock.jspf").read_text(encoding="utf-8"))["playlist"]
        assert playlist["title"] == "rock"
        urls = [urljoin(base, track["location"][0]) for track in playlist["track"]]
        assert [Path(url2pathname(urlsplit(url).path)) for url in urls] == [music / name for name in names]
        assert {urlsplit(url).scheme for url in urls} == {"file"}
        assert [track["duration"] for track in playlist["track"]] == [10_000] * len(names)
        assert playlist["track"][0]["title"] == "a #1 100%"
        assert all(set(track) <= {"location", "title", "creator", "album", "duration"} for track in playlist["track"])
    assert genre_playlist(results, "--output", lists, "--format", "jspf")[0] == 0  # a former one of ours
    (lists / "rock.jspf").write_text("{}")
    assert genre_playlist(results, "--output", lists, "--format", "jspf")[0] == 2


def test_titles_are_from_the_tags(genre_playlist: Playlist, tmp_path: Path) -> None:
    flac = pytest.importorskip("mutagen.flac")
    song, results = tmp_path / "01.flac", tmp_path / "all.jsonl"
    soundfile.write(song, tone(1), 16_000)
    tags = flac.FLAC(song)
    tags.update({"title": 'Say "<b>"\nA\u202e', "artist": "Ärzte", "album": "Jazz"})
    tags.save()
    results.write_text(written(named([predict(str(song), {"rock": 1.0})])), encoding="utf-8")
    genre_playlist(results, "--output", tmp_path)
    assert read_m3u(tmp_path / "rock.m3u8") == [(10, 'Ärzte - Say "<b>" A\ufffd', str(song))]
    genre_playlist(results, "--output", tmp_path, "--format", "jspf")
    (track,) = json.loads((tmp_path / "rock.jspf").read_text(encoding="utf-8"))["playlist"]["track"]
    assert [track[name] for name in ("title", "creator", "album")] == ['Say "<b>" A\ufffd', "Ärzte", "Jazz"]


def test_files_with_the_same_bytes_are_in_a_playlist_once(genre_playlist: Playlist, tmp_path: Path) -> None:
    results = named([predict(f"/{name}.mp3", {"rock": 1.0}) for name in ("one", "two", "three")])
    results[2] = replace(results[2], same_as=Path("/one.mp3"))
    (tmp_path / "all.jsonl").write_text(written(results), encoding="utf-8")
    _, _, err = genre_playlist(tmp_path / "all.jsonl", "--output", tmp_path)
    assert [title for _, title, _ in read_m3u(tmp_path / "rock.m3u8")] == ["one", "two"]
    assert err == f"{NOT_COMPARED}left out: 1 duplicate\n"
    _, _, err = genre_playlist(tmp_path / "all.jsonl", "--output", tmp_path, "--keep-duplicates")
    assert [title for _, title, _ in read_m3u(tmp_path / "rock.m3u8")] == ["one", "two", "three"]
    assert err == ""
