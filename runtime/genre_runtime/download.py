"""Downloads of large files, which continue where they were interrupted; checks of free disk space.

An unfinished file is called `<name>.part`; a file without that ending is complete, and its checksum is right.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import Path
from typing import IO, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from genre_runtime.errors import DownloadError
from genre_runtime.terminal import escaped

ATTEMPTS = 5
"""Attempts in a row with hardly any new bytes before a download is given up."""
READ_TIMEOUT = 60.0
SLOWEST_BYTES = 1 << 14
"""A connection that brings less in `READ_TIMEOUT` seconds is broken off, and counts as one that brought nothing."""
CHUNK_BYTES = 1 << 20
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)


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
    """Turn a full disk, and any other error of the file system, into a DownloadError.

    Parameters
    ----------
    folder : Path
    needed : int
        Bytes still to be written, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a DownloadError, or damaged data
            raise
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(
                f"{error.filename or folder} cannot be read or written: {error.strerror}; check the permissions and "
                "the disk, and run the same command again"
            ) from error
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


class _BrokenConnectionError(Exception):
    """A failure after which another attempt may succeed."""


def fetch(
    url: str, target: Path, checksum: str, size: int, unpacked: int = 0, pause: float = 1.0, algorithm: str = "sha1"
) -> None:
    """Download a file, unless it exists; an earlier unfinished download is continued.

    Parameters
    ----------
    url : str
        http or https.
    target : Path
        File to write.
    checksum : str
        Of the whole file, hexadecimal; its first digits are enough.
    size : int
        Approximate number of bytes, for the check of free space; a file of more than twice as many is refused.
    unpacked : int
        Bytes that its contents will need in addition.
    pause : float
        Seconds before the first new attempt; doubled for each further one.
    algorithm : {"sha1", "sha256"}
        Of the checksum.

    Raises
    ------
    DownloadError
        The disk is too small or cannot be written, `ATTEMPTS` attempts failed, or the server refused or gave a wrong
        answer: then what had arrived is kept. Or the checksum is wrong: then the file is removed.
    """
    if target.is_file():
        return
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url!r} cannot be downloaded: expected http:// or https://")
    part = part_of(target)
    with disk_guard(target.parent, size):
        target.parent.mkdir(parents=True, exist_ok=True)
        furthest = size_of(part)
    require_space(target.parent, max(0, size - furthest) + unpacked, f"{target.name} and its contents")
    failures = 0
    with _bar(target.name, size) as bar:
        download = _Download(url, part, size, unpacked, bar)
        while True:
            try:
                download.receive()
                break
            except _BrokenConnectionError as error:
                failures = 0 if size_of(part) >= furthest + SLOWEST_BYTES else failures + 1
                furthest = max(furthest, size_of(part))
                if failures == ATTEMPTS:
                    raise DownloadError(
                        f"{url}: {error}, {ATTEMPTS} times in a row; {readable(size_of(part))} are there: "
                        "check the connection and run the same command again, which continues from there"
                    ) from error
                bar.set_postfix_str(f"{error}; trying again")
                time.sleep(pause * 2 ** max(0, failures - 1))
    with disk_guard(target.parent, size):
        _verify(part, algorithm, checksum, url)
        part.replace(target)


