"""The configuration file gives defaults, the command line wins, and every mistake in it is named."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from genre_runtime.cli import config, configuration, tag
from tests.runtime.conftest import Genre
from tests.runtime.library.results_files import small_library, written


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the configuration file, which does not exist yet."""
    path = tmp_path / "settings" / "config.toml"
    path.parent.mkdir()
    for module in (config, configuration):
        monkeypatch.setattr(module, "config_path", lambda: path)
    return path


def test_without_a_file_nothing_changes(genre: Genre, configure: Path) -> None:
    status, out, _ = genre("config")
    assert status == 0
    assert out.splitlines()[0] == f"{configure} (does not exist)"
    assert all(line.endswith("default") for line in out.splitlines()[1:])
    assert genre("config", "--path")[1].strip() == str(configure)


def test_values_hold_and_the_command_line_wins(genre: Genre, configure: Path, music: Path) -> None:
    configure.write_text('min-confidence = 0.5\n[classify]\nformat = "jsonl"\ntop = 1\n', encoding="utf-8")
    status, out, _ = genre("classify", music / "tone.wav")
    assert status == 0
    assert len(json.loads(out)["probabilities"]) == 1
    _, out, _ = genre("classify", music / "tone.wav", "--top", 2)
    assert len(json.loads(out)["probabilities"]) == 2
    assert genre("classify", music / "tone.wav", "--format", "csv")[1].startswith("path,")


def test_a_repeated_option_is_a_list(genre: Genre, configure: Path, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    results.write_text(written(small_library()), encoding="utf-8")
    command = ["playlist", results, "--output", tmp_path, "--keep-duplicates"]
    configure.write_text('[playlist]\nwhere = ["genre=rock", "genre!=jazz"]\n', encoding="utf-8")
    assert genre(*command)[1] == f"{tmp_path / 'rock.m3u8'}: 2 files\n"
    assert genre(*command, "--where", "genre=jazz")[1] == f"{tmp_path / 'jazz.m3u8'}: 1 file\n"
    configure.write_text('[playlist]\nwhere = "mod=sad"\n', encoding="utf-8")
    status, _, err = genre(*command)
    assert status == 2
    assert "'mod=sad' is not a condition" in err


def test_a_configured_state_that_is_not_there_yet(genre: Genre, configure: Path, tmp_path: Path) -> None:
    results = tmp_path / "all.jsonl"
    results.write_text(written(small_library()), encoding="utf-8")
    configure.write_text(f"state = {json.dumps(str(tmp_path / 'state'))}\n", encoding="utf-8")
    status, _, err = genre("playlist", results, "--output", tmp_path)
    assert status == 0
    assert "copies in other formats were not looked for" in err
    assert genre("report", results, "--output", tmp_path / "page.html")[0] == 0


def test_config_says_where_a_value_comes_from(genre: Genre, configure: Path) -> None:
    configure.write_text("jobs = 2\n[tag]\njobs = 1\nkeep-mtime = true\n", encoding="utf-8")
    lines = [line.split() for line in genre("config")[1].splitlines()[1:]]
    assert ["classify", "--jobs", "2", "all", "verbs"] in lines
    assert ["tag", "--jobs", "1", "[tag]"] in lines
    assert ["tag", "--keep-mtime", "True", "[tag]"] in lines
    assert ["classify", "--device", "auto", "default"] in lines


def test_a_list_holds_and_the_command_line_replaces_it(genre: Genre, configure: Path, music: Path) -> None:
    pytest.importorskip("mutagen")
    configure.write_text('[tag]\nfield = ["genre", "mood=moods"]\nseparator = "; "\n', encoding="utf-8")
    lines = genre("config")[1].splitlines()
    assert any(line.split()[:2] == ["tag", "--field"] and "mood=moods" in line for line in lines)
    _, out, _ = genre("tag", music / "tone.wav")
    assert "genre: (none) -> tone" in out
    _, out, _ = genre("tag", music / "tone.wav", "--field", "style")
    assert "style: (none)" in out
    assert "genre:" not in out


def test_an_option_for_the_undo_is_not_in_the_way(genre: Genre, configure: Path, tmp_path: Path) -> None:
    configure.write_text("[tag]\nappend = true\ntop = 3\n", encoding="utf-8")
    _, _, err = genre("tag", "--undo", tmp_path / "none.jsonl")
    assert "leave out" not in err
    _, _, err = genre("tag", "--undo", tmp_path / "none.jsonl", "--write")
    assert "leave out --write" in err


def test_a_state_file_is_no_hindrance_for_parquet(genre: Genre, configure: Path, music: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    configure.write_text(f"state = {json.dumps(str(tmp_path / 'state'))}\n", encoding="utf-8")
    assert genre("classify", music, "--output", tmp_path / "genres.parquet")[0] == 0
    status, _, err = genre("classify", music, "--output", tmp_path / "g.parquet", "--state", tmp_path / "other")
    assert status == 2
    assert "--state cannot be combined" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs = ", "is not TOML"),
        ("jobz = 2", "has the key 'jobz': expected an option"),
        ("[clasify]\njobs = 2", "has a table [clasify]: expected a verb, classify"),
        ("[tag]\nformat = 'csv'", "has 'format' in [tag]"),
        ("jobs = 'many'", "'many' is not a positive integer"),
        ("jobs = true", "expected a text or a number"),
        ("[tag]\nappend = 'yes'", "expected true or false"),
        ("[classify]\nformat = 'xml'", "expected table, jsonl, json, csv"),
        ("[classify]\nformat = ['csv']", "expected a text or a number"),
        ("[tag]\nappend = true\noverwrite = true", "sets overwrite and append for `genre tag`: expected one of them"),
        ("[tag]\nfield = []", "[tag] field is []: expected a list of texts"),
        ("format = 'csv'", "format is 'csv': expected m3u8, jspf for `genre playlist`: write the key into the tables"),
        ("[tag]\nundo = 'journal'", "has 'undo' in [tag]"),
    ],
)
def test_mistakes_are_named_in_one_line(genre: Genre, configure: Path, music: Path, text: str, said: str) -> None:
    configure.write_text(text, encoding="utf-8")
    for words in (["classify", music], ["config"]):
        status, out, err = genre(*words)
        assert (status, out) == (2, "")
        assert said in err
        assert len(err.splitlines()) == 1
    assert genre("config", "--path")[0] == 0


def test_a_file_that_cannot_be_read_is_named(genre: Genre, configure: Path, music: Path) -> None:
    configure.write_bytes(b"\xff\xfe\x00")
    assert "is not TOML" in genre("classify", music)[2]


@pytest.mark.parametrize(("configured", "named"), [("overwrite", "append"), ("append", "overwrite")])
def test_the_command_line_wins_over_an_option_that_it_excludes(
    genre: Genre, configure: Path, music: Path, monkeypatch: pytest.MonkeyPatch, configured: str, named: str
) -> None:
    seen: list[str] = []

    def run(options: argparse.Namespace) -> int:
        seen.append(tag.tagging_of(options).mode)
        return 0

    monkeypatch.setattr(tag, "run", run)
    configure.write_text(f"[tag]\n{configured} = true\n", encoding="utf-8")
    assert genre("tag", music, f"--{named}")[0] == 0
    assert genre("tag", music)[0] == 0
    assert seen == [named, configured]


def test_a_path_may_begin_with_the_home_folder(
    genre: Genre, configure: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    configure.write_text('state = "~/music.state"\n', encoding="utf-8")
    assert genre("classify", music / "tone.wav")[0] == 0
    assert (tmp_path / "music.state").exists()
