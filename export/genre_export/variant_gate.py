"""Which variants pay: accuracy on the clips that validation held out, and speed side by side on the CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from genre_runtime.features import FloatArray
from genre_runtime.metadata import ModelMetadata
from genre_runtime.session import create_session
from genre_training.calibration import Labels, track_probabilities
from genre_training.checkpoint import Checkpoint
from genre_training.evaluation import excerpt_logits
from genre_training.sources import read_tracks
from genre_training.store import label_indices, open_store
from genre_training.tracks import DataError

LARGEST_LOSS = 0.005
"""Accuracy that a variant may lose, as a share: half a point."""
SMALLEST_GAIN = 1.1
"""Times as fast as float32 that a variant must be."""
N_CALIBRATION = 128
N_ROUNDS = 100
CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class Clips:
    """Spectrograms to make variants by.

    Attributes
    ----------
    validation : Tensor, float16, shape (n_clips, n_mels, clip_frames)
        The clips that the checkpoint's validation held out.
    labels : int64 array, shape (n_clips,)
    calibration : float32 array, shape (n_calibration, n_mels, n_frames)
        An excerpt of each of some clips that training saw.
    n_frames : int
        Frames of an excerpt.
    """

    validation: Tensor
    labels: Labels
    calibration: FloatArray
    n_frames: int


@dataclass(frozen=True)
class VariantScore:
    """What the gate measured of one variant.

    Attributes
    ----------
    name : str
    n_bytes : int
        Size of the waveform graph.
    n_clips : int
        Validation clips.
    accuracy : float
        On the validation clips, 0 to 1.
    agreement : float
        Share of these clips that get the same genre as from float32.
    milliseconds : float
        Mean CPU time of the waveform graph for a track's excerpts, one thread.
    speed_up : float
        float32's time divided by this one's.
    loss : float
        Accuracy lost against float32; negative when the variant is better.
    """

    name: str
    n_bytes: int
    n_clips: int
    accuracy: float
    agreement: float
    milliseconds: float
    speed_up: float
    loss: float

    @property
    def pays(self) -> bool:
        """Whether the variant is worth keeping."""
        return self.loss <= LARGEST_LOSS and self.speed_up >= SMALLEST_GAIN

    @property
    def verdict(self) -> str:
        """`kept`, or why not."""
        if self.loss > LARGEST_LOSS:
            return f"not kept: loses more than {100 * LARGEST_LOSS:g} points of accuracy"
        return "kept" if self.pays else f"not kept: not {SMALLEST_GAIN:g} times as fast"


def read_clips(checkpoint: Checkpoint, metadata: ModelMetadata, data_folder: Path, cache: Path) -> Clips:
    """Find the clips that validation held out, and others to calibrate by.

    Raises
    ------
    DataError
        There are none, or the folder cannot be read.
    """
    held_out = checkpoint.get("held_out", {})
    validation = set(held_out.get("validation", ()))
    if not validation:
        raise DataError(
            "the checkpoint held no clips out for validation, so what a variant loses cannot be measured: take one "
            "that was trained on a split"
        )
    store = open_store(read_tracks(data_folder), metadata.audio, cache)
    ids = [track.track_id for track in store.tracks]
    rows = [i for i, name in enumerate(ids) if name in validation]
    unseen = validation.union(held_out.get("test", ()))
    others = [i for i, name in enumerate(ids) if name not in unseen]
    if not rows or not others:
        raise DataError(
            f"{data_folder} holds {len(rows)} of the {len(validation)} clips that the checkpoint's validation held "
            f"out and {len(others)} that it trained on: expected the data folder it was trained with"
        )
    n_frames = round(metadata.excerpt_seconds / metadata.audio.frame_seconds)
    drawn = np.random.default_rng(0).choice(others, min(N_CALIBRATION, len(others)), replace=False)
    start = max(0, (store.log_mel.shape[2] - n_frames) // 2)
    return Clips(
        validation=torch.from_numpy(np.array(store.log_mel[rows])),
        labels=label_indices([store.tracks[i] for i in rows], metadata.labels),
        calibration=store.log_mel[np.sort(drawn), :, start : start + n_frames].astype(np.float32),
        n_frames=n_frames,
    )


def answers(session: Any, clips: Clips, name: str) -> NDArray[np.int64]:
    """Index of the genre that a spectrogram graph gives each validation clip, shape (n_clips,)."""
    network = _SessionNetwork(session)
    logits = []
    with tqdm(total=len(clips.validation), desc=f"accuracy, {name}", unit="clip", leave=False) as bar:
        for batch in clips.validation.split(CLIPS_AT_ONCE):
            logits.append(excerpt_logits(network, batch, clips.n_frames, torch.device("cpu")))
            bar.update(len(batch))
    best: NDArray[np.int64] = track_probabilities(np.concatenate(logits)).argmax(axis=1)
    return best


def times(sessions: Sequence[Any], metadata: ModelMetadata, n_rounds: int = N_ROUNDS) -> NDArray[np.float64]:
    """Seconds of CPU that each waveform graph takes for one track's excerpts, shape (n_rounds, n_sessions).

    The sessions compute on the calling thread alone, so its CPU time leaves out what others do on the machine; they
    take turns, so that what remains of it, a slower clock or a colder cache, meets all of them.
    """
    n_samples = round(metadata.excerpt_seconds * metadata.audio.sample_rate)
    waveform = np.random.default_rng(0).standard_normal((metadata.n_excerpts, n_samples)).astype(np.float32) * 0.1
    for session in sessions:
        session.run(["logits"], {"waveform": waveform})  # the first call plans its memory
    seconds = np.zeros((n_rounds, len(sessions)))
    for row in tqdm(seconds, "speed", unit="round", leave=False):
        for i, session in enumerate(sessions):
            start = time.thread_time()
            session.run(["logits"], {"waveform": waveform})
            row[i] = time.thread_time() - start
    return seconds


def open_cpu(path: Path, metadata: ModelMetadata, kind: str) -> Any:
    """Open a graph as the runtime does, on one thread of the CPU."""
    return create_session(path, metadata, kind, "cpu", 1)[0]


class _SessionNetwork(nn.Module):
    """A session in the place of the network it was exported from."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self._session.run(["logits", "embedding"], {"log_mel": log_mel.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(embedding)
