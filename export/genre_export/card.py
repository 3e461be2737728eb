"""The model card, all figures from the sidecar, and the accuracy of the finished graph on audio files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genre_export.parity import parity_table
from genre_runtime import AudioConfig, GenreClassifier, ModelMetadata, Prediction
from genre_runtime.calibration import TARGET_PRECISION, right_answers
from genre_runtime.errors import counted
from genre_training.data.folders import read_audio_tracks
from genre_training.data.track import DataError, Track
from genre_training.evaluate.score import PART_NAMES, artists_in_words, confident_in_words, with_interval


def score_audio_files(classifier: GenreClassifier, data_folder: Path, held_out: dict[str, list[str]]) -> dict[str, Any]:
    """Classify the files of a data folder and compute the accuracy by data set and part of the split.

    Parameters
    ----------
    classifier : GenreClassifier
        The exported model.
    data_folder : Path
        Its `audio` part is classified.
    held_out : dict of str to list of str
        Track ids of the validation and of the test part.

    Returns
    -------
    dict
        `n_files`, `n_failed`, and for each data set and `all`: number of tracks and artists, accuracy and its 95 %
        interval over artists by part (`validation`, `test`). Files that the model was trained on are not classified.

    Raises
    ------
    DataError
        The folder has no audio part.
    """
    found = read_audio_tracks(data_folder)
    if not found:
        raise DataError(f"{data_folder} contains no audio to score: expected audio/index.csv")
    part_of = {track_id: part for part, ids in held_out.items() for track_id in ids}
    tracks = [track for track in found if track.track_id in part_of]
    results = classifier.classify_files(track.path for track in tracks)
    outcomes: list[tuple[Track, str, bool]] = []
    n_failed = 0
    for track, result in zip(tracks, tqdm(results, "audio files", len(tracks), unit="file"), strict=True):
        if not isinstance(result, Prediction):
            n_failed += 1
            continue
        outcomes.append((track, part_of[track.track_id], result.label == track.label))
    scores: dict[str, Any] = {"n_files": len(tracks), "n_failed": n_failed}
    for source in ("all", *sorted({track.source for track in tracks})):
        scores[source] = {}
        for part in ("validation", "test"):
            chosen = [
                (ok, track.group)
                for track, its_part, ok in outcomes
                if its_part == part and source in ("all", track.source)
            ]
            if chosen:
                scores[source][part] = right_answers(*(np.array(values) for values in zip(*chosen, strict=True)))
    return scores


_NETWORKS = {
    "mobilenet": "A MobileNetV3",
    "residual": "A residual CNN",
    "crnn": "A CRNN",
    "transformer": "A transformer",
    "plain": "A plain CNN",
}

_TERMS = {
    "fma_small": "FMA (Defferrard et al., ISMIR 2017): tracks are Creative Commons, each under its artist's licence, "
    "some of them non-commercial; the metadata is CC BY 4.0.",
    "gtzan": "GTZAN (Tzanetakis and Cook, 2002), fault-filtered partition (Kereliuk et al., 2015): the recordings have "
    "no cleared licence and serve research.",
    "emotify": "Emotify (Aljanaki et al., 2016): recordings of Magnatune, CC BY-NC-SA.",
}


def model_card(metadata: ModelMetadata) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    metadata : ModelMetadata
        The sidecar.
    """
    metrics, provenance = metadata.metrics, metadata.provenance
    parts = [
        "# Model card\n",
        "Written by `invoke export` from `best_model.json`; do not edit.\n",
        "## What it is\n",
        _network(metadata),
        f"Genres ({len(metadata.labels)}): {', '.join(metadata.labels)}.\n",
        _answers(metadata),
        "## Training data\n",
        _data(provenance),
        _branches_data(provenance),
        "## Accuracy\n",
        _figures(metrics),
        _folds(metrics.get("folds")),
        _confidence(metadata),
        _audio_files(metrics.get("audio_files")),
        _per_genre(metrics.get("test")),
        "## Limits\n",
        _limits(metadata),
        "## Terms\n",
        _terms(_sources(provenance)),
        _starting_weights(provenance),
    ]
    if parity := provenance.get("parity"):
        parts += [
            "## Parity\n",
            "Largest difference from the reference (spectrograms: NumPy; logits and embedding: torch):\n",
            parity_table(parity) + "\n",
        ]
    return "\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |".replace("|  |", "| |") for row in rows), ""])


