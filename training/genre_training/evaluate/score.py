"""The scores of a checkpoint: calibrated on some clips, judged on others, by source, and as text.

A network that was trained on all clips has no clip left to be scored with. The scores of its five folds stand for it:
each clip is answered by a network that was not trained with its artist, and calibrated by the answers of the other
folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from genre_runtime.calibration import confidence_threshold, right_answers, share_interval
from genre_runtime.errors import counted
from genre_training.data.splits import TrainingData, stored_split
from genre_training.data.track import Indices
from genre_training.evaluate.metrics import (
    calibration_error,
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
PART_NAMES = {
    "test": "test",
    "files": "test, from audio files",
    "ending_lower": "test, without what lies above 10 kHz",
    "held_out": "held out",
}
"""Parts of the metrics in the tables of the figures, and their names there."""


class Scores(NamedTuple):
    """The calibration of a checkpoint and its metrics.

    Attributes
    ----------
    temperature, confidence_threshold : float
    metrics : dict
        For `validation` and `test` the result of `genre_training.evaluate.metrics.metrics` with intervals over artists,
        and `per_source`. The test part also has `calibration_error`, `calibration_error_uncalibrated`, `confident`,
        `excerpts` and `reliability`, none of which the clips had a part in fitting. `files`: accuracy on the test clips
        that exist as audio files, answered from these, and how many are answered like the picture of the same clip;
        `ending_lower`, of two branches: the same without what lies above 10 kHz. For folds also `folds`: the accuracy
        of each on all its test clips, by source.
    """

    temperature: float
    confidence_threshold: float
    metrics: dict[str, Any]


class _Answers(NamedTuple):
    """Logits of some clips: `positions` in the data, `files` from audio files."""

    positions: Indices
    logits: NDArray[np.float64]
    files: Indices
    file_logits: NDArray[np.float64]


class _Calibration(NamedTuple):
    """One value for all clips, or one for each."""

    temperature: NDArray[np.float64]
    threshold: NDArray[np.float64]

    def each(self, n_clips: int) -> _Calibration:
        """Return one value for each clip."""
        return _Calibration(*(np.broadcast_to(value, n_clips) for value in self))


def score(
    checkpoints: Sequence[Checkpoint],
    data: TrainingData,
    device: torch.device,
    calibration: tuple[float, float] | None = None,
    refitted: Checkpoint | None = None,
) -> Scores:
    """Calibrate, then score validation and test.

    One checkpoint is calibrated on validation. The test answers of each fold are calibrated on those of the others;
    the temperature and the threshold of the result come from all of them.

    Parameters
    ----------
    checkpoints : sequence of Checkpoint
        One checkpoint, or the folds of one recipe in order. Each is scored on its own split. An artist whom every fold
        tests, since the source names the clips as test clips, counts for one of them.
    data : TrainingData
    device : torch.device
    calibration : tuple of float, optional
        Temperature and confidence threshold of an earlier calibration of one checkpoint, instead of fitting new ones.
    refitted : Checkpoint, optional
        The network for which the folds stand; scored on the test part that it held out.

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
    artists = np.unique(data.groups_of(np.arange(len(data.labels))), return_inverse=True)[1]
    validations: list[_Answers] = []
    tests: list[_Answers] = []
    per_fold = []
    for fold, (checkpoint, split) in enumerate(zip(checkpoints, splits, strict=True)):
        network = checkpoint.trained_network().to(device)
        validation, test = (_answer(network, part, data, device) for part in (split.validation, split.test))
        fitted = _fit([validation], data)
        per_fold.append(_per_source(test.positions, track_probabilities(test.logits, fitted.temperature), data))
        kept = (times_tested < n_folds) | (artists % n_folds == fold)
        validations.append(validation)
        tests.append(_only(test, kept))
    if n_folds == 1:
        found = _fit(validations, data) if calibration is None else _Calibration(*map(np.array, calibration))
        judged = found.each(len(tests[0].positions))
        judged_files = found.each(len(tests[0].files))
    else:
        found = _fit(tests, data)
        others = [_fit([*tests[:fold], *tests[fold + 1 :]], data) for fold in range(n_folds)]
        judged = _joined([one.each(len(test.positions)) for one, test in zip(others, tests, strict=True)])
        judged_files = _joined([one.each(len(test.files)) for one, test in zip(others, tests, strict=True)])
    test = _joined(tests)
    scores: dict[str, Any] = {
        "validation": _part(_once(_joined(validations)), data, found.temperature),
        "test": _part(test, data, judged.temperature) | _calibrated(test, data, judged),
        "files": _files(test, data, judged, judged_files),
    }
    if n_folds > 1:
        scores["folds"] = per_fold
    part = np.flatnonzero(np.isin(data.track_ids, refitted.held_out.get("test", ()) if refitted else ()))
    if refitted and len(part):
        kept = ~np.isin(artists, artists[part])
        others_only = _fit([_only(test, kept) for test in tests], data)
        held_out = _answer(refitted.trained_network().to(device), part, data, device)
        scores["held_out"] = _part(held_out, data, others_only.temperature) | _calibrated(
            held_out, data, others_only.each(len(part))
        )
    return Scores(float(found.temperature), float(found.threshold), scores)


