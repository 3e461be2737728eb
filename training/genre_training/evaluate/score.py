"""The scores of a checkpoint: calibrated on validation, computed for validation and test, by source, and as text.

A network that was trained on all clips has no clip left to be scored with. The scores of its five folds stand for it:
each clip is answered by a network that was not trained with its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genre_training.data.splits import TrainingData, stored_split
from genre_training.data.track import Indices
from genre_training.evaluate.metrics import (
    Probabilities,
    calibration_error,
    confidence_threshold,
    coverage_at_threshold,
    excerpt_gain,
    excerpt_logits,
    fit_temperature,
    metrics,
    reliability,
    track_probabilities,
)
from genre_training.model.checkpoint import Checkpoint

N_PRINTED_PAIRS = 5


class Scores(NamedTuple):
    """The calibration of a checkpoint and its metrics.

    Attributes
    ----------
    temperature, confidence_threshold : float
    metrics : dict
        For `validation` and `test` the result of `genre_training.evaluate.metrics.metrics` with intervals, and
        `calibration_error_uncalibrated`, `confident`, `excerpts`, `reliability` and `per_source`. For folds also
        `folds`: the accuracy of each on all its test clips, by source.
    """

    temperature: float
    confidence_threshold: float
    metrics: dict[str, Any]


class _Answers(NamedTuple):
    positions: Indices
    logits: NDArray[np.float64]


def score(
    checkpoints: Sequence[Checkpoint],
    data: TrainingData,
    device: torch.device,
    calibration: tuple[float, float] | None = None,
) -> Scores:
    """Calibrate on validation, then score validation and test.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        One checkpoint, or the folds of one recipe in order. Each is scored on its own split. A clip that every fold
        tests, since its source names it as a test clip, counts for one of them.
    data : TrainingData
    device : torch.device
    calibration : tuple of float, optional
        Temperature and confidence threshold of an earlier calibration, to use instead of fitting new ones.

    Raises
    ------
    CheckpointError
        Weights do not fit their network.
    DataError
        The clips that a checkpoint held out are not in `data`.
    """
    n_folds = len(checkpoints)
    splits = [stored_split(checkpoint.held_out, data.track_ids) for checkpoint in checkpoints]
    times_tested = np.bincount(np.concatenate([split.test for split in splits]), minlength=len(data.labels))
    validations: list[_Answers] = []
    tests: list[_Answers] = []
    per_fold = []
    for fold, (checkpoint, split) in enumerate(zip(checkpoints, splits, strict=True)):
        network = checkpoint.trained_network().to(device)
        validation, test = (
            _Answers(part, excerpt_logits(network, data.clips[part], data.excerpt_frames, device))
            for part in (split.validation, split.test)
        )
        per_fold.append(_calibrated(validation, test, data, None).metrics["test"]["per_source"])
        tested_by_all = np.flatnonzero(times_tested[split.test] == n_folds)
        elsewhere = np.setdiff1d(tested_by_all, tested_by_all[fold::n_folds])
        chosen = np.delete(np.arange(len(split.test)), elsewhere)
        validations.append(validation)
        tests.append(_Answers(test.positions[chosen], test.logits[chosen]))
    scores = _calibrated(_joined(validations), _joined(tests), data, calibration)
    if n_folds > 1:
        scores.metrics["folds"] = per_fold
    return scores


def _joined(answers: Sequence[_Answers]) -> _Answers:
    return _Answers(*(np.concatenate(values) for values in zip(*answers, strict=True)))


def _calibrated(
    validation: _Answers, test: _Answers, data: TrainingData, calibration: tuple[float, float] | None
) -> Scores:
    labels = data.labels[validation.positions]
    temperature = calibration[0] if calibration else fit_temperature(validation.logits, labels)
    calibrated = track_probabilities(validation.logits, temperature)
    threshold = calibration[1] if calibration else confidence_threshold(calibrated, labels)
    parts = {"validation": validation, "test": test}
    return Scores(
        temperature, threshold, {name: _part(one, data, temperature, threshold) for name, one in parts.items()}
    )


def _part(answers: _Answers, data: TrainingData, temperature: float, threshold: float) -> dict[str, Any]:
    labels = data.labels[answers.positions]
    probabilities = track_probabilities(answers.logits, temperature)
    return {
        **metrics(probabilities, labels, data.names, intervals=True),
        "per_source": _per_source(probabilities, answers.positions, data),
        "calibration_error_uncalibrated": calibration_error(track_probabilities(answers.logits), labels),
        "confident": coverage_at_threshold(probabilities, labels, threshold),
        "excerpts": excerpt_gain(answers.logits, labels, temperature),
        "reliability": reliability(probabilities, labels),
    }


def _per_source(probabilities: Probabilities, positions: Indices, data: TrainingData) -> dict[str, dict[str, Any]]:
    result = {}
    for source in np.unique(data.sources[positions]).tolist():
        rows = data.sources[positions] == source
        answered, labels = probabilities[rows], data.labels[positions][rows]
        # A source knows only some genres: the second accuracy takes the likeliest of those alone.
        genres = np.unique(data.labels[data.sources == source])
        result[source] = {
            "n_tracks": len(labels),
            "accuracy": float((answered.argmax(axis=1) == labels).mean()),
            "accuracy_own_genres": float((genres[answered[:, genres].argmax(axis=1)] == labels).mean()),
        }
    return result


def headline(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores of all tracks together as text, by name, the most important first.

    Parameters
    ----------
    values : mapping
        One part of `Scores.metrics`.
    """
    confident, excerpts = values["confident"], values["excerpts"]
    right = "" if confident["precision"] is None else f", {confident['precision']:.1%} of them right"
    return {
        "accuracy": _with_interval(values, "accuracy"),
        "balanced accuracy": _with_interval(values, "balanced_accuracy"),
        "macro F1": _with_interval(values, "macro_f1"),
        "log-loss": f"{values['log_loss']:.3f}",
        "calibration error": f"{values['calibration_error_uncalibrated']:.3f} -> {values['calibration_error']:.3f}",
        "confident answers": f"{confident['coverage']:.1%} of the tracks{right}",
        "one excerpt -> track": f"{excerpts['single_excerpt_accuracy']:.1%} -> {excerpts['track_accuracy']:.1%}",
    }


