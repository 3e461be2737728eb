"""Where sound goes: the library `sounddevice`, where it is installed and finds a device.

Playing a track while a cursor follows: a thread decodes and writes, the UI's thread asks where it is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genre_gui import THREAD_PREFIX
from genre_runtime import GenreError
from genre_runtime.audio.waveform import mono


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


PIECE_SECONDS = 0.05
"""Written at once: pausing takes this long."""

MOST_CHANNELS = 2


class Player:
    """Plays one track at a time; every method is called on the UI's thread.

    Parameters
    ----------
    open_output : callable, optional

    Attributes
    ----------
    error : GenreError or None
        Why nothing is heard; None again with the next try.
    """

    def __init__(self, open_output: OpenOutput = SoundDevice) -> None:
        self._open_output = open_output
        self._run: _Run | None = None
        self._path: Path | None = None
        self._position = 0.0
        self.error: GenreError | None = None

    def load(self, path: Path | None) -> None:
        """Have another track, at its beginning, and be silent; the same track goes on."""
        if path != self._path:
            self.pause()
            self._path, self._position, self.error = path, 0.0, None

    def play(self) -> None:
        """Go on from where it is."""
        self.pause()
        if self._path is not None:
            self.error = None
            self._run = _Run(self._path, self._position, self._open_output)

    def pause(self) -> None:
        """Stop, and stay here."""
        if self._run is not None:
            self._position = self._run.position
            self._run.stop.set()
            self._run = None

    def seek(self, seconds: float) -> None:
        """Go to a time, playing or not."""
        playing = self.playing
        self.pause()
        self._position = max(0.0, seconds)
        if playing:
            self.play()

    @property
    def playing(self) -> bool:
        """Whether something is to be heard; a track that has ended is at its beginning again."""
        if self._run is not None and self._run.over:
            self.error = self._run.error
            self._run, self._position = None, 0.0 if self.error is None else self._position
        return self._run is not None

    @property
    def position(self) -> float:
        """What is heard now, seconds from the beginning of the track."""
        return self._run.position if self._run is not None else self._position


class _Run:
    """One stretch from play to pause, in a thread."""

    def __init__(self, path: Path, start_seconds: float, open_output: OpenOutput) -> None:
        self.stop = threading.Event()
        self.over = False
        self.error: GenreError | None = None
        self._path, self._start, self._open_output = path, start_seconds, open_output
        self._heard = 0.0
        threading.Thread(target=self._work, name=f"{THREAD_PREFIX}-play", daemon=True).start()

    @property
    def position(self) -> float:
        return self._start + max(0.0, self._heard)

    def _work(self) -> None:
        try:
            self._play()
        except GenreError as error:
            self.error = error
        except Exception as error:  # a decoder's or a driver's surprise
            self.error = NoOutputError("it cannot be played", f"this track cannot be played: {error}")
        finally:
            self.over = True

    def _play(self) -> None:
        from genre_runtime.audio.readers import open_audio

        with closing(open_audio(self._path)) as reader:
            n_channels = reader.n_channels if reader.n_channels <= MOST_CHANNELS else 1
            output = self._open_output(reader.sample_rate, n_channels)
            try:
                for block in reader.blocks(self._start, math.inf):
                    samples = block if block.shape[1] == n_channels else mono(block)[:, np.newaxis]
                    if not self._written(output, np.clip(samples, -1.0, 1.0), reader.sample_rate):
                        break
            finally:
                output.close(at_once=self.stop.is_set())

    def _written(self, output: AudioOutput, samples: np.ndarray, rate: int) -> bool:
        """Write samples piece by piece; return False as soon as it is to stop."""
        step = max(1, round(PIECE_SECONDS * rate))
        for begin in range(0, len(samples), step):
            if self.stop.is_set():
                return False
            piece = samples[begin : begin + step]
            output.write(piece)
            self._heard += len(piece) / rate - (output.latency if self._heard == 0.0 else 0.0)
        return True
