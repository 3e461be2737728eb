"""The SQLite file of the long jobs: their requests, states and results.

Each result is committed together with the progress of its job, so a job goes on after a crash where it was: no file is
missing in its results, and none is there twice.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

from genre_api.schemas import Job
from genre_runtime.errors import StateError

ROWS_AT_ONCE = 16

_APPLICATION = 0x47654A6F
"""Marks the file in the header of its database."""
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, paths TEXT NOT NULL, job TEXT NOT NULL, plan TEXT
);
CREATE TABLE files (job INTEGER NOT NULL, number INTEGER NOT NULL, path BLOB NOT NULL, row BLOB,
    PRIMARY KEY (job, number)) WITHOUT ROWID;
PRAGMA application_id={_APPLICATION};
PRAGMA user_version={_VERSION};
"""
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100


class JobFile:
    """The SQLite file of the jobs, open in one process at a time. Not thread-safe.

    Parameters
    ----------
    path : Path
        Created if it does not exist.

    Raises
    ------
    StateError
        The file is in use, cannot be written, or is another program's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            _create_or_check(path)
            self._database = sqlite3.connect(path, timeout=0, check_same_thread=False, isolation_level=None)
            try:
                # The lock is held until the file is closed or the process dies: a second service must not run the jobs.
                self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=NORMAL")
                with self._transaction():
                    pass
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def jobs(self) -> list[tuple[int, Job]]:
        """Return the number and state of each job, the oldest first."""
        with self._told():
            rows = self._database.execute("SELECT number, job FROM jobs ORDER BY number").fetchall()
            return [(number, Job.model_validate_json(job)) for number, job in rows]

    def add(self, job: Job, paths: Sequence[str]) -> int:
        """Add a job and return its number.

        Parameters
        ----------
        job : Job
        paths : sequence of str
            As the client named them.
        """
        statement = "INSERT INTO jobs (id, paths, job) VALUES (?, ?, ?)"
        with self._told():
            cursor = self._database.execute(statement, (job.id, json.dumps(paths), job.model_dump_json()))
            return int(cursor.lastrowid or 0)

    def request(self, number: int) -> tuple[list[str], str | None]:
        """Return the paths of a job, and the plan it was begun with.

        Parameters
        ----------
        number : int
            Number of the job.
        """
        with self._told():
            paths, plan = self._database.execute("SELECT paths, plan FROM jobs WHERE number = ?", (number,)).fetchone()
            return json.loads(paths), plan

    def save(self, number: int, job: Job) -> None:
        """Store the state of a job.

        Parameters
        ----------
        number : int
            Number of the job.
        job : Job
        """
        with self._told():
            self._save(number, job)

    def save_files(self, number: int, job: Job, names: Sequence[str], plan: str) -> None:
        """Store the files of a job together with its state.

        Parameters
        ----------
        number : int
            Number of the job.
        job : Job
        names : sequence of str
            Names of the files, in the order of the results.
        plan : str
            What the results depend on besides the files.
        """
        rows = ((number, index, os.fsencode(name)) for index, name in enumerate(names, 1))
        with self._told(), self._transaction():
            self._database.executemany("INSERT INTO files (job, number, path) VALUES (?, ?, ?)", rows)
            self._database.execute("UPDATE jobs SET plan = ? WHERE number = ?", (plan, number))
            self._save(number, job)

    def name(self, number: int, index: int) -> str:
        """Return the name of a file of a job.

        Parameters
        ----------
        number : int
            Number of the job.
        index : int
            Number of the file, from 1.
        """
        statement = "SELECT path FROM files WHERE job = ? AND number = ?"
        with self._told():
            return os.fsdecode(self._database.execute(statement, (number, index)).fetchone()[0])

    def save_row(self, number: int, job: Job, row: str) -> None:
        """Store a result together with the state of its job.

        Parameters
        ----------
        number : int
            Number of the job.
        job : Job
            Its `n_done` is the number of the file.
        row : str
            The result in JSON.
        """
        packed = zlib.compress(row.encode(), 1)
        with self._told(), self._transaction():
            self._database.execute(
                "UPDATE files SET row = ? WHERE job = ? AND number = ?", (packed, number, job.n_done)
            )
            self._save(number, job)

    def rows(self, number: int, after: int) -> list[str]:
        """Return up to `ROWS_AT_ONCE` results of a job.

        Parameters
        ----------
        number : int
            Number of the job.
        after : int
            Number of the results to skip.
        """
        statement = "SELECT row FROM files WHERE job = ? AND number > ? AND row NOT NULL ORDER BY number LIMIT ?"
        with self._told():
            rows = self._database.execute(statement, (number, after, ROWS_AT_ONCE)).fetchall()
            return [zlib.decompress(row).decode() for (row,) in rows]

    def remove(self, number: int) -> None:
        """Remove a job and its results.

        Parameters
        ----------
        number : int
            Number of the job.
        """
        with self._told(), self._transaction():
            self._database.execute("DELETE FROM files WHERE job = ?", (number,))
            self._database.execute("DELETE FROM jobs WHERE number = ?", (number,))

    def _save(self, number: int, job: Job) -> None:
        self._database.execute("UPDATE jobs SET job = ? WHERE number = ?", (job.model_dump_json(), number))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):  # some errors have ended the transaction
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the errors of SQLite and of damaged contents into those of the project."""
        try:
            yield
        except StateError:
            raise
        except sqlite3.OperationalError as error:
            advice = "end the other process that uses it" if "locked" in str(error) else "check its disk"
            raise StateError(f"the job file {str(self._path)!r} cannot be used ({error}): {advice}") from error
        except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
            raise StateError(
                f"the job file {str(self._path)!r} is damaged ({type(error).__name__}): name another file"
            ) from error
        except OSError as error:
            raise StateError(f"the job file {str(self._path)!r} cannot be used: {error.strerror}") from error


def _create_or_check(path: Path) -> None:
    """Create a missing or empty file whole, readable by its owner only, or check the header of an existing one."""
    try:
        with path.open("rb") as file:
            regular, header = stat.S_ISREG(os.fstat(file.fileno()).st_mode), file.read(_HEADER_BYTES)
    except FileNotFoundError:
        regular, header = True, b""
    if regular and not header:
        _create(path)
        return
    numbers = tuple(int.from_bytes(header[start : start + 4], "big") for start in (68, 60))
    if not regular or not header.startswith(_MAGIC) or numbers != (_APPLICATION, _VERSION):
        raise StateError(f"{str(path)!r} is not a job file of this version: name another file in GENRE_JOBS")


def _create(path: Path) -> None:
    descriptor, name = mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(name)) as database:
            database.executescript(_SCHEMA)
        if not path.exists() or not path.stat().st_size:  # another service may have been faster
            Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
