"""Whether a file is a state file: decided without changing a byte of it, whatever it is.

SQLite writes to a database as soon as its journal mode is set, and leaves files beside it. A database of another
program must not be touched, so its tables are read first, from a connection that cannot write and takes no lock.

Answers as the state file holds them: packed, and checked when they are read back.

What is known of a library from earlier runs: one SQLite file.

An answer is found again by path, size and modification time, or else by the file's content, so that a file that was
moved, copied or touched is not listened to twice. Every answer is committed as soon as it is there: whatever ends a
run, the next one goes on behind it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import time
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from genre_runtime import __version__
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import LASTING, GenreError, StateError
from genre_runtime.library.results.read import UNFIT, Failure, parse_result
from genre_runtime.prediction import Prediction

SCHEMA_VERSION = 1

MAGIC = b"SQLite format 3\0"
"""What every SQLite database begins with."""

SCHEMA = """
CREATE TABLE answers (
    digest BLOB NOT NULL, plan TEXT NOT NULL, answer BLOB NOT NULL, embedding BLOB, PRIMARY KEY (digest, plan)
) WITHOUT ROWID;
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL)
WITHOUT ROWID;
"""

STATEMENTS = tuple(" ".join(statement.split()) for statement in SCHEMA.split(";") if statement.strip())

BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What is raised of a damaged database; the latter where SQLite's own message quotes bytes that are not UTF-8."""

BUSY_SECONDS = 30.0
"""How long to wait for another run that writes into the same file."""

ADVICE = "name another file, or, if this is a damaged state file, remove it to begin anew"


def prepare(path: Path) -> None:
    """Create the state file, readable by its owner alone, or check that the file there is one.

    Parameters
    ----------
    path : Path

    Raises
    ------
    StateError
        No file can be made there, or it is something else; then it is as it was.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _create(path)
        return
    except (OSError, ValueError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise StateError(f"the state file {str(path)!r} is {what}: name a file")
    if not status.st_size:
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if start != MAGIC:
            raise StateError(f"{str(path)!r} is not a state file, or its header is damaged: {ADVICE}")
        _check_tables(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except BROKEN as error:
        raise StateError(f"the state file {str(path)!r} is damaged ({error}): {ADVICE}") from error


def check_schema(database: sqlite3.Connection, path: Path, *, may_be_new: bool) -> bool:
    """Return whether a database has the tables of a state file; False if it has none and is new.

    Raises
    ------
    StateError
        It has other tables, or those of another version.
    sqlite3.Error
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    found = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
    if may_be_new and not version and not application and not found:
        return False
    statements = [" ".join(_text(sql).split()) for name, sql in found if not _text(name).startswith("sqlite_")]
    ours = sorted(statements) == sorted(STATEMENTS)
    if ours and version > SCHEMA_VERSION:
        raise StateError(
            f"the state file {str(path)!r} was written by a newer version of this program (version {version} of the "
            f"file, expected {SCHEMA_VERSION}): update the program, or name another file"
        )
    if not ours or version != SCHEMA_VERSION:
        raise StateError(
            f"{str(path)!r} is another program's database, or a damaged state file: expected the tables of a state "
            f"file of version {SCHEMA_VERSION}, so {ADVICE}"
        )
    return True


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would follow the umask
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _check_tables(path: Path) -> None:
    try:
        with closing(_read_only(path, immutable=True)) as database:
            if check_schema(database, path, may_be_new=True):
                return
    except (StateError, *BROKEN):
        if _keeps_a_log(path):  # with a log, its tables are complete
            raise
    # Another run may be making the tables, or they lie in the log of one that was killed: read it as such runs do.
    with closing(_read_only(path, immutable=False)) as database:
        check_schema(database, path, may_be_new=True)


def _keeps_a_log(path: Path) -> bool:
    """Tell whether the header says that changes go to a log (WAL)."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\2\2"


def _read_only(path: Path, *, immutable: bool) -> sqlite3.Connection:
    options = "mode=ro&immutable=1" if immutable else "mode=ro"
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    database.text_factory = bytes
    return database


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _unusable(path: Path, words: str) -> StateError:
    return StateError(
        f"the state file {str(path)!r} cannot be used ({words}): name another one, or a folder that can be written to"
    )


LARGEST_BLOB = 1 << 26
"""Bytes of an answer as it is stored."""

LARGEST_ANSWER = 1 << 26
"""Bytes of an answer unpacked; a day of ten-second excerpts has some four million."""

_CODES = {error.code for error in LASTING}


class KnownError(GenreError, ValueError):
    """An error of an earlier run: neither file nor runtime has changed since, so it would be the same again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


def packed(result: Prediction | GenreError) -> tuple[bytes, bytes | None]:
    """Return the answer and the embedding as bytes."""
    if isinstance(result, GenreError):
        values: dict[str, Any] = {"error": {"code": result.code, "message": str(result), "version": __version__}}
        return zlib.compress(json.dumps(values).encode()), None
    embedding = None if result.embedding is None else result.embedding.astype("<f2").tobytes()
    return zlib.compress(json.dumps(result.to_dict()).encode()), embedding


def unpacked(answer: object, embedding: object) -> Prediction | GenreError | None:
    """Return what was packed, or None where that is damaged or of no use: then the file is classified again."""
    try:
        values = json.loads(_inflated(answer))
        if isinstance(values, dict) and "error" in values:
            return _error(values["error"])
        result = parse_result(values)
        if isinstance(result, Failure):
            return None
        _check(result)
        return replace(result, embedding=_floats(embedding))
    except (*UNFIT, zlib.error):
        return None


