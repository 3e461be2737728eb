"""Decides which variants pay, by accuracy on validation clips and by speed on the CPU."""

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

from genre_export.parity import Run, parity_signals
from genre_runtime import AudioConfig, FloatArray, GenreClassifier, ModelMetadata, create_session, read_metadata
from genre_training.data.features import FeatureStore, label_indices, open_store
from genre_training.data.folders import read_tracks
from genre_training.data.track import DataError
from genre_training.evaluate.metrics import Labels, excerpt_logits, track_probabilities
from genre_training.model.checkpoint import Checkpoint, stored_folds

N_CALIBRATION = 128


@dataclass(frozen=True)
class Clips:
    """Spectrograms to measure a network on.

    Attributes
    ----------
    validation : Tensor, float16, shape (n_clips, n_mels, clip_frames)
    labels : int64 array, shape (n_clips,)
    calibration : float32 array, shape (n_calibration, n_mels, n_frames)
        One excerpt each of some training clips.
    n_frames : int
        Frames of an excerpt.
    """

    validation: Tensor
    labels: Labels
    calibration: FloatArray
    n_frames: int


class VariantData:
    """The clips of a data folder, divided by the checkpoint that was trained on some of them.

    Parameters
    ----------
    metadata : ModelMetadata
        Sidecar of the published model.
    data_folder : Path
        Its training data.
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
        """Return one excerpt each of some training clips of a checkpoint, as in `Clips.calibration`.

        Parameters
        ----------
        checkpoint : Checkpoint

        Raises
        ------
        DataError
            There are none.
        """
        held_out = {name for ids in checkpoint.held_out.values() for name in ids}
        trained = [i for i, name in enumerate(self._ids) if name not in held_out]
        if not trained:
            raise DataError(f"{self._folder} contains no training clip of the checkpoint: expected its data folder")
        drawn = np.random.default_rng(0).choice(trained, min(N_CALIBRATION, len(trained)), replace=False)
        start = max(0, (self._store.log_mel.shape[2] - self._n_frames) // 2)
        return self._store.log_mel[np.sort(drawn), :, start : start + self._n_frames].astype(np.float32)

    def held_out(self, checkpoint: Checkpoint) -> Clips:
        """Return the validation clips of a checkpoint.

        Parameters
        ----------
        checkpoint : Checkpoint

        Raises
        ------
        DataError
            The folder contains none of them, or no others.
        """
        validation = set(checkpoint.held_out.get("validation", ()))
        rows = [i for i, name in enumerate(self._ids) if name in validation]
        if not rows:
            raise DataError(
                f"{self._folder} contains 0 of the {len(validation)} validation clips of the checkpoint: expected the "
                "data folder that it was trained with"
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
    """Yield the networks on which the loss of accuracy is measured.

    This is the checkpoint itself if it has validation clips. If it was trained on every clip, these are its folds,
    which have the same recipe.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
        File of the checkpoint, with the folder of its folds beside it.

    Raises
    ------
    DataError
        It has neither validation clips nor folds.
    CheckpointError
        A fold is missing or of another recipe.
    """
    if checkpoint.folds or checkpoint.held_out.get("validation"):
        yield from stored_folds(checkpoint, path)
    else:
        raise DataError(
            "the checkpoint has neither validation clips nor folds, so the loss of accuracy cannot be measured: use "
            "one that was trained on a split or cross-validated"
        )


LARGEST_LOSS = 0.005
"""Largest loss of accuracy of a variant that pays, as a share: half a percentage point."""
SMALLEST_GAIN = 1.1
"""Smallest speed-up of a variant that pays, from the file to the genre."""
N_ROUNDS = 100
CLIPS_AT_ONCE = 64
TRACK_SECONDS, TRACK_RATE = 240, 44_100
"""The MP3 file that is classified."""


@dataclass(frozen=True)
class Timing:
    """CPU time of one track, mean of the rounds, milliseconds.

    Attributes
    ----------
    graph : float
        From excerpts to logits.
    file : float
        From an MP3 file of four minutes to its genre: decoding and the default number of excerpts.
    """

    graph: float
    file: float


@dataclass(frozen=True)
class VariantScore:
    """Figures of one variant.

    Attributes
    ----------
    name : str
    n_bytes : int
        Size of the waveform graph.
    n_clips : int
        Validation clips of all measured networks.
    n_networks : int
        Measured networks.
    accuracy : float
        On these clips, 0 to 1.
    agreement : float
        Share of these clips with the same answer as from float32.
    timing : Timing
        Of the published model in this precision.
    loss : float
        Accuracy of float32 minus this accuracy.
    graph_speed_up, file_speed_up : float
        Time of float32 divided by this time.
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
        """Whether the variant is published."""
        return self.loss <= LARGEST_LOSS and self.file_speed_up >= SMALLEST_GAIN

    @property
    def verdict(self) -> str:
        """`kept`, or why not."""
        if self.loss > LARGEST_LOSS:
            return f"not kept: loses more than {100 * LARGEST_LOSS:g} points of accuracy"
        return "kept" if self.pays else f"not kept: files not {SMALLEST_GAIN:g} times as fast"


