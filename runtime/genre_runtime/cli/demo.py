"""`genre demo`: classifies three synthesised pieces.

The pieces are caricatures: they show that the installation works, not how good the model is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_runtime.cli import arguments
from genre_runtime.cli.classify import classify
from genre_runtime.errors import UnfitOutputError

Piece = NDArray[np.float64]

SAMPLE_RATE = 22_050
SECONDS = 30


def write_demo(folder: Path) -> list[Path]:
    """Write the three pieces as 16-bit WAV files.

    Parameters
    ----------
    folder : Path
        Must exist.

    Returns
    -------
    list of Path
    """
    import soundfile

    paths = []
    for name, compose in PIECES.items():
        path = folder / f"{name}.wav"
        samples = compose()
        soundfile.write(path, 0.8 * samples / np.abs(samples).max(), SAMPLE_RATE, subtype="PCM_16")
        paths.append(path)
    return paths


def club_loop() -> Piece:
    """Four-on-the-floor kick, off-beat hats and a sawtooth bass at 126 beats a minute."""
    rng = np.random.default_rng(1)
    piece = np.zeros(SAMPLE_RATE * SECONDS)
    beat = 60 / 126
    for i in range(int(SECONDS / beat)):
        t = _times(0.3)
        _add(piece, np.sin(2 * np.pi * (45 * t + 12 * (1 - np.exp(-30 * t)))) * np.exp(-9 * t), i * beat)
        hat = rng.standard_normal(int(0.06 * SAMPLE_RATE)) * np.exp(-60 * _times(0.06))
        _add(piece, 0.25 * np.diff(hat, prepend=0), (i + 0.5) * beat)
        for half in (0.0, 0.5):
            t = _times(beat / 2)
            pitch = (55, 55, 65.4, 49)[i // 4 % 4]
            _add(piece, 0.35 * (2 * (pitch * t % 1) - 1) * np.exp(-4 * t), (i + half) * beat)
    return piece


def chamber_chords() -> Piece:
    """Slow string-like chords with vibrato, no drums."""
    piece = np.zeros(SAMPLE_RATE * SECONDS)
    progression = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7), (-3, 0, 4), (2, 5, 9), (7, 11, 14), (0, 7, 12))
    length = SECONDS / len(progression)
    t = _times(length)
    swell = np.sin(np.pi * t / length) ** 0.5
    for i, chord in enumerate(progression):
        for semitone in chord:
            pitch = 220 * 2 ** (semitone / 12)
            phase = 2 * np.pi * pitch * t + 3 * np.sin(2 * np.pi * 5.5 * t)
            tone = sum(np.sin(k * phase) / k**2 for k in range(1, 7))
            _add(piece, swell * tone, i * length)
    return piece


def plucked_strings() -> Piece:
    """Finger-picked guitar by Karplus and Strong's plucked-string model (1983)."""
    rng = np.random.default_rng(2)
    piece = np.zeros(SAMPLE_RATE * SECONDS)
    chords = ((0, 7, 12, 16), (-3, 4, 9, 12), (5, 12, 17, 21), (7, 14, 19, 23))
    step = 0.22
    for i in range(int(SECONDS / step)):
        chord = chords[i // 16 % 4]
        pitch = 110 * 2 ** (chord[(0, 2, 1, 3, 2, 1)[i % 6]] / 12)
        _add(piece, _pluck(pitch, 1.5, rng), i * step)
    return piece


def _pluck(pitch: float, seconds: float, rng: np.random.Generator) -> Piece:
    period = round(SAMPLE_RATE / pitch)
    rounds = [rng.uniform(-1, 1, period)]
    for _ in range(int(seconds * SAMPLE_RATE / period)):
        rounds.append(0.498 * (rounds[-1] + np.roll(rounds[-1], 1)))
    return np.concatenate(rounds)


def _times(seconds: float) -> Piece:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _add(piece: Piece, sound: Piece, start_seconds: float) -> None:
    start = int(start_seconds * SAMPLE_RATE)
    end = min(start + sound.size, piece.size)
    piece[start:end] += sound[: end - start]


PIECES: dict[str, Callable[[], Piece]] = {
    "club_loop": club_loop,
    "chamber_chords": chamber_chords,
    "plucked_strings": plucked_strings,
}


def add_parser(verbs: Any) -> None:
    """Add the verb to the command.

    Parameters
    ----------
    verbs : argparse subparsers
    """
    parser = verbs.add_parser(
        "demo",
        parents=[arguments.model_options()],
        help="synthesise three pieces and classify them",
        description="Synthesise three short pieces and classify them, to test the installation without any music.",
    )
    parser.add_argument("--keep", metavar="FOLDER", type=arguments.path, help="keep the pieces in this folder")
    parser.set_defaults(run=run, jobs=0, excerpts=None, format="table")


def run(options: argparse.Namespace) -> int:
    """Write the pieces and classify them.

    Parameters
    ----------
    options : Namespace
        What the parser read.

    Returns
    -------
    int
        Exit status.
    """
    import tempfile

    def shown(path: Path) -> Path:
        return Path(path.name)  # the folder is temporary

    if options.keep:
        folder = Path(options.keep)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UnfitOutputError(
                f"{str(folder)!r} is a file or inside a file: name a folder for the pieces"
            ) from error
        return classify(write_demo(folder), options, shown)
    with tempfile.TemporaryDirectory() as temporary:
        print("synthesising three pieces of 30 s ...", file=sys.stderr)
        return classify(write_demo(Path(temporary)), options, shown)