def _inflated(answer: object) -> bytes:
    if not isinstance(answer, bytes):
        raise TypeError("an answer is stored as bytes")
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(answer, LARGEST_ANSWER)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the answer is cut short, or longer than any")
    return content


def _error(values: Any) -> GenreError | None:
    if values["version"] != __version__:  # the decoders of another version may read the file
        return None
    code, message = values["code"], values["message"]
    return KnownError(code, message) if code in _CODES and isinstance(message, str) else None


def _check(prediction: Prediction) -> None:
    """Raise ValueError for what no classifier answers, though results in general may hold it."""
    if not prediction.excerpts:
        raise ValueError("an answer has excerpts")
    if any(excerpt.probabilities.keys() != prediction.probabilities.keys() for excerpt in prediction.excerpts):
        raise ValueError("the excerpts have other genres than the track")
    if not prediction.device:
        raise ValueError("an answer has a device")


def _floats(embedding: object) -> FloatArray | None:
    if embedding is None:
        return None
    if not isinstance(embedding, bytes):
        raise TypeError("an embedding is stored as bytes")
    floats = np.frombuffer(embedding, "<f2").astype(np.float32)
    if not floats.size or not np.isfinite(floats).all():
        raise ValueError("an embedding has finite numbers")
    return floats


IN_MEMORY = Path(":memory:")
"""In the place of a file: what is known is forgotten when it is closed."""

BUSY_PAUSE_SECONDS = 0.01
"""Between two tries, where SQLite does not wait by itself."""

_PRIMARY = 0xFF
"""The part of SQLite's extended error codes that is the error's kind."""

_DIGEST_BYTES = 32

_N_STAMPS = 1 << 64
"""SQLite's integers have 64 bits, times of files in nanoseconds may have more: they are stored modulo this."""


class LibraryState:
    """The state file; safe to use from several threads, and by several runs at once.

    Parameters
    ----------
    path : Path
        Created if it is not there.
    plan : str
        What the answers depend on besides the file: the model and the excerpts it listens to.

    Raises
    ------
    StateError
        No such file can be written there, or it is something else.
    """

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self._plan = path, plan
        self._lock = Lock()
        if path != IN_MEMORY:
            prepare(path)
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._database.text_factory = bytes  # text that is not UTF-8 would be an error of SQLite's
        try:
            self._create()  # before the journal mode is set: what turns out to be another program's stays as it is
            # A killed process loses nothing in this mode; a power cut at most the last answers.
            self._keep_a_log()
            self._database.execute("PRAGMA synchronous=NORMAL")
        except BaseException as error:
            self._database.close()
            if isinstance(error, BROKEN):
                raise self._failed(error) from error
            raise

    def _keep_a_log(self) -> None:
        """Have changes written to a log beside the file, so that readers and a writer do not wait for each other."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:  # SQLite itself does not wait for a run that creates the file
                busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(BUSY_PAUSE_SECONDS)

    def _create(self) -> None:
        """Make the tables of a new file; several runs may try at the same time."""
        self._database.execute("BEGIN IMMEDIATE")
        if not check_schema(self._database, self.path, may_be_new=True):
            for statement in STATEMENTS:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._database.execute("COMMIT")

    def find(self, path: Path, status: os.stat_result) -> bytes | None:
        """Return the digest of a file that has not changed since it was seen, or None."""
        found = self._execute("SELECT size, mtime_ns, digest FROM files WHERE path = ?", os.fsencode(_absolute(path)))
        if found is None or found[:2] != _stamp(status):
            return None
        digest = found[2]
        return digest if isinstance(digest, bytes) and len(digest) == _DIGEST_BYTES else None

    def answer(self, digest: bytes) -> Prediction | GenreError | None:
        """Return the answer to a content, or None; a damaged one is none."""
        found = self._execute(
            "SELECT answer, embedding FROM answers WHERE digest = ? AND plan = ? AND length(answer) <= ? "
            "AND ifnull(length(embedding), 0) <= ?",
            *(digest, self._plan, LARGEST_BLOB, LARGEST_BLOB),
        )
        return None if found is None else unpacked(*found)

    def remember(self, path: Path, status: os.stat_result, digest: bytes) -> None:
        """Note which content a file has."""
        values = (os.fsencode(_absolute(path)), *_stamp(status), digest)
        self._execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", *values)

    def store(self, digest: bytes, result: Prediction | GenreError) -> None:
        """Keep the answer to a content."""
        self._execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", digest, self._plan, *packed(result))

    def carry_over(self, old: bytes, new: bytes) -> None:
        """Keep the answers to a content for another one that sounds the same: its tags alone were changed."""
        self._execute(
            "INSERT OR IGNORE INTO answers SELECT ?, plan, answer, embedding FROM answers WHERE digest = ?", new, old
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _execute(self, statement: str, *values: Any) -> Any:
        """Run a statement and return its first row, or None."""
        try:
            with self._lock:  # until the row is there: threads share the connection, and with it prepared statements
                return self._database.execute(statement, values).fetchone()
        except BROKEN as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StateError:
        return StateError(
            f"the state file {str(self.path)!r} failed ({error}): if it is damaged, remove it to begin anew; else "
            "check its permissions, make room, and run the same line again"
        )


def content_digest(path: Path) -> bytes:
    """Return the sha256 of a file's bytes.

    Raises
    ------
    OSError
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _stamp(status: os.stat_result) -> tuple[int, int]:
    """Return the size and the modification time of a file as SQLite can hold them."""
    half = _N_STAMPS // 2
    return status.st_size, (status.st_mtime_ns + half) % _N_STAMPS - half


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # a link keeps its own name
