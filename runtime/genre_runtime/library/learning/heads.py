"""Learns a `GenreHead` from examples, and measures it on artists that it has not learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.calibration import (
    SMALLEST_THRESHOLD,
    TARGET_PRECISION,
    confidence_threshold,
    confident_answers,
    confused_pairs,
    genre_set_threshold,
    genre_sets,
    right_answers,
)
from genre_runtime.errors import InvalidInputError, counted
from genre_runtime.library.genre_names import spelling_key
from genre_runtime.library.learning.examples import Example, means_same
from genre_runtime.library.learning.folds import (
    Setting,
    TrackSet,
    assign_folds,
    best_temperature,
    choose_setting,
    default_setting,
    fitted,
    given_probabilities,
    held_out_logits,
    scale_of,
    track_probabilities,
)
from genre_runtime.model.head import GenreHead, known_probabilities
from genre_runtime.model.metadata import ModelMetadata, Tag
from genre_runtime.prediction import Prediction

HEAD_MARK = '{\n "format": "genre head",'
"""A file of a head begins with it."""
FEWEST_TRACKS = 3
"""A genre with fewer examples is left out by default."""
MUSICAL_KINDS = ("style", "mood", "instrument", "voice")
"""Kinds of tags that may be one's own genres, too, such as piano."""
NOT_NARROWER = frozenset(
    {"and", "und", "et", "or", "no", "not", "non", "nicht", "kein", "without", "ohne", "anti", "other"}
)
"""Words after which the name of a genre does not say what the whole name means."""
FEWEST_GROUPS = 2
"""A genre of one artist cannot be judged by others."""


@dataclass
class Collection:
    """Examples with the model's answers.

    Attributes
    ----------
    examples : list of Example
    predictions : list of Prediction
        The model's answer for each, with the embeddings of its excerpts.
    """

    examples: list[Example] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)

    def add(self, example: Example, prediction: Prediction) -> bool:
        """Add an example, unless it is silent or has no embeddings; return whether it was added.

        Parameters
        ----------
        example : Example
        prediction : Prediction
        """
        embeddings = [excerpt.embedding for excerpt in prediction.excerpts]
        if prediction.is_silent or not embeddings or any(one is None for one in embeddings):
            return False
        self.examples.append(example)
        self.predictions.append(prediction)
        return True


@dataclass(frozen=True)
class Judgement:
    """Answers for tracks by regressions that learnt from no track of the same artist.

    Attributes
    ----------
    tracks : TrackSet
    probabilities : float64 array, shape (n_tracks, n_labels)
        Calibrated.
    temperature : float
    folds : int64 array, shape (n_tracks,)
    judged : bool array, shape (n_tracks,)
        False for a track whose genres have no second artist.
    """

    tracks: TrackSet
    probabilities: NDArray[np.float64]
    temperature: float
    folds: NDArray[np.int64]
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class Lesson:
    """What was learnt.

    Attributes
    ----------
    head : GenreHead
    left_out : mapping of str to int
        Genres with too few examples, and how many they have.
    """

    head: GenreHead
    left_out: Mapping[str, int]


