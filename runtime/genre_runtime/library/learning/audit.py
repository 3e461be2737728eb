"""Finds files whose genre the audio contradicts: confident learning (Northcutt, Jiang and Chuang, 2021).

Each file is answered by a regression that learnt from no file of the same artist. A genre is plausible for a file if
its probability reaches `EVIDENT`, or the mean probability of this genre over the files that are tagged with it. A file
is doubtful if its most probable genre is plausible and is not one of its own. Files with the largest difference between
the two probabilities come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from genre_runtime.errors import InvalidInputError, counted
from genre_runtime.library.learning.folds import choose_setting, given_probabilities
from genre_runtime.library.learning.heads import Collection, figures, judge, known_names, track_set
from genre_runtime.library.similarity import EmbeddingIndex
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.prediction import Doubt, FileResult, Neighbour, Prediction

N_NEIGHBOURS = 3
EVIDENT = 0.8
"""A probability that suffices whatever the mean, which is nearly 1 in a tidy collection."""


@dataclass(frozen=True)
class Audit:
    """The doubtful files of a collection.

    Attributes
    ----------
    doubtful : list of FileResult
        The most certain first; each has a `doubt`, and its probabilities are those of the collection's own genres.
    n_tracks : int
        Files that were judged.
    confidence_threshold : float
        Probability from which at least 80 % of the answers are the genre in the tags; 1 if there is none.
    """

    doubtful: list[FileResult]
    n_tracks: int
    confidence_threshold: float


def audit(collection: Collection, metadata: ModelMetadata, *, report: Callable[[str], None] = lambda _: None) -> Audit:
    """Find the files whose genre the audio contradicts.

    Parameters
    ----------
    collection : Collection
    metadata : ModelMetadata
        Of the model, without a head.
    report : callable
        Called with a description of each step.

    Raises
    ------
    InvalidInputError
        There are fewer than two genres, or no genre has two artists.
    """
    labels = sorted({genre for example in collection.examples for genre in example.genres}, key=str.casefold)
    if len(labels) < 2:
        raise InvalidInputError(
            f"the files name {counted(len(labels), 'genre')}: expected two or more; name more music with "
            "genres in its tags"
        )
    known_as = known_names(labels, metadata)
    tracks, chosen = track_set(collection, labels, known_as, metadata.tags)
    report("choosing how strictly to learn")
    setting, held_out = choose_setting(tracks, builds_on=any(known_as))
    report(f"judging {counted(len(chosen), 'track')} by artists that were held out")
    judgement = judge(tracks, setting, held_out=held_out)
    probabilities = judgement.probabilities
    own = given_probabilities(probabilities, tracks.genres)
    needed = np.full(len(labels), 2.0)
    for label in range(len(labels)):
        tagged = [track for track, genres in enumerate(tracks.genres) if label in genres]
        needed[label] = min(EVIDENT, probabilities[tagged, label].mean()) if tagged else 2.0
    best, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    margin = np.where(judgement.judged & (confidence >= needed[best]), confidence - own, 0.0)
    order = [int(track) for track in np.argsort(-margin, kind="stable") if margin[track] > 0]
    index = EmbeddingIndex.of([collection.predictions[i] for i in chosen])
    doubtful = []
    for track in order:
        place = chosen[track]
        example, prediction = collection.examples[place], collection.predictions[place]
        nearest = [
            Neighbour(collection.examples[chosen[other]].path, collection.examples[chosen[other]].genres, similarity)
            for other, similarity in index.nearest(track, N_NEIGHBOURS)
        ]
        row = probabilities[track]
        shares = {labels[i]: float(row[i]) for i in np.argsort(-row, kind="stable")}
        answer = _answered(prediction, labels[best[track]], float(confidence[track]), shares)
        doubt = Doubt(example.genres, float(own[track]), tuple(nearest))
        doubtful.append(FileResult(example.path, answer, doubt=doubt))
    _, thresholds = figures(judgement, labels)
    return Audit(doubtful, len(chosen), thresholds["confidence_threshold"])


def _answered(prediction: Prediction, label: str, confidence: float, shares: dict[str, float]) -> Prediction:
    """Return the model's answer with the collection's genres in place of the model's."""
    excerpts = tuple(replace(one, probabilities=shares) for one in prediction.excerpts)
    return replace(
        prediction,
        label=label,
        confidence=confidence,
        confident=True,
        reason=None,
        probabilities=shares,
        excerpts=excerpts,
        genre_set=(),
    )
