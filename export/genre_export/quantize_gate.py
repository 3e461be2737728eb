"""Decides which variants pay, by accuracy on validation clips and by speed on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from genre_export.parity import Run, parity_signals
from genre_runtime import AudioConfig, FloatArray, GenreClassifier, ModelMetadata, create_session, read_metadata
from genre_training.data.features import label_indices, open_store
from genre_training.data.folders import read_audio_tracks, read_tracks
from genre_training.data.track import DataError
from genre_training.evaluate.metrics import Labels, track_probabilities
from genre_training.model.checkpoint import Checkpoint, stored_folds
from genre_training.train.fuse import fused_folds

N_CALIBRATION = 128


@dataclass(frozen=True)
class Clips:
    """Spectrograms to measure a network on, each by the name of the output of the waveform graph that it is.

    Attributes
    ----------
    spectrograms : dict of str to float16 array, shape (n_clips, n_mels, clip_frames)
        Of all clips.
    rows : dict of str to list of int
        The validation clips among them.
    labels : int64 array, shape (n_validation,)
    calibration : dict of str to float32 array, shape (n_calibration, n_mels, n_frames)
        One excerpt each of some training clips.
    n_frames : dict of str to int
        Frames of an excerpt.
    """

    spectrograms: Mapping[str, NDArray[np.float16]]
    rows: Mapping[str, list[int]]
    labels: Labels
    calibration: Mapping[str, FloatArray]
    n_frames: Mapping[str, int]


class VariantData:
    """The clips of a data folder, divided by the checkpoint that was trained on some of them.

    A model that needs fine spectrograms is measured on audio files only, any other on pictures as well.

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
        configs = {"log_mel": metadata.audio}
        if metadata.fine_audio:
            configs["fine_log_mel"] = metadata.fine_audio
        fine = any(config.scale == "kaldi" for config in configs.values())
        tracks = read_audio_tracks(data_folder) if fine else read_tracks(data_folder)
        stores = {name: open_store(tracks, config, cache) for name, config in configs.items()}
        self._spectrograms = {name: store.log_mel for name, store in stores.items()}
        places = {name: {one.track_id: i for i, one in enumerate(store.tracks)} for name, store in stores.items()}
        self._tracks = [one for one in tracks if all(one.track_id in known for known in places.values())]
        self._places = {name: [known[one.track_id] for one in self._tracks] for name, known in places.items()}
        seconds = metadata.excerpt_seconds
        self._n_frames = {name: round(seconds / config.frame_seconds) for name, config in configs.items()}

    def calibration(self, checkpoint: Checkpoint) -> dict[str, FloatArray]:
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
        trained = [i for i, track in enumerate(self._tracks) if track.track_id not in held_out]
        if not trained:
            raise DataError(f"{self._folder} contains no training clip of the checkpoint: expected its data folder")
        drawn = np.random.default_rng(0).choice(trained, min(N_CALIBRATION, len(trained)), replace=False)
        chosen = {}
        for name, log_mel in self._spectrograms.items():
            start = max(0, (log_mel.shape[2] - self._n_frames[name]) // 2)
            rows = [self._places[name][i] for i in np.sort(drawn)]
            chosen[name] = log_mel[rows, :, start : start + self._n_frames[name]].astype(np.float32)
        return chosen

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
        chosen = [i for i, track in enumerate(self._tracks) if track.track_id in validation]
        if not chosen:
            raise DataError(
                f"{self._folder} contains 0 of the {len(validation)} validation clips of the checkpoint: expected the "
                "data folder that it was trained with"
            )
        return Clips(
            spectrograms=self._spectrograms,
            rows={name: [places[i] for i in chosen] for name, places in self._places.items()},
            labels=label_indices([self._tracks[i] for i in chosen], self._metadata.labels),
            calibration=self.calibration(checkpoint),
            n_frames=self._n_frames,
        )


def measured_networks(checkpoint: Checkpoint, path: Path) -> Iterator[Checkpoint]:
    """Yield the networks on which the loss of accuracy is measured.

    This is the checkpoint itself if it has validation clips. If it was trained on every clip, these are its folds,
    which have the same recipe; of a model of two branches, the pairs of their folds.

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
    if checkpoint.audio_network:
        yield from fused_folds(checkpoint, path)
    elif checkpoint.folds or checkpoint.held_out.get("validation"):
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
    frames = next((log_mel.shape[2], clips.n_frames[name]) for name, log_mel in clips.spectrograms.items())
    n_excerpts = max(1, round(frames[0] / frames[1]))
    best = []
    with tqdm(total=len(clips.labels), desc=f"accuracy, {name}", unit="clip", leave=False) as bar:
        for first in range(0, len(clips.labels), CLIPS_AT_ONCE):
            batches = [
                _excerpts(log_mel[clips.rows[one][first : first + CLIPS_AT_ONCE]], clips.n_frames[one], n_excerpts)
                for one, log_mel in clips.spectrograms.items()
            ]
            logits = [run(*excerpts)["logits"] for excerpts in zip(*batches, strict=True)]
            best.append(track_probabilities(np.stack(logits, axis=1).astype(np.float64)).argmax(axis=1))
            bar.update(len(best[-1]))
    return np.concatenate(best)


def _excerpts(clips: NDArray[np.float16], n_frames: int, n_excerpts: int) -> list[FloatArray]:
    """Return excerpts spread evenly over each clip; a clip that failed counts as one more wrong answer."""
    whole = np.nan_to_num(clips.astype(np.float32))
    starts = np.linspace(0, max(0, whole.shape[2] - n_frames), n_excerpts).round().astype(int)
    return [whole[:, :, start : start + n_frames] for start in starts]


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
