"""The state file: an SQLite database with the answers of earlier runs.

An answer is found by path, size and modification time, or else by the file's content, so a file that was moved, copied
or touched is not analysed twice. Each answer is committed at once, so an interrupted run can be continued.

A file is checked before it is changed. SQLite writes to a database as soon as its journal mode is set, and leaves files
beside it; the database of another program must not be touched. Its tables are therefore read first, through a
connection that cannot write and takes no lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from genre_runtime import __version__
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import LASTING, GenreError, RecordedError, StateError
from genre_runtime.library.results.read import UNFIT
from genre_runtime.prediction import Prediction, mean_embedding

IN_MEMORY = Path(":memory:")
"""Used instead of a path: the answers are kept until the state is closed."""

SCHEMA_VERSION = 1
N_TAGS = "n_tags"
"""Key of a stored answer: so many numbers at the end of each excerpt's embedding are the probabilities of its tags."""

SCHEMA = """
CREATE TABLE answers (
    digest BLOB NOT NULL, plan TEXT NOT NULL, answer BLOB NOT NULL, embedding BLOB, PRIMARY KEY (digest, plan)
) WITHOUT ROWID;
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL)
WITHOUT ROWID;
"""

STATEMENTS = tuple(" ".join(statement.split()) for statement in SCHEMA.split(";") if statement.strip())

MAGIC = b"SQLite format 3\0"
"""First bytes of every SQLite database."""

BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""Errors of a damaged database; the second is raised if SQLite's message quotes bytes that are not UTF-8."""

BUSY_SECONDS = 30.0
"""How long to wait for another run that writes to the same file."""

BUSY_PAUSE_SECONDS = 0.01
"""Time between two attempts, where SQLite does not wait by itself."""

LARGEST_BLOB = 1 << 26
"""Bytes of a stored answer or embedding."""

LARGEST_ANSWER = 1 << 26
"""Bytes of an unpacked answer; a day of ten-second excerpts has about four million."""

ADVICE = "name another file, or, if this is a damaged state file, remove it to start again"

_KNOWN = (
    "SELECT files.path, files.digest, answer, embedding FROM files JOIN answers ON answers.digest = files.digest "
    "WHERE (plan = ?1 OR plan GLOB ?1 || ' *') AND length(answer) <= ?2 AND ifnull(length(embedding), 0) <= ?2 "
    "ORDER BY files.path"
)

_CODES = {error.code for error in LASTING}
_DIGEST_BYTES = 32

_PRIMARY = 0xFF
"""Mask of the general part of SQLite's extended error codes."""

_N_STAMPS = 1 << 64
"""Modulus of stored times: SQLite's integers have 64 bits, file times in nanoseconds may have more."""


