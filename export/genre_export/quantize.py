"""Variants of a published model in float16 and int8: converts, measures, and publishes those that pay.

Only the networks are converted. The front ends stay in float32, because a range of 80 dB exceeds both formats: the
waveform graph of a variant is the front ends of the published graph, followed by the converted networks.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, compose
from onnx.utils import Extractor
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from tqdm import tqdm

from genre_export.graphs import WaveformGraph, write_branches_graph
from genre_export.publish import (
    SIDECAR_FILE,
    VARIANTS,
    files_of_variant,
    graph_files,
    replace_files,
    runner,
    variant_files,
    variant_sidecar,
    write_sidecar,
)
from genre_export.quantize_gate import (
    Timing,
    VariantData,
    VariantScore,
    best_genres,
    measure_times,
    measured_networks,
    open_cpu,
)
from genre_runtime import FloatArray, ModelMetadata, read_metadata
from genre_training.model.checkpoint import Checkpoint, CheckpointError, load_checkpoint

FLOAT16_OPERATORS = {"Conv", "Relu", "AveragePool", "MaxPool"}
"""Most of the computation. Means and squares of decibels overflow float16, and the last layers are cheap."""

CONVOLUTIONAL = {"Conv", "Relu", "AveragePool", "MaxPool"}
"""Operators in int8, with the additions of shortcuts, so that the whole body stays in int8."""


def float16_network(network: ModelProto) -> ModelProto:
    """Convert the convolutions of a spectrogram graph to float16; inputs and outputs stay in float32.

    Parameters
    ----------
    network : ModelProto
        The float32 graph; not changed.
    """
    converted = ModelProto()
    converted.CopyFrom(network)  # the converter works in place
    kept = sorted({node.op_type for node in network.graph.node} - FLOAT16_OPERATORS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the float32 number .* will be truncated")
        result: ModelProto = convert_float_to_float16(converted, keep_io_types=True, op_block_list=kept)
    OnnxModel.graph_topological_sort(result.graph)  # the converter adds its casts at the end
    return result


def int8_network(network: ModelProto, spectrograms: Mapping[str, FloatArray]) -> ModelProto:
    """Convert the convolutional body of a spectrogram graph to int8, with ranges from real spectrograms.

    Activations are unsigned, because on x86 one instruction multiplies unsigned by signed integers.

    Parameters
    ----------
    network : ModelProto
        The float32 graph.
    spectrograms : mapping of str to float32 array, shape (n_clips, n_mels, n_frames)
        By the graph's inputs: music; clips on which nothing else is measured.
    """
    nodes = _convolutional_nodes(network)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(network, source)
        quantize_static(
            source,
            target,
            _Spectrograms(network, spectrograms),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Seven bits: an x86 without VNNI adds two products in 16 bits, which eight bits would overflow.
            reduce_range=True,
            op_types_to_quantize=sorted({*CONVOLUTIONAL, "Add"}),
            nodes_to_quantize=nodes,
        )
        return onnx.load(target)


def with_front_ends(waveform_graph: ModelProto, network: ModelProto) -> ModelProto:
    """Join the front ends of a waveform graph and what is behind them; inputs and outputs stay the same.

    Parameters
    ----------
    waveform_graph : ModelProto
    network : ModelProto
        From `write_branches_graph`, converted.
    """
    spectrograms = [output.name for output in waveform_graph.graph.output if output.name.endswith("log_mel")]
    front_ends = Extractor(waveform_graph).extract_model(["waveform"], spectrograms)
    behind = ModelProto()
    behind.CopyFrom(network)
    # Values of both parts have the same names, and extraction and quantisation add metadata.
    for model in (front_ends, behind):
        del model.metadata_props[:]
    behind.ir_version = front_ends.ir_version
    behind = compose.add_prefix(behind, "network/")
    names = [output.name for output in network.graph.output]
    joined = compose.merge_models(
        front_ends,
        behind,
        io_map=[(name, f"network/{name}") for name in spectrograms],
        outputs=[*(f"network/{name}" for name in names), *spectrograms],
    )
    for name in names:
        _rename(joined, f"network/{name}", name)
    del joined.graph.output[:]
    joined.graph.output.extend(waveform_graph.graph.output)  # same order, same names of dimensions
    joined.graph.name = waveform_graph.graph.name
    return joined


def with_metadata_of(model: ModelProto, published: ModelProto) -> ModelProto:
    """Copy the metadata of the published graph to a variant, and check the variant.

    Parameters
    ----------
    model : ModelProto
        The variant; changed.
    published : ModelProto
    """
    del model.graph.value_info[:]  # outdated after the conversion; runtimes infer types
    del model.metadata_props[:]
    model.metadata_props.extend(published.metadata_props)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Spectrograms(CalibrationDataReader):  # type: ignore[misc]  # published without types
    """Feeds the spectrograms of each clip to the quantisation, clip by clip."""

    def __init__(self, network: ModelProto, spectrograms: Mapping[str, FloatArray]) -> None:
        self._names = [value.name for value in network.graph.input]
        clips = list(zip(*(spectrograms[name] for name in self._names), strict=True))
        self._clips = iter(tqdm(clips, "int8 calibration", unit="clip", leave=False))

    def get_next(self) -> dict[str, Any] | None:
        clip = next(self._clips, None)
        return None if clip is None else {name: one[None] for name, one in zip(self._names, clip, strict=True)}


def _convolutional_nodes(network: ModelProto) -> list[str]:
    convolved = {value for node in network.graph.node if node.op_type == "Conv" for value in node.output}
    return [
        node.name
        for node in network.graph.node
        if node.op_type in CONVOLUTIONAL or (node.op_type == "Add" and convolved.intersection(node.input))
    ]


def _rename(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [new if value == old else value for value in values]


BASELINE = "float32"


@dataclass(frozen=True)
class Answers:
    """How the measured networks classify their clips in one precision.

    Attributes
    ----------
    correct : bool array, shape (n_clips,)
    same : bool array, shape (n_clips,)
        Whether the answer is that of float32.
    """

    correct: NDArray[np.bool_]
    same: NDArray[np.bool_]


def publish_variants(checkpoint_path: Path, models: Path, data_folder: Path, cache: Path) -> list[VariantScore]:
    """Make every variant of a published model, publish those that pay and remove the others.

    On any error nothing in `models` changes. The loss of accuracy is measured on validation clips: those of the
    checkpoint, or, if it was trained on every clip, those of its folds, each converted in the same way. A published
    variant is `best_model.<name>.onnx` with its own spectrogram graph and sidecar, so the runtime loads it like any
    model.

    Parameters
    ----------
    checkpoint_path : Path
        The checkpoint of the published model, with its folds beside it.
    models : Path
        Folder of the published model.
    data_folder : Path
        The training data.
    cache : Path
        Folder for computed features.

    Returns
    -------
    list of VariantScore
        float32 first.

    Raises
    ------
    CheckpointError, DataError, ModelNotFoundError, InvalidModelError, SidecarError
    OSError
        A file of `models` cannot be replaced or removed.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    metadata = read_metadata(models / SIDECAR_FILE)
    own = {name: getattr(checkpoint, name) for name in ("epoch", "val_acc", "val_loss")}
    if checkpoint.labels != metadata.labels or any(metadata.metrics.get(k) != v for k, v in own.items()):
        raise CheckpointError(
            f"the model in {models} was not exported from {checkpoint_path}: expected the same genres, epoch and "
            "validation figures, so export that checkpoint first"
        )
    for kind, graph in metadata.graphs.items():
        open_cpu(models / graph.file, metadata, kind)  # refuses damaged graphs early
    networks = list(measured_networks(checkpoint, checkpoint_path))
    data = VariantData(metadata, data_folder, cache)
    with tempfile.TemporaryDirectory(dir=models, prefix=".variants-") as folder:
        staging = Path(folder)
        found = _answers(networks, data, metadata, staging)
        calibration = data.calibration(checkpoint)
        branches = _branches(checkpoint, metadata.temperature, staging)
        sidecars = {name: _make(name, metadata, models, staging, branches, calibration) for name in VARIANTS}
        paths = [
            models / metadata.graphs["waveform"].file,
            *(staging / variant_files(one)["waveform"] for one in VARIANTS),
        ]
        scores = _scores(found, paths, measure_times(paths, staging), len(networks))
        _publish(scores, sidecars, staging, models)
    return scores


