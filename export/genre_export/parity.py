"""The parity gate: all implementations of both front ends and two ways through the network compute the same numbers.

Every implementation is compared with the NumPy reference of the runtime. Export does not publish a graph that exceeds a
tolerance of `TOLERANCES`.
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
from torchaudio.compliance.kaldi import get_mel_banks

from genre_export.graphs import WaveformGraph
from genre_runtime import (
    KALDI_FLOOR,
    KALDI_OFFSET,
    KALDI_SPAN,
    MOST_GAIN,
    PRE_EMPHASIS,
    QUIETEST_RMS,
    AudioConfig,
    FloatArray,
    GenreError,
    log_mel_spectrogram,
)

Run = Callable[..., dict[str, FloatArray]]


@dataclass(frozen=True)
class Tolerance:
    """Largest allowed difference, its unit, and why it is not zero."""

    limit: float
    unit: str
    reason: str


# Each limit is several times the measured difference and far below that of one wrong constant: another window differs
# by more than 1 dB. Decibels of near silence magnify rounding errors, so the limits of spectrograms are wider.
TOLERANCES = {
    "librosa log_mel": Tolerance(0.01, "dB", "librosa builds its filters and window in float64"),
    "torchaudio log_mel": Tolerance(0.05, "dB", "torchaudio computes the mel edges in float32"),
    "torch log_mel": Tolerance(0.01, "dB", "the DFT is factorised: sums in another order, float32"),
    "onnx log_mel": Tolerance(0.01, "dB", "the same, with ONNX Runtime's matrix products"),
    "torchaudio fine_log_mel": Tolerance(1e-3, "", "torchaudio computes the mel bands in float32"),
    "torch fine_log_mel": Tolerance(1e-3, "", "the DFT is factorised: sums in another order, float32"),
    "onnx fine_log_mel": Tolerance(1e-3, "", "the same, with ONNX Runtime's matrix products"),
    "onnx tags": Tolerance(1e-3, "", "convolutions folded with their normalisation, float32"),
    "onnx logits": Tolerance(1e-3, "", "convolutions folded with their normalisation, float32"),
    "onnx embedding": Tolerance(1e-3, "", "convolutions folded with their normalisation, float32"),
    "onnx logits from log_mel": Tolerance(
        1e-3, "", "the second graph, of the picture branch, fed with the NumPy spectrogram"
    ),
    "onnx batch independence": Tolerance(1e-4, "", "a clip alone and in a batch: matrix products block differently"),
}


class ParityError(GenreError, ArithmeticError):
    """An implementation differs from the reference by more than its tolerance."""

    code = "parity"


def parity_signals(config: AudioConfig) -> dict[str, FloatArray]:
    """Synthesise clips that are difficult for a front end, from one sample to half a minute.

    Parameters
    ----------
    config : AudioConfig

    Returns
    -------
    dict of str to float32 array, shape (n_samples,)
    """
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
        "quiet noise with an offset": 1e-3 * noise[: 2 * rate] + 0.1,
        "silence": np.zeros(rate),
    }
    return {name: signal.astype(np.float32) for name, signal in signals.items()}


def measure_parity(graph: WaveformGraph, run_waveform: Run, run_log_mel: Run) -> dict[str, float]:
    """Measure the largest absolute difference from the reference over `parity_signals`.

    Parameters
    ----------
    graph : WaveformGraph
        The torch module.
    run_waveform, run_log_mel : callable
        The exported graphs: map a batch to outputs by name.

    Returns
    -------
    dict of str to float
        By the names of `TOLERANCES`.
    """
    worst: dict[str, float] = {}

    def note(name: str, found: Any, expected: Any) -> None:
        difference = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64)).max()
        # max() ignores NaN, so it counts as an infinite difference.
        worst[name] = max(worst.get(name, 0.0), float(difference) if np.isfinite(difference) else np.inf)

    for waveform in parity_signals(graph.front_end.config).values():
        with torch.inference_mode():
            expected = dict(zip(graph.outputs, graph(torch.from_numpy(waveform)[None]), strict=True))
        onnx = run_waveform(waveform[None])
        references = {}
        for output, config in front_ends(graph).items():
            found = _log_mels(waveform, config, expected[output][0], onnx[output][0])
            references[output] = found.pop("numpy")
            for name, log_mel in found.items():
                note(f"{name} {_scale_name(config)}", log_mel, references[output])
        for output in ("logits", "tags", "embedding"):
            if output in expected:
                note(f"onnx {output}", onnx[output], expected[output])
        with torch.inference_mode():
            logits, _ = graph.classifier(expected["log_mel"])
        note("onnx logits from log_mel", run_log_mel(references["log_mel"][None])["logits"], logits)
        loud = np.stack([waveform, np.ones_like(waveform)])
        note("onnx batch independence", run_waveform(loud)["logits"][0], onnx["logits"][0])
    return {name: worst[name] for name in TOLERANCES if name in worst}


def front_ends(graph: WaveformGraph) -> dict[str, AudioConfig]:
    """Return the front ends of a graph by the names of its outputs.

    Parameters
    ----------
    graph : WaveformGraph
    """
    found = {"log_mel": graph.front_end, "fine_log_mel": graph.fine_front_end}
    return {name: front_end.config for name, front_end in found.items() if front_end}


def _scale_name(config: AudioConfig) -> str:
    """Return what `TOLERANCES` calls a spectrogram: its scale decides, not its output of a graph."""
    return "fine_log_mel" if config.scale == "kaldi" else "log_mel"


def measure_pairs(graph: WaveformGraph, run_waveform: Run, output: str) -> dict[tuple[str, str], float]:
    """Measure the largest difference between each two front ends over `parity_signals`.

    Parameters
    ----------
    graph : WaveformGraph
        The torch module.
    run_waveform : callable
        The exported graph: maps a batch to outputs by name.
    output : str
        Which spectrogram: a name of `front_ends`.

    Returns
    -------
    dict of (str, str) to float
        By the names of both; in dB on the scale `decibel`.
    """
    config = front_ends(graph)[output]
    worst: dict[tuple[str, str], float] = {}
    for waveform in parity_signals(config).values():
        with torch.inference_mode():
            log_mel = dict(zip(graph.outputs, graph(torch.from_numpy(waveform)[None]), strict=True))[output][0]
        onnx = run_waveform(waveform[None])[output][0]
        for pair in combinations(_log_mels(waveform, config, log_mel, onnx).items(), 2):
            (one, left), (other, right) = pair
            worst[one, other] = max(worst.get((one, other), 0.0), float(np.abs(left - right).max()))
    return worst


def parity_table(worst: Mapping[str, float]) -> str:
    """Return measured and allowed differences, with reasons, as a Markdown table.

    Parameters
    ----------
    worst : mapping of str to float
        From `measure_parity`.
    """
    lines = ["| what | measured | allowed | why |", "|---|---|---|---|"]
    for name, tolerance in TOLERANCES.items():
        if name in worst:
            unit = f" {tolerance.unit}".rstrip()
            lines.append(f"| {name} | {worst[name]:.2g}{unit} | {tolerance.limit:g}{unit} | {tolerance.reason} |")
    return "\n".join(lines)


def check_parity(worst: dict[str, float]) -> None:
    """Check that no difference exceeds its tolerance.

    Parameters
    ----------
    worst : dict of str to float
        From `measure_parity`.

    Raises
    ------
    ParityError
        Names every difference that does.
    """
    beyond = [
        f"{name}: {worst[name]:.3g} {tolerance.unit} (allowed {tolerance.limit:g})"
        for name, tolerance in TOLERANCES.items()
        if name in worst and not worst[name] <= tolerance.limit
    ]
    if beyond:
        raise ParityError(f"the exported graph is not published, it differs from the reference: {'; '.join(beyond)}")


def _log_mels(
    waveform: FloatArray, config: AudioConfig, torch_log_mel: Tensor, onnx: FloatArray
) -> dict[str, FloatArray]:
    """Return the spectrogram of a clip by every front end, each (n_mels, n_frames)."""
    found = {"numpy": log_mel_spectrogram(waveform, config), "torch": torch_log_mel.numpy(), "onnx": onnx}
    if config.scale == "kaldi":
        return {**found, "torchaudio": _kaldi_log_mel(waveform, config)}
    libraries = {"librosa": _librosa_log_mel, "torchaudio": _torchaudio_log_mel}
    return {**found, **{name: compute(waveform, config) for name, compute in libraries.items()}}


def _librosa_log_mel(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large for input signal")
        mel = librosa.feature.melspectrogram(
            y=waveform,
            sr=config.sample_rate,
            n_fft=config.n_fft,
            win_length=config.window_length,
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
        win_length=config.window_length,
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


def _kaldi_log_mel(waveform: FloatArray, config: AudioConfig) -> FloatArray:
    """Compute a fine spectrogram with torch's STFT and torchaudio's mel bands, as EfficientAT does but for the gain."""
    samples = torch.from_numpy(waveform)
    emphasised = samples[1:] - PRE_EMPHASIS * samples[:-1]
    centred = emphasised - emphasised.sum() / samples.numel()
    emphasised *= (QUIETEST_RMS / (centred.square().sum() / samples.numel()).sqrt()).clamp(1, MOST_GAIN)
    spectrum = torch.stft(
        emphasised,
        config.n_fft,
        config.hop_length,
        config.window_length,
        window=torch.hann_window(config.window_length, periodic=False),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    bands, _ = get_mel_banks(
        config.n_mels, config.n_fft, config.sample_rate, config.f_min, config.f_max, 100.0, -500.0, 1.0
    )
    mel = torch.nn.functional.pad(bands, (0, 1)) @ (spectrum.real**2 + spectrum.imag**2)
    scaled: FloatArray = ((torch.log(mel + KALDI_FLOOR) + KALDI_OFFSET) / KALDI_SPAN).numpy()
    return scaled
