"""Downloads of large files and unpacking of zip archives, both resumable; checks of free disk space.

An unfinished file is called `<name>.part`; a file without that ending is complete. Archives are unpacked with Python's
own reader, since some builds of `unzip` fail on FMA's archives (mdeff/fma#5).
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from genre_runtime.errors import GenreError
from genre_runtime.library.results.write import printable

ATTEMPTS = 5
"""Attempts in a row without new bytes before a download is given up."""
READ_TIMEOUT = 60.0
CHUNK_BYTES = 1 << 20
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(GenreError, OSError):
    """A file could not be fetched or unpacked: the network, the server, the disk or the file itself."""

    code = "download"


def require_space(folder: Path, needed: int, what: str) -> None:
    """Check that a disk has enough free space.

    Parameters
    ----------
    folder : Path
        An existing folder on the disk.
    needed : int
        Bytes.
    what : str
        What needs them, for the message.

    Raises
    ------
    DownloadError
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder} has {readable(free)} free, {what} need {readable(needed)}: free some space or choose another "
            "folder"
        )


@contextmanager
def disk_guard(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full disk into a DownloadError.

    Parameters
    ----------
    folder : Path
    needed : int
        Bytes still to be written, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            f"the disk of {folder} is full, {readable(needed)} were still to be written: free some space and run the "
            "same command again, which continues from there"
        ) from error


def part_of(target: Path) -> Path:
    """Return the name of a file until it is complete.

    Parameters
    ----------
    target : Path
    """
    return target.with_name(f"{target.name}.part")


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if it does not exist.

    Parameters
    ----------
    path : Path
    """
    return path.stat().st_size if path.is_file() else 0


def readable(n_bytes: int) -> str:
    """Format a number of bytes as MiB or GiB.

    Parameters
    ----------
    n_bytes : int
    """
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"


def extract(archive: Path, folder: Path, wanted: Collection[str] | None = None) -> None:
    """Unpack a zip archive below `folder`; members that exist with the right size are skipped.

    Parameters
    ----------
    archive, folder : Path
    wanted : collection of str, optional
        Names of the members to unpack; by default all.

    Raises
    ------
    DownloadError
        The archive is damaged, a member would be written outside `folder`, or the disk is too small.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [m for m in bundle.infolist() if not m.is_dir() and (wanted is None or m.filename in wanted)]
            for member in members:
                _refuse_unsafe(archive, member.filename)
            members = [m for m in members if not _is_there(m, folder)]
            left = sum(member.file_size for member in members)
            folder.mkdir(parents=True, exist_ok=True)
            require_space(folder, left, f"the contents of {archive.name}")
            for member in tqdm(members, f"unpacking {archive.name}", unit="file", disable=not members):
                with disk_guard(folder, left):
                    _extract_member(bundle, member, folder / member.filename)
                left -= member.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive} cannot be unpacked: {error}; remove it and run the command again") from error


def _extract_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    try:
        with bundle.open(member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    target = folder / member.filename
    return target.is_file() and target.stat().st_size == member.file_size


def _refuse_unsafe(archive: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise DownloadError(
            f"{archive} has a member named {name!r}: expected names below its own folder; nothing was unpacked, do not "
            "use this archive"
        )


class _BrokenConnectionError(Exception):
    """A failure after which another attempt may succeed."""


def fetch(url: str, target: Path, sha1: str, size: int, unpacked: int = 0, pause: float = 1.0) -> None:
    """Download a file, unless it exists; an earlier unfinished download is continued.

    Parameters
    ----------
    url : str
        http or https.
    target : Path
        File to write.
    sha1 : str
        Checksum of the whole file, hexadecimal.
    size : int
        Approximate number of bytes, for the check of free space and until the server gives the exact one.
    unpacked : int
        Bytes that its contents will need in addition.
    pause : float
        Seconds before the first new attempt; doubled for each further one.

    Raises
    ------
    DownloadError
        The disk is too small, `ATTEMPTS` attempts failed, the server refused, or the checksum is wrong; then the file
        is removed.
    """
    if target.is_file():
        return
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url!r} cannot be downloaded: expected http:// or https://")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    furthest = size_of(part)
    require_space(target.parent, max(0, size - furthest) + unpacked, f"{target.name} and its contents")
    failures = 0
    with _bar(target.name, size) as bar:
        while True:
            try:
                _receive(url, part, bar, unpacked)
                break
            except _BrokenConnectionError as error:
                failures = 0 if size_of(part) > furthest else failures + 1
                furthest = max(furthest, size_of(part))
                if failures == ATTEMPTS:
                    raise DownloadError(
                        f"{url}: {error}, {ATTEMPTS} times in a row; {readable(size_of(part))} are there: "
                        "check the connection and run the same command again, which continues from there"
                    ) from error
                bar.set_postfix_str(f"{error}; trying again")
                time.sleep(pause * 2 ** max(0, failures - 1))
    _verify(part, sha1, url)
    part.replace(target)


def _receive(url: str, part: Path, bar: tqdm, unpacked: int) -> None:
    """Append the missing bytes to `part`, or write it anew if the server sends the whole file."""
    response = _request(url, part)
    if response is None:
        return
    with response:
        # A server without support for Range answers 200 and sends the whole file.
        start = size_of(part) if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        bar.reset(total or bar.total)
        bar.update(start)
        with (
            disk_guard(part.parent, (total or bar.total) - start + unpacked),
            part.open("ab" if start else "wb") as file,
        ):
            while chunk := _read(response):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and size_of(part) < total:
        raise _BrokenConnectionError(f"the connection broke after {size_of(part)} of {total} bytes")


def _request(url: str, part: Path) -> HTTPResponse | None:
    """Request the missing bytes of `part`; None if nothing is missing."""
    start = size_of(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - http(s), by fetch
    try:
        response = cast(HTTPResponse, urlopen(request, timeout=READ_TIMEOUT))  # noqa: S310
    except HTTPError as error:
        error.close()
        answered = (
            f"the server answered {error.code} {printable(error.reason)}"  # the reason may have control characters
        )
        if error.code == 416 and start:
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return None
            part.unlink()  # it is not the beginning of this file
        elif error.code not in PASSING_STATUS:
            raise DownloadError(f"{url}: {answered}, expected the file: check the address") from error
        raise _BrokenConnectionError(answered) from error
    except (OSError, HTTPException) as error:
        raise _BrokenConnectionError(
            printable(getattr(error, "reason", "") or error) or type(error).__name__
        ) from error
    if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        response.close()
        part.unlink(missing_ok=True)
        raise _BrokenConnectionError("the server sent another range than the one asked for")
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _BrokenConnectionError(f"the connection broke: {printable(error) or type(error).__name__}") from error


def _verify(part: Path, sha1: str, url: str) -> None:
    digest = hashlib.sha1(usedforsecurity=False)
    size = size_of(part)
    with part.open("rb") as file, _bar("checking", size) as bar:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != sha1:
        part.unlink()
        raise DownloadError(
            f"{url}: received {size} bytes with SHA-1 {digest.hexdigest()}, expected {sha1}; they were removed: run "
            "the same command again; if it fails again, the file on the server has changed"
        )


def _bar(description: str, total: int) -> tqdm:
    return tqdm(desc=description, total=total, unit="B", unit_scale=True, unit_divisor=1024)