def _network(metadata: ModelMetadata) -> str:
    provenance, fine = metadata.provenance, metadata.fine_audio
    network = provenance.get("recipe", {}).get("network", {})
    n_parameters = provenance.get("n_parameters")
    size = f" with {n_parameters / 1e6:.1f} M parameters" if n_parameters else ""
    statistics = " and a branch of clip statistics" if network.get("statistics") else ""
    name = _NETWORKS.get(network.get("kind"), "A network")
    if fine is None:
        what = f"{name}{statistics}{size} on {_spectrograms(metadata.audio)}."
    else:
        of_audio = provenance.get("branches", {}).get("audio", {}).get("recipe", {}).get("network", {})
        audio_name = _NETWORKS.get(of_audio.get("kind"), "A network")
        reads = " and reads genres from its answers on AudioSet's classes" if of_audio.get("reads") == "classes" else ""
        what = (
            f"Two networks{size}, whose probabilities are multiplied: an audio branch, {_lower(audio_name)} on "
            f"{_spectrograms(fine)}, and a picture branch, {_lower(name)}{statistics} on "
            f"{_spectrograms(metadata.audio)}. The audio branch learnt from audio files only{reads}, the picture "
            "branch from clips that are published as spectrograms as well. A spectrogram given instead of audio is "
            "classified by the picture branch alone."
        )
    answer = (
        f"the mean probability of {metadata.n_excerpts} excerpts" if metadata.n_excerpts > 1 else "that of one excerpt"
    )
    return f"{what} The answer for a track is {answer} of {metadata.excerpt_seconds:g} s.\n"


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _spectrograms(audio: AudioConfig) -> str:
    sizes = f"n_fft {audio.n_fft}, hop {audio.hop_length}, {audio.n_mels} bands"
    return f"log-mel spectrograms ({audio.sample_rate} Hz, {sizes})"


def _answers(metadata: ModelMetadata) -> str:
    """Describe what the model answers beside one genre: answer sets and tags."""
    text = f"An answer set contains the genres whose probability is at least {metadata.genre_set_threshold:.1%}.\n"
    if not metadata.tags:
        return text
    kinds = dict.fromkeys(tag.kind for tag in metadata.tags)
    named = {kind: [tag for tag in metadata.tags if tag.kind == kind] for kind in kinds}
    rows = [
        (kind, len(tags), ", ".join(f"{tag.name} {tag.threshold:.2f}" for tag in tags)) for kind, tags in named.items()
    ]
    return (
        f"{text}\nThe model also answers {counted(len(metadata.tags), 'tag')}, independently of each other and of the "
        "genre. They are classes of AudioSet, and a tag is named if its mean probability reaches its threshold:\n\n"
        + _table(("kind", "tags", "each with its threshold"), rows)
    )


