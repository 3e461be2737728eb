"""`genre tag`: shows, writes, and takes back; never a traceback."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier, Prediction
from genre_runtime.cli import arguments, tag
from genre_runtime.errors import GenreError
from genre_runtime.library.tags import read_fields, read_genres, write_fields, write_genres
from tests.synthetic import noise, tone, write_audio

Outcome = tuple[int, str, str]
Tag = Callable[..., Outcome]


@pytest.fixture
def genre_tag(
    model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Tag:
    """Run the command with the tiny model, journals in a folder of the test's own."""
    monkeypatch.setenv("GENRE_MODEL", str(model_path))
    for variable in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "state"))
    parser = argparse.ArgumentParser()
    tag.add_parser(parser.add_subparsers())

    def run(*words: str | Path) -> Outcome:
        try:
            options = parser.parse_args(["tag", *map(str, words)])
            status: int = options.run(options)
        except SystemExit as stop:
            status = int(stop.code or 0)
        except GenreError as error:  # as the command's main does
            print(error, file=sys.stderr)
            status = 2
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A sure tone, an unsure noise, a tone with a genre, and a text."""
    folder = tmp_path / "music"
    folder.mkdir()
    write_audio(folder / "tone.mp3", tone(12))
    write_audio(folder / "noise.flac", (noise(12) / 2).astype(np.float32))
    write_audio(folder / "tagged.ogg", tone(12))
    write_genres(folder / "tagged.ogg", ["Blues"], journal=None)
    (folder / "broken.wav").write_bytes(b"no sound")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def genres(folder: Path) -> dict[str, tuple[str, ...]]:
    return {path.name: read_genres(path) for path in folder.iterdir() if path.name != "broken.wav"}


def test_nothing_is_written_unless_asked(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    before = contents(music)
    status, out, err = genre_tag(music)
    assert status == 1  # one of them is no audio
    assert contents(music) == before
    lines = {line.rsplit(os.sep, 1)[1]: line for line in out.splitlines()}
    assert lines["tone.mp3"].startswith("would write   (none) -> tone  ")
    assert lines["noise.flac"].startswith("unchanged     (none) (the best genre reaches")
    assert lines["tagged.ogg"].startswith("unchanged     Blues (has a genre)")
    assert "broken.wav" in err
    assert "1 of 4 files would be written, add --write to do it; 1 failed" in err
    assert not list((tmp_path / "state").rglob("journals"))


def test_write_and_undo(genre_tag: Tag, music: Path) -> None:
    before = contents(music)
    status, out, err = genre_tag(music, "--write")
    assert status == 1
    assert "written       (none) -> tone  " in out
    assert genres(music) == {"tone.mp3": ("tone",), "noise.flac": (), "tagged.ogg": ("Blues",)}
    journal = err.strip().splitlines()[-1].removeprefix("to undo this: genre tag --undo ")
    status, out, err = genre_tag("--undo", journal)
    assert (status, contents(music)) == (0, before)
    assert out.startswith("restored      (none)  ")
    assert "1 file restored; 0 failed" in err
    status, out, _ = genre_tag("--undo", journal)
    assert (status, out[:8]) == (0, "as it wa")


def test_a_state_file_knows_files_that_were_tagged(
    genre_tag: Tag, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    listen = GenreClassifier.analyse_or_error

    def counted(self: GenreClassifier, path: Path, **rest: Any) -> Prediction | GenreError:
        heard.append(path.name)
        return listen(self, path, **rest)

    monkeypatch.setattr(GenreClassifier, "analyse_or_error", counted)
    _, first, _ = genre_tag(music, "--state", tmp_path / "state.db")
    assert sorted(heard) == ["noise.flac", "tone.mp3"], "the others are settled without listening"
    _, second, _ = genre_tag(music, "--state", tmp_path / "state.db", "--write")
    assert second == first.replace("would write  ", "written      ")
    _, _, err = genre_tag(music, "--state", tmp_path / "state.db", "--write", "--append", "--unsure", "--top", "2")
    journal = err.strip().splitlines()[-1].removeprefix("to undo this: genre tag --undo ")
    assert genre_tag("--undo", journal)[0] == 0
    genre_tag(music, "--state", tmp_path / "state.db", "--overwrite")
    assert sorted(heard) == ["noise.flac", "tagged.ogg", "tone.mp3"]
    (tmp_path / "state.db").write_bytes(b"no database, but long enough to be looked at as one" * 100)
    status, _, err = genre_tag(music, "--state", tmp_path / "state.db", "--write", "--overwrite")
    assert status == 2
    assert "is not a state file" in err


def test_unsure_top_map_and_append(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("tone = Sine\nquiet =\n")
    (music / "broken.wav").unlink()
    status, _, _ = genre_tag(music, "--write", "--append", "--unsure", "--top", "3", "--map", names)
    assert status == 0
    assert genres(music) == {"tone.mp3": ("Sine",), "noise.flac": ("Sine", "noise"), "tagged.ogg": ("Blues", "Sine")}
    status, out, _ = genre_tag(music, "--overwrite", "--min-confidence", "99%")
    assert out.count("no genre reaches 99%") + out.count("the best genre reaches") == 3


def test_a_genre_that_the_map_leaves_out_is_not_written(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text('tone = ""\n')
    _, out, _ = genre_tag(music / "tone.mp3", "--write", "--map", tmp_path / "names.toml")
    assert "unchanged     (none) (the map leaves out tone)" in out


def test_files_that_keep_their_genre_are_not_listened_to(
    genre_tag: Tag, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genre_runtime import GenreClassifier

    listened: list[str] = []
    classify = GenreClassifier.classify_files

    def watched(self: Any, paths: Any, **options: Any) -> Any:
        return classify(self, (listened.append(Path(path).name) or path for path in paths), **options)  # type: ignore[func-returns-value]

    monkeypatch.setattr(GenreClassifier, "classify_files", watched)
    _, out, _ = genre_tag(music, "--jobs", "2")
    assert listened == ["noise.flac", "tone.mp3"]
    assert [Path(line).name for line in out.splitlines()] == ["noise.flac", "tagged.ogg", "tone.mp3"]


def result(path: Path, **changed: Any) -> str:
    values: dict[str, Any] = {
        "path": str(path),
        "confident": True,
        "reason": None,
        "probabilities": {"jazz": 0.6, "pop": 0.3, "rock": 0.1},
        "duration_seconds": 12.0,
    }
    values |= changed
    label, confidence = next(iter(values["probabilities"].items()))
    return json.dumps(values | {"label": label, "confidence": confidence})


def test_from_results(genre_tag: Tag, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_MODEL", str(tmp_path / "no model is needed"))
    results = tmp_path / "results.jsonl"
    tone_path, noise_path = music / "tone.mp3", music / "noise.flac"
    lines = [
        result(tone_path, probabilities={"rock": 1.0}),
        result(tone_path),  # the last answer counts
        result(noise_path, confident=False, reason="the track is silent"),
        result(music / "gone.mp3"),
        "{torn",
        '{"path": 7}',
        result(music / "tagged.ogg", probabilities={"jazz": "much"}),
        result(music / "tagged.ogg", probabilities={"jazz": float("nan")}),
        result(music / "tagged.ogg", probabilities={"ja\nzz": 1.0}),
        json.dumps({"path": str(music / "broken.wav"), "error": {"code": "x", "message": "not an audio file"}}),
        "[" * 5_000,
        "",
    ]
    results.write_text("\n".join(lines), encoding="utf-8")
    status, out, err = genre_tag("--from", results, "--top", "2", "--write")
    assert status == 1
    assert genres(music) == {"tone.mp3": ("Jazz", "Pop"), "noise.flac": (), "tagged.ogg": ("Blues",)}
    assert "the track is silent" in out
    passed_over = [int(line.split("entry ")[1].split()[0]) for line in err.splitlines() if "skipped" in line]
    assert passed_over == [5, 6, 7, 8, 11]
    assert "gone.mp3: no file at" in err
    assert "tagged.ogg: 'ja\\nzz' is" in err
    assert "broken.wav: was not classified: not an audio file" in err
    assert "1 of 10 files written; 8 failed" in err


TAGS = {"music": "music", "styles": ["drum and bass", "jazz"], "moods": ["happy"], "genre_set": ["jazz", "pop"]}


def test_fields_of_one_file_change_together(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    path, results, journal = music / "tone.mp3", tmp_path / "results.jsonl", tmp_path / "journal.jsonl"
    write_fields(path, {"mood": ["Sad"]}, journal=None)
    original = path.read_bytes()
    results.write_text(result(path, **TAGS) + "\n")
    fields = ("--field", "genre=genre,styles", "--field", "mood", "--field", "comment", "--field", "SURE=confidence")
    _, plan, _ = genre_tag("--from", results, *fields)
    changes = (
        "genre: (none) -> Jazz; Drum and Bass | comment: (none) -> Jazz; Drum and Bass; Happy | SURE: (none) -> 0.60"
    )
    assert plan == f"would write   {changes}  {path}\n"
    _, out, _ = genre_tag("--from", results, *fields, "--write", "--journal", journal)
    assert out == plan.replace("would write  ", "written      ")
    assert read_fields(path, ["genre", "mood"]) == {"genre": ("Jazz", "Drum and Bass"), "mood": ("Sad",)}
    assert len(journal.read_text().splitlines()) == 1
    _, out, _ = genre_tag("--from", results, *fields, "--write")
    assert "(has a genre; has a mood; has a comment; has a SURE)" in out
    status, out, _ = genre_tag("--undo", journal)
    assert (status, path.read_bytes()) == (0, original)
    assert out == f"restored      genre: (none) | comment: (none) | SURE: (none)  {path.resolve()}\n"


@pytest.mark.parametrize(
    ("field", "unsure", "expected"),
    [
        ("genre", False, ()),
        ("genre=genre,styles", False, ()),
        ("genre=genre,styles", True, ("Jazz", "Drum and Bass")),
        ("genre=genres", True, ("Jazz", "Pop")),
        ("genre=styles", False, ("Jazz", "Drum and Bass")),  # a genre precedes its styles
        ("genre=moods,styles", False, ("Happy", "Jazz", "Drum and Bass")),
        ("genre=instruments", False, ()),
        ("genre=confidence", True, ("0.60",)),
    ],
)
def test_contents_of_an_answer_that_is_not_confident(
    genre_tag: Tag, music: Path, tmp_path: Path, field: str, unsure: bool, expected: tuple[str, ...]
) -> None:
    path, results = music / "tone.mp3", tmp_path / "results.jsonl"
    results.write_text(result(path, **TAGS, confident=False, reason="not sure") + "\n")
    _, out, _ = genre_tag("--from", results, "--field", field, "--write", *["--unsure"] * unsure)
    assert read_genres(path) == expected
    assert expected or "not sure" in out or "no instruments found" in out


def test_a_map_names_styles_and_moods(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    path, results = music / "tone.mp3", tmp_path / "results.jsonl"
    results.write_text(result(path, **TAGS) + "\n")
    (tmp_path / "map.txt").write_text("Drum & Bass = Jungle\nhappy =\ntechno = Acid\n")
    words = ("--field", "style", "--field", "mood", "--map", tmp_path / "map.txt", "--separator", ", ", "--write")
    _, out, _ = genre_tag("--from", results, *words)
    assert read_fields(path, ["style", "mood"]) == {"style": ("Jazz, Jungle",), "mood": ()}
    _, out, _ = genre_tag("--from", results, *words, "--overwrite")
    assert "unchanged     style: Jazz, Jungle | mood: (none) (has these styles; the map leaves out happy)" in out


def test_files_with_all_fields_are_not_classified(genre_tag: Tag, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fields(music / "tone.mp3", {"genre": ["Rock"], "mood": ["Sad"]}, journal=None)
    monkeypatch.setattr(
        GenreClassifier, "classify_files", lambda _, paths, **__: iter([GenreError("x") for _ in paths])
    )
    _, out, err = genre_tag(music / "tone.mp3", music / "tagged.ogg", "--field", "genre", "--field", "mood")
    assert out == f"unchanged     genre: Rock | mood: Sad (has a genre; has a mood)  {music / 'tone.mp3'}\n"
    assert "tagged.ogg: x" in err  # it has a genre, but no mood


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_from_results_in_one_array(genre_tag: Tag, music: Path, tmp_path: Path, encoding: str) -> None:
    array = f"[\n{result(music / 'tone.mp3')},\n{result(music / 'noise.flac')}\n]\n"
    (tmp_path / "results.json").write_bytes(array.replace("\n", "\r\n").encode(encoding))
    status, out, err = genre_tag("--from", tmp_path / "results.json")
    assert (status, out.count("would write")) == (0, 2)
    assert "2 of 2 files" in err
    (tmp_path / "results.json").write_text(array[:-100], encoding=encoding)
    status, out, err = genre_tag("--from", tmp_path / "results.json")
    assert (status, out.count("would write")) == (1, 1)
    assert "entry 2 was skipped" in err


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
@pytest.mark.parametrize("order", ["link first", "link last", "link between"])
@pytest.mark.parametrize("write", [False, True])
def test_from_results_that_name_a_file_and_links_to_it(
    genre_tag: Tag, music: Path, tmp_path: Path, order: str, write: bool
) -> None:
    target, link, other = music / "tone.mp3", music / "link.mp3", tmp_path / "folder"
    link.symlink_to("tone.mp3")
    other.symlink_to(music)
    names = {
        "link first": [link, target, other / "tone.mp3"],
        "link last": [target, other / "tone.mp3", link],
        "link between": [other / "tone.mp3", link, target, music / "noise.flac"],
    }[order]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(result(path) + "\n" for path in names))
    before = target.read_bytes()
    status, out, err = genre_tag("--from", results, *["--write"] * write)
    assert status == 0
    lines = out.splitlines()
    assert [line.rsplit("  ", 1)[1] for line in lines] == [str(path) for path in names]
    n_changed = 2 if order == "link between" else 1
    assert sum(line.startswith("written" if write else "would write") for line in lines) == n_changed
    assert sum(f"another name of {str(target)!r}" in line for line in lines) == 2
    assert f"{n_changed} of {len(names)} files" in err
    assert link.is_symlink()
    assert other.is_symlink()
    assert (target.read_bytes() != before) is write
    assert read_genres(target) == (("Jazz",) if write else ())
    if write:
        assert genre_tag("--undo", err.strip().rsplit(" ", 1)[1])[0] == 0
        assert target.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_from_results_with_links_that_lead_nowhere_and_hard_links(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    names = [music / name for name in ("tone.mp3", "second.mp3", "gone.mp3", "round.mp3", "noise.flac")]
    os.link(names[0], names[1])
    names[2].symlink_to("missing.mp3")
    names[3].symlink_to("round.mp3")
    results = tmp_path / "results.jsonl"
    results.write_text("".join(result(path) + "\n" for path in names))
    before = names[0].read_bytes()
    status, out, err = genre_tag("--from", results, "--write")
    assert (status, out.count("\n")) == (1, 1)
    assert "1 of 5 files written; 4 failed" in err
    assert err.count("2 names (hard links)") == 2
    assert names[0].read_bytes() == before
    assert names[1].samefile(names[0])


def test_every_result_is_counted(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    """24 of 48 files for 49 results: a link had taken its target's place."""
    paths = [Path(shutil.copy(music / "tone.mp3", tmp_path / f"{number}.mp3")) for number in range(6)]
    link = tmp_path / "link.mp3"
    link.symlink_to(paths[2])
    results = tmp_path / "results.jsonl"
    rows = [result(path) for path in (*paths, link)] + [result(paths[0], probabilities={"rock": 1.0})]
    results.write_text("\n".join(rows))
    _, out, err = genre_tag("--from", results, "--write")
    assert "6 of 7 files written; 0 failed" in err
    assert out.count("\n") == 7
    assert read_genres(paths[0]) == ("Rock",)  # the last answer counts
    assert [read_genres(path) for path in paths[1:]] == [("Jazz",)] * 5


