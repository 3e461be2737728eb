"""Watches folders: yields audio files once they have stopped changing.

The system's notices of changes only say where to look. What counts is the size and modification time of each file,
so that a lost notice, a kill or a drive that goes away costs time, but no file.
"""

from __future__ import annotations

import math
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.scan import AUDIO_SUFFIXES, Finder

RESCAN_SECONDS = 600.0
"""Time between two searches of the folders for files that no notice named."""

RETRY_SECONDS = 600.0
"""Time until a file is tried again whose error may pass; each further time is twice as long."""

LONGEST_RETRY_SECONDS = 86_400.0

MOST_FAILURES = 3
"""Times that the system may refuse in a row to watch the folders."""

FALLBACK_SECONDS = 60.0
"""Time between two searches if the system refuses to watch the folders."""

TICK_SECONDS = 1.0
"""Longest time to wait for notices before the folders themselves are checked."""

BATCH = 64
"""Most files that are handed out before the folders are checked again."""

REMOTE = ("nfs", "cifs", "smb", "ceph", "9p", "afs")
"""Beginnings of the names of file systems that refuse leases although no program writes to a file."""

LONGEST_OGG_PAGE = 27 + 255 + 255 * 255
"""Bytes."""

Stamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""


class FolderWatch:
    """Finds new and changed audio files in folders, and hands out each once it has settled.

    Parameters
    ----------
    folders : iterable of path
        Those within another one are dropped.
    settle_seconds : float
        How long the size and the modification time of a file have to stay the same.
    poll_seconds : float or None
        Search the folders this often, without notices of the system; None to use the notices.
    stop : Event
        Ends the watch when set from another thread or a signal handler.
    report : callable
        Takes lines about folders that go away and come back.

    Raises
    ------
    MissingDependencyError
        watchfiles is not installed, and needed.
    """

    def __init__(
        self,
        folders: Iterable[Path | str],
        *,
        settle_seconds: float,
        poll_seconds: float | None,
        stop: Event,
        report: Callable[[str], None],
    ) -> None:
        self.folders = _outermost(folders)
        self._settle, self._poll, self._stop, self._report = settle_seconds, poll_seconds, stop, report
        self._unreadable: set[str] = set()
        self._retries: Counter[Path] = Counter()
        self._handled: dict[Path, Stamp] = {}
        self._pending: dict[Path, tuple[Stamp, float]] = {}
        self._new_folders: dict[Path, float] = {}
        self._identities: dict[Path, tuple[int, int] | None] = {}
        self._next_scan, self._settled_by = 0.0, math.inf
        self._n_handed_out = self._n_failures = 0
        self._notices: Iterator[set[Path]] = iter(())
        if poll_seconds is None:
            _import_watchfiles()

    @property
    def caught_up(self) -> bool:
        """Whether every file that the first search found was handed out, or is still changing."""
        return time.monotonic() >= self._settled_by and self._n_handed_out < BATCH

    def batches(self) -> Iterator[list[Path]]:
        """Yield lists of settled files, often empty, until the watch is stopped; a file that changes comes again."""
        while not self._stop.is_set():
            if self._folders_changed():
                self._notices, self._next_scan = self._wait(), 0.0
                self._take_notices()  # the system watches from now on: the search misses nothing
            if time.monotonic() >= self._next_scan:
                self._search(map(str, self.folders))
                self._next_scan = time.monotonic() + (self._poll or RESCAN_SECONDS)
                self._settled_by = min(self._settled_by, time.monotonic() + self._settle)
            self._search_new_folders()
            batch = self._settled()
            self._n_handed_out = len(batch)
            yield batch
            if len(batch) < BATCH:  # otherwise there may be more
                self._take_notices()

    def is_unchanged(self, path: Path) -> bool:
        """Return whether a file is as it was handed out, and no program is writing to it.

        Otherwise it will be handed out again if it still exists.

        Parameters
        ----------
        path : Path
        """
        stamp = _stamp(path)
        if stamp is not None and stamp == self._handled.get(path) and not is_being_written(path):
            return True
        self._handled.pop(path, None)
        if stamp is not None:
            self._pending[path] = (stamp, time.monotonic())
        return False

    def accept(self, path: Path) -> None:
        """Take a file as it is now for handled: its tags were written.

        Parameters
        ----------
        path : Path
        """
        stamp = _stamp(path)
        if stamp is not None:
            self._handled[path] = stamp
        self._retries.pop(path, None)

    def retry(self, path: Path) -> None:
        """Hand out a file again later, even if it does not change.

        Parameters
        ----------
        path : Path
        """
        stamp = self._handled.pop(path, None)
        if stamp is not None:
            pause = min(RETRY_SECONDS * 2 ** self._retries[path], LONGEST_RETRY_SECONDS)
            self._retries[path] += 1
            self._pending[path] = (stamp, time.monotonic() + pause)

    def _folders_changed(self) -> bool:
        """Report folders that went away or came back; return whether there are any."""
        changed = False
        for folder in self.folders:
            identity = _identity(folder)
            if folder in self._identities and identity == self._identities[folder]:
                continue
            known = folder in self._identities
            before, self._identities[folder] = self._identities.get(folder), identity
            changed = True
            if identity is None:
                self._report(f"{folder}: the folder is not there, waiting for it")
            elif known:
                words = "is back" if before is None else "was replaced, or a drive mounted or unmounted there"
                self._report(f"{folder}: the folder {words}: searching it")
        return changed

    def _search(self, names: Iterable[str]) -> None:
        finder = Finder(self._stop)
        for path in finder.find(names):
            self._note(path)
        for error in finder.unreadable:
            folder = os.fsdecode(error.filename or "")
            if not isinstance(error, FileNotFoundError) and folder not in self._unreadable:
                self._unreadable.add(folder)  # said once
                self._report(f"{folder}: the folder cannot be read: {error.strerror}")

    def _search_new_folders(self) -> None:
        """Search folders a second time that a notice named: files may have come before the system watched them."""
        now = time.monotonic()
        due = [folder for folder, when in self._new_folders.items() if when <= now]
        for folder in due:
            del self._new_folders[folder]
        self._search([str(folder) for folder in due if folder.is_dir()])

    def _notice(self, path: Path) -> None:
        """Look at a path that the system named."""
        folder = next((folder for folder in self.folders if path.is_relative_to(folder)), None)
        if folder is None or path == folder:
            return
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):
            return
        if any(folder.joinpath(*parts[:n]).is_symlink() for n in range(1, len(parts))):
            return
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.is_dir():
            self._note(path)
        elif path.is_dir() and not path.is_symlink():
            self._search([str(path)])
            self._new_folders[path] = time.monotonic() + self._settle

    def _note(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp is None or self._handled.get(path) == stamp:
            return
        pending = self._pending.get(path)
        if pending is None or pending[0] != stamp:
            self._pending[path] = (stamp, time.monotonic())

    def _settled(self) -> list[Path]:
        """Take files from the pending ones whose time is over; of those that changed, the time begins again."""
        now = time.monotonic()
        batch: list[Path] = []
        for path, (stamp, since) in list(self._pending.items()):
            if self._stop.is_set() or len(batch) >= BATCH:
                break
            if now - since < self._settle:
                continue
            found = _stamp(path)
            if found == stamp and not is_being_written(path):
                del self._pending[path]
                self._handled[path] = stamp
                batch.append(path)
            elif found is None:
                del self._pending[path]
            else:
                self._pending[path] = (found, now)
        return batch

    def _take_notices(self) -> None:
        for path in next(self._notices, ()):
            self._notice(path)

    def _wait(self) -> Iterator[set[Path]]:
        """Wait for notices; yield their paths, an empty set after a while without one."""
        there = [folder for folder, identity in self._identities.items() if identity is not None]
        if self._poll is None and there:
            try:
                for paths in self._system_notices(there):
                    self._n_failures = 0
                    yield paths
            except FileNotFoundError:  # a folder went away just now, which the next check finds
                pass
            except (OSError, RuntimeError) as error:  # also for a name that is not UTF-8
                self._n_failures += 1
                if self._n_failures > MOST_FAILURES:
                    self._poll = FALLBACK_SECONDS
                    self._report(
                        f"the system cannot watch the folders ({error}): searching them every {self._poll:g} s"
                    )
                self._identities.clear()  # watch and search again: notices were lost
        while True:
            settling = any(since <= time.monotonic() for _, since in self._pending.values())
            self._stop.wait(min(self._settle, TICK_SECONDS) if settling or self._poll is None else self._poll)
            yield set()

    def _system_notices(self, folders: list[Path]) -> Iterator[set[Path]]:
        milliseconds = round(1000 * min(self._settle, TICK_SECONDS))
        changes = _import_watchfiles().watch(
            *folders,
            watch_filter=None,
            debounce=milliseconds,
            rust_timeout=milliseconds,
            yield_on_timeout=True,
            stop_event=self._stop,
            ignore_permission_denied=True,
        )
        for found in changes:
            yield {Path(name) for _, name in found}


def _import_watchfiles() -> Any:
    try:
        import watchfiles
    except ImportError as error:
        raise MissingDependencyError(
            "watchfiles is not installed: install genre-runtime[watch], or give --poll SECONDS"
        ) from error
    return watchfiles


def is_being_written(path: Path) -> bool:
    """Return whether a program has a file open for writing; False where the system does not tell.

    Linux tells it about local files of this user, by refusing a read lease. While the lease is held, for some
    microseconds, a program that opens the file for writing causes the signal SIGIO, which the caller has to ignore.

    Parameters
    ----------
    path : Path
    """
    if sys.platform != "linux":
        return False
    import fcntl

    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return not _is_remote(os.fstat(descriptor).st_dev)
        finally:
            os.close(descriptor)
    return False


def _is_remote(device: int) -> bool:
    """Return whether a device number is that of a network file system (Linux)."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[fields.index("-") + 1].startswith(REMOTE)
    return False


def lacks_its_end(path: Path) -> bool:
    """Return whether a file is an Ogg stream without its last page: unlike other formats, it announces no length.

    Parameters
    ----------
    path : Path
    """
    with suppress(OSError), path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(0, path.stat().st_size - LONGEST_OGG_PAGE))
        page = file.read(LONGEST_OGG_PAGE)
        page = page[page.rfind(b"OggS") :]
        is_last = len(page) > 26 and page[5] & 4
        return not is_last or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
    return False


def _outermost(folders: Iterable[Path | str]) -> list[Path]:
    """Return absolute paths, without those that lie within another one."""
    paths = list(dict.fromkeys(Path(os.path.abspath(folder)) for folder in folders))  # noqa: PTH100  # keeps links
    return [path for path in paths if not any(path != other and path.is_relative_to(other) for other in paths)]


def _stamp(path: Path) -> Stamp | None:
    """Return the stamp of a regular file that is not empty; None for anything else."""
    with suppress(OSError, ValueError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return status.st_size, status.st_mtime_ns
    return None


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what changes when a drive is mounted or unmounted; None if there is no folder."""
    with suppress(OSError):
        status = folder.stat()
        if stat.S_ISDIR(status.st_mode):
            return status.st_dev, status.st_ino
    return None
