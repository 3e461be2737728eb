"""Variants of a published model: made, measured, and laid beside it when they pay."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from tqdm import tqdm

from genre_export.publish import GRAPH_FILES, SIDECAR_FILE, graph_files, write_sidecar
from genre_export.variant_gate import Clips, VariantScore, answers, open_cpu, read_clips, times
from genre_export.variants import finish, float16_network, int8_network, with_front_end
from genre_runtime.metadata import ModelMetadata, read_metadata
from genre_training.checkpoint import CheckpointError, load_checkpoint

BASELINE = "float32"
VARIANTS = ("float16", "int8")


def publish_variants(checkpoint_path: Path, models: Path, data_folder: Path, cache: Path) -> list[VariantScore]:
    """Make every variant of the model in `models`; those that pay are laid beside it, older ones that do not removed.

    A variant kept is `best_model.<name>.onnx` with a spectrogram graph and a sidecar of its own, so the runtime loads
    it like any other model.

    Parameters
    ----------
    checkpoint_path : Path
        The checkpoint that the model was exported from: it names the clips that validation held out.
    models : Path
        Folder of the published model.
    data_folder : Path
        What it was trained on.
    cache : Path
        Folder for computed features.

    Returns
    -------
    list of VariantScore
        float32 first.

    Raises
    ------
    CheckpointError, DataError, ModelNotFoundError, InvalidModelError, SidecarError
    """
    checkpoint = load_checkpoint(checkpoint_path)
    metadata = read_metadata(models / SIDECAR_FILE)
    own = {name: checkpoint[name] for name in ("epoch", "val_acc", "val_loss")}
    if tuple(checkpoint["labels"]) != metadata.labels or any(metadata.metrics.get(k) != v for k, v in own.items()):
        raise CheckpointError(
            f"the model in {models} was not exported from {checkpoint_path}: expected the same genres, epoch and "
            "validation figures, so export that checkpoint first"
        )
    for kind, graph in metadata.graphs.items():
        open_cpu(models / graph.file, metadata, kind)  # refuses what is damaged before anything is made of it
    clips = read_clips(checkpoint, metadata, data_folder, cache)
    with tempfile.TemporaryDirectory(dir=models, prefix=".variants-") as folder:
        staging = Path(folder)
        sidecars = {name: _make(name, metadata, models, staging, clips) for name in tqdm(VARIANTS, "variants")}
        scores = _measure({BASELINE: (models, metadata)} | {n: (staging, m) for n, m in sidecars.items()}, clips)
        for score in scores[1:]:
            _keep_or_remove(score, scores[0], sidecars[score.name], staging, models)
    return scores


def table(scores: Sequence[VariantScore]) -> str:
    """Return the figures as lines of text; the first of `scores` is float32."""
    lines = [
        f"accuracy on {scores[0].n_clips} validation clips; CPU time from a track's excerpts to logits, one thread",
        f"{'':<8} {'MiB':>6} {'accuracy':>9} {'same answer':>12} {'ms':>7} {'speed-up':>9}",
    ]
    for i, one in enumerate(scores):
        lines.append(
            f"{one.name:<8} {one.n_bytes / 2**20:6.1f} {one.accuracy:9.2%} {one.agreement:12.2%} "
            f"{one.milliseconds:7.1f} {one.speed_up:8.2f}x  {one.verdict if i else ''}".rstrip()
        )
    return "\n".join(lines)


def _names(variant: str) -> dict[str, str]:
    return {kind: name.replace("best_model.", f"best_model.{variant}.", 1) for kind, name in GRAPH_FILES.items()}


def _sidecar(variant: str) -> str:
    return str(Path(_names(variant)["waveform"]).with_suffix(".json"))


def _make(variant: str, metadata: ModelMetadata, models: Path, staging: Path, clips: Clips) -> ModelMetadata:
    """Write both graphs of a variant into `staging`; returns the sidecar that belongs to them."""
    published = {kind: onnx.load(models / graph.file) for kind, graph in metadata.graphs.items()}
    float32 = published["log_mel"]
    network = float16_network(float32) if variant == "float16" else int8_network(float32, clips.calibration)
    graphs = {"waveform": with_front_end(published["waveform"], network), "log_mel": network}
    for kind, name in _names(variant).items():
        onnx.save(finish(graphs[kind], published[kind]), staging / name)
    return replace(metadata, graphs=graph_files(staging, _names(variant)))


def _measure(models: Mapping[str, tuple[Path, ModelMetadata]], clips: Clips) -> list[VariantScore]:
    """Score every model, float32 first among them: its folder and its sidecar by name."""

    def sessions(kind: str) -> list[Any]:
        return [open_cpu(folder / one.graphs[kind].file, one, kind) for folder, one in models.values()]

    given = [answers(session, clips, name) for name, session in zip(models, sessions("log_mel"), strict=True)]
    # The mean, because some systems count a thread's time in ticks that are longer than one call.
    seconds = times(sessions("waveform"), models[BASELINE][1]).mean(axis=0)
    accuracies = [float((one == clips.labels).mean()) for one in given]
    return [
        VariantScore(
            name=name,
            n_bytes=(folder / metadata.graphs["waveform"].file).stat().st_size,
            n_clips=len(clips.labels),
            accuracy=accuracies[i],
            loss=accuracies[0] - accuracies[i],
            agreement=float((given[i] == given[0]).mean()),
            milliseconds=float(1e3 * seconds[i]),
            speed_up=float(seconds[0] / seconds[i]),
        )
        for i, (name, (folder, metadata)) in enumerate(models.items())
    ]


def _keep_or_remove(
    score: VariantScore, float32: VariantScore, metadata: ModelMetadata, staging: Path, models: Path
) -> None:
    names = (*_names(score.name).values(), _sidecar(score.name))
    if not score.pays:
        for name in names:
            (models / name).unlink(missing_ok=True)
        return
    measured = {
        "name": score.name,
        "n_clips": score.n_clips,
        "accuracy": score.accuracy,
        "accuracy_float32": float32.accuracy,
        "agreement": score.agreement,
        "speed_up": score.speed_up,
    }
    sidecar = replace(metadata, provenance={**metadata.provenance, "variant": measured})
    write_sidecar(sidecar, staging / _sidecar(score.name))
    for name in names:
        (staging / name).replace(models / name)