class _HttpRedirects(HTTPRedirectHandler):
    """Follows redirects to http and https, but not from https to http. urllib also follows those to ftp."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise HTTPError(newurl, code, f"{msg} - Redirection to url {newurl!r} is not allowed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass
class _Download:
    """A download in one or several pieces; the parameters are those of `fetch`."""

    url: str
    part: Path
    size: int
    unpacked: int
    bar: tqdm
    etag: str | None = None
    """Version of the file that the pieces before were of, if the server named it."""

    def receive(self) -> None:
        """Append the missing bytes to `part`, or write it anew if the server sends the whole file."""
        response = self._request()
        if response is None:
            return
        with response:
            start, end, total = self._announced(response)
            limit = 2 * self.size if end is None else end
            if (total or 0) > 2 * self.size:
                raise self._refusal(f"the server announced {total} bytes", f"about {self.size}")
            missing = (total or max(self.size, start)) - size_of(self.part) + self.unpacked
            require_space(self.part.parent, missing, f"{self.part.stem} and its contents")
            self.bar.reset(total or self.bar.total)
            self.bar.update(start)
            received = start
            due, enough = time.monotonic() + READ_TIMEOUT, start + SLOWEST_BYTES
            with disk_guard(self.part.parent, missing), self.part.open("ab" if start else "wb") as file:
                while chunk := _read(response):
                    received += len(chunk)
                    if received > limit:
                        raise self._refusal("the server sent more bytes than it announced", f"at most {limit}")
                    file.write(chunk)
                    self.bar.update(len(chunk))
                    if time.monotonic() > due:
                        if received < enough:
                            raise _BrokenConnectionError(f"fewer than {SLOWEST_BYTES} bytes in {READ_TIMEOUT:g} s")
                        due, enough = time.monotonic() + READ_TIMEOUT, received + SLOWEST_BYTES
        if total is not None and received < total:
            raise _BrokenConnectionError(f"the connection broke after {received} of {total} bytes")

    def _request(self) -> HTTPResponse | None:
        """Request the missing bytes of `part`; None if nothing is missing."""
        start = size_of(self.part)
        try:
            request = Request(self.url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 - by fetch
            return cast(HTTPResponse, build_opener(_HttpRedirects).open(request, timeout=READ_TIMEOUT))
        except HTTPError as error:
            error.close()
            answered = f"the server answered {error.code} {error.reason}"
            if error.code in PASSING_STATUS:
                raise _BrokenConnectionError(_in_one_line(answered)) from error
            if error.code == 416 and start:
                length = re.fullmatch(r"bytes \*/([0-9]{1,18})", error.headers.get("Content-Range", ""))
                if length and int(length[1]) == start:
                    return None
                if length and int(length[1]) < start:
                    self.part.unlink()  # it is not the beginning of this file
                    raise _BrokenConnectionError(_in_one_line(answered)) from error
            raise self._refusal(answered, "the file") from error
        except (ValueError, InvalidURL) as error:
            raise self._refusal(f"the address cannot be used ({error})", "http://host/path") from error
        except (OSError, HTTPException) as error:
            raise _BrokenConnectionError(
                _in_one_line(getattr(error, "reason", "") or error) or type(error).__name__
            ) from error

    def _announced(self, response: HTTPResponse) -> tuple[int, int | None, int | None]:
        """Return the first byte of an answer, the end of its bytes and the size of the file; None if not announced."""
        there = size_of(self.part)
        # With chunks, Content-Length has no meaning (RFC 9112, 6.3).
        lengths = set() if response.chunked else set(response.headers.get_all("Content-Length", []))
        if len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", length) for length in lengths):
            raise self._refusal(f"the server sent Content-Length {', '.join(sorted(lengths))!r}", "one number of bytes")
        length = int(lengths.pop()) if lengths else None
        if coding := response.headers.get("Content-Encoding", "").replace("identity", ""):
            raise self._refusal(f"the server sent Content-Encoding {coding!r}", "the file as it is")
        etag = response.headers.get("ETag")
        end: int | None
        total: int | None
        if response.status == 206:
            sent = response.headers.get("Content-Range", "")
            found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", sent)
            first, stop = (int(found[1]), int(found[2]) + 1) if found else (0, 0)
            end = stop
            total = int(found[3]) if found and found[3] != "*" else stop
            if not found or not first == there < stop <= total or length not in (None, stop - first):
                raise self._refusal(
                    f"the server sent Content-Range {sent!r} and Content-Length {length}",
                    f"the bytes from {there} to the end",
                )
            if self.etag and etag and etag != self.etag:
                raise self._refusal(
                    f"the file on the server changed (ETag {self.etag}, then {etag})", "the same for all of its bytes"
                )
        elif response.status != 200:
            raise self._refusal(f"the server answered {response.status} {response.reason}", "the file")
        elif there > (length or 0):  # such as the page of a login
            raise self._refusal(
                f"the server sent a file of {'an unknown number of' if length is None else length} bytes",
                f"one of more than {there}",
            )
        else:  # also from a server without support for Range
            first, end, total = 0, length, length
        self.etag = etag
        return first, end, total

    def _refusal(self, found: str, expected: str) -> DownloadError:
        there = size_of(self.part)
        kept = (
            f", which continues after the {readable(there)} in {self.part}; to begin anew, remove it" if there else ""
        )
        return DownloadError(
            f"{self.url}: {_in_one_line(found[:300])}, expected {expected}: check the address and the connection and "
            f"run the same command again{kept}"
        )


def _in_one_line(text: object) -> str:
    return " ".join(escaped(text).split())


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)  # what is there: `read` would wait for all of it from a slow server
    except (OSError, HTTPException) as error:
        raise _BrokenConnectionError(f"the connection broke: {_in_one_line(error) or type(error).__name__}") from error


def _verify(part: Path, algorithm: str, checksum: str, url: str) -> None:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    size = size_of(part)
    with part.open("rb") as file, _bar("checking", size) as bar:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    if not digest.hexdigest().startswith(checksum):
        part.unlink()
        name = algorithm.upper().replace("SHA", "SHA-")
        raise DownloadError(
            f"{url}: received {size} bytes with {name} {digest.hexdigest()}, expected {checksum}; they were removed: "
            "run the same command again; if it fails again, the file on the server has changed"
        )


def _bar(description: str, total: int) -> tqdm:
    return tqdm(desc=description, total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
