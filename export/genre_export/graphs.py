"""The log-mel front end as a torch module that exports to matrix products alone.

The discrete Fourier transform of N = N1 x N2 points is two small matrix products with twiddle factors in
between (Cooley and Tukey, 1965): sample n = N2 n1 + n2, bin k = k1 + N1 k2. For 2,048 points that is a
fifteenth of the work of one product with the whole DFT matrix, and unlike ONNX's STFT operator it runs on
every execution provider. Real input makes bins k and N - k equal in power, so only k1 = 0 .. N1 / 2 are
computed and the mel filters are laid out to match.

The two graphs of a model, and how a torch module becomes an ONNX file that describes itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_runtime.model.features import POWER_FLOOR, hann_window, mel_filterbank
from genre_runtime.model.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, AudioConfig, ModelMetadata


def factors(n_fft: int) -> tuple[int, int]:
    """Split `n_fft` into N1 x N2, N1 >= N2, as evenly as it goes; N2 is 1 for a prime.

    The larger factor comes first, where the samples are real and only half the rows are computed: 64 x 32 is a tenth
    quicker than 32 x 64.
    """
    n2 = next(i for i in range(math.isqrt(n_fft), 0, -1) if n_fft % i == 0)
    return n_fft // n2, n2


class LogMelFrontEnd(nn.Module):
    """Waveform (batch, n_samples) to log-mel (batch, n_mels, n_frames) in dB, each clip on its own.

    Must match `genre_runtime.model.features.log_mel_spectrogram`, its reference.
    """

    window: Tensor
    first: Tensor
    twiddle_real: Tensor
    twiddle_imag: Tensor
    second: Tensor
    mel: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.n_pieces = -(-config.n_fft // config.hop_length)
        n1, n2 = factors(config.n_fft)
        self.n1, self.n2 = n1, n2
        self.n_rows = n1 // 2 + 1  # k1 = 0 .. N1 / 2
        k1, k2 = np.arange(self.n_rows), np.arange(n2)
        first = np.exp(-2j * np.pi * np.outer(k1, np.arange(n1)) / n1)
        twiddle = np.exp(-2j * np.pi * np.outer(k1, np.arange(n2)) / config.n_fft)
        second = np.exp(-2j * np.pi * np.outer(np.arange(n2), k2) / n2)
        self._constant("window", hann_window(config.n_fft))
        self._constant("first", np.concatenate([first.real, first.imag]))  # (2 rows, N1)
        self._constant("twiddle_real", twiddle.real)  # (rows, N2)
        self._constant("twiddle_imag", twiddle.imag)
        # [real | imag] times this gives [real | imag]: (2 N2, 2 N2)
        self._constant("second", np.block([[second.real, second.imag], [-second.imag, second.real]]))
        self._constant("mel", self._mel_in_computed_order())  # (rows N2, n_mels)

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))

    def _mel_in_computed_order(self) -> NDArray[np.float64]:
        """Mel filters with one row per computed (k1, k2); a bin computed twice counts once."""
        n_fft = self.config.n_fft
        bins = np.add.outer(np.arange(self.n_rows), self.n1 * np.arange(self.n2)).ravel()
        folded = np.minimum(bins, n_fft - bins)
        filters = np.zeros((folded.size, self.config.n_mels))
        _, positions = np.unique(folded, return_index=True)
        filters[positions] = mel_filterbank(self.config).T
        return filters

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute dB relative to each clip's loudest bin, in [-top_db, 0]."""
        power = self._power(self._frames(waveform) * self.window)  # (batch, n_frames, rows N2)
        decibels = 10 * torch.log10(torch.clamp(power @ self.mel, min=POWER_FLOOR))
        relative = decibels - decibels.amax(dim=(1, 2), keepdim=True)
        return torch.clamp(relative, min=-self.config.top_db).transpose(1, 2)

    def _frames(self, waveform: Tensor) -> Tensor:
        """Centred frames (batch, n_frames, n_fft): hops laid side by side, so framing copies and never gathers."""
        config = self.config
        n_frames = 1 + waveform.shape[1] // config.hop_length
        half = config.n_fft // 2
        padded = nn.functional.pad(waveform, (half, self.n_pieces * config.hop_length))
        n_hops = n_frames + self.n_pieces - 1
        hops = padded[:, : n_hops * config.hop_length].reshape(-1, n_hops, config.hop_length)
        pieces = [hops[:, i : i + n_frames] for i in range(self.n_pieces)]
        return torch.cat(pieces, dim=2)[:, :, : config.n_fft]

    def _power(self, frames: Tensor) -> Tensor:
        """Power spectrum (batch, n_frames, rows N2) in the order of `bins` above."""
        shape = frames.shape[:2]
        grid = frames.reshape(*shape, self.n1, self.n2)
        real, imag = torch.matmul(self.first, grid).split(self.n_rows, dim=2)
        turned_real = real * self.twiddle_real - imag * self.twiddle_imag
        turned_imag = real * self.twiddle_imag + imag * self.twiddle_real
        spectrum = torch.cat([turned_real, turned_imag], dim=3) @ self.second
        real, imag = spectrum.split(self.n2, dim=3)
        power: Tensor = real * real + imag * imag
        return power.reshape(*shape, self.n_rows * self.n2)


