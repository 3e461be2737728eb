"""Makes `front_end.json`: log-mel values of signals that closed formulas describe.

Run by `invoke golden`. A difference in the file means that the front end changed and that every model
trained before has to be trained again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig

GOLDEN = Path(__file__).with_name("front_end.json")
BANDS = (4, 17, 18, 40, 70, 86, 100, 124)
FRAMES = (0, 3, 8)


def sine() -> NDArray[np.float32]:
    """One second of 440 Hz at half amplitude."""
    t = np.arange(22_050) / 22_050
    return (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)


def chirp() -> NDArray[np.float32]:
    """One second from 100 to 8000 Hz, rising linearly."""
    t = np.arange(22_050) / 22_050
    return (0.8 * np.sin(2 * np.pi * (100 * t + 3_950 * t**2))).astype(np.float32)


def harmonics() -> NDArray[np.float32]:
    """One second of 110 Hz with forty overtones, swelling."""
    t = np.arange(22_050) / 22_050
    tone = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 41))
    return (0.4 * (0.05 + t) * tone).astype(np.float32)


def clicks() -> NDArray[np.float32]:
    """Single samples of falling height, every 2000 samples."""
    samples = np.zeros(22_050, np.float32)
    samples[500::2_000] = 1 / np.arange(1, 12)
    return samples


SIGNALS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "sine": sine,
    "chirp": chirp,
    "harmonics": harmonics,
    "clicks": clicks,
}


def main() -> None:
    """Write the file."""
    config = AudioConfig()
    values = {}
    for name, make in SIGNALS.items():
        log_mel = log_mel_spectrogram(make(), config)
        values[name] = np.round(log_mel[np.ix_(BANDS, FRAMES)].astype(float), 3).tolist()
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(table)}" for name, table in values.items())
    GOLDEN.write_text(
        f'{{\n  "audio": {json.dumps(asdict(config))},\n  "bands": {json.dumps(BANDS)},\n'
        f'  "frames": {json.dumps(FRAMES)},\n  "log_mel": {{\n{rows}\n  }}\n}}\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
