"""Whatever happens while a file is written, the old one or the new one lies there whole, and the error says why."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import AudioNotFoundError, ChangedFileError, GenreError, TagWriteError, UntaggableError
from genre_runtime.library.tags import read_genres, replace, undo, write_genres
from tests.runtime.library.conftest import MakeFile

posix = pytest.mark.skipif(sys.platform == "win32", reason="names and links of POSIX")
REFUSALS = [
    (errno.ENOSPC, "disk is full"),
    (errno.EACCES, "permissions"),
    (errno.EROFS, "mounted read-only"),
    (errno.EBUSY, "another program has the file open"),
    (errno.EIO, "Input/output error"),
]


def folder_of(path: Path) -> list[str]:
    return sorted(item.name for item in path.parent.iterdir() if item.suffix != ".jsonl")


@pytest.mark.parametrize(
    "step",
    ["genre_runtime.library.tags.replace.create_copy", "shutil.copyfileobj", "os.fchmod", "os.fsync", "os.replace"],
)
@pytest.mark.parametrize(("number", "words"), REFUSALS)
def test_a_refusal_of_the_system_is_named_and_loses_nothing(
    make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, step: str, number: int, words: str
) -> None:
    path = make_file(".flac")
    original = path.read_bytes()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(step, refuse)
    with pytest.raises(TagWriteError, match=f"nothing was changed: .*{words}"):
        write_genres(path, ["Jazz"], journal=path.with_suffix(".jsonl"))
    assert path.read_bytes() == original
    assert folder_of(path) == [path.name]


def test_a_disk_that_fills_up_while_tags_are_written(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".flac")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mutagen.flac.resize_bytes", full)
    with pytest.raises(TagWriteError, match="the disk is full"):
        write_genres(path, ["Jazz"], journal=None)
    assert folder_of(path) == [path.name]
    assert read_genres(path) == ()


def test_no_journal_no_change(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(".flac")
    (tmp_path / "blocked").write_bytes(b"a file, no folder")
    with pytest.raises(TagWriteError, match=r"the journal .* cannot be written"):
        write_genres(path, ["Jazz"], journal=tmp_path / "blocked" / "journal.jsonl")
    assert read_genres(path) == ()
    assert folder_of(path) == ["blocked", path.name]


@posix
@pytest.mark.parametrize("step", ["copy", "edit", "copystat", "sync", "record", "before replace", "after replace"])
def test_killed_at_every_step(make_file: MakeFile, tmp_path: Path, step: str) -> None:
    path, journal = make_file(".mp3"), tmp_path / "journal.jsonl"
    original = path.read_bytes()
    places = {
        "copy": "replacing._copy_content",
        "edit": "writing._write_and_check",
        "copystat": "replacing._copy_status",
        "sync": "replacing._sync",
        "record": "journal.os.fsync",
        "before replace": "replacing._check_unchanged",
        "after replace": "replacing.Folder.sync",
    }
    module, _, name = places[step].rpartition(".")
    program = f"""
