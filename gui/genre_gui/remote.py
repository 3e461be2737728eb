"""A classifier that is a running service, asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event

from genre_gui.backend import Backend, Wish
from genre_gui.http_client import Answer, Client
from genre_gui.link import Link, Watcher
from genre_gui.refusals import (
    AwayError,
    KeyRefusedError,
    ServiceError,
    refused_file,
)
from genre_gui.service_answers import check_ready, metadata_of, prediction_of, read_facts, service_key
from genre_runtime import GenreError, Prediction
from genre_runtime.inputs import look_at

MOST_BREAKS = 3
"""A file at which the connection breaks this often is the cause, as far as anybody can tell."""

BUSY_SECONDS = 600.0
LONGEST_PAUSE = 30.0
_WAIT_CODES = ("busy", "too_many_requests")
_UNREADY_CODES = ("unavailable", "not_ready")


class RemoteBackend:
    """A service that is ready.

    Its `metadata` holds what a service tells of its model: `graphs` is empty, and so is what it listens to.

    Parameters
    ----------
    client : Client
    ended : callable, optional
        Returns why the service will never answer again, or None.
    note : str
        Added to the words for a connection that stands.

    Raises
    ------
    AwayError, NotReadyError, KeyRefusedError, NoServiceError
    """

    def __init__(self, client: Client, ended: Callable[[], str | None] = lambda: None, note: str = "") -> None:
        self._client = client
        check_ready(client)
        self._facts = read_facts(client)
        health = self._facts["health"]
        self.name = str(health.get("model") or "model")
        self.device = str(health.get("device") or "unknown")
        self.metadata = metadata_of(self._facts, client.address)
        self._watcher = Watcher(
            client.address, lambda: check_ready(client), lambda: read_facts(client) != self._facts, ended, note
        )

    def classify(self, path: Path, *, whole: bool, stop: Event) -> Prediction | GenreError:
        """Upload a file; wait while the service is away or busy."""
        try:
            look_at(path)
            return self._answered(path, "/api/predict?whole=true" if whole else "/api/predict", stop)
        except GenreError as error:
            return error
        except CancelledError:
            return ServiceError("cancelled")

    def devices(self) -> dict[str, str]:
        """Tell which device the service uses; others it does not tell of."""
        asked = self._facts["health"].get("device_requested")
        return {self.device: f"used by the service (asked for: {asked})"}

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Tell how the connection stands, until `stop` is set."""
        self._watcher.watch(tell, stop)

    def _answered(self, path: Path, target: str, stop: Event) -> Prediction | GenreError:
        n_breaks, waited = 0, 0.0
        while True:
            if not self._watcher.wait(stop):
                raise CancelledError
            try:
                answer = self._client.upload(target, path, lambda: stop.is_set() or self._watcher.lost)
            except (AwayError, CancelledError) as error:
                if stop.is_set():
                    raise CancelledError from error
                n_breaks += isinstance(error, AwayError)
                self._watcher.doubt()
                if n_breaks == MOST_BREAKS:
                    return ServiceError(f"the connection to the service broke {MOST_BREAKS} times at this file")
                continue
            values = answer.values()
            if answer.status == 200:
                return prediction_of(values, path, self._client.address)
            if answer.status == 401:
                return KeyRefusedError(self._client.address, service_key() != "")
            if values.get("code") in _UNREADY_CODES:
                self._watcher.doubt()
            elif values.get("code") not in _WAIT_CODES or waited >= BUSY_SECONDS:
                return refused_file(answer.status, values)
            pause = _pause(answer)
            waited += pause
            stop.wait(pause)


def connecting(url: str) -> Callable[[Wish], Backend]:
    """Return what connects to the service at an address, with the key of `$GENRE_API_KEY`.

    Raises
    ------
    AddressError
    """
    client = Client(url, service_key())
    return lambda _: RemoteBackend(client)


def _pause(answer: Answer) -> float:
    try:
        seconds = float(answer.headers.get("retry-after", "1"))
    except ValueError:
        seconds = 1.0
    return min(max(seconds, 0.1), LONGEST_PAUSE)
