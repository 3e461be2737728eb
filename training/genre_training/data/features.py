"""The feature store: the log-mel spectrogram of every clip, computed once, memory-mapped.

`<cache>/<fingerprint>/log_mel.npy` is float16, (n_clips, n_mels, n_frames), dB relative to each clip's loudest bin;
`index.json` names the clips. The fingerprint covers `AudioConfig` and the clips, so a changed front end or data folder
has another store.

Clips that come as log-mel pictures, 8-bit grey PNGs, are converted to the same frames. A pixel `v` means `v - 80` dB
relative to the clip's loudest bin, row 0 is the lowest band. The two data sets with pictures sampled differently.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from genre_runtime import (
    AudioConfig,
    Excerpt,
    FloatArray,
    available_cores,
    log_mel_spectrogram,
    raise_quiet,
    replacing,
    stream_excerpts,
)
from genre_runtime.errors import GenreError, counted
from genre_training.data.track import DataError, Track

CLIP_SECONDS = 30.0
CLIP_EXCERPTS = 3
STORE_VERSION = 4
CLIPS_PER_CHUNK = 32
INDEX_NAME = "index.json"

MAX_WORKERS = 61
"""Largest number of processes that ProcessPoolExecutor allows on Windows."""

FMA_ROWS = 100
"""FMA pictures keep 100 of the 128 bands, those of `picked_bands`."""

GTZAN_COLUMNS = 387
"""Column j of a GTZAN picture is frame floor((j + 0.5) * PICTURE_FRAMES / GTZAN_COLUMNS) of a clip's spectrogram."""
PICTURE_FRAMES = 1291
"""Frames of the spectrogram from which the pictures' columns were taken."""
PICTURE_HOP_SECONDS = 512 / 22_050

Chunk = tuple[Path, list[Track]]
"""File of a part of the store, and the clips of that part."""


class LostWorkerError(GenreError, ChildProcessError):
    """A process that computes features was killed from outside; finished chunks are kept."""

    code = "lost_worker"


@dataclass(frozen=True)
class FeatureStore:
    """An open store.

    Attributes
    ----------
    log_mel : float16 array, shape (n_clips, n_mels, n_frames)
        Row i belongs to `tracks[i]`.
    tracks : list of Track
    left_out : dict of str to str
        Unusable clips and the reasons.
    """

    log_mel: NDArray[np.float16]
    tracks: list[Track]
    left_out: dict[str, str]


def track_log_mel(track: Track, config: AudioConfig) -> FloatArray:
    """Compute the log-mel spectrogram of one clip, from its picture or `CLIP_SECONDS` of its audio.

    A longer track gives the excerpts by which the runtime classifies it, joined: training on the first seconds of
    full songs would learn intros.

    Parameters
    ----------
    track : Track
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_frames)

    Raises
    ------
    GenreError, OSError
        The file cannot be read.
    """
    if track.path.suffix == ".png":
        return read_picture(track.path, track.source, config)
    excerpts: Iterable[Excerpt] = stream_excerpts(
        track.path, config.sample_rate, excerpt_seconds=CLIP_SECONDS / CLIP_EXCERPTS, n_excerpts=CLIP_EXCERPTS
    )
    if config.scale == "kaldi":  # each as loud as the runtime hears it
        excerpts = (replace(one, waveform=raise_quiet(one.waveform)) for one in excerpts)
    return log_mel_spectrogram(_joined(excerpts, config.sample_rate), config)


def _joined(excerpts: Iterable[Excerpt], sample_rate: int) -> FloatArray:
    """Join excerpts in order; what two of them share, in a track too short for all, is taken once."""
    parts: list[FloatArray] = []
    end = 0
    for excerpt in excerpts:
        start = round(excerpt.start_seconds * sample_rate)
        parts.append(excerpt.waveform[max(0, end - start) :])
        end = start + excerpt.waveform.size
    return np.concatenate(parts)


