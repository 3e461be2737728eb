"""What is known of a library from earlier runs: one SQLite file.

An answer is found again by path, size and modification time, or else by the file's content, so that a file that was
moved, copied or touched is not listened to twice. Every answer is committed as soon as it is there: whatever ends a
run, the next one goes on behind it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import zlib
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from genre_runtime.errors import GenreError
from genre_runtime.prediction import FloatArray, Prediction
from genre_runtime.version import __version__

SCHEMA_VERSION = 1

IN_MEMORY = Path(":memory:")
"""In the place of a file: what is known is forgotten when it is closed."""

BUSY_SECONDS = 30.0
"""How long to wait for another run that writes into the same file."""

BUSY_PAUSE_SECONDS = 0.01
"""Between two tries, where SQLite does not wait by itself."""

_PRIMARY = 0xFF
"""The part of SQLite's extended error codes that is the error's kind."""

_SCHEMA = """
CREATE TABLE answers (
    digest BLOB NOT NULL, plan TEXT NOT NULL, answer BLOB NOT NULL, embedding BLOB, PRIMARY KEY (digest, plan)
) WITHOUT ROWID;
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL)
WITHOUT ROWID;
"""


class StateError(GenreError, ValueError):
    """The state file cannot be used."""

    code = "state"


class KnownError(GenreError, ValueError):
    """An error of an earlier run: neither file nor runtime has changed since, so it would be the same again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]


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
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            # A killed process loses nothing in this mode; a power cut at most the last answers.
            self._keep_a_log()
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._create()
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(error) from error
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

    def _unusable(self, error: sqlite3.Error) -> StateError:
        return StateError(
            f"the state file {str(self.path)!r} cannot be used ({error}): name another one, or a folder that can be "
            "written to"
        )

    def _create(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and not tables:
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._database.execute("COMMIT")
        if version not in (0, SCHEMA_VERSION) or (version == 0 and tables):
            raise StateError(
                f"{str(self.path)!r} is another program's database or another version's: expected a state file of "
                f"version {SCHEMA_VERSION}, so name another file"
            )

    def find(self, path: Path, status: os.stat_result) -> bytes | None:
        """Return the digest of a file that has not changed since it was seen, or None."""
        found = self._execute("SELECT size, mtime_ns, digest FROM files WHERE path = ?", os.fsencode(_absolute(path)))
        if found is None or found[:2] != (status.st_size, status.st_mtime_ns):
            return None
        digest: bytes = found[2]
        return digest

    def answer(self, digest: bytes) -> Prediction | GenreError | None:
        """Return the answer to a content, or None; a damaged one is none."""
        found = self._execute("SELECT answer, embedding FROM answers WHERE digest = ? AND plan = ?", digest, self._plan)
        return None if found is None else _unpacked(*found)

    def remember(self, path: Path, status: os.stat_result, digest: bytes) -> None:
        """Note which content a file has."""
        values = (os.fsencode(_absolute(path)), status.st_size, status.st_mtime_ns, digest)
        self._execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", *values)

    def store(self, digest: bytes, result: Prediction | GenreError) -> None:
        """Keep the answer to a content."""
        self._execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", digest, self._plan, *_packed(result))

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
        except sqlite3.Error as error:
            raise StateError(
                f"the state file {str(self.path)!r} failed ({error}): if it is damaged, remove it to begin anew; else "
                "make room and run the same line again"
            ) from error


def content_digest(path: Path) -> bytes:
    """Return the sha256 of a file's bytes.

    Raises
    ------
    OSError
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # a link keeps its own name


def _packed(result: Prediction | GenreError) -> tuple[bytes, bytes | None]:
    if isinstance(result, GenreError):
        values: dict[str, Any] = {"error": {"code": result.code, "message": str(result), "version": __version__}}
        return zlib.compress(json.dumps(values).encode()), None
    embedding = None if result.embedding is None else result.embedding.astype("<f2").tobytes()
    return zlib.compress(json.dumps(result.to_dict()).encode()), embedding


def _unpacked(answer: bytes, embedding: bytes | None) -> Prediction | GenreError | None:
    try:
        values = json.loads(zlib.decompress(answer))
        if "error" in values:
            if values["error"].get("version") != __version__:  # the decoders of another version may read the file
                return None
            return KnownError(values["error"]["code"], values["error"]["message"])
        return Prediction.from_dict(values, _floats(embedding))
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None


def _floats(embedding: bytes | None) -> FloatArray | None:
    return None if embedding is None else np.frombuffer(embedding, "<f2").astype(np.float32)