def variants_table(scores: Sequence[VariantScore]) -> str:
    """Return scores as a Markdown table.

    Parameters
    ----------
    scores : sequence of VariantScore
        float32 first.
    """
    networks = "the network's" if scores[0].n_networks == 1 else f"{scores[0].n_networks} folds'"
    lines = [
        f"Accuracy on {networks} {scores[0].n_clips} validation clips. CPU time of a track on one thread: `graph` from "
        "excerpts to logits, `file` from an MP3 of four minutes to its genre.",
        "",
        "| | MiB | accuracy | same answer | graph, ms | speed-up | file, ms | speed-up | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for i, one in enumerate(scores):
        lines.append(
            f"| {one.name} | {one.n_bytes / 2**20:.1f} | {one.accuracy:.2%} | {one.agreement:.2%} | "
            f"{one.timing.graph:.1f} | {one.graph_speed_up:.2f} | {one.timing.file:.1f} | {one.file_speed_up:.2f} | "
            f"{one.verdict if i else ''} |"
        )
    return "\n".join(lines)


def _convert(variant: str, network: ModelProto, calibration: Mapping[str, FloatArray]) -> ModelProto:
    """Convert what is behind the front ends to the variant's precision."""
    return float16_network(network) if variant == "float16" else int8_network(network, calibration)


def _branches(checkpoint: Checkpoint, temperature: float, staging: Path) -> ModelProto:
    """Export what is behind the front ends of a checkpoint."""
    path = staging / "branches.onnx"
    graph = WaveformGraph(checkpoint.trained_network(), temperature, checkpoint.audio, checkpoint.fine_audio)
    write_branches_graph(graph, path)
    return onnx.load(path)


def _answers(
    networks: Sequence[Checkpoint], data: VariantData, metadata: ModelMetadata, staging: Path
) -> dict[str, Answers]:
    """Classify the clips of all networks in every precision, float32 first."""
    correct: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in (BASELINE, *VARIANTS)}
    same: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in (BASELINE, *VARIANTS)}
    for network in tqdm(networks, "networks measured", unit="network", leave=False):
        clips = data.held_out(network)
        float32 = _branches(network, metadata.temperature, staging)
        graphs = {BASELINE: float32} | {name: _convert(name, float32, clips.calibration) for name in VARIANTS}
        given = {name: best_genres(runner(graph.SerializeToString()), clips, name) for name, graph in graphs.items()}
        for name, one in given.items():
            correct[name].append(one == clips.labels)
            same[name].append(one == given[BASELINE])
    return {name: Answers(np.concatenate(correct[name]), np.concatenate(same[name])) for name in correct}


