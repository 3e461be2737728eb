"""A running service as a classifier: its answers, each of them checked, and the state of the connection to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from threading import Event
from typing import Any

from genre_gui.backends.base import Backend, Link, LinkState, ModelRequest
from genre_gui.backends.client import Answer, Client
from genre_gui.backends.errors import (
    KEY_VARIABLE,
    AwayError,
    KeyRefusedError,
    NoServiceError,
    NotReadyError,
    ServiceError,
    file_failure,
)
from genre_gui.backends.stored import Progress
from genre_gui.language import mark, plural, tr
from genre_runtime import AudioConfig, GenreError, ModelMetadata, Prediction, probe

NO_EMBEDDINGS = mark(
    "A service sends no embeddings. Learning, checking tags and More like this need them: open the window with "
    "genre-gui and without --api."
)
MAX_NAME_LENGTH = 100
MAX_SECONDS = 1e7
MAX_FRAME_SIZE = 2**16
MIN_FRAME_SECONDS = 0.001

_EXCERPT_KEYS = {"start_seconds", "end_seconds", "silent", "probabilities"}


def api_key() -> str:
    """Return the API key to send; empty for none."""
    return os.environ.get(KEY_VARIABLE, "")


def check_ready(client: Client) -> None:
    """Check that the service can classify.

    Parameters
    ----------
    client : Client

    Raises
    ------
    AwayError, NotReadyError, NoServiceError
    """
    answer = client.get("/readyz")
    values = answer.values()
    if answer.status == 503 and values.get("code") == "not_ready":
        load_error = values.get("load_error")
        reason = str(values.get("detail")).removeprefix("not ready: ")
        raise NotReadyError(client.address, reason, load_error if isinstance(load_error, str) else None)
    if answer.status in (429, 502, 503, 504):
        raise AwayError(client.address, f"status {answer.status}")
    if answer.status != 200 or values.get("status") != "ready":
        raise NoServiceError(client.address, f"status {answer.status} at /readyz")


def _read_facts(client: Client) -> dict[str, dict[str, Any]]:
    """Return the service's answers about itself and its model; empty where the model's sidecar has no values."""
    found: dict[str, dict[str, Any]] = {}
    for name, path in (
        ("health", "/api/health"),
        ("genres", "/api/genres"),
        ("input", "/api/input"),
        ("metrics", "/api/metrics"),
        ("history", "/api/metrics/history"),
        ("confusion", "/api/metrics/confusion"),
    ):
        answer = client.get(path)
        if answer.status == 401:
            raise KeyRefusedError(client.address, api_key() != "")
        if answer.status != 200 and name not in ("history", "confusion"):
            raise NoServiceError(client.address, f"status {answer.status} at {path}")
        found[name] = answer.values() if answer.status == 200 else {}
    return found


def _metadata_of(facts: Mapping[str, Mapping[str, Any]], address: str) -> ModelMetadata:
    """Return the part of the sidecar that a service publishes: no graphs, and threshold 0 if there is none."""
    labels = facts["genres"].get("genres")
    if not isinstance(labels, list) or not labels or not all(map(_is_name, labels)):
        raise NoServiceError(address, "it has no list of genres")
    metrics, matrix = dict(facts["metrics"]), facts["confusion"].get("matrix")
    metrics |= {"history": facts["history"].get("history"), "confusion_matrix": matrix}
    provenance = metrics.pop("provenance", None)
    return ModelMetadata(
        labels=tuple(labels),
        graphs={},
        **_input_of(facts["input"], address),
        confidence_threshold=_threshold(facts["genres"].get("confidence_threshold")),
        metrics=metrics,
        provenance=provenance if isinstance(provenance, dict) else {},
    )


def _input_of(values: Mapping[str, Any], address: str) -> dict[str, Any]:
    """Return the fields of the sidecar about the input, from which the window draws spectrograms."""
    try:
        audio = AudioConfig.from_dict(values["audio"])
        if max(audio.n_fft, audio.n_mels) > MAX_FRAME_SIZE or audio.frame_seconds < MIN_FRAME_SECONDS:
            raise ValueError("its spectrograms need too much memory")
        seconds, count = values["excerpt_seconds"], values["n_excerpts"]
        if type(seconds) is not float or type(count) is not int or not 0 < seconds <= MAX_SECONDS or count < 1:
            raise ValueError(f"{count!r} excerpts of {seconds!r} seconds")
    except (KeyError, TypeError, ValueError) as error:
        raise NoServiceError(address, f"it does not tell the input of its model: {error}") from error
    return {"audio": audio, "excerpt_seconds": seconds, "n_excerpts": count}


def _threshold(value: object) -> float:
    """Return the threshold of confident answers; 0 if the service is an older one, which does not publish it."""
    return value if isinstance(value, float) and 0 < value <= 1 else 0.0


def _prediction_of(values: dict[str, Any], path: Path, address: str) -> Prediction:
    """Return the prediction in an answer."""
    try:
        prediction = Prediction.from_dict({**values, "path": str(path)})
        _check(prediction, values)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise NoServiceError(address, f"its answer is not a prediction: {error}") from error
    return prediction


def _check(prediction: Prediction, values: Mapping[str, Any]) -> None:
    """Raise ValueError for what `Prediction.from_dict` accepts and the window cannot show."""
    excerpts = prediction.excerpts
    if not excerpts:
        raise ValueError("it has no excerpts")
    if any(excerpt.keys() - _EXCERPT_KEYS for excerpt in values["excerpts"]):
        raise ValueError("an excerpt has unknown values")
    labels = prediction.probabilities.keys() | {label for excerpt in excerpts for label in excerpt.probabilities}
    named = (*prediction.styles, *prediction.moods, *prediction.instruments, *prediction.voice, *prediction.genre_set)
    if not all(map(_is_name, (*labels, *prediction.tags, *named))):
        raise ValueError("the name of a genre or tag is not valid")
    seconds = [prediction.duration_seconds, prediction.announced_seconds or 0.0]
    if max(*seconds, *(max(excerpt.start_seconds, excerpt.end_seconds) for excerpt in excerpts)) > MAX_SECONDS:
        raise ValueError(f"a time exceeds {MAX_SECONDS:.0f} s")
    if not _is_name(values.get("device")) or not isinstance(values.get("reason"), str | None):
        raise ValueError("device or reason has the wrong type")


def _is_name(value: object) -> bool:
    """Return whether a value is a short text on one line."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable()


