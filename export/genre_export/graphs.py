"""The two ONNX graphs of a model: the log-mel front ends, the networks behind them, and how both are written.

A front end is a torch module that exports to matrix products. The discrete Fourier transform of N = N1 x N2 points is
two of them (Cooley and Tukey, 1965): sample n = N2 n1 + n2, bin k = k1 + N1 k2. The window and the twiddle factors are
part of the first, which has one matrix for each n2. Unlike ONNX's STFT operator it runs on every execution provider,
and three things make it fast. With real input, bins k and N - k have equal power, so only k1 = 0 .. N1 / 2 are
computed, and only those k2 that reach the highest mel band. Time is the last axis, so the second product is one for all
frames, and what it gives is in order of frequency. A mel band adds up few bins, so each block of bands is a product
with its own bins only.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genre_runtime import (
    AUDIO_METADATA_KEY,
    FINE_AUDIO_METADATA_KEY,
    KALDI_FLOOR,
    KALDI_OFFSET,
    KALDI_SPAN,
    LABELS_METADATA_KEY,
    MOST_GAIN,
    POWER_FLOOR,
    PRE_EMPHASIS,
    QUIETEST_RMS,
    TAGS_METADATA_KEY,
    AudioConfig,
    ModelMetadata,
    hann_window,
    mel_filterbank,
)
from genre_training.model.fusion import FusedNetwork, published_tags
from genre_training.model.network import GenreNetwork
from genre_training.model.tags import TAG_CLASSES, TagClass

N_MEL_BLOCKS = 8


def factors(config: AudioConfig) -> tuple[int, int]:
    """Split a transform length into the two factors N1 and N2 with the fewest multiplications.

    N2 divides the hop as well, so that the samples of a frame can be arranged hop by hop.

    Parameters
    ----------
    config : AudioConfig
    """
    share = 2 * config.f_max / config.sample_rate  # of the bins
    common = math.gcd(config.n_fft, config.hop_length)
    pairs = [(config.n_fft // n2, n2) for n2 in range(1, common + 1) if common % n2 == 0]
    return min(pairs, key=lambda pair: (pair[0] + 2) * (config.window_length + 2 * share * pair[1] ** 2))


class LogMelFrontEnd(nn.Module):
    """Computes log-mel spectrograms as the reference `genre_runtime.log_mel_spectrogram` does.

    Parameters
    ----------
    config : AudioConfig
    """

    first: Tensor
    second: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        n_fft, hop = config.n_fft, config.hop_length
        n1, self.n2 = factors(config)
        start = (n_fft - config.window_length) // 2
        self.padding = n_fft // 2 - start
        # A frame starts with its window: a shift in time does not change the power.
        self.n_samples = -(-config.window_length // self.n2) * self.n2
        self.n_pieces = -(-self.n_samples // hop)
        window = np.zeros(self.n_samples)
        window[: config.window_length] = hann_window(config)[start : start + config.window_length]
        k1, samples = np.arange(n1 // 2 + 1), np.arange(self.n_samples)
        self.n_rows = k1.size
        first = np.exp(-2j * np.pi * (np.outer(k1, samples) % n_fft) / n_fft) * window
        first = first.reshape(self.n_rows, -1, self.n2).transpose(2, 0, 1)
        self._constant("first", np.concatenate([first.real, first.imag], axis=1))  # (N2, 2 rows, n_samples / N2)
        bins = self._bins(k1, n1)
        k2 = bins[:, 0] // n1
        second = np.exp(-2j * np.pi * np.outer(k2, np.arange(self.n2)) / self.n2)
        pairs = np.stack([second.real, -second.imag, second.imag, second.real], axis=-1)  # real and imaginary parts
        pairs = pairs.reshape(k2.size, self.n2, 2, 2).transpose(0, 2, 1, 3)
        self._constant("second", pairs.reshape(2 * k2.size, 2 * self.n2))
        self.spans = self._mel_blocks(np.minimum(bins, n_fft - bins).ravel())

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))

    def _bins(self, k1: NDArray[np.int64], n1: int) -> NDArray[np.int64]:
        """Return the computed bins, one row for each k2, which are 0, N2 - 1, 1, N2 - 2 and so on: by frequency."""
        n_fft = self.config.n_fft
        k2 = np.array([i // 2 if i % 2 == 0 else self.n2 - (i + 1) // 2 for i in range(self.n2)])
        bins = np.add.outer(n1 * k2, k1)
        last = np.flatnonzero(mel_filterbank(self.config).any(axis=0)).max(initial=0)
        needed: NDArray[np.int64] = bins[np.minimum(bins, n_fft - bins).min(axis=1) <= last]
        return needed

    def _mel_blocks(self, bins: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Register the mel filters in blocks of bands, and return which of the computed bins each block needs."""
        filters = np.zeros((self.config.n_mels, bins.size))
        _, positions = np.unique(bins, return_index=True)  # a bin that is computed twice counts once
        filters[:, positions] = mel_filterbank(self.config)[:, bins[positions]]
        spans = []
        for i, block in enumerate(np.array_split(filters, min(N_MEL_BLOCKS, self.config.n_mels))):
            used = np.flatnonzero(block.any(axis=0))
            start, stop = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
            self._constant(f"mel_{i}", block[:, start:stop])
            spans.append((start, stop))
        return spans

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute log-mel spectrograms.

        Parameters
        ----------
        waveform : float32 tensor, shape (batch, n_samples)

        Returns
        -------
        float32 tensor, shape (batch, n_mels, n_frames)
            As `log_mel_spectrogram` scales it.
        """
        power = self._power(self._frames(waveform))
        blocks = [getattr(self, f"mel_{i}") @ power[:, start:stop] for i, (start, stop) in enumerate(self.spans)]
        mel = torch.cat(blocks, dim=1)
        if self.config.scale == "kaldi":
            return (torch.log(mel + KALDI_FLOOR) + KALDI_OFFSET) / KALDI_SPAN
        decibels = 10 * torch.log10(torch.clamp(mel, min=POWER_FLOOR))
        relative = decibels - decibels.amax(dim=(1, 2), keepdim=True)
        return torch.clamp(relative, min=-self.config.top_db)

    def _frames(self, waveform: Tensor) -> Tensor:
        """Cut frames (batch, N2, n_samples / N2, n_frames) by placing hops side by side, which needs no gather."""
        hop, n2 = self.config.hop_length, self.n2
        n_frames = self.config.n_frames(waveform.shape[1])
        if self.config.scale == "kaldi":
            n_samples = waveform.shape[1]
            waveform = waveform[:, 1:] - PRE_EMPHASIS * waveform[:, :-1]
            waveform = waveform * _gain(waveform, n_samples)
        n_hops = n_frames + self.n_pieces - 1
        padded = nn.functional.pad(waveform, (self.padding, n_hops * hop - self.padding - waveform.shape[1]))
        n_used = min(hop, self.n_samples)
        hops = padded.reshape(-1, n_hops, hop)[:, :, :n_used].transpose(1, 2)
        hops = hops.reshape(-1, n_used // n2, n2, n_hops).transpose(1, 2)
        pieces = [hops[:, :, : (self.n_samples - i * hop) // n2, i : i + n_frames] for i in range(self.n_pieces)]
        return torch.cat(pieces, dim=2)

    def _power(self, frames: Tensor) -> Tensor:
        """Compute the power spectrum (batch, n_bins, n_frames) in the order of `_bins`."""
        n_frames = frames.shape[3]
        halfway = (self.first @ frames).reshape(-1, 2 * self.n2, self.n_rows * n_frames)
        spectrum = (self.second @ halfway).reshape(-1, self.second.shape[0] // 2, 2, self.n_rows * n_frames)
        power: Tensor = (spectrum * spectrum).sum(dim=2)
        return power.reshape(-1, self.second.shape[0] // 2 * self.n_rows, n_frames)


def _gain(emphasised: Tensor, n_samples: int) -> Tensor:
    """Return the factor for each waveform, shape (batch, 1), that `genre_runtime.raise_quiet` multiplies it with."""
    centred = emphasised - emphasised.sum(dim=1, keepdim=True) / n_samples
    rms = torch.sqrt((centred * centred).sum(dim=1, keepdim=True) / n_samples)
    return torch.clamp(QUIETEST_RMS / torch.clamp(rms, min=QUIETEST_RMS / MOST_GAIN), min=1.0)


OPSET = 20
PLAIN_FACTS = ("excerpt_seconds", "n_excerpts", "temperature", "confidence_threshold", "genre_set_threshold")
HEADLINE_METRICS = ("val_acc", "val_loss", "epoch", "macro_f1")


class LogMelGraph(nn.Module):
    """A network whose logits are divided by the calibration temperature.

    Parameters
    ----------
    network : Module
        Maps log-mel spectrograms to logits and embedding.
    temperature : float
        Positive.
    """

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        log_mel : float32 tensor, shape (batch, n_mels, n_frames)

        Returns
        -------
        logits : float32 tensor, shape (batch, n_labels)
        embedding : float32 tensor, shape (batch, n_features)
        """
        logits, embedding = self.network(log_mel)
        return logits / self.temperature, embedding