def _make(
    variant: str,
    metadata: ModelMetadata,
    models: Path,
    staging: Path,
    branches: ModelProto,
    calibration: Mapping[str, FloatArray],
) -> ModelMetadata:
    """Write both graphs of a variant and their sidecar into `staging`; return the sidecar."""
    published = {kind: onnx.load(models / graph.file) for kind, graph in metadata.graphs.items()}
    graphs = {
        "waveform": with_front_ends(published["waveform"], _convert(variant, branches, calibration)),
        "log_mel": _convert(variant, published["log_mel"], calibration),
    }
    for kind, name in variant_files(variant).items():
        onnx.save(with_metadata_of(graphs[kind], published[kind]), staging / name)
    sidecar = replace(metadata, graphs=graph_files(staging, variant_files(variant)))
    write_sidecar(sidecar, staging / variant_sidecar(variant))
    return sidecar


def _scores(
    found: dict[str, Answers], paths: Sequence[Path], timings: Sequence[Timing], n_networks: int
) -> list[VariantScore]:
    accuracy = {name: float(one.correct.mean()) for name, one in found.items()}
    return [
        VariantScore(
            name=name,
            n_bytes=path.stat().st_size,
            n_clips=len(one.correct),
            n_networks=n_networks,
            accuracy=accuracy[name],
            agreement=float(one.same.mean()),
            timing=timing,
            loss=accuracy[BASELINE] - accuracy[name],
            graph_speed_up=timings[0].graph / timing.graph,
            file_speed_up=timings[0].file / timing.file,
        )
        for (name, one), path, timing in zip(found.items(), paths, timings, strict=True)
    ]


def _publish(scores: Sequence[VariantScore], sidecars: dict[str, ModelMetadata], staging: Path, models: Path) -> None:
    """Publish the variants that pay and remove the others; the first of `scores` is float32."""
    for score in scores[1:]:
        measured = _measured(score, scores[0])
        sidecar = sidecars[score.name]
        sidecar = replace(sidecar, provenance={**sidecar.provenance, "variant": measured})
        write_sidecar(sidecar, staging / variant_sidecar(score.name))
    pays = [name for one in scores[1:] if one.pays for name in files_of_variant(one.name)]
    pays_not = [name for one in scores[1:] if not one.pays for name in files_of_variant(one.name)]
    replace_files(staging, models, pays, pays_not)


def _measured(score: VariantScore, float32: VariantScore) -> dict[str, object]:
    """Return a variant's entry in the provenance of its sidecar."""
    return {
        "name": score.name,
        "n_clips": score.n_clips,
        "n_networks": score.n_networks,
        "accuracy": score.accuracy,
        "accuracy_float32": float32.accuracy,
        "agreement": score.agreement,
        "graph_speed_up": score.graph_speed_up,
        "file_speed_up": score.file_speed_up,
    }
