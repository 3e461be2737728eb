"""A journal restores files byte for byte, in any state that a crash or a user can leave things in."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, JournalError, TagWriteError
from genre_runtime.library.tags import read_genres, undo, write_genres
from genre_runtime.library.tags import replace as replacing
from genre_runtime.library.tags.journal import Entry, Journal, default_journal
from genre_runtime.library.tags.restore import difference
from tests.runtime.library.conftest import SUFFIXES, MakeFile


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal.jsonl")


def test_hundreds_of_files_come_back(
    originals: dict[str, Path], tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # a thousand waits for the disk, and no crash to be safe from
    contents, times = {}, {}
    for i in range(200):
        source = originals[SUFFIXES[i % len(SUFFIXES)]]
        path = Path(shutil.copy(source, tmp_path / f"{i} {source.name}"))
        contents[path], times[path] = path.read_bytes(), path.stat().st_mtime_ns
        write_genres(path, ["Jazz", f"Own {i}"], journal=journal)
        if i % 3 == 0:
            write_genres(path, ["Folk"], "append", journal=journal)
    assert all(read_genres(path) for path in contents)
    restored = list(undo(journal))
    assert {item.path: item.n_restored for item in restored} == {
        path.resolve(): 2 if i % 3 == 0 else 1 for i, path in enumerate(contents)
    }
    assert restored[0].path.name.startswith("199 ")  # the latest first
    assert {path: path.read_bytes() for path in contents} == contents
    assert {path: path.stat().st_mtime_ns for path in contents} == times
    assert {(item.n_restored, item.error) for item in undo(journal)} == {(0, None)}  # again: nothing left to do
    # Small: the journal of a big library must not become a second library.
    assert journal.path.stat().st_size < sum(map(len, contents.values())) / 20


def test_changed_and_missing_files_are_named_and_the_rest_is_restored(make_file: MakeFile, journal: Journal) -> None:
    paths = [make_file(suffix) for suffix in (".mp3", ".flac", ".ogg", ".wav")]
    originals = [path.read_bytes() for path in paths]
    for path in paths:
        write_genres(path, ["Jazz"], journal=journal)
    paths[0].write_bytes(paths[0].read_bytes() + b"changed")
    paths[1].unlink()
    paths[2].chmod(0o444)
    errors = {item.path.suffix: type(item.error) for item in undo(journal)}
    assert errors == {".mp3": ChangedFileError, ".flac": AudioNotFoundError, ".ogg": TagWriteError, ".wav": type(None)}
    assert paths[0].read_bytes().endswith(b"changed")
    assert paths[3].read_bytes() == originals[3]
    paths[2].chmod(0o644)
    assert sum(item.n_restored for item in undo(journal)) == 1  # what failed can be tried again
    assert paths[2].read_bytes() == originals[2]


def test_a_change_after_an_undo_is_recorded_and_undone(make_file: MakeFile, journal: Journal) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    for genre in ("Jazz", "Folk"):
        write_genres(path, [genre], journal=journal)
        assert [item.error for item in undo(journal)] == [None]
        assert path.read_bytes() == original


def test_a_recorded_change_that_was_never_made(
    make_file: MakeFile, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=journal)
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "in use")))
        with pytest.raises(TagWriteError):
            write_genres(path, ["Folk"], "overwrite", journal=journal)
    write_genres(path, ["Pop"], "overwrite", journal=journal)
    assert len(list(journal.read())) == 3
    assert [(item.n_restored, item.error) for item in undo(journal)] == [(2, None)]
    assert path.read_bytes() == original


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_torn_last_line_is_a_change_never_made(make_file: MakeFile, journal: Journal, share: float) -> None:
    first, second = make_file(".mp3"), make_file(".flac")
    original = first.read_bytes()
    write_genres(first, ["Jazz"], journal=journal)
    whole = journal.path.read_bytes()
    write_genres(second, ["Jazz"], journal=None)
    journal.path.write_bytes(whole + whole[: int(share * len(whole))])
    assert [(item.path, item.error) for item in undo(journal)] == [(first.resolve(), None)]
    assert first.read_bytes() == original
    write_genres(first, ["Folk"], journal=journal)  # goes on behind the torn line, on one of its own
    outcomes = {item.path: item.error for item in undo(journal)}
    assert outcomes.pop(first.resolve()) is None
    assert first.read_bytes() == original
    assert [str(error)[:7] for error in outcomes.values()] == ["line 2:"]


@pytest.mark.parametrize("damage", ["patch", "old", "new"])
def test_a_damaged_record_changes_nothing(make_file: MakeFile, journal: Journal, damage: str) -> None:
    path = make_file(".mp3")
    write_genres(path, ["Jazz"], journal=journal)
    values = json.loads(journal.path.read_text())
    if damage == "patch":
        values["patch"] = "AAAA"
    else:
        values[damage]["sha256"] = "0" * 64
    journal.path.write_text(json.dumps(values) + "\n")
    (outcome,) = undo(journal)
    assert isinstance(outcome.error, ChangedFileError if damage == "new" else JournalError)
    assert read_genres(path) == ("Jazz",)
    assert not list(path.parent.glob(".genre-*"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "/music/a\0b.mp3"),
        ("path", "/music/\ud800.mp3"),
        ("path", ""),
        ("path", 7),
        ("path", "/music/" + 5_000 * "a"),
        ("old_values", [1]),
        ("old_values", {"genre": [1]}),
        ("new_values", {"genre": "Jazz"}),
        ("version", 1),
        ("version", 3),
        ("old", {"sha256": 0, "size": 1, "mtime_ns": 1}),
        ("old", {"sha256": "0", "size": 1, "mtime_ns": 1e999}),
        ("old", {"sha256": "0", "size": 1, "mtime_ns": 10**30}),
        ("new", []),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
def test_a_record_that_is_json_and_yet_damaged_holds_up_no_other(
    make_file: MakeFile, journal: Journal, name: str, value: object
) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=journal)
    whole = journal.path.read_text()
    damaged = json.dumps(json.loads(whole) | {name: value}) + "\n"
    journal.path.write_text(whole + damaged)  # the last one, too, is no torn one
    outcomes = {item.path: item for item in undo(journal)}
    assert outcomes.pop(path.resolve()).error is None
    assert path.read_bytes() == original
    (other,) = outcomes.values()
    assert other.error is not None
    assert [name for name in path.parent.iterdir() if name.name.startswith(".genre-")] == []


def test_a_journal_of_the_earlier_version_is_undone(make_file: MakeFile, journal: Journal) -> None:
    path = make_file(".mp3")
    write_genres(path, ["Rock"], journal=None)
    original = path.read_bytes()
    write_genres(path, ["Jazz"], "overwrite", journal=journal)
    record = json.loads(journal.path.read_text())
    earlier = {f"{when}_genres": record.pop(f"{when}_values")["genre"] for when in ("old", "new")}
    journal.path.write_text(json.dumps(record | earlier | {"version": 1}) + "\n")
    (outcome,) = undo(journal)
    assert (outcome.error, outcome.genres) == (None, ("Rock",))
    assert path.read_bytes() == original


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"[1, 2]\n", b"\xff\xfe\n{}\n", b'{"version": 2}\n'])
def test_what_is_no_journal_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "journal.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.jsonl"):
        list(undo(path))


def test_the_record_precedes_the_change(make_file: MakeFile, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".flac")
    original = path.read_bytes()
    record = Journal.record

    def watched(self: Journal, entry: Entry) -> None:
        assert path.read_bytes() == original
        record(self, entry)

    monkeypatch.setattr(Journal, "record", watched)
    write_genres(path, ["Jazz"], journal=journal)
    ((_, entry),) = journal.read()
    assert isinstance(entry, Entry)
    assert (entry.path, entry.old_values, entry.new_values) == (path.resolve(), {"genre": ()}, {"genre": ("Jazz",)})
    assert entry.old.size == len(original)
    assert entry.new.mtime_ns == path.stat().st_mtime_ns


def test_the_default_journal_lies_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_journal().parent == tmp_path / "genre" / "journals"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert default_journal().parent == tmp_path / "local" / "genre" / "journals"


@pytest.mark.parametrize("kind", ["song", "results", "text", "folder"])
def test_no_journal_is_written_into_what_is_something_else(make_file: MakeFile, journal: Journal, kind: str) -> None:
    path, other = make_file(".flac"), journal.path
    other.parent.mkdir()
    if kind == "folder":
        other.mkdir()
    else:
        row = json.dumps({"path": str(path), "label": "rock", "old": {}}) + "\n"
        other.write_bytes({"song": path.read_bytes(), "results": row.encode(), "text": b"notes of mine\n"}[kind])
    before = other.read_bytes() if other.is_file() else None
    original = path.read_bytes()
    with pytest.raises(JournalError, match="name another"):
        write_genres(path, ["Jazz"], journal=journal)
    assert path.read_bytes() == original
    assert (other.read_bytes() if other.is_file() else None) == before


@pytest.mark.parametrize("n_bytes", [0, 5, 20, 200])
def test_a_journal_torn_by_a_crash_is_gone_on_with(make_file: MakeFile, journal: Journal, n_bytes: int) -> None:
    path = make_file(".flac")
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=journal)
    assert [item.error for item in undo(journal)] == [None]
    journal.path.write_bytes(journal.path.read_bytes()[:n_bytes])
    write_genres(path, ["Folk"], journal=Journal(journal.path))
    assert path.read_bytes() != original
    list(undo(journal))
    assert path.read_bytes() == original


def test_two_runs_at_once_record_nothing_that_cannot_be_undone(
    make_file: MakeFile, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    copy_status = replacing._copy_status

    def meet(*arguments: Any) -> None:  # a second run makes the same change while the first is at it
        monkeypatch.setattr(replacing, "_copy_status", copy_status)
        assert write_genres(path, ["Jazz"], journal=Journal(journal.path)).written
        copy_status(*arguments)

    monkeypatch.setattr(replacing, "_copy_status", meet)
    with pytest.raises(ChangedFileError, match="another program"):
        write_genres(path, ["Jazz"], journal=journal)
    assert read_genres(path) == ("Jazz",)
    assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("n_good", [0, 1])
def test_a_record_that_does_not_do_is_made_up_for_by_another(
    make_file: MakeFile, journal: Journal, n_good: int
) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=journal)
    tagged = path.read_bytes()
    (line,) = journal.path.read_text().splitlines()
    entry = Entry.from_json(line.encode())
    with open(path, "rb") as same:
        bad = replace(entry, patch=difference(same, same))
    journal.path.write_text("".join(f"{text}\n" for text in [line] * n_good + [bad.to_json()] * 2))
    (undone,) = undo(journal)
    assert (undone.error is None) is bool(n_good)
    assert path.read_bytes() == (original if n_good else tagged)