def score_answers(
    judged: NDArray[np.float64], fitted: NDArray[np.float64], data: TrainingData, n_folds: int = 5
) -> Scores:
    """Score answers to all clips, each by networks that know no clip of its artist.

    Temperature and threshold that judge a clip come from clips of other artists; those of the result from all.

    Parameters
    ----------
    judged, fitted : float64 array, shape (n_clips, n_excerpts, n_labels)
        Logits for the test part, which no choice was made by, and for the validation part.
    data : TrainingData
    n_folds : int
    """
    positions = np.arange(len(data.labels))
    test, validation = (_Answers(positions, logits, positions[:0], logits[:0]) for logits in (judged, fitted))
    found = _fit([test], data)
    calibration = _Calibration(np.zeros(len(positions)), np.zeros(len(positions)))
    for others, part in GroupKFold(n_folds).split(positions, groups=data.groups_of(positions)):
        fold = _fit([_only(test, np.isin(positions, others))], data)
        calibration.temperature[part], calibration.threshold[part] = fold.temperature, fold.threshold
    files = _Answers(positions, judged, positions, judged)
    scores = {
        "validation": _part(validation, data, found.temperature),
        "test": _part(test, data, calibration.temperature) | _calibrated(test, data, calibration),
        "files": _files(files, data, calibration, calibration),
    }
    return Scores(float(found.temperature), float(found.threshold), scores)


def _answer(network: torch.nn.Module, part: Indices, data: TrainingData, device: torch.device) -> _Answers:
    """Answer the clips of a part, and the audio files of those that have one."""
    logits = excerpt_logits(network, data.clips[part], data.excerpt_frames, device)
    own = np.flatnonzero(data.is_file[part]) if len(data.is_file) else part[:0]
    files, file_logits = part[own], logits[own]
    twins = np.flatnonzero(np.isin(data.twin_positions, part))
    if len(twins):
        files = np.concatenate([files, data.twin_positions[twins]])
        more = excerpt_logits(network, data.twins[twins], data.excerpt_frames, device)
        file_logits = np.concatenate([file_logits, more])
    return _Answers(part, logits, files, file_logits)