OPSET = 20
PLAIN_FACTS = ("excerpt_seconds", "n_excerpts", "temperature", "confidence_threshold")
HEADLINE_METRICS = ("val_acc", "val_loss", "epoch", "macro_f1")


class LogMelGraph(nn.Module):
    """`log_mel` (batch, n_mels, n_frames) to `logits` (divided by the temperature) and `embedding`."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return `logits` (batch, n_labels) and `embedding` (batch, n_features)."""
        logits, embedding = self.network(log_mel)
        return logits / self.temperature, embedding


class WaveformGraph(nn.Module):
    """`waveform` (batch, n_samples) to `logits`, `embedding` and `log_mel`: the whole chain in one graph."""

    def __init__(self, network: nn.Module, temperature: float, audio: AudioConfig) -> None:
        super().__init__()
        self.front_end = LogMelFrontEnd(audio)
        self.classifier = LogMelGraph(network, temperature)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `logits` (batch, n_labels), `embedding` (batch, n_features), `log_mel` (batch, n_mels, n_frames)."""
        log_mel = self.front_end(waveform)
        logits, embedding = self.classifier(log_mel)
        return logits, embedding, log_mel


def write_waveform_graph(graph: WaveformGraph, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_samples."""
    audio = graph.front_end.config
    example = torch.randn(2, 4 * audio.sample_rate) * 0.1
    _write(
        graph,
        example,
        (0, 1),
        ["waveform"],
        ["logits", "embedding", "log_mel"],
        path,
        metadata,
    )


def write_log_mel_graph(graph: LogMelGraph, audio: AudioConfig, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_frames."""
    example = torch.rand(2, audio.n_mels, 37) * -audio.top_db
    _write(graph, example, (0, 2), ["log_mel"], ["logits", "embedding"], path, metadata)


def graph_metadata(metadata: ModelMetadata) -> dict[str, str]:
    """Return what a graph tells of itself, each value as JSON and equal to the sidecar's.

    The runtime compares `genre.audio` and `genre.labels` with the sidecar. The rest is for those who have the graph
    alone; of the metrics they get those in `HEADLINE_METRICS`.
    """
    facts = {
        AUDIO_METADATA_KEY: asdict(metadata.audio),
        LABELS_METADATA_KEY: list(metadata.labels),
        **{f"genre.{name}": getattr(metadata, name) for name in PLAIN_FACTS},
        "genre.metrics": {name: metadata.metrics.get(name) for name in HEADLINE_METRICS},
        "genre.versions": metadata.provenance.get("versions", {}),
        "genre.provenance": metadata.provenance,
    }
    return {key: json.dumps(value) for key, value in facts.items()}


def _write(
    graph: nn.Module,
    example: Tensor,
    dynamic_axes: tuple[int, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
    metadata: Mapping[str, str],
) -> None:
    program = torch.onnx.export(
        graph.eval(),
        (example,),
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=(dict.fromkeys(dynamic_axes, torch.export.Dim.DYNAMIC),),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # None only when asked to write the file itself
    model = program.model_proto
    # The exporter names dimensions by formulas over its own symbols; people get the words instead.
    words = {("waveform", 1): "n_samples", ("log_mel", 2): "n_frames"}
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                dimension.dim_param = words.get((value.name, axis), "batch")
    # The exporter notes for every part where in its maker's source tree it comes from: nobody else's business.
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
