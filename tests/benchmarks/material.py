"""The sounds to measure with: synthesised once, from a fixed seed, into a cache folder.

Tracks are stereo MP3s at 44.1 kHz, half of them of constant and half of variable bit rate; few are encoded, the others
are copies. The long file is a FLAC, the same minute over and over, written block by block.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from genre_runtime.output_files import replacing

FloatArray = NDArray[np.float32]

DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "genre-benchmarks"
VERSION = 1
"""Part of the folder's name: to be raised whenever the sounds change."""

RATE = 44_100
LONG_RATE = 16_000
BEAT_SECONDS = 0.5
SCALE = (0, 2, 3, 5, 7, 8, 10)
BIT_RATES = ("CONSTANT", "VARIABLE")
COMPRESSION = 0.4
"""Of libsndfile, 0 to 1: about 190 kbit/s."""


def music(seconds: float, rate: int, seed: int) -> Iterator[FloatArray]:
    """Yield a piece beat by beat, each block float32 (n_block, 2) in [-1, 1]: chords, a bass and a noisy drum."""
    rng = np.random.default_rng(seed)
    n_samples, n_beat = round(seconds * rate), round(BEAT_SECONDS * rate)
    t = np.arange(n_beat) / rate
    decay = np.exp(-4 * t)[:, None] * np.minimum(1, t * 200)[:, None]
    drum = np.exp(-25 * t)[:, None]
    for start in range(0, n_samples, n_beat):
        block = 0.1 * drum * rng.standard_normal((n_beat, 2))
        for octave in (-1, 0, 0, 1):
            pitch = 220 * 2 ** (octave + int(rng.choice(SCALE)) / 12)
            overtones = np.tanh(rng.uniform(1, 4) * np.sin(2 * np.pi * pitch * t))[:, None]
            side = rng.uniform(0.2, 0.8)
            block += 0.2 * decay * overtones * np.array([side, 1 - side])
        block += 0.003 * rng.standard_normal((n_beat, 2))
        yield np.clip(block, -1, 1).astype(np.float32)[: n_samples - start]


def mono(seconds: float, rate: int, seed: int) -> FloatArray:
    """Return a piece in memory, both channels mixed, shape (n_samples,)."""
    return np.concatenate([block.mean(axis=1, dtype=np.float32) for block in music(seconds, rate, seed)])


class Material:
    """Makes files when they are first asked for and keeps them.

    Parameters
    ----------
    folder : Path
        The cache; it may be deleted at any time.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self.folder = folder / f"v{VERSION}"

    def tracks(self, n_tracks: int, seconds: float, n_distinct: int) -> list[Path]:
        """Return `n_tracks` MP3s, of which `n_distinct` differ."""
        folder = self.folder / f"tracks-{n_distinct}-of-{seconds:g}s"
        paths = [folder / f"track{number:04}.mp3" for number in range(n_tracks)]
        missing = [number for number, path in enumerate(paths) if not path.is_file()]
        for number in tqdm(missing, desc="writing tracks", unit="track", leave=False, disable=None):
            if number < n_distinct:
                _write_mp3(paths[number], seconds, number)
            else:
                _copy(paths[number % n_distinct], paths[number])
        return paths

    def unequal_tracks(self, n_tracks: int, seconds: float, n_distinct: int) -> list[Path]:
        """Return the tracks in a folder of their own, each with a title, so that no two have the same bytes."""
        folder = self.folder / f"library-{n_tracks}-{n_distinct}-of-{seconds:g}s"
        paths = []
        for number, track in enumerate(self.tracks(n_tracks, seconds, n_distinct)):
            paths.append(folder / track.name)
            if not paths[-1].is_file():
                folder.mkdir(parents=True, exist_ok=True)
                title = f"track {number}".encode().ljust(30, b"\0")
                with replacing(paths[-1]) as temporary:
                    temporary.write_bytes(track.read_bytes() + b"TAG" + title + bytes(94) + b"\xff")
        return paths

    def clip(self, seconds: float) -> Path:
        """Return one MP3 of a clip."""
        path = self.folder / f"clip-{seconds:g}s.mp3"
        if not path.is_file():
            _write_mp3(path, seconds, 1000)
        return path

    def broken(self) -> Path:
        """Return a file that is called audio and is none."""
        path = self.folder / "broken.mp3"
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_text("no music, " * 10_000, encoding="ascii")
        return path

    def long_file(self, seconds: float) -> Path:
        """Return a FLAC of that length, mono at 16 kHz."""
        path = self.folder / f"long-{seconds:g}s.flac"
        if not path.is_file():
            minute = mono(60, LONG_RATE, 2000)
            n_whole, rest = divmod(round(seconds * LONG_RATE), minute.size)
            blocks = tqdm(
                repeat(minute, n_whole),
                total=n_whole,
                desc="writing the long file",
                unit="min",
                leave=False,
                disable=None,
            )
            options = {"format": "FLAC", "subtype": "PCM_16", "compression_level": 0.0}
            _write(path, _followed_by(blocks, minute[:rest]), LONG_RATE, 1, options)
        return path


def _followed_by(blocks: Iterable[FloatArray], last: FloatArray) -> Iterator[FloatArray]:
    yield from blocks
    if last.size:
        yield last


def _write_mp3(path: Path, seconds: float, seed: int) -> None:
    options = {"format": "MP3", "bitrate_mode": BIT_RATES[seed % len(BIT_RATES)], "compression_level": COMPRESSION}
    beats = tqdm(
        music(seconds, RATE, seed),
        total=round(seconds / BEAT_SECONDS),
        desc=path.name,
        unit="beat",
        leave=False,
        disable=None,
    )
    _write(path, beats, RATE, 2, options)


def _write(path: Path, blocks: Iterable[FloatArray], rate: int, n_channels: int, options: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, soundfile.SoundFile(temporary, "w", rate, n_channels, **options) as file:
        for block in blocks:
            file.write(block)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