def best_genres(run: Run, clips: Clips, name: str) -> NDArray[np.int64]:
    """Classify the validation clips with a spectrogram graph.

    Parameters
    ----------
    run : callable
        The graph: maps a batch to outputs by name.
    clips : Clips
    name : str
        Precision, for the progress bar.

    Returns
    -------
    int64 array, shape (n_clips,)
        Index of the best genre of each clip.
    """
    network = _GraphNetwork(run)
    logits = []
    with tqdm(total=len(clips.validation), desc=f"accuracy, {name}", unit="clip", leave=False) as bar:
        for batch in clips.validation.split(CLIPS_AT_ONCE):
            logits.append(excerpt_logits(network, batch, clips.n_frames, torch.device("cpu")))
            bar.update(len(batch))
    best: NDArray[np.int64] = track_probabilities(np.concatenate(logits)).argmax(axis=1)
    return best


def measure_times(paths: Sequence[Path], scratch: Path, n_rounds: int = N_ROUNDS) -> list[Timing]:
    """Measure the CPU time of waveform graphs on one track.

    All work is done on the calling thread, so its CPU time excludes other programs. The graphs take turns, so that a
    slower clock or a cold cache affects all of them alike.

    Parameters
    ----------
    paths : sequence of Path
        The graphs, with their sidecars beside them.
    scratch : Path
        Folder for a temporary MP3 file.
    n_rounds : int
        Runs of each graph.

    Returns
    -------
    list of Timing
        In the order of `paths`.
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
    """Open a graph as the runtime does, on one thread of the CPU.

    Parameters
    ----------
    path : Path
    metadata : ModelMetadata
        The sidecar.
    kind : {"waveform", "log_mel"}

    Returns
    -------
    InferenceSession
    """
    return create_session(path, metadata, kind, "cpu", 1)[0]


def _in_turn(jobs: Sequence[Callable[[], object]], what: str, n_rounds: int) -> list[float]:
    """Return the mean CPU time of each job, ms: a median would fail where the clock is coarser than a job."""
    for job in jobs:
        job()  # the first call allocates memory
    seconds = np.zeros((n_rounds, len(jobs)))
    for row in tqdm(seconds, what, unit="round", leave=False):
        for i, job in enumerate(jobs):
            start = time.thread_time()
            job()
            row[i] = time.thread_time() - start
    return [float(mean) for mean in 1e3 * seconds.mean(axis=0)]


def _track(path: Path) -> Path:
    """Write an MP3 of four minutes in stereo: the signals of the parity gate, repeated."""
    signals = np.concatenate(list(parity_signals(AudioConfig(sample_rate=TRACK_RATE)).values()))
    left = np.resize(0.8 * signals / np.abs(signals).max(), TRACK_SECONDS * TRACK_RATE).astype(np.float32)
    soundfile.write(path, np.stack([left, np.roll(left, TRACK_RATE // 100)], axis=1), TRACK_RATE, format="MP3")
    return path


class _GraphNetwork(nn.Module):
    """A graph with the interface of the network that it was exported from."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self._run(log_mel.numpy())
        return from_numpy(outputs["logits"]), from_numpy(outputs["embedding"])
