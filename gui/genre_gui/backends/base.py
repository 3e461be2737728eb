"""What the window needs of a classifier, and the one that works on this machine.

Another one, such as `genre_gui.backends.remote`, only has to offer the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from genre_gui.backends.link import Link
from genre_runtime import GenreClassifier, GenreError, Prediction
from genre_runtime.decoders.pool import MAX_PROCESSES, DecoderPool, can_start
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.parallel import available_cores


class Backend(Protocol):
    """A classifier that is ready to work, from any thread."""

    @property
    def metadata(self) -> ModelMetadata:
        """The model's sidecar."""
        ...

    @property
    def name(self) -> str:
        """What the model is called."""
        ...

    @property
    def device(self) -> str:
        """Where it really runs."""
        ...

    def classify(self, path: Path, *, whole: bool, stop: Event) -> Prediction | GenreError:
        """Classify a file, the whole of it or the model's excerpts; `stop`, once set, ends the work early."""
        ...

    def devices(self) -> dict[str, str]:
        """Return for each device `works`, or why it does not."""
        ...

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Tell how the connection stands until `stop` is set; return at once if there is none to watch."""
        ...


@dataclass(frozen=True)
class Wish:
    """Which model is to be loaded, and onto what.

    Attributes
    ----------
    model : Path or None
        None: the shipped one.
    device : str
    """

    model: Path | None = None
    device: str = "auto"


Load = Callable[[Wish], Backend]


class LocalBackend:
    """The runtime's classifier in this process.

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
    def load(cls, wish: Wish) -> LocalBackend:
        """Load a model; one thread a file, since several files are in work at a time.

        Files are decoded in processes of their own, started when they are needed: one that hangs its decoder costs the
        window nothing. The processes end with the backend.

        Raises
        ------
        ModelNotFoundError, InvalidModelError, DeviceUnavailableError, MissingDependencyError
        """
        decoders = DecoderPool(min(available_cores(), MAX_PROCESSES)) if can_start() else None
        return cls(GenreClassifier.load(wish.model, device=wish.device, threads=1, decoders=decoders))

    def classify(self, path: Path, *, whole: bool, stop: Event) -> Prediction | GenreError:
        """Classify a file."""
        return self._classifier.classify_or_error(path, excerpts="all" if whole else None, stop=stop)

    def devices(self) -> dict[str, str]:
        """Try every device."""
        from genre_runtime.info import probe_devices

        return probe_devices(self._classifier)

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Return: nothing lies between."""