class BranchesGraph(nn.Module):
    """Everything behind the front ends.

    Parameters
    ----------
    network : GenreNetwork or FusedNetwork
    temperature : float
        Positive.

    Attributes
    ----------
    outputs : list of str
        Names of the outputs, in order.
    """

    def __init__(self, network: GenreNetwork | FusedNetwork, temperature: float) -> None:
        super().__init__()
        self.network = _with_published_tags(network)
        self.temperature = temperature
        self.outputs = ["logits", "tags", "embedding"] if model_tags(network) else ["logits", "embedding"]

    def forward(self, log_mel: Tensor, fine_log_mel: Tensor | None = None) -> tuple[Tensor, ...]:
        """Run the network.

        Parameters
        ----------
        log_mel : float32 tensor, shape (batch, n_mels, n_frames)
        fine_log_mel : float32 tensor, shape (batch, n_mels, n_fine_frames), or None
            For a model of two branches.

        Returns
        -------
        tuple of float32 tensor
            By the names of `outputs`: `logits` (batch, n_labels), `tags` (batch, n_tags), `embedding` (batch,
            n_features).
        """
        if isinstance(self.network, FusedNetwork):
            assert fine_log_mel is not None  # a model of two branches has two front ends
            logits, tags, embedding = self.network(log_mel, fine_log_mel)
            return logits / self.temperature, tags, embedding
        logits, embedding = self.network(log_mel)
        if "tags" in self.outputs:
            return logits / self.temperature, self.network.read_classes(embedding), embedding
        return logits / self.temperature, embedding