def learn_head(
    collection: Collection,
    metadata: ModelMetadata,
    *,
    fewest: int = FEWEST_TRACKS,
    keep_labels: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Lesson:
    """Learn a head, and judge it by folds that keep artists apart.

    Parameters
    ----------
    collection : Collection
    metadata : ModelMetadata
        Of the model, without a head.
    fewest : int
        Examples that a genre needs.
    keep_labels : bool
        Keep the genres of the model beside one's own. Files without a genre are then examples of what the model
        answers for them.
    report : callable
        Called with a description of each step.

    Raises
    ------
    InvalidInputError
        Fewer than two genres have enough examples.
    """
    counts = Counter(genre for example in collection.examples for genre in example.genres)
    labels = sorted((genre for genre, count in counts.items() if count >= fewest), key=str.casefold)
    left_out = {genre: count for genre, count in counts.items() if count < fewest}
    if keep_labels:
        labels += [name for name in metadata.labels if not any(means_same(name, label) for label in labels)]
    if len(labels) < 2:
        found = ", ".join(f"{genre} ({count})" for genre, count in counts.most_common(10)) or "none"
        raise InvalidInputError(
            f"{counted(len(labels), 'genre')} with {counted(fewest, 'track')} or more: expected two; found were "
            f"{found}; name more music"
        )
    known_as = known_names(labels, metadata)
    tracks, _ = track_set(collection, labels, known_as, metadata.tags, keep_labels=keep_labels)
    builds_on, metrics, thresholds, temperature = any(known_as), _unjudged(labels), _CAUTIOUS, 1.0
    can_be_judged = judged_tracks(tracks).any()
    report("choosing how strictly to learn")
    setting, held_out = default_setting(builds_on=builds_on), None
    if can_be_judged:
        setting, held_out = choose_setting(tracks, builds_on=builds_on)
    report(f"learning {len(labels)} genres from {len(tracks.genres)} tracks")
    coefficients = fitted(tracks, setting)
    if can_be_judged:
        report("judging by artists that were held out")
        judgement = judge(tracks, setting, coefficients, held_out)
        metrics, thresholds = figures(judgement, labels)
        temperature = judgement.temperature
    head = GenreHead(
        labels=tuple(labels),
        weights=np.ascontiguousarray((coefficients[:-1] * (tracks.scale / temperature)).T, np.float32),
        bias=(coefficients[-1] / temperature).astype(np.float32),
        known_as=known_as if setting.share else (None,) * len(labels),
        share=setting.share / temperature if setting.share else 1.0,
        model_sha256=metadata.graphs["waveform"].sha256,
        metrics=metrics,
        provenance={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "examples": {label: counts[label] for label in labels if counts[label]},
            "n_tracks": len(tracks.genres),
            "n_groups": len(np.unique(tracks.groups)),
            "left_out": dict(sorted(left_out.items())),
            "penalty": setting.penalty,
            "share": setting.share,
            "split": {"split": "folds by artist", "seed": 0},
        },
        **thresholds,
    )
    return Lesson(head, left_out)


def known_names(labels: Sequence[str], metadata: ModelMetadata) -> tuple[str | None, ...]:
    """Return for each genre what the model knows it as: a genre or a tag, or None.

    That is one with the same name, or else one that means the same. Otherwise the last words are tried, if they are a
    genre or a style: deep house is a house. They are not if the words before deny them (no jazz), or name another
    thing (pop / rock).

    Parameters
    ----------
    labels : sequence of str
    metadata : ModelMetadata
        Of the model.
    """
    names = [*metadata.labels, *(tag.name for tag in metadata.tags if tag.kind in MUSICAL_KINDS)]
    broad = [*metadata.labels, *(tag.name for tag in metadata.tags if tag.kind == "style")]

    def known(label: str) -> str | None:
        words = label.split()
        ends = [
            (" ".join(words[start:]), broad)
            for start in range(1, len(words))
            if words[start][0].isalnum() and _narrows(words[:start])
        ]
        found = (name for text, among in [(label, names), *ends] for name in _alike(text, among))
        return next(found, None)

    return tuple(map(known, labels))


def _alike(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that mean the same as a text, the same name first."""
    alike = [name for name in names if means_same(text, name)]
    return sorted(alike, key=lambda name: spelling_key(name) != spelling_key(text))


def _narrows(words: Sequence[str]) -> bool:
    """Return whether words before the name of a genre can make it a narrower one."""
    return not any(word.casefold() in NOT_NARROWER or set(word) & set("&+/,;|") for word in words)


def track_set(
    collection: Collection,
    labels: Sequence[str],
    known_as: Sequence[str | None],
    tags: Sequence[Tag] = (),
    *,
    keep_labels: bool = False,
) -> tuple[TrackSet, list[int]]:
    """Return the examples of the genres as arrays, and their places in the collection.

    Parameters
    ----------
    collection : Collection
    labels : sequence of str
        The genres; others of an example are left out.
    known_as : sequence of str or None
        See `known_names`.
    tags : sequence of Tag
        Of the model.
    keep_labels : bool
        Use the model's answer for examples without a genre.
    """
    number = {label: i for i, label in enumerate(labels)}
    of_model = {known: i for i, known in enumerate(known_as) if known is not None and means_same(labels[i], known)}
    genres: list[tuple[int, ...]] = []
    chosen = []
    for i, (example, prediction) in enumerate(zip(collection.examples, collection.predictions, strict=True)):
        own = tuple(number[genre] for genre in example.genres if genre in number)
        if not own and keep_labels and not example.genres and prediction.label in of_model:
            own = (of_model[prediction.label],)
        if own:
            genres.append(own)
            chosen.append(i)
    rows: list[NDArray[np.float16]] = []
    answers: list[NDArray[np.float32]] = []
    track_of_row: list[int] = []
    for track, i in enumerate(chosen):
        excerpts = [one for one in collection.predictions[i].excerpts if not one.silent]
        rows += [np.asarray(one.embedding, np.float16) for one in excerpts]
        answers.append(known_probabilities(known_as, excerpts, tags).astype(np.float32))
        track_of_row += [track] * len(excerpts)
    if not chosen:
        raise InvalidInputError("no file has one of the genres: name files with genres in their tags")
    return (
        TrackSet(
            (embeddings := np.array(rows)),
            np.concatenate(answers),
            np.array(track_of_row),
            tuple(genres),
            np.array([collection.examples[i].group for i in chosen]),
            len(labels),
            scale_of(embeddings),
        ),
        chosen,
    )


def judged_tracks(tracks: TrackSet) -> NDArray[np.bool_]:
    """Return which tracks can be judged: another artist has one of their genres as well.

    Parameters
    ----------
    tracks : TrackSet
    """
    artists: dict[int, set[str]] = {}
    for own, group in zip(tracks.genres, tracks.groups, strict=True):
        for genre in own:
            artists.setdefault(genre, set()).add(str(group))
    return np.array([any(len(artists[genre]) >= FEWEST_GROUPS for genre in own) for own in tracks.genres])


def judge(
    tracks: TrackSet,
    setting: Setting,
    coefficients: NDArray[np.float32] | None = None,
    held_out: NDArray[np.float32] | None = None,
) -> Judgement:
    """Answer for each track by a regression that learnt from no track of the same artist, and calibrate.

    Parameters
    ----------
    tracks : TrackSet
    setting : Setting
    coefficients : float32 array, optional
        Of all tracks, which shorten the fits.
    held_out : float32 array, optional
        The logits, if `choose_setting` has computed them.

    Raises
    ------
    InvalidInputError
        No genre has a second artist.
    """
    judged = judged_tracks(tracks)
    if not judged.any():
        raise InvalidInputError(
            "no genre has tracks by two artists: expected some, since a head is judged by artists that it has not "
            "learnt from; name more music, or check the artists in the tags"
        )
    folds = assign_folds(tracks.genres, tracks.groups, tracks.n_labels)
    logits = held_out_logits(tracks, folds, setting, coefficients) if held_out is None else held_out
    rows = judged[tracks.track_of_row]
    temperature, _ = best_temperature(logits[rows], tracks.only(np.flatnonzero(judged)))
    return Judgement(tracks, track_probabilities(logits, tracks.starts, temperature), temperature, folds, judged)


_CAUTIOUS = {"confidence_threshold": 1.0, "genre_set_threshold": SMALLEST_THRESHOLD}
"""Without a judgement, no answer is confident and every genre is possible."""


def _unjudged(labels: Sequence[str]) -> dict[str, Any]:
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    test = {"n_tracks": 0, "n_groups": 0, "accuracy": None, "per_genre": dict.fromkeys(labels, nothing)}
    return {"test": test}


def figures(judgement: Judgement, labels: Sequence[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the figures of held-out tracks in the form of a model's sidecar, and the thresholds.

    A track is right if the most probable genre is one of its own.

    Parameters
    ----------
    judgement : Judgement
    labels : sequence of str
    """
    judged = judgement.judged
    probabilities, groups = judgement.probabilities[judged], judgement.tracks.groups[judged]
    genres = [own for own, counts in zip(judgement.tracks.genres, judged, strict=True) if counts]
    answers = probabilities.argmax(axis=1)
    right = np.array([answer in own for answer, own in zip(answers, genres, strict=True)])
    true = np.where(right, answers, [own[0] for own in genres])
    confidence, given = probabilities.max(axis=1), given_probabilities(probabilities, genres)
    threshold, set_threshold = confidence_threshold(confidence, right, groups), genre_set_threshold(given, groups)
    if threshold <= confidence.min():  # all are right: so would be less certain ones
        threshold = min(threshold, TARGET_PRECISION)
    in_set = genre_sets(probabilities, set_threshold)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (true, answers), 1)
    per_genre = _per_genre(counts, labels)
    test = {
        **right_answers(right, groups),
        "macro_f1": float(np.mean([values["f1"] for values in per_genre.values() if values["support"]])),
        "log_loss": float(-np.log(np.maximum(given, 1e-12)).mean()),
        "per_genre": per_genre,
        "confusion_matrix": counts.tolist(),
        "confused_pairs": confused_pairs(counts, labels),
        "confident": confident_answers(confidence, right, threshold, groups),
        "genre_sets": {
            "right": float(np.mean([row[list(own)].any() for row, own in zip(in_set, genres, strict=True)])),
            "mean_size": float(in_set.sum(axis=1).mean()),
        },
    }
    metrics = {"macro_f1": test["macro_f1"], "test": test, "n_folds": int(judgement.folds.max()) + 1}
    return metrics, {
        "confidence_threshold": threshold,
        "genre_set_threshold": max(set_threshold, SMALLEST_THRESHOLD),
    }


def _per_genre(counts: NDArray[np.int64], labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    values = {}
    for i, label in enumerate(labels):
        right, support, answered = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        values[label] = {
            "precision": right / answered if answered else 0.0,
            "recall": right / support if support else 0.0,
            "f1": 2 * right / max(support + answered, 1),
            "support": support,
        }
    return values
