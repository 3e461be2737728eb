"""A file as the only part of a form, in blocks, so that none is held whole.

HTTP as far as the service needs it, by the standard library: small answers, and uploads that can be ended.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from genre_gui.backends.errors import AddressError, AwayError, NoServiceError
from genre_gui.workers.background import THREADS
from genre_runtime.errors import UnreadableAudioError

BLOCK_BYTES = 2**16
_FIELD = 'Content-Disposition: form-data; name="file"; filename="track"\r\nContent-Type: application/octet-stream'


class Form:
    """The body of a request, over an open file.

    Attributes
    ----------
    content_type : str
    n_bytes : int
        Of the whole body.
    """

    def __init__(self, file: BinaryIO) -> None:
        boundary = secrets.token_hex(16)
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self._head = f"--{boundary}\r\n{_FIELD}\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.n_bytes = len(self._head) + self._size + len(self._tail)

    def blocks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises
        ------
        UnreadableAudioError
            The file cannot be read as far as it was long when it was opened.
        """
        yield self._head
        left = self._size
        while left:
            try:
                block = self._file.read(min(BLOCK_BYTES, left))
            except OSError as error:
                raise UnreadableAudioError(f"the file cannot be read: {error.strerror}") from error
            if not block:
                raise UnreadableAudioError("the file became shorter while it was sent: try again when it is whole")
            left -= len(block)
            yield block
        yield self._tail


@contextmanager
def opened_form(path: Path) -> Iterator[Form]:
    """Open a file for the time of its upload.

    Raises
    ------
    UnreadableAudioError
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error
    with file:
        yield Form(file)


CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 900.0
"""Longest time for the answer to an upload: long tracks take long, and the user can cancel."""

GO_ON_SECONDS = 1.0
MOST_BYTES = 64 * 2**20
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes
    ----------
    status : int
    headers : mapping of str to str
        Names in lower case.
    content : bytes
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    def values(self) -> dict[str, Any]:
        """Return the JSON object in it; empty if it holds none."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """Speaks to one service; safe to use from several threads, since each request has a connection of its own.

    Parameters
    ----------
    url : str
        Address of the service, `http://` or `https://`.
    key : str
        The service's API key; empty: none.

    Attributes
    ----------
    address : str
        The same for people: host and port.

    Raises
    ------
    AddressError
        No address of a service.
    """

    def __init__(self, url: str, key: str = "") -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise AddressError(url, str(error)) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AddressError(url, "it does not begin with http:// or https:// and a host")
        if not key.isascii() or not key.isprintable():
            raise AddressError(url, "its key ($GENRE_API_KEY) holds other than plain characters")
        self._host, self._port, self._prefix = parts.hostname, port, parts.path.rstrip("/")
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._kind = kinds[parts.scheme]
        self._headers = {"User-Agent": "genre-gui", "Accept": "application/json", "Connection": "close"}
        if key:
            self._headers["X-API-Key"] = key
        self.address = parts.netloc.rpartition("@")[2] + self._prefix

    def get(self, path: str, seconds: float = CONNECT_SECONDS) -> Answer:
        """Ask for something small.

        Raises
        ------
        AwayError
            Nobody answers, or not within `seconds`.
        NoServiceError
            What answers does not speak HTTP.
        """
        with self._connected(seconds) as connection:
            connection.request("GET", self._prefix + path, headers=self._headers)
            return _read(connection.getresponse())

    def upload(self, path: str, file: Path, ended: Callable[[], bool]) -> Answer:
        """Send a file as a form, and wait for the answer as long as `ended` says no.

        Raises
        ------
        AwayError, NoServiceError
        concurrent.futures.CancelledError
            `ended` said yes.
        UnreadableAudioError
            The file cannot be read to its end.
        """
        with opened_form(file) as form, self._connected(ANSWER_SECONDS) as connection, _cut_when(connection, ended):
            try:
                connection.putrequest("POST", self._prefix + path)
                for name, value in self._headers.items():
                    connection.putheader(name, value)
                connection.putheader("Content-Type", form.content_type)
                connection.putheader("Content-Length", str(form.n_bytes))
                connection.putheader("Expect", "100-continue")
                connection.endheaders()
                # Who is refused for his file's size, or for lack of a key, is answered before all was sent.
                _wait_to_go_on(connection.sock)
                with suppress(BrokenPipeError, ConnectionResetError):
                    for block in form.blocks():
                        if _answered(connection.sock, 0.0):
                            break
                        connection.send(block)
                return _read(connection.getresponse())
            except (OSError, http.client.HTTPException, AttributeError) as error:
                if ended():
                    raise CancelledError from error
                raise

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[http.client.HTTPConnection]:
        connection = self._kind(self._host, self._port, timeout=min(seconds, CONNECT_SECONDS))
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            yield connection
        except UnreadableAudioError:
            raise
        except (http.client.BadStatusLine, http.client.LineTooLong) as error:
            if isinstance(error, http.client.RemoteDisconnected):
                raise AwayError(self.address, "it hung up without an answer") from error
            raise NoServiceError(self.address, "it does not speak HTTP") from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AwayError(self.address, reason.lower()) from error
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse) -> Answer:
    content = response.read(MOST_BYTES)
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def _wait_to_go_on(line: socket.socket) -> None:
    """Wait for `100 Continue` or an answer, but not for long: not every server says it."""
    if _answered(line, GO_ON_SECONDS) and line.recv(12, socket.MSG_PEEK).endswith(b" 100"):
        said = b""
        while not said.endswith(b"\r\n\r\n") and (byte := line.recv(1)):
            said += byte


def _answered(line: socket.socket, seconds: float) -> bool:
    """Tell whether something came back within a time; TLS cannot be looked into."""
    return not isinstance(line, ssl.SSLSocket) and bool(select.select([line], [], [], seconds)[0])


@contextmanager
def _cut_when(connection: http.client.HTTPConnection, ended: Callable[[], bool]) -> Iterator[None]:
    """Cut the connection as soon as `ended` says yes: whoever waits at it wakes up."""
    done, line = threading.Event(), connection.sock

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            if ended():
                with suppress(OSError):
                    socket.socket.shutdown(line, socket.SHUT_RDWR)  # TLS's own would first say good-bye, and wait
                return

    thread = threading.Thread(target=watch, name=f"{THREADS}-cut", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