class WaveformGraph(nn.Module):
    """Front ends and networks in one graph.

    Parameters
    ----------
    network : GenreNetwork or FusedNetwork
    temperature : float
        Positive.
    audio : AudioConfig
        Front end of the network, or of the picture branch.
    fine_audio : AudioConfig or None
        Front end of the audio branch of a model of two branches.

    Attributes
    ----------
    outputs : list of str
        Names of the outputs, in order.
    classifier : LogMelGraph
        The network, or the picture branch.
    """

    def __init__(
        self,
        network: GenreNetwork | FusedNetwork,
        temperature: float,
        audio: AudioConfig,
        fine_audio: AudioConfig | None = None,
    ) -> None:
        super().__init__()
        self.front_end = LogMelFrontEnd(audio)
        self.fine_front_end = LogMelFrontEnd(fine_audio) if fine_audio else None
        self.behind = BranchesGraph(network, temperature)
        self.classifier = LogMelGraph(network.picture if isinstance(network, FusedNetwork) else network, temperature)
        self.outputs = [*self.behind.outputs, "log_mel", *(["fine_log_mel"] if fine_audio else [])]

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Run front ends and networks.

        Parameters
        ----------
        waveform : float32 tensor, shape (batch, n_samples)

        Returns
        -------
        tuple of float32 tensor
            By the names of `outputs`: those of `BranchesGraph`, `log_mel` (batch, n_mels, n_frames) and `fine_log_mel`
            (batch, n_mels, n_fine_frames).
        """
        spectrograms = [one(waveform) for one in (self.front_end, self.fine_front_end) if one is not None]
        return (*self.behind(*spectrograms), *spectrograms)


def model_tags(network: GenreNetwork | FusedNetwork) -> tuple[TagClass, ...]:
    """Return the tags that a model answers: none without an audio branch, whose head knows them.

    Parameters
    ----------
    network : GenreNetwork or FusedNetwork
    """
    audio = network.audio if isinstance(network, FusedNetwork) else network
    return TAG_CLASSES if audio.config.branch == "audio" and audio.classes else ()


def _with_published_tags(network: GenreNetwork | FusedNetwork) -> GenreNetwork | FusedNetwork:
    """Return a copy of a network whose head of AudioSet's classes has the published ones only.

    Genres that are read from all classes are then read from the layer before, which comes to the same.
    """
    network = copy.deepcopy(network)
    audio = network.audio if isinstance(network, FusedNetwork) else network
    if audio.classes is not None:
        *before, whole = audio.classes
        assert isinstance(whole, nn.Linear)
        if audio.config.reads == "classes":
            per_class = audio.head.weight / audio.class_deviation
            head = nn.Linear(whole.in_features, audio.head.out_features)
            bias = audio.head.bias + per_class @ (whole.bias - audio.class_mean)
            head.load_state_dict({"weight": per_class @ whole.weight, "bias": bias})
            audio.head = nn.Sequential(*before, head)  # type: ignore[assignment]
            audio.config = replace(audio.config, reads="features")
        part = nn.Linear(whole.in_features, len(TAG_CLASSES))
        places = torch.tensor(published_tags())
        part.load_state_dict({name: values[places] for name, values in whole.state_dict().items()})
        audio.classes[-1] = part
    if isinstance(network, FusedNetwork):
        network.places = torch.arange(len(TAG_CLASSES))
    return network


def write_waveform_graph(graph: WaveformGraph, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_samples.

    Parameters
    ----------
    graph : WaveformGraph
    path : Path
    metadata : mapping of str to str
        From `graph_metadata`.
    """
    audio = graph.front_end.config
    example = torch.randn(2, 4 * audio.sample_rate) * 0.1
    _write(graph, [example], (0, 1), ["waveform"], graph.outputs, path, metadata)


