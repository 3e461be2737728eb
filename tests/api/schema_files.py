"""What schemathesis sends where it makes up right requests: sounds and spectrograms, for bytes at random are neither.

schemathesis loads this file by its path, outside the package.
"""

from __future__ import annotations

import io
import os

import numpy as np
import schemathesis
import soundfile
from hypothesis import strategies

RATE = 16_000


def sound(file_format: str, seconds: float) -> bytes:
    """Return a tone as a file."""
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(0.2 * np.arange(round(seconds * RATE))), RATE, format=file_format)
    return file.getvalue()


def spectrogram(n_frames: int) -> bytes:
    """Return silence as a spectrogram of the height that the model takes."""
    file = io.BytesIO()
    np.save(file, np.zeros((int(os.environ["TEST_N_MELS"]), n_frames), np.float32))
    return file.getvalue()


FILES = [sound(file_format, seconds) for file_format in ("WAV", "FLAC", "OGG") for seconds in (0.6, 2.0)]

SPECTROGRAMS = [spectrogram(n_frames) for n_frames in (1, 20, 300)]

schemathesis.openapi.format("binary", strategies.sampled_from(FILES))
schemathesis.openapi.media_type("application/x-npy", strategies.sampled_from(SPECTROGRAMS))
