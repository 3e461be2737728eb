"""The shipped graph on real audio files: what a user of the runtime gets, told apart by what training saw.

The model card: every figure in it comes from the sidecar.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from genre_export.parity import parity_table
from genre_runtime.classifier import GenreClassifier
from genre_runtime.model.metadata import ModelMetadata
from genre_runtime.prediction import Prediction
from genre_training.data.folders import read_audio_tracks
from genre_training.data.track import DataError, Track
from genre_training.evaluate.metrics import TARGET_PRECISION


def score_audio_files(classifier: GenreClassifier, data_folder: Path, held_out: dict[str, list[str]]) -> dict[str, Any]:
    """Classify `data_folder/audio` from the files themselves.

    Returns
    -------
    dict
        For each source, and `all`: tracks and accuracy of the files training saw and of those it did not
        (`trained`, `validation`, `test`), and the number that failed.

    Raises
    ------
    DataError
        The folder has no audio part.
    """
    tracks = read_audio_tracks(data_folder)
    if not tracks:
        raise DataError(f"{data_folder} holds no audio to score: expected audio/index.csv")
    results = classifier.classify_files(track.path for track in tracks)
    outcomes: list[tuple[Track, str, bool]] = []
    n_failed = 0
    for track, result in zip(tracks, tqdm(results, "audio files", len(tracks), unit="file"), strict=True):
        if not isinstance(result, Prediction):
            n_failed += 1
            continue
        part = next((name for name, ids in held_out.items() if track.track_id in ids), "trained")
        outcomes.append((track, part, result.label == track.label))
    scores: dict[str, Any] = {"n_files": len(tracks), "n_failed": n_failed}
    for source in ("all", *sorted({track.source for track in tracks})):
        scores[source] = {}
        for part in ("trained", "validation", "test"):
            right = [ok for track, where, ok in outcomes if where == part and source in ("all", track.source)]
            if right:
                scores[source][part] = {"n_tracks": len(right), "accuracy": sum(right) / len(right)}
    return scores


_TERMS = {
    "fma_small": "FMA (Defferrard et al., ISMIR 2017): tracks are Creative Commons, each under its artist's licence, "
    "some of them non-commercial; the metadata is CC BY 4.0.",
    "gtzan": "GTZAN (Tzanetakis and Cook, 2002), fault-filtered partition (Kereliuk et al., 2015): the recordings have "
    "no cleared licence and serve research.",
    "emotify": "Emotify (Aljanaki et al., 2016): recordings of Magnatune, CC BY-NC-SA.",
}

_LIMITS = """\
## What it is not good for

- It knows the genres listed above and no others; music of another kind gets the nearest of them. Look at
  `confident`: answers below the threshold are guesses.
- Genres overlap, and the sources name them differently: what one calls rock another calls metal or pop.
- What is no music gets a genre all the same, though training showed it noise, tones and babble to be unsure of;
  silence is never confident.