def write_log_mel_graph(graph: LogMelGraph, audio: AudioConfig, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph with dynamic batch and n_frames.

    Parameters
    ----------
    graph : LogMelGraph
    audio : AudioConfig
    path : Path
    metadata : mapping of str to str
        From `graph_metadata`.
    """
    _write(graph, [_example_log_mel(audio)], (0, 2), ["log_mel"], ["logits", "embedding"], path, metadata)


def write_branches_graph(graph: WaveformGraph, path: Path) -> None:
    """Write what is behind the front ends of a graph, with dynamic batch and numbers of frames.

    Parameters
    ----------
    graph : WaveformGraph
    path : Path
    """
    configs = {"log_mel": graph.front_end, "fine_log_mel": graph.fine_front_end}
    examples = {name: _example_log_mel(one.config) for name, one in configs.items() if one is not None}
    _write(graph.behind, list(examples.values()), (0, 2), list(examples), graph.behind.outputs, path, {})


def _example_log_mel(audio: AudioConfig) -> Tensor:
    n_frames = audio.n_frames(4 * audio.sample_rate)
    return torch.rand(2, audio.n_mels, n_frames) * (-audio.top_db if audio.scale == "decibel" else 1.0)


def graph_metadata(metadata: ModelMetadata) -> dict[str, str]:
    """Return the metadata of a graph: facts of the sidecar, each as JSON.

    The runtime compares front ends, labels and names of tags with the sidecar. The rest, with the metrics of
    `HEADLINE_METRICS`, is for programs that have only the graph.

    Parameters
    ----------
    metadata : ModelMetadata
        The sidecar.
    """
    facts = {
        AUDIO_METADATA_KEY: asdict(metadata.audio),
        LABELS_METADATA_KEY: list(metadata.labels),
        FINE_AUDIO_METADATA_KEY: asdict(metadata.fine_audio) if metadata.fine_audio else None,
        TAGS_METADATA_KEY: [tag.name for tag in metadata.tags],
        **{f"genre.{name}": getattr(metadata, name) for name in PLAIN_FACTS},
        "genre.metrics": {name: metadata.metrics.get(name) for name in HEADLINE_METRICS},
        "genre.versions": metadata.provenance.get("versions", {}),
        "genre.provenance": metadata.provenance,
    }
    return {key: json.dumps(value) for key, value in facts.items()}


def _write(
    graph: nn.Module,
    examples: list[Tensor],
    dynamic_axes: tuple[int, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
    metadata: Mapping[str, str],
) -> None:
    program = torch.onnx.export(
        graph.eval(),
        tuple(examples),
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=tuple(dict.fromkeys(dynamic_axes, torch.export.Dim.DYNAMIC) for _ in examples),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # None only if torch writes the file
    model = program.model_proto
    # The exporter names dimensions by formulas of its own symbols.
    words = {("waveform", 1): "n_samples", ("log_mel", 2): "n_frames", ("fine_log_mel", 2): "n_fine_frames"}
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                dimension.dim_param = words.get((value.name, axis), "batch")
    # The exporter stores paths of the source tree in every part of the graph.
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
