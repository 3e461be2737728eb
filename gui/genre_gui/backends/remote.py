"""What a service's answers hold: whether it is ready, what it tells of its model, predictions; all of it checked.

A classifier that is a running service, asked over HTTP.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from threading import Event
from typing import Any

from genre_gui.backends.base import Backend, Wish
from genre_gui.backends.client import Answer, Client
from genre_gui.backends.errors import (
    KEY_VARIABLE,
    AwayError,
    KeyRefusedError,
    NoServiceError,
    NotReadyError,
    ServiceError,
    refused_file,
)
from genre_gui.backends.link import Link, Watcher
from genre_runtime import GenreError, Prediction
from genre_runtime.audio.source import probe
from genre_runtime.model.metadata import AudioConfig, ModelMetadata

LONGEST_NAME = 100
LONGEST_SECONDS = 1e7


def service_key() -> str:
    """Return the key to send; empty: none."""
    return os.environ.get(KEY_VARIABLE, "")


def check_ready(client: Client) -> None:
    """Ask whether the service can classify.

    Raises
    ------
    AwayError, NotReadyError, NoServiceError
    """
    answer = client.get("/readyz")
    values = answer.values()
    if answer.status == 503 and values.get("code") == "not_ready":
        raise NotReadyError(client.address, str(values.get("detail")).removeprefix("not ready: "))
    if answer.status in (429, 502, 503, 504):
        raise AwayError(client.address, f"status {answer.status}")
    if answer.status != 200 or values.get("status") != "ready":
        raise NoServiceError(client.address, f"status {answer.status} at /readyz")


def read_facts(client: Client) -> dict[str, dict[str, Any]]:
    """Return what the service tells of itself and its model; what its model does not record is empty."""
    found: dict[str, dict[str, Any]] = {}
    for name, path in (
        ("health", "/api/health"),
        ("genres", "/api/genres"),
        ("metrics", "/api/metrics"),
        ("history", "/api/metrics/history"),
        ("confusion", "/api/metrics/confusion"),
    ):
        answer = client.get(path)
        if answer.status == 401:
            raise KeyRefusedError(client.address, service_key() != "")
        if answer.status != 200 and name not in ("history", "confusion"):
            raise NoServiceError(client.address, f"status {answer.status} at {path}")
        found[name] = answer.values() if answer.status == 200 else {}
    return found


def metadata_of(facts: Mapping[str, Mapping[str, Any]], address: str) -> ModelMetadata:
    """Return the part of a sidecar that a service tells: no graphs, and threshold 0 if it tells none.

    Raises
    ------
    NoServiceError
    """
    labels = facts["genres"].get("genres")
    if not isinstance(labels, list) or not labels or not all(map(is_name, labels)):
        raise NoServiceError(address, "it names no genres")
    metrics, matrix = dict(facts["metrics"]), facts["confusion"].get("matrix")
    metrics |= {"history": facts["history"].get("history"), "confusion_matrix": matrix}
    if matrix is not None:
        metrics["validation"] = {"per_genre": scores_by_matrix(labels, matrix)}
    provenance = metrics.pop("provenance", None)
    return ModelMetadata(
        labels=tuple(labels),
        audio=AudioConfig(),
        graphs={},
        confidence_threshold=_threshold(facts["genres"].get("confidence_threshold")),
        metrics=metrics,
        provenance=provenance if isinstance(provenance, dict) else {},
    )


def _threshold(value: object) -> float:
    """Return the confidence from which answers are sure; 0 where the service, an older one, does not tell."""
    return value if isinstance(value, float) and 0 < value <= 1 else 0.0


def scores_by_matrix(labels: list[str], matrix: list[list[int]]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and number of tracks of each genre; rows are the true genres."""
    scores = {}
    with suppress(TypeError, IndexError):
        for place, label in enumerate(labels):
            right, support = matrix[place][place], sum(matrix[place])
            answered = sum(row[place] for row in matrix)
            total = answered + support
            scores[label] = {
                "precision": right / answered if answered else 0.0,
                "recall": right / support if support else 0.0,
                "f1": 2 * right / total if total else 0.0,
                "support": float(support),
            }
    return scores


def prediction_of(values: dict[str, Any], path: Path, address: str) -> Prediction:
    """Return the prediction in an answer, for the file that was sent.

    Raises
    ------
    NoServiceError
    """
    known = {item.name: values.get(item.name) for item in fields(Prediction) if item.name != "embedding"}
    try:
        prediction = Prediction.from_dict({**known, "path": str(path)})
        _check(prediction)
    except (KeyError, TypeError, ValueError) as error:
        raise NoServiceError(address, f"its answer is no prediction: {error}") from error
    return prediction


def _check(prediction: Prediction) -> None:
    """Raise ValueError for what the window could not show."""
    stretches = [(excerpt.start_seconds, excerpt.end_seconds) for excerpt in prediction.excerpts]
    probabilities = [prediction.probabilities, *(excerpt.probabilities for excerpt in prediction.excerpts)]
    if not stretches or not all(probabilities):
        raise ValueError("it holds nothing")
    for mapping in probabilities:
        if not isinstance(mapping, dict) or not all(is_name(label) for label in mapping):
            raise ValueError("a genre is no name")
    shares = [prediction.confidence, *(share for mapping in probabilities for share in mapping.values())]
    announced = [] if prediction.announced_seconds is None else [prediction.announced_seconds]
    seconds = [prediction.duration_seconds, *announced, *(second for stretch in stretches for second in stretch)]
    if not all(_is_number(share) and 0 <= share <= 1 for share in shares):
        raise ValueError("a probability is no number from 0 to 1")
    if not all(_is_number(second) and 0 <= second <= LONGEST_SECONDS for second in seconds):
        raise ValueError("a time is no number of seconds")
    if not is_name(prediction.label) or not is_name(prediction.device) or type(prediction.confident) is not bool:
        raise ValueError("its words are of another kind")
    if prediction.reason is not None and not isinstance(prediction.reason, str):
        raise ValueError("its reason is no text")


def is_name(value: object) -> bool:
    """Tell whether a value is text on one line that is not too long."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


pass

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
            probe(path)
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
