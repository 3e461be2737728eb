"""HTTP client for the service: small answers, and uploads that can be cancelled."""

from __future__ import annotations

import json
import os
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

import httpcore2
import httpx2

from genre_gui import THREAD_PREFIX
from genre_gui.backends.errors import AddressError, AwayError, NoServiceError
from genre_runtime.errors import UnreadableAudioError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 900.0
"""Longest wait for the answer to an upload: long tracks take long, and the user can cancel."""

CONTINUE_SECONDS = 1.0
MAX_ANSWER_BYTES = 64 * 2**20
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """An HTTP response.

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
        """Return the JSON object in the body; empty if there is none."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """Client of one service; can be used from several threads, since each request has its own connection.

    Parameters
    ----------
    url : str
        Address of the service, `http://` or `https://`.
    key : str
        The service's API key; empty for none.

    Attributes
    ----------
    address : str
        Host, port and path, as shown to the user.

    Raises
    ------
    AddressError
        `url` is not the address of a service.
    """

    def __init__(self, url: str, key: str = "") -> None:
        try:
            parts = urlsplit(url)
            self.address = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
            self._url = f"{parts.scheme}://{self.address}"
            valid = parts.scheme in ("http", "https") and parts.port != 0 and httpx2.URL(self._url).host
        except (ValueError, httpx2.InvalidURL) as error:
            raise AddressError(url, str(error)) from error
        if not valid:
            raise AddressError(url, "it does not begin with http:// or https:// and a host")
        if not key.isascii() or not key.isprintable():
            raise AddressError(url, "its key ($GENRE_API_KEY) has characters that are not printable ASCII")
        self._verify = ssl.create_default_context() if parts.scheme == "https" else False
        self._headers = {"User-Agent": "genre-gui", "Accept": "application/json", "Accept-Encoding": "identity"}
        self._headers |= {"Connection": "close", **({"X-API-Key": key} if key else {})}

    def get(self, path: str, seconds: float = CONNECT_SECONDS) -> Answer:
        """Send a GET request.

        Parameters
        ----------
        path : str
            Begins with a slash.
        seconds : float
            Longest wait for the answer.

        Raises
        ------
        AwayError
            The service does not answer within `seconds`.
        NoServiceError
            The answer is not HTTP.
        """
        with _Connection(self.address, seconds) as connection:
            return self._send("GET", path, connection)

    def upload(self, path: str, file: Path, ended: Callable[[], bool]) -> Answer:
        """Send a file as a form.

        Parameters
        ----------
        path : str
            Begins with a slash.
        file : Path
        ended : callable
            Polled during the request, which is cancelled as soon as it returns True.

        Raises
        ------
        AwayError, NoServiceError
        concurrent.futures.CancelledError
            `ended` returned True.
        UnreadableAudioError
            The file cannot be read to its end.
        """
        with _opened(file) as opened, _Connection(self.address, ANSWER_SECONDS, ended) as connection:
            form = {"file": ("track", _Upload(opened, connection), "application/octet-stream")}
            try:
                return self._send("POST", path, connection, files=form, headers={"Expect": "100-continue"})
            except (AwayError, NoServiceError) as error:
                if ended():
                    raise CancelledError from error
                raise

    def _send(self, method: str, path: str, connection: _Connection, **options: Any) -> Answer:
        seconds, trace = connection.seconds, {"trace": connection.trace}
        timeout = httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        try:
            with (
                httpx2.Client(headers=self._headers, timeout=timeout, verify=self._verify, trust_env=False) as client,
                client.stream(method, self._url + path, extensions=trace, **options) as response,
            ):
                content = b""
                for block in response.iter_raw():
                    content += block
                    if len(content) >= MAX_ANSWER_BYTES:
                        break
                return Answer(response.status_code, dict(response.headers), content[:MAX_ANSWER_BYTES])
        except (httpx2.HTTPError, OSError, UnicodeError) as error:
            raise AwayError(self.address, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "timed out"
    cause: BaseException | None = error
    while cause is not None and not getattr(cause, "strerror", None):
        cause = cause.__cause__ or cause.__context__
    return str(getattr(cause, "strerror", None) or error or type(error).__name__).lower()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableAudioError(f"the file cannot be opened: {error.strerror}") from error
    with file:
        yield file


class _Connection:
    """The socket of a request: says whether an answer has begun, and is cut as soon as `ended` returns True."""

    def __init__(self, address: str, seconds: float, ended: Callable[[], bool] | None = None) -> None:
        self.seconds = seconds
        self._address, self._ended, self._done = address, ended, threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch, name=f"{THREAD_PREFIX}-cut", daemon=True)

    def __enter__(self) -> _Connection:
        if self._ended is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._ended is not None:
            self._thread.join()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow the steps of the request, as httpcore names them."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
        elif event == "http11.send_request_headers.complete" and self._ended is not None:
            self._wait_to_continue()
        elif event == "http11.receive_response_headers.started":
            self._check_protocol()

    def stop_if_answered(self, seconds: float = 0.0) -> None:
        """Stop sending if an answer has begun: the service refuses the file or the key before it has the whole body.

        `WriteError` makes the library go on with reading the answer, as after a connection closed for writing.
        """
        if self._answered(seconds):
            raise httpcore2.WriteError("answered before the end of the upload")

    def _wait_to_continue(self) -> None:
        if self._answered(CONTINUE_SECONDS) and self._socket is not None:  # not every server sends it
            if not self._socket.recv(12, socket.MSG_PEEK).endswith(b" 100"):
                self.stop_if_answered()
            head = b""
            while not head.endswith(b"\r\n\r\n") and (byte := self._socket.recv(1)):
                head += byte

    def _check_protocol(self) -> None:
        if self._answered(self.seconds) and self._socket is not None:  # the library would wait for the end of the head
            begin = self._socket.recv(5, socket.MSG_PEEK)
            if not b"HTTP/".startswith(begin):
                raise NoServiceError(self._address, "it does not speak HTTP")

    def _answered(self, seconds: float) -> bool:
        if self._socket is None or isinstance(self._socket, ssl.SSLSocket):  # TLS cannot be peeked at
            return False
        return bool(select.select([self._socket], [], [], seconds)[0])

    def _watch(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            if self._socket is not None and self._ended is not None and self._ended():
                with suppress(OSError):  # not that of TLS, which sends a message and waits
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                return


class _Upload:
    """A file as httpx reads it: no further than its length when it was opened."""

    def __init__(self, file: BinaryIO, connection: _Connection) -> None:
        self._file, self._connection = file, connection
        self._left = os.fstat(file.fileno()).st_size
        self.fileno = file.fileno

    def read(self, size: int) -> bytes:
        self._connection.stop_if_answered()
        try:
            block = self._file.read(min(size, self._left))
        except OSError as error:
            raise UnreadableAudioError(f"the file cannot be read: {error.strerror}") from error
        if self._left and not block:
            raise UnreadableAudioError("the file became shorter while it was sent: try again when it is whole")
        self._left -= len(block)
        return block
