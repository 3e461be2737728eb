"""In a folder that others may write, names lead to other files at any time: no other file is changed or given away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import ChangedFileError
from genre_runtime.library.tags import read_genres, replace, undo, write_genres
from genre_runtime.library.tags.replace import Folder, create_copy, remove_left_copies
from tests.runtime.library.conftest import MakeFile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX")

STEPS = ("_copy_content", "_copy_status", "_set_times", "_sync", "_check_unchanged")
SECRET = b"a secret of the administrator\n" * 50


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    path = folder / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".genre-"))


def status_of(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink


def swapping(step: str, swap: Callable[[Path], None], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an attacker act once, right before a step."""
    was = getattr(replace, step)

    def hook(*arguments: Any) -> None:
        monkeypatch.setattr(replace, step, was)
        (name,) = left(folder)
        swap(folder / name)
        was(*arguments)

    monkeypatch.setattr(replace, step, hook)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["symlink", "hard link", "other file"])
@pytest.mark.parametrize("undoing", [False, True])
def test_the_name_of_the_copy_is_given_to_another_file(
    make_file: MakeFile, secret: Path, monkeypatch: pytest.MonkeyPatch, step: str, kind: str, undoing: bool
) -> None:
    path = make_file(".flac")
    path.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(path, 1000, 1000)
    if undoing:
        write_genres(path, ["Jazz"], journal=path.with_suffix(".jsonl"))
    content = path.read_bytes()

    def swap(copy: Path) -> None:
        copy.unlink()
        if kind == "symlink":
            copy.symlink_to(secret)
        elif kind == "hard link":
            os.link(secret, copy)
        else:
            copy.write_bytes(b"of another user")

    swapping(step, swap, path.parent, monkeypatch)
    before = status_of(secret)
    if undoing:
        (undone,) = undo(path.with_suffix(".jsonl"))
        assert isinstance(undone.error, ChangedFileError)
    else:
        with pytest.raises(ChangedFileError, match="replaced the copy"):
            write_genres(path, ["Jazz"], journal=None)
    for name in left(path.parent):  # what is not ours is not removed
        (path.parent / name).unlink()
    assert (secret.read_bytes(), status_of(secret)) == (SECRET, before)
    assert path.read_bytes() == content


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("undoing", [False, True])
def test_the_name_of_the_file_is_given_to_another(
    make_file: MakeFile, secret: Path, monkeypatch: pytest.MonkeyPatch, step: str, undoing: bool
) -> None:
    path = make_file(".flac")
    if undoing:
        write_genres(path, ["Jazz"], journal=path.with_suffix(".jsonl"))

    def swap(_: Path) -> None:
        path.unlink()
        path.symlink_to(secret)

    swapping(step, swap, path.parent, monkeypatch)
    before = status_of(secret)
    if undoing:
        (undone,) = undo(path.with_suffix(".jsonl"))
        assert isinstance(undone.error, ChangedFileError)
    else:
        with pytest.raises(ChangedFileError, match="changed the file meanwhile"):
            write_genres(path, ["Jazz"], journal=None)
    assert path.is_symlink()
    assert (secret.read_bytes(), status_of(secret)) == (SECRET, before)
    assert left(path.parent) == []


def test_a_copy_is_private_while_it_is_made(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".flac")
    path.chmod(0o600)
    modes = []
    swapping("_copy_content", lambda copy: modes.append(copy.stat().st_mode & 0o777), path.parent, monkeypatch)
    write_genres(path, ["Jazz"], journal=None)
    assert modes == [0o600]


def test_undo_replaces_no_link(make_file: MakeFile, tmp_path: Path) -> None:
    path, journal = make_file(".flac"), tmp_path / "j.jsonl"
    write_genres(path, ["Jazz"], journal=journal)
    moved = path.rename(tmp_path / "moved.flac")
    path.symlink_to(moved)
    (undone,) = undo(journal)
    assert isinstance(undone.error, ChangedFileError)
    assert path.is_symlink()
    assert read_genres(moved) == ("Jazz",)


@pytest.mark.parametrize("step", ["_copy_content", "_copy_status", "_sync", "_check_unchanged"])
def test_what_a_killed_run_left_is_removed_by_the_next(make_file: MakeFile, step: str) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    program = f"""
import os, signal, sys
from genre_runtime.library import tags
from genre_runtime.library.tags import replace as replacing
replacing.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
tags.write_genres(sys.argv[1], ["Jazz"], journal=None)
"""
    done = subprocess.run([sys.executable, "-c", program, path], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(left(path.parent)) == 1
    assert path.read_bytes() == original
    write_genres(path, ["Jazz"], journal=path.with_suffix(".jsonl"))
    assert left(path.parent) == []
    (path.parent / ".genre-tag-0123456789abcdef.tmp").write_bytes(b"left")
    replace._scanned.clear()  # a folder is not searched for every file
    list(undo(path.with_suffix(".jsonl")))
    assert left(path.parent) == []


def test_what_another_run_works_on_is_not_removed(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    with closing(Folder(path.parent)) as folder:
        name, file = create_copy(folder)
        with file:
            write_genres(path, ["Jazz"], journal=None)
            assert left(path.parent) == [name]
        replace._scanned.clear()
        remove_left_copies(folder)
        assert left(path.parent) == []


@pytest.mark.parametrize(
    ("name", "age", "goes"),
    [
        (".genre-tag-0123456789abcdef.tmp", 0, True),
        (".genre-tag-0123456789abcdef.tmp.mp3", 10**6, False),
        (".genre-tag-0123456789abcdeX.tmp", 10**6, False),
        (".genre-notes.tmp", 10**6, False),
        (".genre-4711-0a1b2c3d.tmp", 10**6, False),  # of a report that is being written
        (".genre-ab_cd123.tmp", 10**6, True),  # as earlier versions named them
        (".genre-ab_cd123.tmp", 60, False),
    ],
)
def test_only_what_is_surely_ours_is_removed(tmp_path: Path, name: str, age: int, goes: bool) -> None:
    path = tmp_path / name
    path.write_bytes(b"x")
    os.utime(path, (time.time() - age,) * 2)
    with closing(Folder(tmp_path)) as folder:
        remove_left_copies(folder)
    assert path.exists() is not goes


def test_a_link_or_pipe_of_such_a_name_stays(tmp_path: Path, secret: Path) -> None:
    (tmp_path / ".genre-tag-0123456789abcdef.tmp").symlink_to(secret)
    os.mkfifo(tmp_path / ".genre-tag-0123456789abcde0.tmp")
    with closing(Folder(tmp_path)) as folder:
        remove_left_copies(folder)
    assert len(left(tmp_path)) == 2
    assert secret.read_bytes() == SECRET


def test_where_files_cannot_be_locked_old_copies_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replace, "_locked", lambda _: None)
    old, new = (tmp_path / f".genre-tag-{digit * 16}.tmp" for digit in "01")
    for path, age in ((old, 10**6), (new, 60)):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    with closing(Folder(tmp_path)) as folder:
        remove_left_copies(folder)
    assert left(tmp_path) == [new.name]


def test_a_copy_that_was_taken_for_one_left_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = replace._locked

    def slow(descriptor: int) -> bool | None:  # between creating and locking, another run cleans the folder
        monkeypatch.setattr(replace, "_locked", locked)
        (tmp_path / left(tmp_path)[0]).unlink()
        return locked(descriptor)

    monkeypatch.setattr(replace, "_locked", slow)
    with closing(Folder(tmp_path)) as folder:
        name, file = create_copy(folder)
        file.close()
    assert left(tmp_path) == [name]
