"""Makes `front_end.json`: log-mel values of signals that closed formulas describe.

Run by `invoke golden`. A difference in the file means that a front end changed and that every model
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
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig

GOLDEN = Path(__file__).with_name("front_end.json")
RATE = FINE_AUDIO.sample_rate
DIGITS = 4
FRONT_ENDS = {"coarse": AudioConfig(), "fine": FINE_AUDIO}
BANDS = (4, 17, 18, 40, 70, 86, 100, 124)
FRAMES = {"coarse": (0, 3, 8), "fine": (0, 36, 99)}


def sine() -> NDArray[np.float32]:
    """One second of 440 Hz at half amplitude."""
    t = np.arange(RATE) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)


def chirp() -> NDArray[np.float32]:
    """One second from 100 to 8000 Hz, rising linearly."""
    t = np.arange(RATE) / RATE
    return (0.8 * np.sin(2 * np.pi * (100 * t + 3_950 * t**2))).astype(np.float32)


def harmonics() -> NDArray[np.float32]:
    """One second of 110 Hz with forty overtones, swelling."""
    t = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 41))
    return (0.4 * (0.05 + t) * tone).astype(np.float32)


def clicks() -> NDArray[np.float32]:
    """Single samples of falling height, every 2000 samples."""
    samples = np.zeros(RATE, np.float32)
    places = np.arange(500, RATE, 2_000)
    samples[places] = 1 / np.arange(1, 1 + len(places))
    return samples


SIGNALS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "sine": sine,
    "chirp": chirp,
    "harmonics": harmonics,
    "clicks": clicks,
}


def main() -> None:
    """Write the file."""
    texts = []
    for front_end, config in FRONT_ENDS.items():
        rows = []
        for name, make in SIGNALS.items():
            values = log_mel_spectrogram(make(), config)[np.ix_(BANDS, FRAMES[front_end])].astype(float)
            rows.append(f"      {json.dumps(name)}: {json.dumps(np.round(values, DIGITS).tolist())}")
        texts.append(
            f'  {json.dumps(front_end)}: {{\n    "audio": {json.dumps(asdict(config))},\n'
            f'    "bands": {json.dumps(BANDS)},\n    "frames": {json.dumps(FRAMES[front_end])},\n'
            '    "log_mel": {\n' + ",\n".join(rows) + "\n    }\n  }"
        )
    GOLDEN.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
