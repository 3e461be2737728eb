"""The feature store: every clip's log-mel spectrogram, computed once, memory-mapped.

`<cache>/<fingerprint>/log_mel.npy` is float16, (n_clips, n_mels, n_frames), dB relative to each clip's
loudest bin; `index.json` names the clips. The fingerprint covers `AudioConfig` and the clips, so a
changed front end or data folder never meets a stale store.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from genre_runtime.decoding import decode
from genre_runtime.errors import GenreError
from genre_runtime.features import FloatArray, log_mel_spectrogram
from genre_runtime.metadata import AudioConfig
from genre_training.pictures import read_picture
from genre_training.tracks import DataError, Track

CLIP_SECONDS = 30.0
STORE_VERSION = 1
CLIPS_PER_TASK = 32


@dataclass(frozen=True)
class FeatureStore:
    """An open store.

    Attributes
    ----------
    log_mel : float16 array, shape (n_clips, n_mels, n_frames)
        Row i belongs to `tracks[i]`.
    tracks : list of Track
    left_out : dict of str to str
        Clips that could not be used, and why.
    """

    log_mel: NDArray[np.float16]
    tracks: list[Track]
    left_out: dict[str, str]


def track_log_mel(track: Track, config: AudioConfig) -> FloatArray:
    """Log-mel spectrogram of one clip, (n_mels, n_frames), from its picture or its audio.

    Raises
    ------
    GenreError, OSError
        The file cannot be read.
    """
    if track.path.suffix == ".png":
        return read_picture(track.path, track.source, config)
    waveform = decode(track.path, config.sample_rate)
    return log_mel_spectrogram(waveform[: int(CLIP_SECONDS * config.sample_rate)], config)


def open_store(tracks: list[Track], config: AudioConfig, cache: Path) -> FeatureStore:
    """Open the store of `tracks` below `cache`, building it first if it is not there.

    Unreadable and silent clips are left out and named in `left_out`.
    Building starts processes: a script of one's own needs the usual `if __name__ == "__main__"`.
    """
    folder = cache / _fingerprint(tracks, config)
    if not (folder / "index.json").is_file():
        _build(tracks, config, folder)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    kept = set(index["kept"])
    log_mel = cast(NDArray[np.float16], np.load(folder / "log_mel.npy", mmap_mode="r"))
    return FeatureStore(log_mel, [t for t in tracks if t.track_id in kept], index["left_out"])


def _fingerprint(tracks: list[Track], config: AudioConfig) -> str:
    digest = hashlib.sha256(f"{STORE_VERSION} {config.fingerprint()}".encode())
    for track in tracks:
        status = track.path.stat()
        digest.update(f"{track.track_id} {track.path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _build(tracks: list[Track], config: AudioConfig, folder: Path) -> None:
    n_frames = round(CLIP_SECONDS / config.frame_seconds)
    partial_folder = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    rows: list[NDArray[np.float16]] = []
    kept: list[str] = []
    left_out: dict[str, str] = {}
    results = _rows_or_reasons(tracks, config, n_frames)
    for track, result in zip(tracks, tqdm(results, "features", len(tracks), unit="clip"), strict=True):
        if isinstance(result, str):
            left_out[track.track_id] = result
        else:
            kept.append(track.track_id)
            rows.append(result)
    if not rows:
        raise DataError(f"none of the {len(tracks)} clips could be read: {next(iter(left_out.values()))}")
    np.save(partial_folder / "log_mel.npy", np.stack(rows))
    report = {"audio": config.fingerprint(), "kept": kept, "left_out": left_out}
    (partial_folder / "index.json").write_text(json.dumps(report), encoding="utf-8")
    partial_folder.rename(folder)


def _rows_or_reasons(tracks: list[Track], config: AudioConfig, n_frames: int) -> Iterator[NDArray[np.float16] | str]:
    """Yield `_clip_or_reason` of each track, in order, by as many processes as there are cores and work for."""
    work = partial(_clip_or_reason, config=config, n_frames=n_frames)
    n_workers = min(os.cpu_count() or 1, -(-len(tracks) // CLIPS_PER_TASK))
    if n_workers < 2:
        yield from map(work, tracks)
        return
    # A fork of a process with threads, such as torch's and ONNX Runtime's, may hang for ever: so spawn.
    with ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, tracks, chunksize=CLIPS_PER_TASK)


def _clip_or_reason(track: Track, config: AudioConfig, n_frames: int) -> NDArray[np.float16] | str:
    """Return one row of the store, or why there is none."""
    try:
        log_mel = track_log_mel(track, config)
    except (GenreError, OSError) as error:
        return str(error)
    if np.ptp(log_mel) == 0:
        return "the clip is silent"
    return fit_frames(log_mel, n_frames).astype(np.float16)


def fit_frames(log_mel: FloatArray, n_frames: int) -> FloatArray:
    """Cut to `n_frames`, or repeat the clip until it has as many."""
    repeats = -(-n_frames // log_mel.shape[1])
    fitted: FloatArray = np.tile(log_mel, (1, repeats))[:, :n_frames]
    return fitted


def label_indices(tracks: Sequence[Track], labels: Sequence[str]) -> NDArray[np.int64]:
    """Index of each track's label in `labels`, shape (n_tracks,).

    Raises
    ------
    DataError
        A track's label is not among them.
    """
    position = {label: index for index, label in enumerate(labels)}
    unknown = sorted({track.label for track in tracks} - set(labels))
    if unknown:
        raise DataError(f"the data folder holds the genres {unknown}: expected no others than {list(labels)}")
    return np.array([position[track.label] for track in tracks], dtype=np.int64)