def test_from_results_for_some_files(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(result(music / "tone.mp3") + "\n" + result(music / "tagged.ogg") + "\n")
    status, out, err = genre_tag("--from", results, music / "tone.mp3", music / "noise.flac", "--write")
    assert status == 1
    assert out.count("\n") == 1
    assert "noise.flac" in err
    assert "has no answer for it" in err
    assert genres(music) == {"tone.mp3": ("Jazz",), "noise.flac": (), "tagged.ogg": ("Blues",)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to tag"),
        (["--undo", "x", "y.mp3"], "--undo takes a journal and nothing else"),
        (["--undo", "missing.jsonl"], "cannot be read"),
        (["--from", "missing.jsonl"], "cannot be read"),
        (["--from", os.devnull], "holds no results"),
        (["x.mp3", "--map", "missing.csv"], "cannot be read"),
        (["x.mp3", "--append", "--overwrite"], "not allowed with"),
        (["x.mp3", "--id3-version", "2.2"], "invalid choice"),
        (["x.mp3", "--min-confidence", "2"], "expected a fraction between 0 and 1"),
        (["x.mp3", "--top", "0"], "positive"),
        (["x.mp3", "--field", "genre="], "the field 'genre' cannot hold ''"),
        (["x.mp3", "--field", "artist=genre"], "holds something else than genres"),
        (["x.mp3", "--separator", ""], "cannot separate values"),
        (["--undo", "x", "--field", "mood", "--separator", ";"], "leave out --field --separator"),
    ],
)
def test_wrong_usage(genre_tag: Tag, words: list[str], message: str) -> None:
    status, out, err = genre_tag(*words)
    assert (status, out) == (2, "")
    assert message in err


