"""Whether a file is a state file: decided without changing a byte of it, whatever it is.

SQLite writes to a database as soon as its journal mode is set, and leaves files beside it. A database of another
program must not be touched, so its tables are read first, from a connection that cannot write and takes no lock.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from genre_runtime.library.errors import StateError

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