def _data(provenance: Any) -> str:
    clips = ", ".join(f"{source} {count}" for source, count in provenance.get("clips_per_source", {}).items())
    split = provenance.get("split", {})
    versions = ", ".join(f"{name} {version}" for name, version in provenance.get("versions", {}).items())
    made = ", ".join(filter(None, (versions, provenance.get("precision"))))
    ending = f"{artists_in_words(provenance)} ({made})\n" if made else f"{artists_in_words(provenance)}\n"
    if split.get("validation") == 0:
        return (
            f"Clips: {clips or 'unknown'}. The model was trained on **{split.get('train')} of them**, up to the last "
            f"epoch; {split.get('test')} were held out. The figures below are those of five models, trained with the "
            f"same recipe on four fifths of the clips each (split `{split.get('split')}`, seed {split.get('seed')}), "
            "taken at their best epoch on validation: each test clip is classified by a model that was trained without "
            "it, and its confidence is judged by what the other four taught. “Held out” are the model's own "
            f"figures. {ending}"
        )
    sizes = ", ".join(f"{split[part]} {part}" for part in ("train", "validation", "test") if part in split)
    settings = "".join(f", {name} {split[name]}" for name in ("seed", "fold") if name in split)
    return (
        f"Clips: {clips or 'unknown'}. Split `{split.get('split')}`{settings}: {sizes or 'unknown sizes'}. "
        f"Epoch and calibration were chosen on the validation clips. {ending}"
    )


def _branches_data(provenance: Any) -> str:
    lines = []
    for name, branch in provenance.get("branches", {}).items():
        if clips := branch.get("clips_per_source"):
            lines.append(f"- {name} branch: {', '.join(f'{source} {count}' for source, count in clips.items())}\n")
    return "Clips of each branch:\n\n" + "".join(lines) if lines else ""


def _sources(provenance: Any) -> list[str]:
    """Return the data sets of all branches, each once."""
    parts = [provenance, *provenance.get("branches", {}).values()]
    return list(dict.fromkeys(source for part in parts for source in part.get("clips_per_source", {})))


def _figures(metrics: Any) -> str:
    rows: list[Sequence[object]] = []
    notes = []
    for part, name in PART_NAMES.items():
        values = metrics.get(part)
        if not values or not values["n_tracks"]:
            continue
        if part == "files" and values["n_tracks"] == metrics["test"]["n_tracks"]:
            continue  # all test clips are files
        for source, one in {"all": values, **values["per_source"]}.items():
            shares = with_interval(one, "accuracy"), with_interval(one, "accuracy_own_genres")
            rows.append((name, source, one["n_tracks"], one["n_groups"], *shares))
        if "macro_f1" in values:
            notes.append(
                f"{name}: macro F1 among all genres {values['macro_f1']:.3f}, log-loss {values['log_loss']:.3f}, "
                f"expected calibration error {values['calibration_error']:.3f}"
            )
        if values["confident"]["precision"] is not None:
            notes.append(f"{name}, confident answers: {confident_in_words(values['confident'])}")
        if values.get("n_pictured"):
            notes.append(
                f"{values['like_picture']:.1%} of {values['n_pictured']} test clips that exist as pictures too are "
                "answered like the picture"
            )
    if not rows:
        return "The accuracy was not measured.\n"
    head = ("part", "source", "tracks", "artists", "accuracy", "among the source's own genres")
    return f"{_table(head, rows)}\nIn brackets 95 % intervals over artists. {'; '.join(notes)}.\n"


def _folds(folds: Any) -> str:
    if not folds:
        return ""
    rows = []
    for source in folds[0]:
        values = [fold[source]["accuracy_own_genres"] for fold in folds]
        rows.append((source, *(f"{value:.1%}" for value in (*values, sum(values) / len(values)))))
    head = ("source", *(f"fold {i}" for i in range(len(folds))), "mean")
    return "Test accuracy of each fold among the source's own genres:\n\n" + _table(head, rows)


def _confidence(metadata: ModelMetadata) -> str:
    threshold = metadata.confidence_threshold
    bound = f"a lower bound of {TARGET_PRECISION:.0%} (95 %, over artists)"
    reason = f"the lowest threshold at which the share of correct confident answers has {bound}"
    if threshold >= 1:
        reason = f"because at no threshold the share of correct confident answers has {bound}"
    tested = metadata.metrics.get("test", {}).get("per_genre", {})
    text = f"Confident answers start at {threshold:.2f} (temperature {metadata.temperature:.2f})"
    text += f", {reason}." if tested else "; this was not tested."
    unseen = [label for label in metadata.labels if label not in tested]
    if tested and unseen:
        text += f" The test part has no clip of {', '.join(unseen)}: their confidence is not verified."
    return text + "\n"