import os, signal, sys
from pathlib import Path
from genre_runtime.library import tags
from genre_runtime.library.tags import journal, replace as replacing, write as writing
owner = {module}
was = owner.{name}
def die(*arguments, **options):
    if {step!r} not in ("before replace", "after replace", "record"):
        was(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
owner.{name} = die
tags.write_genres(sys.argv[1], ["Jazz", "Pop"], journal=sys.argv[2])
"""
    done = subprocess.run([sys.executable, "-c", program, path, journal], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    if step == "after replace":
        assert read_genres(path) == ("Jazz", "Pop")
    else:
        assert path.read_bytes() == original
    if journal.exists():
        assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == original
    write_genres(path, ["Folk"], journal=journal)  # what was left lying does not hinder the next run
    assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == original


@posix
def test_killed_at_any_time(make_file: MakeFile, tmp_path: Path) -> None:
    paths = []
    for i in range(40):
        paths.append(Path(shutil.copyfile(make_file(".mp3"), tmp_path / f"song {i}.mp3")))
    original, journal = paths[0].read_bytes(), tmp_path / "journal.jsonl"
    program = """
import sys
from genre_runtime.library.tags import write_genres
for path in sys.argv[2:]:
    write_genres(path, ["Jazz", "Pop"], journal=sys.argv[1])
"""
    with subprocess.Popen([sys.executable, "-c", program, journal, *paths]) as process:
        while not (journal.exists() and journal.stat().st_size > 3_000) and process.poll() is None:
            time.sleep(0.001)
        process.kill()
    assert all(read_genres(path) in ((), ("Jazz", "Pop")) for path in paths)
    assert [item.error for item in undo(journal)] != []
    assert {path.read_bytes() for path in paths} == {original}


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_leaves_nothing_lying(make_file: MakeFile, tmp_path: Path, number: signal.Signals) -> None:
    path = make_file(".flac")
    row: dict[str, Any] = {"path": str(path), "label": "jazz", "confidence": 1.0, "confident": True}
    row |= {"probabilities": {"jazz": 1.0}, "duration_seconds": 1.0}
    (tmp_path / "results.jsonl").write_text(json.dumps(row))
    program = """
import os, signal, sys, time
from genre_runtime import cli
from genre_runtime.library.tags import replace as replacing
number = int(sys.argv.pop())
signal.signal(number, signal.SIG_DFL)
def wait(path):
    os.kill(os.getpid(), number)
    time.sleep(60)
replacing._sync = wait
sys.exit(cli.main(sys.argv[1:]))
"""
    words = ["tag", "--from", str(tmp_path / "results.jsonl"), "--write", "--journal", str(tmp_path / "journal.jsonl")]
    done = subprocess.run([sys.executable, "-c", program, *words, str(int(number))], capture_output=True, text=True)
    assert done.returncode == 128 + number, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert folder_of(path) == [path.name]
    assert read_genres(path) == ()


def test_an_interruption_leaves_nothing_lying(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".flac")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replace, "_sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_genres(path, ["Jazz"], journal=None)
    assert folder_of(path) == [path.name]


@posix
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a pipe"])
def test_what_might_never_end_is_not_read(make_file: MakeFile, tmp_path: Path, kind: str) -> None:
    path, journal = make_file(".flac"), tmp_path / "j.jsonl"
    write_genres(path, ["Jazz"], journal=journal)
    path.unlink()
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "pipe" if kind == "link to a pipe" else path)
    if kind == "link to a pipe":
        path.symlink_to("pipe")
    with pytest.raises(UntaggableError, match="not a regular file"):
        read_genres(path)
    with pytest.raises(UntaggableError, match="not a regular file"):
        write_genres(path, ["Jazz"], journal=journal)
    (undone,) = undo(journal)
    assert isinstance(undone.error, ChangedFileError)


def test_a_change_by_another_program_wins(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".flac")
    synced = replace._sync

    def meddle(copy: Any) -> None:
        synced(copy)
        path.write_bytes(b"changed")

    monkeypatch.setattr(replace, "_sync", meddle)
    with pytest.raises(ChangedFileError, match="another program"):
        write_genres(path, ["Jazz"], journal=None)
    assert path.read_bytes() == b"changed"


def test_a_damaged_write_is_noticed(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    ID3: Any = import_module("mutagen.id3").ID3  # noqa: N806
    path = make_file(".mp3")
    original, save = path.read_bytes(), ID3.save

    def clumsy(self: Any, file: Any, **options: Any) -> None:
        save(self, file, **options)
        file.seek(-1_000, os.SEEK_END)
        file.write(bytes(10))

    monkeypatch.setattr(ID3, "save", clumsy)
    with pytest.raises(UntaggableError, match="audio would not stay the same"):
        write_genres(path, ["Jazz"], journal=None)
    assert path.read_bytes() == original


def test_read_only_files_are_refused(make_file: MakeFile) -> None:
    path = make_file(".flac")
    path.chmod(0o444)
    with pytest.raises(TagWriteError, match="read-only"):
        write_genres(path, ["Jazz"], journal=None)
    path.chmod(0o644)
    assert read_genres(path) == ()


@posix
def test_hard_links_are_refused_and_symbolic_ones_followed(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(".flac")
    link = tmp_path / "link.flac"
    link.symlink_to(path.name)
    assert write_genres(link, ["Jazz"], journal=tmp_path / "j.jsonl").path == link
    assert link.is_symlink()
    assert read_genres(path) == ("Jazz",)
    os.link(path, tmp_path / "second.flac")
    with pytest.raises(UntaggableError, match=r"2 names \(hard links\)"):
        write_genres(link, ["Pop"], "overwrite", journal=None)
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(TagWriteError):
        write_genres(tmp_path / "round", ["Pop"], journal=None)


@posix
def test_mode_times_and_attributes_are_kept(make_file: MakeFile, tmp_path: Path) -> None:
    path, journal = make_file(".flac"), tmp_path / "j.jsonl"
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18 + 7))
    try:
        os.setxattr(path, "user.note", b"mine")  # type: ignore[attr-defined, unused-ignore]
        has_attributes = True
    except (OSError, AttributeError):
        has_attributes = False
    write_genres(path, ["Jazz"], journal=journal, keep_mtime=True)
    assert path.stat().st_mtime_ns == 10**18 + 7
    assert path.stat().st_mode & 0o777 == 0o640
    if has_attributes:
        assert os.getxattr(path, "user.note") == b"mine"  # type: ignore[attr-defined, unused-ignore]
    write_genres(path, ["Pop"], "overwrite", journal=journal)
    assert path.stat().st_mtime_ns > 10**18 + 7
    list(undo(journal))
    assert path.stat().st_mtime_ns == 10**18 + 7


@posix
@pytest.mark.parametrize("name", [b"line\nbreak.flac", b"\xff\xfe.flac", b"x" * 250 + b".flac", "ü♫.flac".encode()])
def test_any_name(make_file: MakeFile, tmp_path: Path, name: bytes) -> None:
    path = make_file(".flac")
    try:
        path = path.rename(tmp_path / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes no such name")
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=tmp_path / "j.jsonl")
    assert read_genres(path) == ("Jazz",)
    assert [(item.path, item.error) for item in undo(tmp_path / "j.jsonl")] == [(path.resolve(), None)]
    assert path.read_bytes() == original


@pytest.mark.parametrize("name", ["missing.mp3", "x" * 300 + ".mp3", "missing/folder/song.mp3", "nul\0.mp3", "."])
def test_what_is_no_file_is_an_error_of_ours(tmp_path: Path, name: str) -> None:
    with pytest.raises(GenreError) as caught:
        write_genres(tmp_path / name, ["Jazz"], journal=None)
    if name.startswith(("missing", "nul")):
        assert isinstance(caught.value, AudioNotFoundError)
