"""The protocol of a classifier as the window uses it, and the implementation that runs the model in this process.

The other implementation is `genre_gui.backends.remote`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Protocol

from genre_runtime import (
    MAX_PROCESSES,
    DecoderPool,
    GenreClassifier,
    GenreError,
    ModelMetadata,
    Prediction,
    available_cores,
    can_start,
)


class LinkState(StrEnum):
    """State of a connection."""

    CONNECTED = "connected"
    UNREADY = "not ready"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class Link:
    """State of a connection, with a text for it; `anew` if another service or model answers than before."""

    state: LinkState
    message: str
    anew: bool = False


class Backend(Protocol):
    """A loaded classifier; its methods can be called from any thread.

    Attributes
    ----------
    metadata : ModelMetadata
        The model's sidecar.
    name : str
        File name of the model.
    device : str
        The device in use.
    """

    metadata: ModelMetadata
    name: str
    device: str

    def classify(self, path: Path, *, whole: bool, stop: Event) -> Prediction | GenreError:
        """Classify a file.

        Parameters
        ----------
        path : Path
        whole : bool
            Analyse the whole track instead of the model's number of excerpts.
        stop : threading.Event
            Ends the work early when it is set.
        """
        ...

    def devices(self) -> dict[str, str]:
        """Return for each device `works`, or why it does not."""
        ...

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Report the state of the connection until `stop` is set; return at once if there is no connection.

        Parameters
        ----------
        tell : callable
            Called with the state at first and after each change.
        stop : threading.Event
        """
        ...


@dataclass(frozen=True)
class ModelRequest:
    """The model and the device to load.

    Attributes
    ----------
    model : Path or None
        None for the shipped model.
    device : str
    """

    model: Path | None = None
    device: str = "auto"


Load = Callable[[ModelRequest], Backend]


class LocalBackend(Backend):
    """The classifier of the runtime in this process.

    Parameters
    ----------
    classifier : GenreClassifier
    """

    def __init__(self, classifier: GenreClassifier) -> None:
        self._classifier = classifier
        self.metadata = classifier.metadata
        self.name = classifier.model_path.name
        self.device = classifier.device

    @classmethod
    def load(cls, request: ModelRequest) -> LocalBackend:
        """Load a model, with one thread for each file, since several files are classified at the same time.

        Files are decoded in separate processes, started when they are needed, so that a decoder that hangs does not
        stop the window. The processes end with the backend.

        Parameters
        ----------
        request : ModelRequest

        Raises
        ------
        ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
        """
        decoders = DecoderPool(min(available_cores(), MAX_PROCESSES)) if can_start() else None
        return cls(GenreClassifier.load(request.model, device=request.device, threads=1, decoders=decoders))

    def classify(self, path: Path, *, whole: bool, stop: Event) -> Prediction | GenreError:
        """Classify a file."""
        return self._classifier.classify_or_error(path, excerpts="all" if whole else None, stop=stop)

    def devices(self) -> dict[str, str]:
        """Test every device."""
        return self._classifier.probe_devices()

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Return at once: there is no connection."""
