"""What variants are measured on: networks, and clips that each of them has not seen.

Which variants pay: accuracy on clips that validation held out, and speed side by side on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, from_numpy, nn
from tqdm import tqdm

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.audio.waveform import resample
from genre_runtime.classifier import GenreClassifier
from genre_runtime.cli.demo import PIECES, SAMPLE_RATE
from genre_runtime.model.metadata import ModelMetadata, read_metadata
from genre_runtime.model.session import create_session
from genre_training.data.features import FeatureStore, label_indices, open_store
from genre_training.data.folders import read_tracks
from genre_training.data.track import DataError
from genre_training.evaluate.metrics import Labels, excerpt_logits, track_probabilities
from genre_training.model.checkpoint import Checkpoint, stored_folds

N_CALIBRATION = 128


@dataclass(frozen=True)
class Clips:
    """Spectrograms that a network's validation held out.

    Attributes
    ----------
    validation : Tensor, float16, shape (n_clips, n_mels, clip_frames)
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


class VariantData:
    """The clips of a data folder, as one network or another has seen them or not.

    Parameters
    ----------
    metadata : ModelMetadata
        Of the published model.
    data_folder : Path
        What it was trained on.
    cache : Path
        Folder for computed features.

    Raises
    ------
    DataError
        The folder cannot be read.
    """

    def __init__(self, metadata: ModelMetadata, data_folder: Path, cache: Path) -> None:
        self._metadata, self._folder = metadata, data_folder
        self._store: FeatureStore = open_store(read_tracks(data_folder), metadata.audio, cache)
        self._ids = [track.track_id for track in self._store.tracks]

    def calibration(self, checkpoint: Checkpoint) -> FloatArray:
        """Return an excerpt of each of some clips that a checkpoint trained on: `Clips.calibration`.

        Raises
        ------
        DataError
            There are none.
        """
        held_out = {name for ids in checkpoint.held_out.values() for name in ids}
        trained = [i for i, name in enumerate(self._ids) if name not in held_out]
        if not trained:
            raise DataError(f"{self._folder} holds no clip that the checkpoint trained on: expected its data folder")
        drawn = np.random.default_rng(0).choice(trained, min(N_CALIBRATION, len(trained)), replace=False)
        start = max(0, (self._store.log_mel.shape[2] - self._n_frames) // 2)
        return self._store.log_mel[np.sort(drawn), :, start : start + self._n_frames].astype(np.float32)

    def held_out(self, checkpoint: Checkpoint) -> Clips:
        """Return the clips that a checkpoint's validation held out.

        Raises
        ------
        DataError
            The folder holds none of them, or nothing else.
        """
        validation = set(checkpoint.held_out.get("validation", ()))
        rows = [i for i, name in enumerate(self._ids) if name in validation]
        if not rows:
            raise DataError(
                f"{self._folder} holds 0 of the {len(validation)} clips that the checkpoint's validation held out: "
                "expected the data folder it was trained with"
            )
        return Clips(
            validation=from_numpy(np.array(self._store.log_mel[rows])),
            labels=label_indices([self._store.tracks[i] for i in rows], self._metadata.labels),
            calibration=self.calibration(checkpoint),
            n_frames=self._n_frames,
        )

    @property
    def _n_frames(self) -> int:
        return round(self._metadata.excerpt_seconds / self._metadata.audio.frame_seconds)


def measured_networks(checkpoint: Checkpoint, path: Path) -> Iterator[Checkpoint]:
    """Yield the networks that tell what a variant loses.

    That is the checkpoint itself when it held clips out. One that learnt from everything has no clips left: then its
    folds, whose weights lie beside it, stand for it, since they are of the same recipe.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
        Where it was read from.

    Raises
    ------
    DataError
        It held nothing out and has no folds.
    CheckpointError
        A fold is missing or of another recipe.
    """
    if checkpoint.folds or checkpoint.held_out.get("validation"):
        yield from stored_folds(checkpoint, path)
    else:
        raise DataError(
            "the checkpoint held no clips out for validation and has no folds, so what a variant loses cannot be "
            "measured: take one that was trained on a split or cross-validated"
        )


LARGEST_LOSS = 0.005
"""Accuracy that a variant may lose, as a share: half a point."""
SMALLEST_GAIN = 1.1
"""Times as fast as float32 that a variant must be, from the file to the genre."""
N_ROUNDS = 100
CLIPS_AT_ONCE = 64
TRACK_SECONDS, TRACK_RATE = 240, 44_100


@dataclass(frozen=True)
class Timing:
    """CPU time of one track, mean of the rounds, milliseconds.

    Attributes
    ----------
    graph : float
        From a track's excerpts to logits.
    file : float
        From an MP3 file of four minutes to its genre, default excerpts: decoding included.
    """

    graph: float
    file: float


@dataclass(frozen=True)
class VariantScore:
    """What the gate measured of one variant.

    Attributes
    ----------
    name : str
    n_bytes : int
        Size of the waveform graph.
    n_clips : int
        Validation clips, over all networks measured.
    n_networks : int
    accuracy : float
        On these clips, 0 to 1.
    agreement : float
        Share of them that get the same genre as from float32.
    timing : Timing
        Of the published model in this precision.
    loss : float
        Accuracy lost against float32; negative when the variant is better.
    graph_speed_up, file_speed_up : float
        float32's times divided by this one's.
    """

    name: str
    n_bytes: int
    n_clips: int
    n_networks: int
    accuracy: float
    agreement: float
    timing: Timing
    loss: float
    graph_speed_up: float
    file_speed_up: float

    @property
    def pays(self) -> bool:
        """Whether the variant is worth keeping."""
        return self.loss <= LARGEST_LOSS and self.file_speed_up >= SMALLEST_GAIN

    @property
    def verdict(self) -> str:
        """`kept`, or why not."""
        if self.loss > LARGEST_LOSS:
            return f"not kept: loses more than {100 * LARGEST_LOSS:g} points of accuracy"
        return "kept" if self.pays else f"not kept: files not {SMALLEST_GAIN:g} times as fast"


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


def times(paths: Sequence[Path], scratch: Path, n_rounds: int = N_ROUNDS) -> list[Timing]:
    """Measure each waveform graph, its sidecar beside it, on one track; returns them in the same order.

    The track is written into the folder `scratch`.

    Everything computes on the calling thread, so its CPU time leaves out what others do on the machine; the graphs take
    turns, so that what remains of it, a slower clock or a colder cache, meets all of them.
    """
    track = _track(scratch / "track.mp3")
    metadata = read_metadata(paths[0])
    n_samples = round(metadata.excerpt_seconds * metadata.audio.sample_rate)
    excerpts = np.random.default_rng(0).standard_normal((metadata.n_excerpts, 1, n_samples)).astype(np.float32) * 0.1

    def graph_of(path: Path) -> Callable[[], object]:
        session = open_cpu(path, read_metadata(path), "waveform")  # one excerpt at a time, as the runtime does on a CPU
        return lambda: [session.run(["logits", "embedding"], {"waveform": excerpt}) for excerpt in excerpts]

    def file_of(path: Path) -> Callable[[], object]:
        classifier = GenreClassifier.load(path, device="cpu", threads=1)
        return lambda: classifier.classify_file(track)

    graph = _in_turn([graph_of(path) for path in paths], "speed, graph", n_rounds)
    file = _in_turn([file_of(path) for path in paths], "speed, file", n_rounds)
    return [Timing(*pair) for pair in zip(graph, file, strict=True)]


def open_cpu(path: Path, metadata: ModelMetadata, kind: str) -> Any:
    """Open a graph as the runtime does, on one thread of the CPU."""
    return create_session(path, metadata, kind, "cpu", 1)[0]


def _in_turn(jobs: Sequence[Callable[[], object]], what: str, n_rounds: int) -> list[float]:
    """Mean milliseconds of CPU of each job: the mean, because some systems count in ticks longer than one job."""
    for job in jobs:
        job()  # the first call plans its memory
    seconds = np.zeros((n_rounds, len(jobs)))
    for row in tqdm(seconds, what, unit="round", leave=False):
        for i, job in enumerate(jobs):
            start = time.thread_time()
            job()
            row[i] = time.thread_time() - start
    return [float(mean) for mean in 1e3 * seconds.mean(axis=0)]


def _track(path: Path) -> Path:
    """Write an MP3 of four minutes in stereo: the pieces of `genre demo` one after the other, over and over."""
    piece = np.concatenate([make() for make in PIECES.values()])
    mono = np.resize(0.8 * piece / np.abs(piece).max(), TRACK_SECONDS * SAMPLE_RATE).astype(np.float32)
    left = resample(mono, SAMPLE_RATE, TRACK_RATE)
    soundfile.write(path, np.stack([left, np.roll(left, TRACK_RATE // 100)], axis=1), TRACK_RATE, format="MP3")
    return path


class _SessionNetwork(nn.Module):
    """A session in the place of the network it was exported from."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        logits, embedding = self._session.run(["logits", "embedding"], {"log_mel": log_mel.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(embedding)
