"""Log-mel pictures: 8-bit grey PNGs whose pixel `v` means `v - 80` dB below the clip's loudest bin.

Row 0 is the lowest band. The two data sets sampled the same front end differently; both are converted to the frames of
`AudioConfig`, (n_mels, n_frames) float32 dB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.model.metadata import AudioConfig
from genre_training.data.track import DataError

FMA_ROWS = 100
"""FMA pictures keep 100 of the 128 bands, those of `picked_bands`."""

GTZAN_FRAME_SECONDS = 0.0775
GTZAN_FIRST_CENTRE = GTZAN_FRAME_SECONDS / 2 - 0.0116
"""Column j of a GTZAN picture is centred at FIRST_CENTRE + j * FRAME_SECONDS. The 11.6 ms are half a hop of
512 samples, by which the pictures' makers rounded down: measured against the audio, it raises the median
correlation from 0.958 to 0.976."""


def picked_bands(n_bands: int, n_mels: int) -> list[int]:
    """Return the mel bands that pictures keep and networks see: floor((i + 1) / n_bands * n_mels), at most the last.

    Parameters
    ----------
    n_bands : int
        How many to pick.
    n_mels : int
        How many there are; as many as `n_bands` gives all.
    """
    if n_bands == n_mels:
        return list(range(n_mels))
    return [min((i + 1) * n_mels // n_bands, n_mels - 1) for i in range(n_bands)]


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
    n_columns = decibels.shape[1]
    n_frames = max(1, int(n_columns * GTZAN_FRAME_SECONDS / config.frame_seconds))
    centres = np.arange(n_frames) * config.frame_seconds
    columns = np.clip(np.rint((centres - GTZAN_FIRST_CENTRE) / GTZAN_FRAME_SECONDS), 0, n_columns - 1).astype(int)
    nearest: FloatArray = decibels[:, columns]
    return nearest
