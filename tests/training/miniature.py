"""A miniature data folder, synthesised: three "genres" that anybody can tell apart, in the layout of `tracks.py`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig
from tests.synthetic import RATE, write_audio

GENRES = ("bursts", "high", "low")

EPOCHS = 16

FMA_COLUMNS = ("track_id", "genre", "block", "artist_id", "official")
GTZAN_COLUMNS = ("clip", "genre", "split", "artist")

RECIPE = f"""\
[network]
widths = [8, 16, 32, 32]
blocks = 1
dropout = 0.0

[training]
epochs = {EPOCHS}
batch_size = 16
learning_rate = 1e-2
warmup_epochs = 1
crop_seconds = 5.0
excerpt_seconds = 5.0
mixup_alpha = 0.0
frequency_mask = 8
time_mask = 8
equaliser_db = 0.0
low_pass_share = 0.0
outlier_share = 0.0
ema_decay = 0.9
"""
"""Enough to tell the genres apart in a few seconds."""


def compose(genre: str, seed: int, seconds: float) -> FloatArray:
    """One piece: a low tone, a high tone or bursts of noise; pitch, level and pulse depend on the seed."""
    rng = np.random.default_rng([seed, GENRES.index(genre)])
    level, pulse = rng.uniform(0.05, 0.2), rng.uniform(1, 3)
    pitch = rng.uniform(100, 300) if genre == "low" else rng.uniform(2000, 5000)
    t = np.arange(round(seconds * RATE)) / RATE
    noise = rng.standard_normal(t.size)
    if genre == "bursts":
        return (level * noise * (np.sin(2 * np.pi * pulse * t) > 0)).astype(np.float32)
    return (level * (np.sin(2 * np.pi * pitch * t) + 0.01 * noise)).astype(np.float32)


def write_index(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write an index.csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def save_picture(decibels: FloatArray, path: Path) -> None:
    """Write dB values from -80 to 0 as an 8-bit grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(decibels + 80).astype(np.uint8)).save(path)


def write_fma(folder: Path, n_clips: int = 16, clips_per_block: int = 2) -> None:
    """Write `fma_small`: `n_clips` pictures of 100 x 250 a genre."""
    kept_bands = np.ceil((np.arange(100) + 1) * 1.28).astype(int) - 1
    rows: list[tuple[str, ...]] = []
    for genre in GENRES:
        for i in range(n_clips):
            name = f"{len(rows):06d}"
            log_mel = log_mel_spectrogram(compose(genre, i, 30), AudioConfig())
            save_picture(log_mel[kept_bands, 1:251], folder / "fma_small" / "logmel" / f"{name}.png")
            group = f"{genre}{i // clips_per_block}"
            rows.append((name, genre, group, group if i % 4 else "", "training"))
    write_index(folder / "fma_small" / "index.csv", FMA_COLUMNS, rows)


def write_gtzan(folder: Path, n_clips: int = 4) -> None:
    """Write `gtzan`: `n_clips` pictures of 128 x 387 a genre, the first of them validation."""
    rows = []
    for genre in GENRES:
        for i in range(n_clips):
            name = f"{genre}.{i:05d}"
            log_mel = log_mel_spectrogram(
                compose(genre, 100 + i, 30), AudioConfig(hop_length=round(RATE * 512 / 22_050))
            )
            columns = np.floor((np.arange(387) + 0.5) * 1291 / 387).astype(int)
            save_picture(log_mel[:, columns], folder / "gtzan" / "logmel" / f"{name}.png")
            rows.append((name, genre, "train" if i else "validation", f"{genre} {i}" if i % 2 else ""))
    write_index(folder / "gtzan" / "index.csv", GTZAN_COLUMNS, rows)


def write_audio_part(
    folder: Path, n_clips: int = 12, clips_per_artist: int = 2, seconds: float = 4.0, *, gtzan: bool = False
) -> None:
    """Write `audio`: `n_clips` WAV files a genre, and on request the audio of each genre's first GTZAN picture."""
    rows: list[tuple[str, str, str, str]] = []
    for genre in GENRES:
        names = [(f"synth_{genre}_{i:03d}.wav", f"{genre} {i // clips_per_artist}", "synth") for i in range(n_clips)]
        names += [(f"gtzan_{genre}.00000.wav", "", "gtzan")] if gtzan else []
        rows += [(name, genre, artist, source) for name, artist, source in names]
    write_index(folder / "audio" / "index.csv", ("file", "genre", "artist", "source"), rows)
    for i, (name, genre, _, _) in enumerate(rows):
        write_audio(folder / "audio" / name, compose(genre, 200 + i, seconds))


def write_miniature(folder: Path) -> Path:
    """Write all three parts: 96 clips, and three audio files of clips that are there as pictures."""
    write_fma(folder)
    write_gtzan(folder)
    write_audio_part(folder, gtzan=True)
    return folder
