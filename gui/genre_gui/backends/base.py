"""The protocol of a classifier as the window uses it, and the implementation that runs the model in this process.

The other implementation is `genre_gui.backends.remote`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from genre_gui.backends.stored import Progress, StoredAnswers
from genre_gui.language import tr
from genre_gui.text import sentence
from genre_runtime import (
    MAX_PROCESSES,
    DecoderPool,
    GenreClassifier,
    GenreError,
    GenreHead,
    ModelMetadata,
    Prediction,
    available_cores,
    can_start,
    find_model,
    read_head,
    read_metadata,
)
from genre_runtime.errors import InvalidHeadError, ModelNotFoundError, StateError

if TYPE_CHECKING:
    from genre_runtime.library.cache import LibraryState


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
        The model's sidecar; with the user's own genres, its labels, thresholds and figures are theirs.
    model_metadata : ModelMetadata
        The model's sidecar as it is.
    name : str
        File name of the model, after that of the user's own genres if they are in use.
    device : str
        The device in use.
    no_embeddings : str
        Why its answers have no embeddings, as a sentence; empty if they have.
    notice : str
        What the user has to know of it, as a sentence; empty for nothing.
    state : LibraryState or None
        Keeps the answers of files whose tags are written; None if answers are not kept.
    """

    metadata: ModelMetadata
    model_metadata: ModelMetadata
    name: str
    device: str
    no_embeddings: str
    notice: str
    state: LibraryState | None

    def classify(
        self, path: Path, *, whole: bool, stop: Event, progress: Progress | None = None
    ) -> Prediction | GenreError:
        """Classify a file, and return the model's own answer if there are embeddings; see `answer`.

        Parameters
        ----------
        path : Path
        whole : bool
            Analyse the whole track instead of the model's number of excerpts.
        stop : threading.Event
            Ends the work early when it is set.
        progress : callable, optional
            Called after each excerpt of a whole track, with the seconds analysed and the length that the file claims.
            A service does not report them.
        """
        ...

    def recall(self, path: Path, *, whole: bool) -> Prediction | GenreError | None:
        """Return what `classify` has stored of a file in an earlier run; None if there is nothing.

        Parameters
        ----------
        path : Path
        whole : bool
        """
        ...

    def answer(self, analysis: Prediction) -> Prediction:
        """Return the answer for the user: that of the user's own genres if they are in use.

        Parameters
        ----------
        analysis : Prediction
            As returned by `classify` of this model.
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
    head : Path or None
        The user's own genres, learnt with this model; None for the genres of the model.
    """

    model: Path | None = None
    device: str = "auto"
    head: Path | None = None


def opened_head(request: ModelRequest) -> GenreHead | None:
    """Read the user's own genres of a request, and check that they belong to its model.

    Parameters
    ----------
    request : ModelRequest

    Raises
    ------
    ModelNotFoundError, InvalidModelError
    InvalidHeadError
        Also if the file is missing.
    """
    if request.head is None:
        return None
    try:
        head = read_head(request.head)
    except ModelNotFoundError as error:
        raise InvalidHeadError(
            tr("there is no file {path}: open your genres again", path=repr(str(request.head)))
        ) from error
    head.check_model(read_metadata(find_model(request.model)))
    return head


Load = Callable[[ModelRequest], Backend]


class LocalBackend(Backend):
    """The classifier of the runtime in this process.

    Parameters
    ----------
    classifier : GenreClassifier
    head_name : str
        File name of the user's own genres, if the classifier has them.
    state : Path, optional
        State file in which answers are kept.
    """

    no_embeddings = ""

    def __init__(self, classifier: GenreClassifier, head_name: str = "", state: Path | None = None) -> None:
        self._classifier = classifier
        self._stored: StoredAnswers | None = None
        self.notice = ""
        if state is not None:
            try:
                self._stored = StoredAnswers(state, classifier)
            except StateError as error:
                self.notice = tr("Answers are not kept: {error}.", error=sentence(error))
        self.state = None if self._stored is None else self._stored.state
        self.metadata, self.model_metadata = classifier.metadata, classifier.model_metadata
        model = classifier.model_path.name
        self.name = f"{head_name} ({model})" if head_name else model
        self.device = classifier.device

    @classmethod
    def load(cls, request: ModelRequest, state: Path | None = None) -> LocalBackend:
        """Load a model, with one thread for each file, since several files are classified at the same time.

        Files are decoded in separate processes, started when they are needed, so that a decoder that hangs does not
        stop the window. The processes end with the backend.

        Parameters
        ----------
        request : ModelRequest
        state : Path, optional
            State file in which answers are kept; a damaged one is not used, see `notice`.

        Raises
        ------
        ModelNotFoundError, InvalidModelError, InvalidHeadError, DeviceUnavailableError, MissingDependencyError
        """
        head = opened_head(request)
        decoders = DecoderPool(min(available_cores(), MAX_PROCESSES)) if can_start() else None
        classifier = GenreClassifier.load(request.model, device=request.device, threads=1, decoders=decoders, head=head)
        return cls(classifier, request.head.name if request.head else "", state)

    def classify(
        self, path: Path, *, whole: bool, stop: Event, progress: Progress | None = None
    ) -> Prediction | GenreError:
        """Classify a file by the model's own genres."""
        if self._stored is not None:
            return self._stored.classify(path, whole=whole, stop=stop, progress=progress)
        return self._classifier.analyse_or_error(path, excerpts="all" if whole else None, stop=stop, progress=progress)

    def recall(self, path: Path, *, whole: bool) -> Prediction | GenreError | None:
        """Return the stored answer by the model's own genres."""
        return None if self._stored is None else self._stored.recall(path, whole=whole)

    def answer(self, analysis: Prediction) -> Prediction:
        """Return the answer by the user's own genres, if they are in use."""
        return self._classifier.apply_head(analysis)

    def devices(self) -> dict[str, str]:
        """Test every device."""
        return self._classifier.probe_devices()

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Return at once: there is no connection."""