def open_store(tracks: list[Track], config: AudioConfig, cache: Path, workers: int | None = None) -> FeatureStore:
    """Open the store of some tracks, and build it first if necessary.

    Unreadable and silent clips are left out and named in `left_out`. An interrupted build continues where it stopped,
    and two processes may build the same store at once. Building starts processes, so a script that calls this needs
    the usual `if __name__ == "__main__"`.

    Parameters
    ----------
    tracks : list of Track
    config : AudioConfig
    cache : Path
        Folder of all stores.
    workers : int, optional
        Largest number of processes; by default one per core.

    Raises
    ------
    DataError
        No clip can be used.
    LostWorkerError
    """
    folder = cache / _fingerprint(tracks, config)
    if not (folder / INDEX_NAME).is_file():
        try:
            _build(tracks, config, folder, workers)
        except FileNotFoundError:
            # Another process finished this store in the meantime and removed the chunks.
            if not (folder / INDEX_NAME).is_file():
                raise
            for path in folder.glob("chunk*.npz"):
                path.unlink(missing_ok=True)
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    kept = set(index["kept"])
    log_mel = cast(NDArray[np.float16], np.load(folder / "log_mel.npy", mmap_mode="r"))
    return FeatureStore(log_mel, [t for t in tracks if t.track_id in kept], index["left_out"])


def _fingerprint(tracks: list[Track], config: AudioConfig) -> str:
    digest = hashlib.sha256(f"{STORE_VERSION} {config.fingerprint()}".encode())
    for track in tracks:
        status = track.path.stat()
        line = f"{track.track_id} {track.path.name} {status.st_size} {status.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))  # file names may not be UTF-8
    return digest.hexdigest()[:16]


def _build(tracks: list[Track], config: AudioConfig, folder: Path, workers: int | None) -> None:
    """Compute the missing chunk files, then join them; every file appears whole or not at all."""
    n_frames = round(CLIP_SECONDS / config.frame_seconds)
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [tracks[i : i + CLIPS_PER_CHUNK] for i in range(0, len(tracks), CLIPS_PER_CHUNK)]
    paths = [folder / f"chunk{i:05d}.npz" for i in range(len(chunks))]
    missing = [(path, chunk) for path, chunk in zip(paths, chunks, strict=True) if not path.is_file()]
    n_done = len(tracks) - sum(len(chunk) for _, chunk in missing)
    with tqdm(desc="features", total=len(tracks), initial=n_done, unit="clip") as bar:
        for n_clips in _compute(missing, partial(_write_chunk, config=config, n_frames=n_frames), workers):
            bar.update(n_clips)
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for path, chunk in zip(paths, chunks, strict=True):
        for track, reason in zip(chunk, _read_chunk(path, "reasons").tolist(), strict=True):
            if reason:
                left_out[track.track_id] = reason
            else:
                kept.append(track.track_id)
    if not kept:
        shutil.rmtree(folder)
        raise DataError(f"none of {counted(len(tracks), 'clip')} could be read: {next(iter(left_out.values()))}")
    shape = (len(kept), config.n_mels, n_frames)
    with replacing(folder / "log_mel.npy") as temporary:
        joined = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
        position = 0
        for path in paths:
            rows = _read_chunk(path, "rows")
            joined[position : position + len(rows)] = rows
            position += len(rows)
        joined.flush()
        del joined
    report = {"audio": config.fingerprint(), "kept": kept, "left_out": left_out}
    with replacing(folder / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(report), encoding="utf-8")
    for path in paths:
        path.unlink(missing_ok=True)


def _compute(missing: list[Chunk], work: Callable[[Chunk], int], workers: int | None) -> Iterator[int]:
    """Write chunks, in processes if there are several; yields the number of clips of each chunk."""
    n_workers = min(workers or available_cores(), len(missing), MAX_WORKERS)
    if n_workers < 2:
        yield from map(work, missing)
        return
    # Spawned, since a fork of a process with threads, such as those of torch and ONNX Runtime, may hang.
    with ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(work, missing)
        except BrokenProcessPool as error:
            raise LostWorkerError(
                f"one of {n_workers} processes that compute features was killed, probably for lack of memory: the same "
                f"command continues from there; genre-train --workers {n_workers // 2} needs half of it"
            ) from error


def _write_chunk(chunk: Chunk, config: AudioConfig, n_frames: int) -> int:
    path, tracks = chunk
    results = [_clip_or_reason(track, config, n_frames) for track in tracks]
    rows = [result for result in results if not isinstance(result, str)]
    reasons = [result if isinstance(result, str) else "" for result in results]
    stacked = np.stack(rows) if rows else np.zeros((0, config.n_mels, n_frames), np.float16)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, rows=stacked, reasons=np.array(reasons))
    return len(tracks)


def _read_chunk(path: Path, part: str) -> NDArray[Any]:
    with np.load(path) as chunk:
        values: NDArray[Any] = chunk[part]
        return values