class LibraryState:
    """An open state file; can be used by several threads and by several runs at once.

    Parameters
    ----------
    path : Path
        Created if it does not exist; `IN_MEMORY` for none.
    plan : str
        What the answers depend on besides the file, see `analysis.plan_of`.

    Raises
    ------
    StateError
        The file cannot be written, or is not a state file.
    """

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self._plan = path, plan
        self._lock = Lock()
        if path != IN_MEMORY:
            _prepare(path)
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._database.text_factory = bytes  # SQLite would raise an error for text that is not UTF-8
        try:
            self._create_tables()  # before the journal mode is set, so another program's database is not changed
            # A killed process loses nothing in this mode, a power cut at most the last answers.
            self._use_log()
            self._database.execute("PRAGMA synchronous=NORMAL")
        except BaseException as error:
            self._database.close()
            if isinstance(error, BROKEN):
                raise self._failed(error) from error
            raise

    def find(self, path: Path, status: os.stat_result) -> bytes | None:
        """Return the digest of a file that has not changed since it was remembered, or None.

        Parameters
        ----------
        path : Path
        status : os.stat_result
            The file's present size and modification time.

        Raises
        ------
        StateError
        """
        found = self._execute("SELECT size, mtime_ns, digest FROM files WHERE path = ?", _key(path))
        if found is None or found[:2] != _stamp(status):
            return None
        digest = found[2]
        return digest if isinstance(digest, bytes) and len(digest) == _DIGEST_BYTES else None

    def remember(self, path: Path, status: os.stat_result, digest: bytes) -> None:
        """Store the digest of a file.

        Parameters
        ----------
        path : Path
        status : os.stat_result
            Size and modification time of the file when the digest was computed.
        digest : bytes
            See `content_digest`.

        Raises
        ------
        StateError
        """
        self._execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", _key(path), *_stamp(status), digest)

    def answer(self, digest: bytes) -> Prediction | GenreError | None:
        """Return the stored answer for a content; None if there is none or it is damaged.

        Parameters
        ----------
        digest : bytes
            See `content_digest`.

        Raises
        ------
        StateError
        """
        found = self._execute(
            "SELECT answer, embedding FROM answers WHERE digest = ? AND plan = ? AND length(answer) <= ? "
            "AND ifnull(length(embedding), 0) <= ?",
            *(digest, self._plan, LARGEST_BLOB, LARGEST_BLOB),
        )
        return None if found is None else _unpacked(*found)

    def store(self, digest: bytes, result: Prediction | GenreError) -> None:
        """Store the answer for a content.

        Parameters
        ----------
        digest : bytes
            See `content_digest`.
        result : Prediction or GenreError

        Raises
        ------
        StateError
        """
        self._execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", digest, self._plan, *_packed(result))

    def carry_over(self, old: bytes, new: bytes) -> None:
        """Copy the answers of a content to another one with the same audio, whose tags were changed.

        Parameters
        ----------
        old, new : bytes
            Digests, see `content_digest`.

        Raises
        ------
        StateError
        """
        self._execute(
            "INSERT OR IGNORE INTO answers SELECT ?, plan, answer, embedding FROM answers WHERE digest = ?", new, old
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _create_tables(self) -> None:
        """Create the tables of a new file; several runs may try at the same time."""
        self._database.execute("BEGIN IMMEDIATE")
        if not _has_tables(self._database, self.path):
            for statement in STATEMENTS:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._database.execute("COMMIT")

    def _use_log(self) -> None:
        """Write changes to a log beside the file (WAL), so that readers and a writer do not wait for each other."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:  # SQLite does not wait for a run that creates the file
                busy = error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
            time.sleep(BUSY_PAUSE_SECONDS)

    def _execute(self, statement: str, *values: Any) -> Any:
        """Run a statement and return its first row, or None."""
        try:
            with self._lock:  # until the row is fetched: threads share the connection and its prepared statements
                return self._database.execute(statement, values).fetchone()
        except BROKEN as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StateError:
        return StateError(
            f"the state file {str(self.path)!r} failed ({error}): if it is damaged, remove it to start again; else "
            "check its permissions, make room, and run the same line again"
        )


def stored_answers(path: Path, plan: str) -> Iterator[tuple[Path, bytes, Prediction]]:
    """Yield the path, digest and prediction of each file in a state file, in the order of paths; errors are left out.

    The file is only read, row by row, also while another run writes to it. Damaged rows are left out.

    Parameters
    ----------
    path : Path
    plan : str
        See `analysis.plan_of`. Its first word, the model's checksum, stands for any number of excerpts; a file that was
        analysed with several numbers then appears as often.

    Raises
    ------
    StateError
        The file does not exist, cannot be read, or is not a state file.
    """
    if not path.is_file():
        raise StateError(f"no state file at {str(path)!r}: write one with `genre classify --state`, or check the path")
    try:
        with closing(_opened_to_read(path)) as database:
            if not _has_tables(database, path):
                return
            for name, digest, answer, embedding in database.execute(_KNOWN, (plan, LARGEST_BLOB)):
                if isinstance(name, bytes) and isinstance(digest, bytes):
                    prediction = _unpacked(answer, embedding)
                    if isinstance(prediction, Prediction):
                        yield Path(os.fsdecode(name)), digest, prediction
    except BROKEN as error:
        raise StateError(f"the state file {str(path)!r} is damaged ({error}): {ADVICE}") from error


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """Open a state file for reading; in a folder that cannot be written to, SQLite cannot share its log."""
    database = _read_only(path, immutable=False)
    try:
        database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        database.close()
        if not isinstance(error, sqlite3.OperationalError):
            raise
        return _read_only(path, immutable=True)
    return database


def content_digest(path: Path) -> bytes:
    """Return the SHA-256 of a file's bytes.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100  # a link keeps its own name


def _stamp(status: os.stat_result) -> tuple[int, int]:
    """Return the size and the modification time of a file as SQLite can store them."""
    half = _N_STAMPS // 2
    return status.st_size, (status.st_mtime_ns + half) % _N_STAMPS - half


def _prepare(path: Path) -> None:
    """Create the state file, readable by its owner only, or check an existing file without changing it."""
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


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would follow the umask
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _check_tables(path: Path) -> None:
    try:
        with closing(_read_only(path, immutable=True)) as database:
            if _has_tables(database, path):
                return
    except (StateError, *BROKEN):
        if _uses_log(path):  # the tables of a state file with a log are complete
            raise
    # Another run may be creating the tables, or they are in the log of a killed one: read the log as well.
    with closing(_read_only(path, immutable=False)) as database:
        _has_tables(database, path)


def _has_tables(database: sqlite3.Connection, path: Path) -> bool:
    """Return whether a database has the tables of a state file; False if it is new, StateError if it has others."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    found = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
    if not version and not application and not found:
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


def _uses_log(path: Path) -> bool:
    """Return whether the header says that changes are written to a log (WAL)."""
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


def _unusable(path: Path, reason: str) -> StateError:
    return StateError(
        f"the state file {str(path)!r} cannot be used ({reason}): name another one, or a folder that can be written to"
    )


def _packed(result: Prediction | GenreError) -> tuple[bytes, bytes | None]:
    """Return the answer, and the embedding and the tags of each excerpt, as bytes."""
    if isinstance(result, GenreError):
        values: dict[str, Any] = {"error": {"code": result.code, "message": str(result), "version": __version__}}
        return zlib.compress(json.dumps(values).encode()), None
    values = result.to_dict()
    rows = [excerpt.embedding for excerpt in result.excerpts if excerpt.embedding is not None]
    tags = [excerpt.tags for excerpt in result.excerpts if excerpt.tags is not None]
    if rows and len(tags) == len(rows):
        values[N_TAGS] = tags[0].size
        rows = [np.concatenate(parts) for parts in zip(rows, tags, strict=True)]
    vectors = np.array(rows, "<f2").tobytes() if len(rows) == len(result.excerpts) else None
    return zlib.compress(json.dumps(values).encode()), vectors


def _unpacked(answer: object, embedding: object) -> Prediction | GenreError | None:
    """Return what was packed; None if it is damaged or outdated, so the file is classified again."""
    try:
        values = json.loads(_inflated(answer))
        if isinstance(values, dict) and "error" in values:
            return _error(values["error"])
        prediction = _with_vectors(Prediction.from_dict(values), _floats(embedding), values.get(N_TAGS, 0))
    except (*UNFIT, zlib.error):
        return None
    labels = prediction.probabilities.keys()
    same_labels = all(excerpt.probabilities.keys() == labels for excerpt in prediction.excerpts)
    return prediction if prediction.excerpts and prediction.device and same_labels else None


def _with_vectors(prediction: Prediction, floats: FloatArray | None, n_tags: int) -> Prediction:
    """Give the excerpts their embeddings and tags, and the track its mean embedding."""
    if floats is None:
        return prediction
    rows = floats.reshape(len(prediction.excerpts), -1)
    n_features = rows.shape[1] - n_tags
    if not 0 < n_features <= rows.shape[1]:
        raise ValueError(f"{N_TAGS} is {n_tags!r} of {rows.shape[1]} numbers")
    excerpts = tuple(
        replace(one, embedding=row[:n_features], tags=row[n_features:] if n_tags else None)
        for one, row in zip(prediction.excerpts, rows, strict=True)
    )
    return replace(prediction, excerpts=excerpts, embedding=mean_embedding(excerpts))


def _inflated(answer: object) -> bytes:
    if not isinstance(answer, bytes):
        raise TypeError("an answer is stored as bytes")
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(answer, LARGEST_ANSWER)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the answer is cut short or too long")
    return content


def _error(values: Any) -> GenreError | None:
    if values["version"] != __version__:  # the decoders of another version may read the file
        return None
    code, message = values["code"], values["message"]
    return RecordedError(code, message) if code in _CODES and isinstance(message, str) else None


def _floats(embedding: object) -> FloatArray | None:
    if embedding is None:
        return None
    if not isinstance(embedding, bytes):
        raise TypeError("an embedding is stored as bytes")
    floats = np.frombuffer(embedding, "<f2").astype(np.float32)
    if not floats.size or not np.isfinite(floats).all():
        raise ValueError("an embedding has finite numbers")
    return floats
