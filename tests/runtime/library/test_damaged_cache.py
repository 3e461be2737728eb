"""State files that were tampered with: an error in words that names the file, or the right answers."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import stat
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier, __version__
from genre_runtime.errors import StateError
from genre_runtime.library import analysis
from genre_runtime.library.analysis import Library, plan_of
from genre_runtime.library.cache import STATEMENTS, LibraryState
from tests.runtime.conftest import Genre
from tests.synthetic import noise, tone, write_audio, write_model

Tamper = Callable[[Path], object]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Return a folder of music, and the bytes of a state file that knows every file of it."""
    folder = tmp_path_factory.mktemp("known")
    music = folder / "music"
    music.mkdir()
    write_audio(music / "noise.wav", noise(2))
    write_audio(music / "tone.wav", tone(2))
    (music / "text.mp3").write_text("no music")
    classifier = GenreClassifier.load(write_model(folder), device="cpu")
    with closing(LibraryState(folder / "state", plan_of(classifier, None))) as state:
        list(Library(classifier, state=state).classify(sorted(music.iterdir())))
    return music, (folder / "state").read_bytes()


def sql(*statements: str, values: tuple[Any, ...] = ()) -> Tamper:
    """Return what runs statements in the file; the last takes the values."""

    def tamper(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            for statement in statements[:-1]:
                database.execute(statement)
            database.execute(statements[-1], values)

    return tamper


def schema(old: str, new: str) -> Tamper:
    """Return what changes the text of the tables."""

    def tamper(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("PRAGMA writable_schema=ON")
            database.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?)", (old, new))

    return tamper


def at(offset: int, content: bytes) -> Tamper:
    """Return what overwrites bytes."""

    def tamper(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return tamper


def cut(share: float) -> Tamper:
    """Return what keeps a share of the file."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def changed(**changes: Any) -> Tamper:
    """Return what changes values of each answer; a value that is `...` is taken out."""

    def tamper(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            for digest, answer in database.execute("SELECT digest, answer FROM answers").fetchall():
                values = {**json.loads(zlib.decompress(answer)), **changes}
                kept = {key: value for key, value in values.items() if value is not ...}
                blob = zlib.compress(json.dumps(kept).encode())
                database.execute("UPDATE answers SET answer = ? WHERE digest = ?", (blob, digest))

    return tamper


def blob(column: str, content: object) -> Tamper:
    """Return what puts the same into a column of every answer."""
    return sql(f"UPDATE answers SET {column} = ?", values=(content,))


def folder(path: Path) -> None:
    """Put a folder in the file's place."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Put a pipe in the file's place: opening it would wait for ever."""
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    """Put a link to a device in the file's place."""
    path.unlink()
    path.symlink_to("/dev/zero")


PACKED = zlib.compress
EXCERPT = {"start_seconds": 0.0, "end_seconds": 2.0, "silent": False, "probabilities": {"tone": 1.0}}
BOMB = PACKED(b"[" + b" " * (1 << 27), 9)

_AS_NEW = ("PRAGMA user_version=0",)

REFUSED: dict[str, Tamper] = {
    "header": at(0, b"SQLite format 2\0"),
    "header of zeros": at(0, bytes(100)),
    "page size": at(16, b"\x03\x03"),
    "file format": at(18, b"\x09\x09"),
    "encoding": at(56, struct.pack(">I", 2)),
    "first page": at(100, b"\xff" * 500),
    "every page": lambda path: at(4096, b"\xa5" * (path.stat().st_size - 4096))(path),
    "header alone": lambda path: os.truncate(path, 16),
    "half a header": lambda path: os.truncate(path, 50),
    "one page": lambda path: os.truncate(path, 4096),
    "text": lambda path: path.write_text("a letter, or a shopping list\n" * 200),
    "folder": folder,
    "future version": sql("PRAGMA user_version=2"),
    "far future version": sql("PRAGMA user_version=2147483647"),
    "negative version": sql("PRAGMA user_version=-1"),
    "no version": sql("PRAGMA user_version=0"),
    "no table of answers": sql("DROP TABLE answers"),
    "no table of files": sql("DROP TABLE files"),
    "no tables": sql("DROP TABLE files", "DROP TABLE answers"),
    "no tables, another application": sql(
        "DROP TABLE files", "DROP TABLE answers", *_AS_NEW, "PRAGMA application_id=7"
    ),
    "one more table": sql("CREATE TABLE photos (name TEXT)"),
    "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM answers; END"),
    "a view": sql("CREATE VIEW v AS SELECT * FROM files"),
    "an index": sql("CREATE INDEX i ON files (size)"),
    "a column's name": sql("ALTER TABLE answers RENAME COLUMN answer TO reply"),
    "one more column": sql("ALTER TABLE files ADD COLUMN more TEXT"),
    "a column's type": schema("size INTEGER", "size TEXT"),
    "a default": schema("digest BLOB NOT NULL)", "digest BLOB DEFAULT 3)"),
    "text of the schema": schema("CREATE TABLE", "CREATE THING"),
}
if os.name == "posix":
    REFUSED["pipe"] = pipe
    REFUSED["device"] = device

REPLACED: dict[str, Tamper] = {
    "empty file": lambda path: os.truncate(path, 0),
    "no rows": sql("DELETE FROM answers"),
    "digest a number": sql("UPDATE files SET digest = 3"),
    "digest of text": sql("UPDATE files SET digest = 'abc'"),
    "digest empty": sql("UPDATE files SET digest = x''"),
    "digest too long": sql("UPDATE files SET digest = zeroblob(5000)"),
    "size of text": sql("UPDATE files SET size = 'much'"),
    "time of text": sql("UPDATE files SET mtime_ns = x'ff'"),
    "huge size": sql("UPDATE files SET size = 9223372036854775807, mtime_ns = -9223372036854775808"),
    "time of floats": sql("UPDATE files SET mtime_ns = 9e999"),
    "answer a number": blob("answer", 7),
    "answer of text": blob("answer", "\x1b[31m"),
    "answer of text that is not UTF-8": sql("UPDATE answers SET answer = CAST(x'ff80' AS TEXT)"),
    "answer not packed": blob("answer", b"{}"),
    "answer empty": blob("answer", b""),
    "answer cut short": blob("answer", PACKED(b'{"path": "a"}')[:-3]),
    "answer with something behind": blob("answer", PACKED(b"{}") + b"more"),
    "answer not JSON": blob("answer", PACKED(b"{'a': 1}")),
    "answer not UTF-8": blob("answer", PACKED(b"\xff\xfe\x00")),
    "answer deep": blob("answer", PACKED(b"[" * 100_000)),
    "answer a bomb": blob("answer", BOMB),
    **{f"answer {text}": blob("answer", PACKED(text.encode())) for text in ("[]", "{}", "3", "null", '"a"', "NaN")},
    "huge answer": sql("UPDATE answers SET answer = zeroblob(100000000)"),
    "huge embedding": sql("UPDATE answers SET embedding = zeroblob(100000000)"),
    "embedding of odd length": blob("embedding", b"\0\0\0"),
    "embedding empty": blob("embedding", b""),
    "embedding of text": blob("embedding", "abcd"),
    "embedding infinite": blob("embedding", np.full(8, np.inf, "<f2").tobytes()),
    "label of another type": changed(label=3),
    "label missing": changed(label=...),
    "label unknown": changed(label="polka"),
    "another model's genres": changed(
        label="a", probabilities={"a": 1.0}, excerpts=[{**EXCERPT, "probabilities": {"a": 1.0}}]
    ),
    "a label that steers terminals": changed(
        label="\x1b[2J", probabilities={"\x1b[2J": 1.0}, excerpts=[{**EXCERPT, "probabilities": {"\x1b[2J": 1.0}}]
    ),
    "confidence of text": changed(confidence="high"),
    "confidence not a number": changed(confidence=float("nan")),
    "confidence beyond one": changed(confidence=2),
    "confident of another type": changed(confident="yes"),
    "probabilities a list": changed(probabilities=[1, 2]),
    "probabilities null": changed(probabilities=None),
    "probability huge": changed(probabilities={"tone": 10**400}),
    "excerpts missing": changed(excerpts=...),
    "excerpts none": changed(excerpts=[]),
    "excerpts a number": changed(excerpts=5),
    "excerpts of other genres": changed(excerpts=[EXCERPT]),
    "excerpts of text": changed(excerpts=["a"]),
    "duration of text": changed(duration_seconds="long"),
    "duration infinite": changed(duration_seconds=float("inf")),
    "duration negative": changed(duration_seconds=-1),
    "announced of text": changed(announced_seconds="long"),
    "device missing": changed(device=""),
    "error of text": changed(error="bad"),
    "error of wrong types": changed(error={"code": 3, "message": [], "version": None}),
    "error of this version, wrong types": changed(error={"code": [], "message": 3, "version": __version__}),
    "path a number": changed(path=3),
}


@pytest.fixture
def state(known: tuple[Path, bytes], tmp_path: Path) -> Path:
    """Return a copy of the state file."""
    path = tmp_path / "music.genre"
    path.write_bytes(known[1])
    return path


def classified(genre: Genre, music: Path, *words: str | Path) -> tuple[int, str, str]:
    return genre("classify", music, "--format", "jsonl", *words)


def test_the_state_file_as_it_was_knows_every_file(genre: Genre, known: tuple[Path, bytes], state: Path) -> None:
    _, fresh, _ = classified(genre, known[0])
    status, out, err = classified(genre, known[0], "--state", state)
    assert (status, out) == (1, fresh)
    assert "2 known from the state file, 1 failed" in err


@pytest.mark.parametrize("tamper", REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_state_file_is_refused_in_words_and_left_alone(
    genre: Genre, known: tuple[Path, bytes], state: Path, tamper: Tamper
) -> None:
    tamper(state)
    before = state.read_bytes() if state.is_file() else None
    status, out, err = classified(genre, known[0], "--state", state)
    assert status in (1, 2)
    assert out == ""
    assert repr(str(state)) in err.splitlines()[-1]
    assert "name " in err or "remove " in err, "it says what to do"
    if before is not None:
        assert state.read_bytes() == before
    assert [path.name for path in state.parent.iterdir() if path.name.startswith(state.name)] == [state.name]


@pytest.mark.parametrize("tamper", REPLACED.values(), ids=REPLACED)
def test_damaged_rows_are_classified_again(
    genre: Genre, known: tuple[Path, bytes], state: Path, tamper: Tamper
) -> None:
    _, fresh, _ = classified(genre, known[0])
    tamper(state)
    for _ in range(2):
        status, out, err = classified(genre, known[0], "--state", state)
        assert (status, out) == (1, fresh)
    assert "2 known from the state file, 1 failed" in err, "the damaged rows were replaced"


@pytest.mark.parametrize("seed", range(40))
def test_bytes_at_random(genre: Genre, known: tuple[Path, bytes], state: Path, seed: int) -> None:
    _, fresh, _ = classified(genre, known[0])
    draw = random.Random(seed)
    content = bytearray(known[1])
    for _ in range(draw.choice((1, 10, 200))):
        content[draw.randrange(len(content))] = draw.randrange(256)
    state.write_bytes(content)
    status, out, err = classified(genre, known[0], "--state", state)
    if repr(str(state)) in err:
        assert status in (1, 2)
        assert fresh.startswith(out)
    else:
        assert (status, out) == (1, fresh)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_cut_short(genre: Genre, known: tuple[Path, bytes], state: Path, share: float) -> None:
    _, fresh, _ = classified(genre, known[0])
    cut(share)(state)
    status, out, err = classified(genre, known[0], "--state", state)
    assert status in (1, 2)
    assert repr(str(state)) in err or out == fresh


@pytest.mark.parametrize("damaged", [{"embedding": None}, {"embedding": np.ones(3, "<f2").tobytes()}])
def test_similar_names_the_track_whose_embedding_is_of_no_use(
    genre: Genre, known: tuple[Path, bytes], state: Path, damaged: dict[str, bytes | None]
) -> None:
    sql(
        "UPDATE answers SET embedding = ? WHERE embedding NOT NULL AND digest = (SELECT min(digest) FROM answers "
        "WHERE embedding NOT NULL)",
        values=(damaged["embedding"],),
    )(state)
    status, _, err = genre("similar", known[0] / "tone.wav", "--in", known[0], "--state", state)
    assert status == 1
    assert "remove the state file" in err


def test_another_program_s_database_with_a_log_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA user_version=1")
        database.execute("CREATE TABLE photos (name TEXT)")
        database.execute("PRAGMA wal_checkpoint")
        database.execute("INSERT INTO photos VALUES ('a')")
        before = {one.name: one.read_bytes() for one in tmp_path.iterdir() if not one.name.endswith("-shm")}
        with pytest.raises(StateError, match="another program's database"):
            LibraryState(path, "plan")
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir() if not one.name.endswith("-shm")} == before
        assert database.execute("SELECT count(*) FROM photos").fetchone() == (1,)


def test_a_state_file_whose_tables_are_in_its_log_only(known: tuple[Path, bytes], tmp_path: Path) -> None:
    """Earlier versions made the log first; a run that was killed left the tables in it."""
    path, other = tmp_path / "a", tmp_path / "b"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        for statement in STATEMENTS:
            database.execute(statement)
        database.execute("PRAGMA user_version=1")
        for end in ("", "-wal"):
            other.with_name(f"b{end}").write_bytes(path.with_name(f"a{end}").read_bytes())
    with closing(LibraryState(other, "plan")) as state:
        assert state.answer(bytes(32)) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_new_state_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        with closing(LibraryState(tmp_path / "state", "plan")) as state:
            state.store(bytes(32), StateError("x"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(former)
    assert modes == {"state": 0o600, "state-wal": 0o600, "state-shm": 0o600}


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for name in (tmp_path / "a\0b", tmp_path / ("x" * 5000), tmp_path / "none" / "state"):
        with pytest.raises(StateError, match="cannot be used"):
            LibraryState(name, "plan")


def test_times_beyond_what_the_file_can_hold(genre: Genre, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", tone(1))
    os.utime(song, ns=(1 << 63, (1 << 63) + 1000))
    for _ in range(2):
        status, out, err = genre("classify", song, song, "--state", tmp_path / "state", "--format", "jsonl")
        assert (status, out.count("\n")) == (0, 2)
    assert err == "2 known from the state file\n"


def test_known_answers_tell_the_device_that_gave_them(genre: Genre, known: tuple[Path, bytes], state: Path) -> None:
    with closing(sqlite3.connect(state)) as database, database:
        for digest, answer in database.execute("SELECT digest, answer FROM answers").fetchall():
            values = {**json.loads(zlib.decompress(answer)), "device": "cuda"}
            if "error" not in values:
                new = zlib.compress(json.dumps(values).encode())
                database.execute("UPDATE answers SET answer = ? WHERE digest = ?", (new, digest))
    _, out, _ = classified(genre, known[0] / "tone.wav", "--state", state)
    assert json.loads(out)["device"] == "cuda"


def test_answers_of_an_older_decoder_are_not_used(
    genre: Genre, known: tuple[Path, bytes], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "DECODER_VERSION", analysis.DECODER_VERSION + 1)
    _, _, err = classified(genre, known[0], "--state", state)
    assert "known from" not in err
    with closing(sqlite3.connect(state)) as database, database:  # the plans of versions that did not count decoders
        database.execute("DELETE FROM answers WHERE plan LIKE '%decoder 3 %'")
        database.execute("UPDATE answers SET plan = substr(plan, 1, instr(plan, ' decoder') - 1)")
    _, _, err = classified(genre, known[0], "--state", state)
    assert "known from" not in err
