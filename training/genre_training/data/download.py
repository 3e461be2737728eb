"""Room on a disk, and files that are written in one piece or not at all.

Zip archives unpacked file by file, so that an interrupted run is taken up where it stopped.

Python's own reader, since some builds of `unzip` fail on FMA's archives (mdeff/fma#5).

Large files over HTTP: a download that was interrupted goes on where it stopped.

What is not finished is called `<name>.part`; a file without that ending is whole.
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

RUN_FOLDER = "run"
"""Beside a checkpoint: everything about the run that made it."""

STATE_NAME = "last.pt"
"""In the folder of a run that is not finished: the state after the last whole epoch."""


class DownloadError(GenreError, OSError):
    """A file could not be fetched or unpacked: the network, the server, the disk or the file itself."""

    code = "download"


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise a DownloadError unless `needed` bytes are free where `folder`, which exists, lies."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder} has {readable(free)} free, {what} need {readable(needed)}: free some space or choose another "
            "folder"
        )


@contextmanager
def disk_guard(folder: Path, needed: int) -> Iterator[None]:
    """Turn a full disk into a DownloadError that names the `needed` bytes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadError(
            f"the disk of {folder} is full, {readable(needed)} were still to be written: free some space and run the "
            "same command again, which goes on from there"
        ) from error


def part_of(target: Path) -> Path:
    """Return the name that `target` has until it is whole."""
    return target.with_name(f"{target.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    return path.stat().st_size if path.is_file() else 0


def readable(n_bytes: int) -> str:
    """Write a number of bytes as MiB or GiB."""
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"


COPY_BYTES = 1 << 20


def extract(archive: Path, folder: Path, wanted: Collection[str] | None = None) -> None:
    """Unpack a zip archive below `folder`; members that are there with the right size are skipped.

    Parameters
    ----------
    archive, folder : Path
    wanted : collection of str, optional
        Names of the only members to unpack.

    Raises
    ------
    DownloadError
        A damaged archive, a member that would land outside `folder`, or too little space.
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
            shutil.copyfileobj(source, file, COPY_BYTES)
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
            f"{archive} holds a member named {name!r}: expected names below its own folder; nothing was unpacked, "
            "do not use this archive"
        )


ATTEMPTS = 5
"""Failures in a row, none of them bringing anything new, before a download is given up."""
READ_TIMEOUT = 60.0
CHUNK_BYTES = 1 << 20
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


class _BrokenConnectionError(Exception):
    """Worth another attempt."""


def fetch(url: str, target: Path, sha1: str, size: int, unpacked: int = 0, pause: float = 1.0) -> None:
    """Download `url` to `target`, going on with what an earlier attempt left; nothing is done if `target` is there.

    Parameters
    ----------
    url : str
        http or https.
    target : Path
        File to write.
    sha1 : str
        Checksum of the whole file, hexadecimal.
    size : int
        About how many bytes it has, for the free space and until the server says.
    unpacked : int
        Bytes its contents will take beside it.
    pause : float
        Seconds before the first new attempt; doubled for each further one.

    Raises
    ------
    DownloadError
        Too little space, no connection in `ATTEMPTS` attempts, a refusal of the server, or a wrong checksum, after
        which the file is removed.
    """
    if target.is_file():
        return
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url!r} is no address to download from: expected http:// or https://")
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
                        "check the connection and run the same command again, which goes on from there"
                    ) from error
                bar.set_postfix_str(f"{error}; trying again")
                time.sleep(pause * 2 ** max(0, failures - 1))
    _verify(part, sha1, url)
    part.replace(target)


def _receive(url: str, part: Path, bar: tqdm, unpacked: int) -> None:
    """Append to `part` what is missing, or write it anew if the server sends everything."""
    response = _request(url, part)
    if response is None:
        return
    with response:
        # A server that knows no Range answers 200 and begins at the beginning.
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
    """Ask for what is missing of `part`; None if that is nothing."""
    start = size_of(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - http(s), by fetch
    try:
        response = cast(HTTPResponse, urlopen(request, timeout=READ_TIMEOUT))  # noqa: S310
    except HTTPError as error:
        error.close()
        answered = f"the server answered {error.code} {printable(error.reason)}"  # its words may steer a terminal
        if error.code == 416 and start:
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return None
            part.unlink()  # not the beginning of this file
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
            f"{url}: {size} bytes with SHA-1 {digest.hexdigest()} arrived, expected {sha1}; they were removed: "
            "run the same command again, and if that ends here too, the file on the server has changed"
        )


def _bar(description: str, total: int) -> tqdm:
    return tqdm(desc=description, total=total, unit="B", unit_scale=True, unit_divisor=1024)