def _joined(parts: Sequence[Any]) -> Any:
    return type(parts[0])(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _once(answers: _Answers) -> _Answers:
    """Return one answer for each clip: some clips validate in several folds."""
    rows = np.unique(answers.positions, return_index=True)[1]
    return answers._replace(positions=answers.positions[rows], logits=answers.logits[rows])


def _only(answers: _Answers, kept: NDArray[np.bool_]) -> _Answers:
    chosen, files = kept[answers.positions], kept[answers.files]
    return _Answers(answers.positions[chosen], answers.logits[chosen], answers.files[files], answers.file_logits[files])


def _fit(answers: Sequence[_Answers], data: TrainingData) -> _Calibration:
    """Fit temperature and threshold to some answers."""
    logits = np.concatenate([one.logits for one in answers])
    positions = np.concatenate([one.positions for one in answers])
    labels = data.labels[positions]
    temperature = fit_temperature(logits, labels)
    probabilities = track_probabilities(logits, temperature)
    right = probabilities.argmax(axis=1) == labels
    threshold = confidence_threshold(probabilities.max(axis=1), right, data.groups_of(positions))
    return _Calibration(np.array(temperature), np.array(threshold))


def _part(answers: _Answers, data: TrainingData, temperature: NDArray[np.float64]) -> dict[str, Any]:
    labels = data.labels[answers.positions]
    probabilities = track_probabilities(answers.logits, temperature)
    groups = data.groups_of(answers.positions)
    return {
        **metrics(probabilities, labels, data.names, groups, _possible(answers.positions, data)),
        "per_source": _per_source(answers.positions, probabilities, data),
    }


def _calibrated(answers: _Answers, data: TrainingData, calibration: _Calibration) -> dict[str, Any]:
    """Return how well a calibration does that these answers had no part in."""
    labels = data.labels[answers.positions]
    probabilities = track_probabilities(answers.logits, calibration.temperature)
    groups = data.groups_of(answers.positions)
    return {
        "calibration_error": calibration_error(probabilities, labels),
        "calibration_error_uncalibrated": calibration_error(track_probabilities(answers.logits), labels),
        "confident": coverage_at_threshold(probabilities, labels, calibration.threshold, groups),
        "excerpts": excerpt_gain(answers.logits, labels, calibration.temperature),
        "reliability": reliability(probabilities, labels),
    }


def _files(answers: _Answers, data: TrainingData, calibration: _Calibration, of_files: _Calibration) -> dict[str, Any]:
    """Return the accuracy on audio files, and how many of them are answered like the picture of the same clip."""
    if not len(answers.files):
        return {"n_tracks": 0}
    probabilities = track_probabilities(answers.file_logits, of_files.temperature)
    labels, groups = data.labels[answers.files], data.groups_of(answers.files)
    pictured = np.flatnonzero(np.isin(answers.files, data.twin_positions))
    place = {position: row for row, position in enumerate(answers.positions.tolist())}
    rows = [place[position] for position in answers.files[pictured].tolist()]
    pictures = track_probabilities(answers.logits[rows], calibration.temperature[rows]).argmax(axis=1)
    return {
        **_shares(answers.files, probabilities, data),
        "per_source": _per_source(answers.files, probabilities, data),
        "confident": coverage_at_threshold(probabilities, labels, of_files.threshold, groups),
        "n_pictured": len(pictured),
        "like_picture": float((pictures == probabilities[pictured].argmax(axis=1)).mean()) if len(pictured) else None,
    }


def _possible(positions: Indices, data: TrainingData) -> NDArray[np.bool_]:
    """Return the genres that the data set of each clip has, (n_clips, n_labels)."""
    names, source = np.unique(data.sources, return_inverse=True)
    known = np.zeros((len(names), len(data.names)), dtype=bool)
    known[source, data.labels] = True
    possible: NDArray[np.bool_] = known[source[positions]]
    return possible


def _per_source(
    positions: Indices, probabilities: NDArray[np.float64], data: TrainingData
) -> dict[str, dict[str, Any]]:
    sources = data.sources[positions]
    return {
        source: _shares(positions[sources == source], probabilities[sources == source], data)
        for source in np.unique(sources).tolist()
    }


def _shares(positions: Indices, probabilities: NDArray[np.float64], data: TrainingData) -> dict[str, Any]:
    """Return the shares of right answers among all genres, and among those of each clip's own source."""
    labels, groups = data.labels[positions], data.groups_of(positions)
    right = probabilities.argmax(axis=1) == labels
    own = np.where(_possible(positions, data), probabilities, -1).argmax(axis=1) == labels
    return {
        **right_answers(right, groups),
        "accuracy_own_genres": float(own.mean()),
        "accuracy_own_genres_interval": share_interval(own, groups),
    }


def headline(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the scores of all tracks together as text, by name, the most important first.

    Parameters
    ----------
    values : mapping
        One part of `Scores.metrics`.
    """
    rows = {
        "accuracy": with_interval(values, "accuracy"),
        "among own genres": with_interval(values, "accuracy_own_genres"),
        "balanced accuracy": with_interval(values, "balanced_accuracy"),
        "macro F1": with_interval(values, "macro_f1"),
        "log-loss": f"{values['log_loss']:.3f}",
    }
    if "calibration_error" in values:
        confident, excerpts = values["confident"], values["excerpts"]
        error = f"{values['calibration_error_uncalibrated']:.3f} -> {values['calibration_error']:.3f}"
        rows |= {
            "calibration error": error,
            "confident answers": confident_in_words(confident),
            "one excerpt -> track": f"{excerpts['single_excerpt_accuracy']:.1%} -> {excerpts['track_accuracy']:.1%}",
        }
    return rows


def tracks_in_words(values: Mapping[str, Any]) -> str:
    """Return the number of tracks and, if it says more, that of artists: unknown artists count one for each track.

    Parameters
    ----------
    values : mapping
        Metrics of a part or a data set.
    """
    tracks, artists = values["n_tracks"], values["n_groups"]
    by = "" if tracks == artists else f" by {counted(artists, 'artist')}"
    return f"{counted(tracks, 'track')}{by}"


def confident_in_words(confident: Mapping[str, Any]) -> str:
    """Return how many answers are confident and how many of these are right.

    Parameters
    ----------
    confident : mapping
        `confident` of a part.
    """
    right = "" if confident["precision"] is None else f", {with_interval(confident, 'precision')} of them right"
    return f"{confident['coverage']:.1%} of the tracks{right}"


def artists_in_words(provenance: Mapping[str, Any]) -> str:
    """Say how far a split keeps artists apart; the figures are too good where it does not.

    Parameters
    ----------
    provenance : mapping
        Of a checkpoint.
    """
    if provenance.get("split", {}).get("split") == "stratified":
        return "The split is by clip: clips of one artist are in training and in test, so the figures are too good."
    unknown = provenance.get("clips_without_artist")
    if unknown is None:
        return "It is not recorded whether an artist is in training and in test."
    clips = provenance.get("clips_per_source", {})
    flat = [source for source, count in unknown.items() if count == clips.get(source)]
    known = "No artist, as the data sets name them, is in training and in test."
    if not unknown:
        return known
    if len(flat) == len(clips):
        return (
            "No clip names its artist, so the split is random: clips of one artist may be in training and in test, and "
            "the figures may be too good."
        )
    some = ", ".join(f"{count} of {source}" for source, count in unknown.items())
    return f"{known} Of clips whose artist is unknown ({some}) this is not certain."


def summary(part: str, values: Mapping[str, Any]) -> str:
    """Return a table of one part for the terminal: headline, sources and the most frequent confusions.

    Parameters
    ----------
    part : str
        Name of the part.
    values : mapping
        One part of `Scores.metrics`.
    """
    rows = list(headline(values).items()) + _source_rows(values)
    pairs = values["confused_pairs"][:N_PRINTED_PAIRS]
    rows += [("confused", f"{true} taken for {answer} ({count})") for true, answer, count in pairs]
    return _table(f"{part}: {tracks_in_words(values)}", rows)


def _files_summary(name: str, values: Mapping[str, Any]) -> str:
    rows = [("accuracy", with_interval(values, "accuracy"))]
    rows += [("among own genres", with_interval(values, "accuracy_own_genres")), *_source_rows(values)]
    rows.append(("confident answers", confident_in_words(values["confident"])))
    if values["n_pictured"]:
        rows.append(
            ("like the picture", f"{values['like_picture']:.1%} of {counted(values['n_pictured'], 'clip')} with one")
        )
    return _table(f"{name}: {tracks_in_words(values)}", rows)


def _source_rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            source,
            f"{one['accuracy']:.1%}, among its own genres {with_interval(one, 'accuracy_own_genres')} "
            f"({tracks_in_words(one)})",
        )
        for source, one in values["per_source"].items()
    ]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in rows)])


def with_interval(values: Mapping[str, Any], name: str) -> str:
    """Return a share and its interval in percent; the share alone if there are too few artists for an interval.

    Parameters
    ----------
    values : mapping
        Metrics.
    name : str
        Of the share; its interval is `<name>_interval`.
    """
    interval = values[f"{name}_interval"]
    return f"{values[name]:.1%}" + (f" [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else "")


def parts_of_test(values: Mapping[str, Any]) -> list[str]:
    """Return which figures of the test part there are beside its own: from files only, and of files that end lower.

    Parameters
    ----------
    values : mapping
        `Scores.metrics`.
    """
    some_are_files = 0 < values["files"]["n_tracks"] < values["test"]["n_tracks"]
    return [*(["files"] if some_are_files else []), *(["ending_lower"] if "ending_lower" in values else [])]


def print_scores(values: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """Print a table of each part, and the accuracies of the folds.

    Parameters
    ----------
    values : mapping
        `Scores.metrics`.
    provenance : mapping
        Of the checkpoint.
    """
    print(f"95 % intervals over artists in brackets. {artists_in_words(provenance)}")
    for part in ("validation", "test", "held_out"):
        if part in values:
            name = "held out of the network trained on the rest" if part == "held_out" else part
            print(summary(name, values[part]))
    for part in parts_of_test(values):
        print(_files_summary(PART_NAMES[part], values[part]))
    for fold, sources in enumerate(values.get("folds", [])):
        figures = ", ".join(f"{source} {one['accuracy_own_genres']:.1%}" for source, one in sources.items())
        print(f"fold {fold}, test, among each source's own genres: {figures}")
