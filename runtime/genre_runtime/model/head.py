"""`GenreHead`: one's own genres, learnt from examples on top of a model's embedding; a file such as `mine.genre`.

A head is a regularised multinomial logistic regression. It turns the embedding of an excerpt into
probabilities of its own genres. A genre that the model knows as well, as a genre or as a tag such as the style techno,
may build on the model's own answer: the logarithm of the model's probability is added to its logit.

The file is JSON. It names the model that it belongs to by the sha256 of its graph, and holds the figures that were
measured on artists that were not learnt from, in the form of a model's sidecar.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.calibration import softmax
from genre_runtime.errors import InvalidHeadError, InvalidInputError, ModelNotFoundError
from genre_runtime.model.metadata import ModelMetadata, Tag, check_limits, check_name
from genre_runtime.prediction import PROBABILITY_DIGITS, ExcerptPrediction

SCHEMA_VERSION = 1
FORMAT = "genre head"
LARGEST_FILE = 1 << 28
"""Bytes; a head of a thousand genres has four million."""
SMALLEST_PROBABILITY = 1e-6
"""Of a model's genre, before its logarithm is taken."""
SMALLEST_TAG = 1e-3
"""Of a model's tag: less than that tells nothing more."""


@dataclass(frozen=True, eq=False)
class GenreHead:
    """One's own genres on the embedding of a model.

    Attributes
    ----------
    labels : tuple of str
        Names of the genres, unique.
    weights : float32 array, shape (n_labels, n_features)
    bias : float32 array, shape (n_labels,)
    known_as : tuple of str or None
        For each genre, the genre or the tag of the model whose answer it builds on; None if it does not.
    share : float
        Factor of the logarithm of the model's probability: the inverse of the head's temperature.
    model_sha256 : str
        sha256 of the waveform graph that computes the embedding.
    confidence_threshold : float
        Smallest confidence of a confident answer, chosen on artists that were not learnt from.
    genre_set_threshold : float
        Smallest probability of a genre in the answer set.
    metrics : mapping
        Figures by folds that keep artists apart, in the form of a model's sidecar.
    provenance : mapping
        What was learnt from: `created`, `examples` by genre, `left_out`.
    """

    labels: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray
    known_as: tuple[str | None, ...]
    model_sha256: str
    share: float = field(default=1.0, metadata={"gt": 0, "le": 1000})
    confidence_threshold: float = field(default=1.0, metadata={"gt": 0, "le": 1})
    genre_set_threshold: float = field(default=0.05, metadata={"gt": 0, "le": 1})
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, embeddings: FloatArray, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each genre; rows sum to one.

        Parameters
        ----------
        embeddings : float32 array, shape (n_excerpts, n_features)
        known : float64 array, shape (n_excerpts, n_labels)
            The model's probability of what each genre is known as; 1 for a genre that it does not know.
        """
        logits = embeddings.astype(np.float64) @ self.weights.T.astype(np.float64) + self.bias
        logits += self.share * np.log(np.maximum(known, SMALLEST_PROBABILITY))
        return softmax(logits)

    def known_probabilities(
        self, excerpts: Sequence[ExcerptPrediction], tags: Sequence[Tag] = ()
    ) -> NDArray[np.float64]:
        """Return the `known` of `probabilities` from the model's answers.

        Parameters
        ----------
        excerpts : sequence of ExcerptPrediction
            The model's answers, without a head.
        tags : sequence of Tag
            Of the model.
        """
        return known_probabilities(self.known_as, excerpts, tags)

    def described(self, metadata: ModelMetadata) -> ModelMetadata:
        """Return the sidecar of the model with this head: its labels, thresholds and figures are those of the head.

        Parameters
        ----------
        metadata : ModelMetadata
            Of the model.
        """
        return replace(
            metadata,
            labels=self.labels,
            confidence_threshold=self.confidence_threshold,
            genre_set_threshold=self.genre_set_threshold,
            metrics=self.metrics,
            provenance={**metadata.provenance, "head": dict(self.provenance)},
        )

    def check_model(self, metadata: ModelMetadata) -> None:
        """Check that the head belongs to a model.

        Parameters
        ----------
        metadata : ModelMetadata

        Raises
        ------
        InvalidHeadError
        """
        sha256 = metadata.graphs["waveform"].sha256
        if self.model_sha256 != sha256:
            raise InvalidHeadError(
                f"the head was learnt with another model (sha256 {self.model_sha256[:12]}..., this one has "
                f"{sha256[:12]}...): learn it again with `genre learn`, or name its model with --model"
            )
        names = {*metadata.labels, *(tag.name for tag in metadata.tags)}
        unknown = {name for name in self.known_as if name is not None} - names
        if unknown:
            raise InvalidHeadError(
                f"the head builds on {sorted(unknown)}, which the model does not have: it is damaged"
            )

    def to_json(self) -> str:
        """Return the text of the file."""
        values = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "model_sha256": self.model_sha256,
            "labels": self.labels,
            "known_as": self.known_as,
            "share": self.share,
            "confidence_threshold": self.confidence_threshold,
            "genre_set_threshold": self.genre_set_threshold,
            "provenance": self.provenance,
            "metrics": self.metrics,
            "n_features": self.weights.shape[1],
            "bias": _packed(self.bias),
            "weights": _packed(self.weights),
        }
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> GenreHead:
        """Parse and check the text of a file.

        Parameters
        ----------
        text : str

        Raises
        ------
        InvalidHeadError
            The text is not that of a head, has another version, or a value is missing or out of range.
        """
        try:
            values = json.loads(text)
            if not isinstance(values, dict) or values.get("format") != FORMAT:
                raise ValueError("it is not a file that `genre learn` wrote")
            if values["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema_version is {values['schema_version']!r}: this version reads {SCHEMA_VERSION}")
            n_labels, n_features = len(values["labels"]), values["n_features"]
            head = cls(
                labels=tuple(values["labels"]),
                weights=_unpacked(values["weights"], (n_labels, n_features)),
                bias=_unpacked(values["bias"], (n_labels,)),
                known_as=tuple(values["known_as"]),
                **{name: values[name] for name in _PLAIN},
            )
            head._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InvalidHeadError(f"the head cannot be used ({reason}): write it with `genre learn`") from error
        return head

    def _check(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels are {list(self.labels)}: expected two or more, each once")
        for label in self.labels:
            check_name(label, "label")
        if len(self.known_as) != len(self.labels) or not all(n is None or isinstance(n, str) for n in self.known_as):
            raise ValueError(f"known_as is {list(self.known_as)}: expected a name or null for each label")
        if not isinstance(self.model_sha256, str):
            raise ValueError(f"model_sha256 is {self.model_sha256!r}")
        if not isinstance(self.metrics, Mapping) or not isinstance(self.provenance, Mapping):
            raise ValueError("metrics and provenance: expected two objects")
        check_limits(self)


_PLAIN = ("model_sha256", "share", "confidence_threshold", "genre_set_threshold", "metrics", "provenance")


def known_probabilities(
    known_as: Sequence[str | None], excerpts: Sequence[ExcerptPrediction], tags: Sequence[Tag] = ()
) -> NDArray[np.float64]:
    """Return the model's probability of what each genre is known as; 1 for a genre that it does not know.

    Rounded as a state file keeps it, so that an answer does not depend on whether the file was analysed before.

    Parameters
    ----------
    known_as : sequence of str or None, of length n_labels
        A genre of the model, or one of `tags`.
    excerpts : sequence of ExcerptPrediction
        The model's answers.
    tags : sequence of Tag
        Of the model.

    Returns
    -------
    float64 array, shape (n_excerpts, n_labels)

    Raises
    ------
    InvalidInputError
        An excerpt has no tags, or those of another model.
    """
    known = np.ones((len(excerpts), len(known_as)))
    place = {tag.name: number for number, tag in enumerate(tags)}
    genres = excerpts[0].probabilities if excerpts else {}
    by_genre = [(column, name) for column, name in enumerate(known_as) if name is not None and name in genres]
    by_tag = [(column, place[name]) for column, name in enumerate(known_as) if name is not None and name not in genres]
    for column, name in by_genre:
        known[:, column] = [round(excerpt.probabilities[name], PROBABILITY_DIGITS) for excerpt in excerpts]
    if by_tag:
        if any(excerpt.tags is None or excerpt.tags.size != len(tags) for excerpt in excerpts):
            raise InvalidInputError("the answer has no tags of this model: analyse the file again")
        shares = np.array([excerpt.tags for excerpt in excerpts], np.float16).reshape(len(excerpts), len(tags))
        columns, places = map(list, zip(*by_tag, strict=True))
        known[:, columns] = np.maximum(shares[:, places], SMALLEST_TAG)
    return known


def read_head(path: Path | str) -> GenreHead:
    """Read a head from a file.

    Parameters
    ----------
    path : path

    Raises
    ------
    ModelNotFoundError
        The file does not exist.
    InvalidHeadError
        The file cannot be read, or is not a head.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise ModelNotFoundError(path, "expected a head that `genre learn` wrote; check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidHeadError(f"the head {str(path)!r} cannot be read ({reason}): check the path") from error
    if content.startswith(b"SQLite format 3\0"):
        raise InvalidHeadError(f"{str(path)!r} is a state file: expected a head that `genre learn` wrote")
    if len(content) > LARGEST_FILE:
        raise InvalidHeadError(f"{str(path)!r} has more than {LARGEST_FILE:,} bytes: it is not a head")
    try:
        return GenreHead.from_json(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidHeadError(f"{str(path)!r} is not a head that `genre learn` wrote: it is not text") from error
    except InvalidHeadError as error:
        raise InvalidHeadError(f"{str(path)!r}: {error}") from error


def _packed(values: FloatArray) -> str:
    return b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(text: str, shape: tuple[int, ...]) -> FloatArray:
    if not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(f"an array has the shape {shape}: expected positive numbers")
    content = b64decode(text, validate=True)
    n_bytes = 4 * int(np.prod(shape, dtype=object))
    if len(content) != n_bytes:
        raise ValueError(f"an array has {len(content)} bytes: expected {n_bytes} for the shape {shape}")
    values = np.frombuffer(content, "<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError("an array has values that are not finite")
    return values