def _clip_or_reason(track: Track, config: AudioConfig, n_frames: int) -> NDArray[np.float16] | str:
    """Return one row of the store, or the reason why there is none."""
    try:
        log_mel = track_log_mel(track, config)
    except (GenreError, OSError) as error:
        return str(error)
    if np.ptp(log_mel) == 0:
        return "the clip is silent"
    return fit_frames(log_mel, n_frames).astype(np.float16)


def fit_frames(log_mel: FloatArray, n_frames: int) -> FloatArray:
    """Cut a spectrogram to a number of frames, or repeat it until it has as many.

    Parameters
    ----------
    log_mel : float array, shape (n_mels, n)
    n_frames : int
    """
    repeats = -(-n_frames // log_mel.shape[1])
    fitted: FloatArray = np.tile(log_mel, (1, repeats))[:, :n_frames]
    return fitted


def label_indices(tracks: Sequence[Track], labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each track's label, shape (n_tracks,).

    Parameters
    ----------
    tracks : sequence of Track
    labels : sequence of str

    Raises
    ------
    DataError
        The label of a track is not in `labels`.
    """
    position = {label: index for index, label in enumerate(labels)}
    unknown = sorted({track.label for track in tracks} - set(labels))
    if unknown:
        raise DataError(f"the data folder has the genres {unknown}: expected only {list(labels)}")
    return np.array([position[track.label] for track in tracks], dtype=np.int64)


def picked_bands(n_bands: int, n_mels: int) -> list[int]:
    """Return the mel bands that pictures keep and networks see: band ceil((i + 1) * n_mels / n_bands) - 1 for each i.

    Measured against the audio of 62 clips: every row of FMA's pictures fits best where this rule puts it.

    Parameters
    ----------
    n_bands : int
        How many to pick.
    n_mels : int
        How many there are; as many as `n_bands` gives all.
    """
    return [-(-(i + 1) * n_mels // n_bands) - 1 for i in range(n_bands)]


def read_picture(path: Path, source: str, config: AudioConfig) -> FloatArray:
    """Read one picture onto the frames of `config`.

    Parameters
    ----------
    path : Path
    source : {"fma_small", "gtzan"}
    config : AudioConfig

    Returns
    -------
    float32 array, shape (n_mels, n_frames)

    Raises
    ------
    OSError, DataError
        The file is not a picture, is damaged, or has another number of rows.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), dtype=np.float32)
    except (SyntaxError, Image.DecompressionBombError) as error:  # Pillow's word for some damaged headers
        raise DataError(f"{path} is a damaged picture: {error}") from error
    n_rows = config.n_mels if source == "gtzan" else FMA_ROWS
    if pixels.shape[0] != n_rows:
        raise DataError(f"{path} has {pixels.shape[0]} rows: expected {n_rows} for a picture of {source}")
    decibels = pixels - np.float32(80)
    if source == "gtzan":
        return _nearest_frames(decibels, config)
    return _fill_bands(decibels, config)


def _fill_bands(decibels: FloatArray, config: AudioConfig) -> FloatArray:
    """Interpolate the bands an FMA picture leaves out, linearly in dB; its frames fit as they are."""
    known = np.array(picked_bands(FMA_ROWS, config.n_mels))
    bands = np.arange(config.n_mels)
    right = np.clip(np.searchsorted(known, bands), 1, FMA_ROWS - 1)
    left = right - 1
    weight = np.clip((bands - known[left]) / (known[right] - known[left]), 0, 1).astype(np.float32)[:, None]
    filled: FloatArray = decibels[left] * (1 - weight) + decibels[right] * weight
    return filled


def _nearest_frames(decibels: FloatArray, config: AudioConfig) -> FloatArray:
    """Take the column nearest to each frame's centre."""
    frames_per_column = PICTURE_FRAMES / GTZAN_COLUMNS
    n_columns = decibels.shape[1]
    columns = np.floor((np.arange(n_columns) + 0.5) * frames_per_column) * PICTURE_HOP_SECONDS
    n_frames = max(1, int(n_columns * frames_per_column * PICTURE_HOP_SECONDS / config.frame_seconds))
    frames = np.arange(n_frames) * config.frame_seconds
    nearest: FloatArray = decibels[:, np.abs(frames[:, None] - columns).argmin(axis=1)]
    return nearest
