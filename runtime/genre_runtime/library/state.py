"""What is known of a library from earlier runs: one SQLite file.

An answer is found again by path, size and modification time, or else by the file's content, so that a file that was
moved, copied or touched is not listened to twice. Every answer is committed as soon as it is there: whatever ends a
run, the next one goes on behind it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path
from threading import Lock
from typing import Any

from genre_runtime.errors import GenreError
from genre_runtime.library.errors import StateError as StateError
from genre_runtime.library.state_file import BROKEN, BUSY_SECONDS, SCHEMA_VERSION, STATEMENTS, check_schema, prepare
from genre_runtime.library.state_rows import LARGEST_BLOB, packed, unpacked
from genre_runtime.prediction import Prediction

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
