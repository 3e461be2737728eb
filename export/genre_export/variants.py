"""Variants of a published model in lower precision: how each is made from the float32 graphs.

The network is converted; the front end keeps float32, because 80 dB of range are more than either format holds. So a
variant's waveform graph is the float32 front end, cut out of the published graph, with the converted network behind it.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, compose
from onnx.utils import Extractor
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from tqdm import tqdm

from genre_runtime.features import FloatArray

FLOAT16_OPERATORS = {"Conv", "Relu", "AveragePool", "MaxPool"}
"""The bulk of the work. Means and squares of decibels overflow float16, and the last layers cost nothing."""

CONVOLUTIONAL = {"Conv", "Relu", "AveragePool", "MaxPool"}
"""What int8 covers, with the additions that join a shortcut: so a body stays int8 from one end to the other."""


def float16_network(network: ModelProto) -> ModelProto:
    """Return the spectrogram graph with convolutions in float16, inputs and outputs in float32."""
    converted = ModelProto()
    converted.CopyFrom(network)  # the converter works in place
    kept = sorted({node.op_type for node in network.graph.node} - FLOAT16_OPERATORS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the float32 number .* will be truncated")
        result: ModelProto = convert_float_to_float16(converted, keep_io_types=True, op_block_list=kept)
    OnnxModel.graph_topological_sort(result.graph)  # the converter adds its casts at the end
    return result


def int8_network(network: ModelProto, log_mels: FloatArray) -> ModelProto:
    """Return the spectrogram graph with its convolutional body in int8, ranges taken from real spectrograms.

    Activations are unsigned: on x86 ONNX Runtime multiplies unsigned by signed in one instruction.

    Parameters
    ----------
    network : ModelProto
    log_mels : float32 array, shape (n_clips, n_mels, n_frames)
        Spectrograms of music, of clips that no figure is measured on.
    """
    nodes = _convolutional_nodes(network)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(network, source)
        quantize_static(
            source,
            target,
            _Spectrograms(log_mels),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Seven bits: an x86 without VNNI adds two such products in 16 bits, where eight bits would saturate.
            reduce_range=True,
            op_types_to_quantize=sorted({*CONVOLUTIONAL, "Add"}),
            nodes_to_quantize=nodes,
        )
        return onnx.load(target)


def with_front_end(waveform_graph: ModelProto, network: ModelProto) -> ModelProto:
    """Return a waveform graph: the front end of `waveform_graph`, then `network`; same inputs and outputs."""
    front_end = Extractor(waveform_graph).extract_model(["waveform"], ["log_mel"])
    behind = ModelProto()
    behind.CopyFrom(network)
    # Both exports number their values alike, and extracting and quantising each add their own facts.
    for model in (front_end, behind):
        del model.metadata_props[:]
    behind.ir_version = front_end.ir_version
    behind = compose.add_prefix(behind, "network/")
    names = [output.name for output in network.graph.output]
    joined = compose.merge_models(
        front_end,
        behind,
        io_map=[("log_mel", "network/log_mel")],
        outputs=[*(f"network/{name}" for name in names), "log_mel"],
    )
    for name in names:
        _rename(joined, f"network/{name}", name)
    del joined.graph.output[:]
    joined.graph.output.extend(waveform_graph.graph.output)  # in the same order, with the same names of dimensions
    joined.graph.name = waveform_graph.graph.name
    return joined


def finish(model: ModelProto, published: ModelProto) -> ModelProto:
    """Give a variant the facts that the published graph tells of itself, and check it."""
    del model.graph.value_info[:]  # the float16 converter leaves types from before; runtimes infer their own
    del model.metadata_props[:]
    model.metadata_props.extend(published.metadata_props)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Spectrograms(CalibrationDataReader):  # type: ignore[misc]  # published without types
    """Spectrograms one by one, as quantisation asks for them."""

    def __init__(self, log_mels: FloatArray) -> None:
        self._clips: Iterator[FloatArray] = iter(tqdm(log_mels, "int8 calibration", unit="clip", leave=False))

    def get_next(self) -> dict[str, Any] | None:
        clip = next(self._clips, None)
        return None if clip is None else {"log_mel": clip[None]}


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