def test_unknown_labels_in_the_map_list_the_known(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("polka = Polka\n")
    (tmp_path / "results.jsonl").write_text(result(music / "tone.mp3") + "\n")
    for source in ([music], ["--from", tmp_path / "results.jsonl"]):
        status, out, err = genre_tag(*source, "--map", tmp_path / "map.txt", "--write")
        assert (status, out) == (2, "")
        assert "unknown labels polka: known are" in err


def test_without_mutagen(genre_tag: Tag, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    status, _, err = genre_tag(music)
    assert status == 2
    assert "install genre-runtime[library]" in err


@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
def test_names_and_genres_stay_on_one_line(genre_tag: Tag, music: Path) -> None:
    path = Path(shutil.copy(music / "tagged.ogg", music / os.fsdecode(b"a\nb\xff.ogg")))
    opened: Any = import_module("mutagen.oggvorbis").OggVorbis(path)
    opened["genre"] = ["two\nlines"]
    opened.save()
    status, out, _ = genre_tag(path)
    assert (status, out.count("\n")) == (0, 1)
    assert "two\\nlines" in out


def test_keep_mtime_and_journal_of_choice(genre_tag: Tag, music: Path, tmp_path: Path) -> None:
    path = music / "tone.mp3"
    os.utime(path, ns=(10**18, 10**18))
    status, _, err = genre_tag(path, "--write", "--keep-mtime", "--journal", tmp_path / "my journal.jsonl")
    assert status == 0
    assert path.stat().st_mtime_ns == 10**18
    assert f"genre tag --undo '{tmp_path / 'my journal.jsonl'}'" in err


@pytest.mark.parametrize(
    ("platform", "name", "shown"),
    [
        ("linux", "/home/ada/it's", "'/home/ada/it'\"'\"'s'"),
        ("linux", "/home/ada/j.jsonl", "/home/ada/j.jsonl"),
        ("win32", "C:\\Users\\Ada\\j.jsonl", "C:\\Users\\Ada\\j.jsonl"),
        ("win32", "C:\\Users\\Ada L\\j.jsonl", '"C:\\Users\\Ada L\\j.jsonl"'),
    ],
)
def test_a_path_is_printed_as_the_shell_takes_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, name: str, shown: str
) -> None:
    path = (PurePosixPath if platform == "linux" else PureWindowsPath)(name)
    monkeypatch.setattr(sys, "platform", platform)
    assert arguments.quoted(path) == shown
