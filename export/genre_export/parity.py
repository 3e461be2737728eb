"""The parity gate: five front ends and two ways through the network must give the same numbers.

Every implementation is compared with the NumPy reference of the runtime. Tolerances stand in one table;
export refuses to publish a graph beyond them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import librosa
import numpy as np
import torch
import torchaudio
from torch import Tensor

from genre_export.graphs import WaveformGraph
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.errors import GenreError
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig

Run = Callable[[FloatArray], dict[str, FloatArray]]


@dataclass(frozen=True)
class Tolerance:
    """Largest difference allowed, and why it is not zero."""

    limit: float
    unit: str
    reason: str


# Each limit is several times what was measured, and far below what one wrong constant would cost: another window is
# 1 dB off and more. Decibels of near silence magnify rounding, so spectrograms get more room than their share of 80 dB.
TOLERANCES = {
    "librosa log_mel": Tolerance(0.01, "dB", "librosa builds its filters and window in float64"),
    "torchaudio log_mel": Tolerance(0.05, "dB", "torchaudio computes the mel edges in float32"),
    "torch log_mel": Tolerance(0.01, "dB", "the DFT is factorised: sums in another order, float32"),
    "onnx log_mel": Tolerance(0.01, "dB", "the same, with ONNX Runtime's matrix products"),
    "onnx logits": Tolerance(1e-3, "", "convolutions folded with their normalisation, float32"),
    "onnx embedding": Tolerance(1e-3, "", "convolutions folded with their normalisation, float32"),
    "onnx logits from log_mel": Tolerance(1e-3, "", "the second graph fed with the NumPy spectrogram"),
    "onnx batch independence": Tolerance(1e-4, "", "a clip alone and in a batch: matrix products block differently"),
}


class ParityError(GenreError, ArithmeticError):
    """An implementation strays from the reference by more than its tolerance."""

    code = "parity"


def parity_signals(config: AudioConfig) -> dict[str, FloatArray]:
    """Clips that stress a front end, each float32 (n_samples,), from one sample to half a minute."""
    rng = np.random.default_rng(0)
    rate = config.sample_rate
    t = np.arange(10 * rate) / rate
    chirp = 0.5 * np.sin(2 * np.pi * (50 * t + 400 * t**2))
    clicks = np.zeros(5 * rate)
    clicks[:: rate // 3] = 1.0
    noise = 0.1 * rng.standard_normal(30 * rate)
    tone = 0.3 * np.sin(2 * np.pi * 440 * t[: 3 * rate]) + 0.01 * rng.standard_normal(3 * rate)
    signals = {
        "one sample": np.ones(1),
        "one hop less a sample": noise[: config.hop_length - 1],
        "chirp": chirp + 1e-3 * rng.standard_normal(t.size),
        "clicks": clicks,
        "noise": noise,
        "tone in noise": tone,
        "quiet noise": 1e-3 * noise[: 2 * rate],
        "silence": np.zeros(rate),
    }
    return {name: signal.astype(np.float32) for name, signal in signals.items()}


def measure_parity(graph: WaveformGraph, run_waveform: Run, run_log_mel: Run) -> dict[str, float]:
    """Largest absolute difference from the reference over `parity_signals`, by the names of `TOLERANCES`.

    Parameters
    ----------
    graph : WaveformGraph
        The torch module.
    run_waveform, run_log_mel : callable
        The exported graphs: a batch in, outputs by name out.
    """
    config = graph.front_end.config
    worst = dict.fromkeys(TOLERANCES, 0.0)

    def note(name: str, found: Any, expected: Any) -> None:
        difference = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64)).max()
        # NaN would slip through max(): it counts as infinitely far.
        worst[name] = max(worst[name], float(difference) if np.isfinite(difference) else np.inf)

    for waveform in parity_signals(config).values():
        with torch.inference_mode():
            logits, embedding, log_mel = graph(torch.from_numpy(waveform)[None])
        onnx = run_waveform(waveform[None])
        front_ends = _log_mels(waveform, config, log_mel[0], onnx["log_mel"][0])
        reference = front_ends.pop("numpy")
        for name, found in front_ends.items():
            note(f"{name} log_mel", found, reference)
        note("onnx logits", onnx["logits"], logits)
        note("onnx embedding", onnx["embedding"], embedding)
        note("onnx logits from log_mel", run_log_mel(reference[None])["logits"], logits)
        loud = np.stack([waveform, np.ones_like(waveform)])
        note("onnx batch independence", run_waveform(loud)["logits"][0], onnx["logits"][0])
    return worst


def measure_pairs(graph: WaveformGraph, run_waveform: Run) -> dict[tuple[str, str], float]:
    """Largest difference in dB between each two front ends over `parity_signals`, by their names."""
    worst: dict[tuple[str, str], float] = {}
    for waveform in parity_signals(graph.front_end.config).values():
        with torch.inference_mode():
            log_mel = graph.front_end(torch.from_numpy(waveform)[None])[0]
        onnx = run_waveform(waveform[None])["log_mel"][0]
        for pair in combinations(_log_mels(waveform, graph.front_end.config, log_mel, onnx).items(), 2):
            (one, left), (other, right) = pair
            worst[one, other] = max(worst.get((one, other), 0.0), float(np.abs(left - right).max()))
    return worst


def parity_table(worst: Mapping[str, float]) -> str:
    """Return what was measured beside what is allowed, and why, as a Markdown table."""
    lines = ["| what | measured | allowed | why |", "|---|---|---|---|"]
    for name, tolerance in TOLERANCES.items():
        if name in worst:
            unit = f" {tolerance.unit}".rstrip()
            lines.append(f"| {name} | {worst[name]:.2g}{unit} | {tolerance.limit:g}{unit} | {tolerance.reason} |")
    return "\n".join(lines)


def check_parity(worst: dict[str, float]) -> None:
    """Raise `ParityError` naming every difference beyond its tolerance."""
    beyond = [
        f"{name}: {worst[name]:.3g} {tolerance.unit} (allowed {tolerance.limit:g})"
        for name, tolerance in TOLERANCES.items()
        if not worst[name] <= tolerance.limit
    ]
    if beyond:
        raise ParityError(f"the exported graph is not published, it strays from the reference: {'; '.join(beyond)}")


def _log_mels(
    waveform: FloatArray, config: AudioConfig, torch_log_mel: Tensor, onnx: FloatArray
) -> dict[str, FloatArray]:
    """The same clip by every front end, each (n_mels, n_frames)."""
    return {
        "numpy": log_mel_spectrogram(waveform, config),
        "librosa": _librosa_log_mel(waveform, config),
        "torchaudio": _torchaudio_log_mel(waveform, config),
        "torch": torch_log_mel.numpy(),
        "onnx": onnx,
    }


def _librosa_log_mel(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large for input signal")
        mel = librosa.feature.melspectrogram(
            y=waveform,
            sr=config.sample_rate,
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            fmin=config.f_min,
            fmax=config.f_max,
        )
    decibels: FloatArray = librosa.power_to_db(mel, ref=np.max, top_db=config.top_db)
    return decibels


def _torchaudio_log_mel(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
        f_min=config.f_min,
        f_max=config.f_max,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    mel = transform(torch.from_numpy(waveform))
    decibels = torchaudio.functional.amplitude_to_DB(mel, multiplier=10.0, amin=1e-10, db_multiplier=0.0)
    relative: FloatArray = (decibels - decibels.max()).clamp(min=-config.top_db).numpy()
    return relative
