"""Where sound goes: the library `sounddevice`, where it is installed and finds a device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genre_runtime import GenreError


class NoOutputError(GenreError, RuntimeError):
    """No sound can be made.

    Attributes
    ----------
    short : str
        The reason in three words.
    """

    code = "no_audio_output"

    def __init__(self, short: str, words: str) -> None:
        super().__init__(words)
        self.short = short


class AudioOutput(Protocol):
    """An open device."""

    latency: float
    """Seconds from writing a sample to hearing it."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Take samples of shape (n_samples, n_channels); waits until there is room for them."""
        ...

    def close(self, *, at_once: bool) -> None:
        """Close the device, `at_once` or when all is heard."""
        ...


OpenOutput = Callable[[int, int], AudioOutput]
"""Opens a device for a sample rate, Hz, and a number of channels; raises `NoOutputError`."""


class SoundDevice:
    """The system's default device.

    Raises
    ------
    NoOutputError
    """

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise NoOutputError(
                "sounddevice is missing", 'to play tracks, install the library: pip install "./gui[play]"'
            ) from error
        except OSError as error:  # the library without PortAudio, which Linux has as a package of its own
            raise NoOutputError(
                "PortAudio is missing", f"to play tracks, install PortAudio (Linux: libportaudio2): {error}"
            ) from error
        try:
            self._stream: Any = sounddevice.OutputStream(sample_rate, channels=n_channels, dtype="float32")
            self._stream.start()
        except Exception as error:  # PortAudio's own errors, and those of whatever is below it
            raise NoOutputError(
                "no audio output", f"the system offers no device that plays this ({error}): connect one, then try again"
            ) from error
        self.latency = float(self._stream.latency)

    def write(self, samples: NDArray[np.float32]) -> None:
        """Take samples."""
        try:
            self._stream.write(np.ascontiguousarray(samples, np.float32))
        except Exception as error:
            raise NoOutputError("the device is gone", f"the audio device does not answer any more ({error})") from error

    def close(self, *, at_once: bool) -> None:
        """Close the device."""
        with suppress(Exception):
            self._stream.close() if at_once else self._stream.stop()
            self._stream.close()