def summary(part: str, values: Mapping[str, Any]) -> str:
    """Return a table of one part for the terminal: headline, sources and the most frequent confusions.

    Parameters
    ----------
    part : str
        Name of the part.
    values : mapping
        One part of `Scores.metrics`.
    """
    rows = list(headline(values).items())
    rows += [
        (source, f"{one['accuracy']:.1%}, among its own genres {one['accuracy_own_genres']:.1%} ({one['n_tracks']})")
        for source, one in values["per_source"].items()
    ]
    pairs = values["confused_pairs"][:N_PRINTED_PAIRS]
    rows += [("confused", f"{true} taken for {answer} ({count})") for true, answer, count in pairs]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {text}" for name, text in rows]
    return "\n".join([f"{part}: {values['n_tracks']} tracks, 95 % intervals in brackets", *lines])


def _with_interval(values: Mapping[str, Any], name: str) -> str:
    low, high = values[f"{name}_interval"]
    return f"{values[name]:.1%} [{low:.1%}, {high:.1%}]"


def print_scores(values: Mapping[str, Any]) -> None:
    """Print a table of each part, and the accuracies of the folds.

    Parameters
    ----------
    values : mapping
        `Scores.metrics`.
    """
    for part in ("validation", "test"):
        print(summary(part, values[part]))
    for fold, sources in enumerate(values.get("folds", [])):
        figures = ", ".join(f"{source} {one['accuracy_own_genres']:.1%}" for source, one in sources.items())
        print(f"fold {fold}, test, among each source's own genres: {figures}")