"""


def model_card(metadata: ModelMetadata) -> str:
    """Return the card as Markdown."""
    metrics, provenance = metadata.metrics, metadata.provenance
    audio = metadata.audio
    parts = [
        "# Model card\n",
        "Written by `invoke export` from `best_model.json`; do not edit.\n",
        "## What it is\n",
        f"{_network(provenance)} with {provenance.get('n_parameters', 0) / 1e6:.1f} M parameters on log-mel "
        f"spectrograms ({audio.sample_rate} Hz, n_fft {audio.n_fft}, hop {audio.hop_length}, {audio.n_mels} bands), "
        f"{metadata.n_excerpts} excerpts of {metadata.excerpt_seconds:g} s a track, probabilities averaged.\n",
        f"Genres ({len(metadata.labels)}): {', '.join(metadata.labels)}.\n",
        "## Trained on\n",
        _data(provenance),
        "## How well\n",
        _figures(metrics),
        _folds(metrics.get("folds")),
        _confidence(metadata),
        _audio_files(metrics.get("audio_files")),
        _per_genre(metrics.get("test")),
        _LIMITS,
        _terms(provenance.get("clips_per_source", {})),
        "## Parity\n",
        _parity(provenance.get("parity", {})),
    ]
    return "\n".join(part for part in parts if part)


def _confidence(metadata: ModelMetadata) -> str:
    threshold = metadata.confidence_threshold
    reached = f"chosen on validation so that {TARGET_PRECISION:.0%} of them are right there"
    if threshold >= 1:
        reached = f"because no threshold on validation makes {TARGET_PRECISION:.0%} of them right"
    text = f"Confident answers start at {threshold:.2f} (temperature {metadata.temperature:.2f}), {reached}."
    validated = metadata.metrics.get("validation", {}).get("per_genre", {})
    unseen = [label for label in metadata.labels if label not in validated]
    if validated and unseen:
        text += f" Validation holds no clip of {', '.join(unseen)}: for these, confidence is not verified."
    return text + "\n"


def _terms(sources: Any) -> str:
    lines = [f"- {_TERMS.get(source, f'{source}: its terms are not known here.')}" for source in sources]
    if set(sources) <= set(_TERMS):
        before = [
            "The weights are published under the project's MIT licence. They were learnt from material with terms of",
            "its own, which the owner of each application has to weigh:\n",
        ]
        after = ["", "No recording and no spectrogram of them comes with the project.\n"]
    else:  # somebody's own music: the project publishes no such weights
        before = [
            "The weights were learnt from this material. Whoever publishes or uses them has to weigh its terms:\n"
        ]
        after = [""]
    return "\n".join(["## Terms\n", *before, *lines, *after])


def _data(provenance: Any) -> str:
    clips = ", ".join(f"{source} {count}" for source, count in provenance.get("clips_per_source", {}).items())
    split = provenance.get("split", {})
    versions = ", ".join(f"{name} {version}" for name, version in provenance.get("versions", {}).items())
    sizes = ", ".join(f"{split.get(part)} {part}" for part in ("train", "validation", "test"))
    if split.get("test") == 0:
        return (
            f"Clips: {clips or 'unknown'}, **all of them**, after the same recipe had been trained five times on four "
            f"fifths each (split `{split.get('split')}`, seed {split.get('seed')}). The figures below are those of the "
            "five, each at its best epoch on validation: every clip is answered by one that saw nothing of its group. "
            "The model itself is that of the last epoch; its calibration is the five's, on their validation clips. "
            f"({versions}, {provenance.get('precision')})\n"
        )
    return (
        f"Clips: {clips or 'unknown'}. Split `{split.get('split')}`, seed {split.get('seed')}, "
        f"fold {split.get('fold')}: {sizes}. Validation chose the epoch and the calibration. "
        f"({versions}, {provenance.get('precision')})\n"
    )


def _network(provenance: Any) -> str:
    network = provenance.get("recipe", {}).get("network", {})
    names = {"residual": "A residual CNN", "crnn": "A CRNN", "transformer": "A transformer", "plain": "A plain CNN"}
    return names.get(network.get("kind"), "A network") + (
        " and a branch of clip statistics" if network.get("statistics") else ""
    )


def _folds(folds: Any) -> str:
    if not folds:
        return ""
    lines = [
        "Test accuracy of each fold among the source's own genres:\n",
        f"| source | {' | '.join(f'fold {i}' for i in range(len(folds)))} | mean |",
        f"|---|{'---|' * (len(folds) + 1)}",
    ]
    for source in folds[0]:
        values = [fold[source]["accuracy_own_genres"] for fold in folds]
        shown = " | ".join(f"{value:.1%}" for value in values)
        lines.append(f"| {source} | {shown} | {sum(values) / len(values):.1%} |")
    return "\n".join([*lines, ""])


def _figures(metrics: Any) -> str:
    lines = [
        "| part | source | tracks | accuracy | among the source's own genres |",
        "|---|---|---|---|---|",
    ]
    notes = []
    for part in ("validation", "test"):
        values = metrics.get(part)
        if not values:
            continue
        lines.append(f"| {part} | all | {values['n_tracks']} | {values['accuracy']:.1%} | |")
        for source, one in values.get("per_source", {}).items():
            lines.append(
                f"| {part} | {source} | {one['n_tracks']} | {one['accuracy']:.1%} | {one['accuracy_own_genres']:.1%} |"
            )
        notes.append(
            f"{part}: macro F1 {values['macro_f1']:.3f}, log-loss {values['log_loss']:.3f}, "
            f"expected calibration error {values['calibration_error']:.3f}{_confident(values.get('confident'))}"
        )
    return "\n".join([*lines, "", "; ".join(notes) + ".", ""])


def _confident(values: Any) -> str:
    if not values or values["precision"] is None:
        return ""
    return f", {values['coverage']:.0%} of the answers confident and {values['precision']:.0%} of these right"


def _audio_files(scores: Any) -> str:
    if not scores:
        return ""
    lines = [
        f"From the audio files themselves, through the ONNX graph ({scores['n_files']} files, "
        f"{scores['n_failed']} failed):\n",
        "| source | part | files | accuracy |",
        "|---|---|---|---|",
    ]
    for source, parts in scores.items():
        if isinstance(parts, dict):
            lines += [
                f"| {source} | {part} | {one['n_tracks']} | {one['accuracy']:.1%} |" for part, one in parts.items()
            ]
    return "\n".join([*lines, ""])


def _per_genre(values: Any) -> str:
    if not values:
        return ""
    lines = ["Test part by genre:\n", "| genre | precision | recall | F1 | tracks |", "|---|---|---|---|---|"]
    lines += [
        f"| {genre} | {one['precision']:.2f} | {one['recall']:.2f} | {one['f1']:.2f} | {one['support']} |"
        for genre, one in values["per_genre"].items()
    ]
    return "\n".join([*lines, ""])


def _parity(worst: Any) -> str:
    return (
        "Largest difference from the reference (spectrograms: NumPy; logits and embedding: torch):\n\n"
        f"{parity_table(worst)}\n"
    )