def _audio_files(scores: Any) -> str:
    if not scores:
        return ""
    rows = [
        (source, part, one["n_tracks"], one["n_groups"], with_interval(one, "accuracy"))
        for source, parts in scores.items()
        if isinstance(parts, dict)
        for part, one in parts.items()
    ]
    return (
        "Accuracy of the ONNX graph, from decoding to the answer, on audio files that the model was not trained on "
        f"({counted(scores['n_files'], 'file')}, {scores['n_failed']} failed). Above, the network answered the "
        "spectrograms that training computes, whose excerpts begin up to 0.1 s elsewhere:\n\n"
        + _table(("source", "part", "files", "artists", "accuracy"), rows)
    )


def _per_genre(values: Any) -> str:
    if not values:
        return ""
    rows = [
        (genre, f"{one['precision']:.2f}", f"{one['recall']:.2f}", f"{one['f1']:.2f}", one["support"])
        for genre, one in values["per_genre"].items()
    ]
    return "Test part by genre, answers among the genres of each clip's own source:\n\n" + _table(
        ("genre", "precision", "recall", "F1", "tracks"), rows
    )


def _limits(metadata: ModelMetadata) -> str:
    provenance: Any = metadata.provenance
    training = provenance.get("recipe", {}).get("training", {})
    not_music = "- Audio that is not music also gets a genre"
    n_batch = min(training.get("batch_size", 0), provenance.get("split", {}).get("train", 0))
    if n_outliers := round(training.get("outlier_share", 0) * n_batch):  # none in a small batch
        not_music += (
            f". To lower its confidence there, {n_outliers / n_batch:.0%} of each training batch was synthesised "
            "noise, tones and babble, with equal probabilities as the target"
        )
    if metadata.tags:
        not_music = "- Speech, noise and tones are recognised by the tags, and get their name instead of a genre"
    naming = ""
    if len(provenance.get("clips_per_source", {})) > 1:
        naming = ", and the data sets name them differently: rock in one is metal or pop in another"
    return (
        "- The model knows only the genres listed above; other music gets one of them. Answers below the threshold "
        "(`confident` is false) are guesses.\n"
        f"- Genres overlap{naming}.\n"
        f"{not_music}. Silence is never confident.\n"
    )


def _starting_weights(provenance: Any) -> str:
    """Name the weights of other projects that the training started from."""
    parts = {"model": provenance, **{f"{name} branch": one for name, one in provenance.get("branches", {}).items()}}
    lines = []
    for name, part in parts.items():
        if init := part.get("init"):
            facts = [init.get("source"), init.get("copyright"), init.get("licence") and f"{init['licence']} licence"]
            facts += [f"trained on {init['heard']}"] if init.get("heard") else []
            known = "; ".join(fact for fact in facts if fact) or "source and licence are not known here"
            lines.append(f"- {name}: `{init['name']}` ({known})\n")
    if not lines:
        return ""
    return "The training started from weights of other projects, whose licence is in `THIRD_PARTY.md`:\n\n" + "".join(
        lines
    )


def _terms(sources: Any) -> str:
    lines = [f"- {_TERMS.get(source, f'{source}: its terms are not known here.')}\n" for source in sources]
    if set(sources) <= set(_TERMS):
        before = (
            "The weights are published under the project's MIT licence. The training data has its own terms, and "
            "anyone who uses the weights has to consider them:\n\n"
        )
        after = "\nThe project contains none of the recordings and none of their spectrograms.\n"
    else:  # the user's own music: the project does not publish such weights
        before = "Anyone who publishes or uses the weights has to consider the terms of the training data:\n\n"
        after = ""
    return before + "".join(lines) + after