MAX_BREAKS = 3
"""After so many broken connections during one file, the file is taken to be the cause."""

BUSY_SECONDS = 600.0
PERIOD_SECONDS = 2.0
"""Time between two checks of the connection."""

_POLL_SECONDS = 0.1
MAX_PAUSE_SECONDS = 30.0
_WAIT_CODES = ("busy", "too_many_requests")
_UNREADY_CODES = ("unavailable", "not_ready")


class Watcher:
    """Polls a service.

    Parameters
    ----------
    address : str
        Shown in the texts.
    check : callable
        Raises `ServiceError` if the service cannot be used now.
    changed : callable
        Returns whether the service, when it answers again, is another one than before; may raise `ServiceError`, too.
    ended : callable
        Returns why the service will never answer again, or None.
    note : str
        Appended to the text for a working connection.
    """

    def __init__(
        self,
        address: str,
        check: Callable[[], object],
        changed: Callable[[], bool],
        ended: Callable[[], str | None],
        note: str = "",
    ) -> None:
        self._address, self._check, self._changed, self._ended, self._note = address, check, changed, ended, note
        self._check_now = Event()
        self.link = self._connected()

    @property
    def lost(self) -> bool:
        """Whether the service does not answer."""
        return self.link.state in (LinkState.LOST, LinkState.ENDED)

    def check_now(self) -> None:
        """Check the connection at once, after a failed request."""
        if self.link.state is LinkState.CONNECTED:
            self.link = Link(LinkState.LOST, tr("connection to {address} lost, trying again …", address=self._address))
        self._check_now.set()

    def wait(self, stop: Event) -> bool:
        """Wait until the service can be used; return False if `stop` is set first.

        Parameters
        ----------
        stop : threading.Event
        """
        while self.link.state is not LinkState.CONNECTED:
            if stop.wait(_POLL_SECONDS):
                return False
        return not stop.is_set()

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Poll until `stop` is set or the service has ended.

        Parameters
        ----------
        tell : callable
            Called with the state at first and after each change.
        stop : threading.Event
        """
        told: Link | None = None
        while not stop.is_set():
            self.link = self._poll()
            if self.link != told:
                told = self.link
                tell(told)
            if told.state is LinkState.ENDED:
                return
            waited = 0.0
            while waited < PERIOD_SECONDS and not self._check_now.wait(_POLL_SECONDS) and not stop.is_set():
                waited += _POLL_SECONDS
            if self._check_now.is_set():
                self._check_now.clear()
                stop.wait(_POLL_SECONDS)  # no endless requests to a service that refuses each of them

    def _poll(self) -> Link:
        if (why := self._ended()) is not None:
            return Link(LinkState.ENDED, why)
        try:
            self._check()
            anew = self.link.state is not LinkState.CONNECTED and self._changed()
        except AwayError as error:
            if (why := self._ended()) is not None:
                return Link(LinkState.ENDED, why)
            message = tr(
                "connection to {address} lost ({error}), trying again …", address=self._address, error=error.why
            )
            return Link(LinkState.LOST, message)
        except ServiceError as error:
            return Link(LinkState.UNREADY, tr("{error}; trying again …", error=str(error)))
        return self._connected(anew)

    def _connected(self, anew: bool = False) -> Link:
        return Link(LinkState.CONNECTED, tr("connected to {address}", address=self._address) + self._note, anew)


class RemoteBackend(Backend):
    """A service that is ready.

    Its `metadata` has only what a service publishes about its model: `graphs` is empty.

    Parameters
    ----------
    client : Client
    ended : callable, optional
        Returns why the service will never answer again, or None.
    note : str
        Appended to the text for a working connection.

    Raises
    ------
    AwayError, NotReadyError, KeyRefusedError, NoServiceError
    """

    no_embeddings = NO_EMBEDDINGS
    notice = ""
    state = None

    def __init__(self, client: Client, ended: Callable[[], str | None] = lambda: None, note: str = "") -> None:
        self._client = client
        check_ready(client)
        self._facts = _read_facts(client)
        health = self._facts["health"]
        self.name = str(health.get("model") or "model")
        self.device = str(health.get("device") or "unknown")
        self.metadata = self.model_metadata = _metadata_of(self._facts, client.address)
        self._watcher = Watcher(
            client.address, lambda: check_ready(client), lambda: _read_facts(client) != self._facts, ended, note
        )

    def classify(
        self,
        path: Path,
        *,
        whole: bool,
        stop: Event,
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Prediction | GenreError:
        """Upload a file; waits while the service is away or busy."""
        try:
            probe(path)
            return self._answered(path, "/api/predict?whole=true" if whole else "/api/predict", stop)
        except GenreError as error:
            return error
        except CancelledError:
            return ServiceError(tr("cancelled"))

    def recall(self, path: Path, *, whole: bool) -> Prediction | GenreError | None:  # noqa: ARG002
        """Return None: a service keeps no answers for the window."""
        return None

    def answer(self, analysis: Prediction) -> Prediction:
        """Return the answer as it is: the service has applied the user's own genres."""
        return analysis

    def devices(self) -> dict[str, str]:
        """Return the device that the service uses; it publishes no others."""
        asked = self._facts["health"].get("device_requested")
        return {self.device: tr("used by the service (requested: {device})", device=str(asked))}

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Report the state of the connection until `stop` is set."""
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
                self._watcher.check_now()
                if n_breaks == MAX_BREAKS:
                    return ServiceError(
                        plural(
                            "the connection to the service broke {n} time during this file",
                            "the connection to the service broke {n} times during this file",
                            MAX_BREAKS,
                        )
                    )
                continue
            values = answer.values()
            if answer.status == 200:
                return _prediction_of(values, path, self._client.address)
            if answer.status == 401:
                return KeyRefusedError(self._client.address, api_key() != "")
            if values.get("code") in _UNREADY_CODES:
                self._watcher.check_now()
            elif values.get("code") not in _WAIT_CODES or waited >= BUSY_SECONDS:
                return file_failure(answer.status, values)
            pause = _pause(answer)
            waited += pause
            stop.wait(pause)


def connecting(url: str) -> Callable[[ModelRequest], Backend]:
    """Return a function that connects to a service, with the key of `$GENRE_API_KEY`.

    Parameters
    ----------
    url : str

    Raises
    ------
    AddressError
    """
    client = Client(url, api_key())
    return lambda _: RemoteBackend(client)


def _pause(answer: Answer) -> float:
    try:
        seconds = float(answer.headers.get("retry-after", "1"))
    except ValueError:
        seconds = 1.0
    return min(max(seconds, 0.1), MAX_PAUSE_SECONDS)
