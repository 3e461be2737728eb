"""Playback of a track while a cursor follows: a thread decodes and writes, the UI thread asks for the position."""

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
from genre_gui.language import tr
from genre_runtime import GenreError, mono


class NoOutputError(GenreError, RuntimeError):
    """A track cannot be played.

    Attributes
    ----------
    short : str
        The reason in a few words.
    """

    code = "no_audio_output"

    def __init__(self, short: str, message: str) -> None:
        super().__init__(message)
        self.short = short


class AudioOutput(Protocol):
    """An open audio device."""

    latency: float
    """Seconds from writing a sample to hearing it."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Write samples; waits while the buffer of the device is full.

        Parameters
        ----------
        samples : float32 array, shape (n_samples, n_channels)
        """
        ...

    def close(self, *, at_once: bool) -> None:
        """Close the device.

        Parameters
        ----------
        at_once : bool
            Drop samples that were not played yet.
        """
        ...


OpenOutput = Callable[[int, int], AudioOutput]
"""Opens a device for a sample rate, Hz, and a number of channels; raises `NoOutputError`."""


class SoundDevice(AudioOutput):
    """The default device of the system, by the library `sounddevice`.

    Parameters
    ----------
    sample_rate : int
        Hz.
    n_channels : int

    Raises
    ------
    NoOutputError
    """

    def __init__(self, sample_rate: int, n_channels: int) -> None:
        try:
            import sounddevice
        except ImportError as error:
            raise NoOutputError(
                tr("sounddevice is missing"), tr('to play tracks, install the library: pip install "./gui[play]"')
            ) from error
        except OSError as error:  # PortAudio is missing; on Linux it is a separate package
            raise NoOutputError(
                tr("PortAudio is missing"),
                tr("to play tracks, install PortAudio (Linux: libportaudio2): {error}", error=str(error)),
            ) from error
        try:
            self._stream: Any = sounddevice.OutputStream(sample_rate, channels=n_channels, dtype="float32")
            self._stream.start()
        except Exception as error:  # of PortAudio and of the layers below it
            raise NoOutputError(
                tr("no audio output"),
                tr(
                    "no audio device of the system can play this ({error}): connect one, then try again",
                    error=str(error),
                ),
            ) from error
        self.latency = float(self._stream.latency)

    def write(self, samples: NDArray[np.float32]) -> None:
        """Write samples."""
        try:
            self._stream.write(np.ascontiguousarray(samples, np.float32))
        except Exception as error:
            raise NoOutputError(
                tr("device removed"), tr("the audio device does not respond any more ({error})", error=str(error))
            ) from error

    def close(self, *, at_once: bool) -> None:
        """Close the device."""
        with suppress(Exception):
            self._stream.close() if at_once else self._stream.stop()
            self._stream.close()


PIECE_SECONDS = 0.05
"""Length of each write; a pause takes effect after it."""

MAX_CHANNELS = 2


class Player:
    """Plays one track at a time; every method is called on the UI thread.

    Parameters
    ----------
    open_output : callable, optional

    Attributes
    ----------
    error : GenreError or None
        Why the last attempt failed.
    """

    def __init__(self, open_output: OpenOutput = SoundDevice) -> None:
        self._open_output = open_output
        self._run: _Run | None = None
        self._path: Path | None = None
        self._position = 0.0
        self.error: GenreError | None = None

    def load(self, path: Path | None) -> None:
        """Stop, and go to the beginning of another track; does nothing for the same track.

        Parameters
        ----------
        path : Path or None
        """
        if path != self._path:
            self.pause()
            self._path, self._position, self.error = path, 0.0, None

    def play(self) -> None:
        """Play from the present position."""
        self.pause()
        if self._path is not None:
            self.error = None
            self._run = _Run(self._path, self._position, self._open_output)

    def pause(self) -> None:
        """Stop at the present position."""
        if self._run is not None:
            self._position = self._run.position
            self._run.stop.set()
            self._run = None

    def seek(self, seconds: float) -> None:
        """Move to a time, whether playing or not.

        Parameters
        ----------
        seconds : float
        """
        playing = self.playing
        self.pause()
        self._position = max(0.0, seconds)
        if playing:
            self.play()

    @property
    def playing(self) -> bool:
        """Whether the track is played; after its end the position is 0 again."""
        if self._run is not None and self._run.over:
            self.error = self._run.error
            self._run, self._position = None, 0.0 if self.error is None else self._position
        return self._run is not None

    @property
    def position(self) -> float:
        """Seconds from the beginning of the track to what the device plays now."""
        return self._run.position if self._run is not None else self._position


class _Run:
    """Playback from a call of `play` to a pause or the end, in a thread."""

    def __init__(self, path: Path, start_seconds: float, open_output: OpenOutput) -> None:
        self.stop = threading.Event()
        self.over = False
        self.error: GenreError | None = None
        self._path, self._start, self._open_output = path, start_seconds, open_output
        self._played = 0.0
        threading.Thread(target=self._work, name=f"{THREAD_PREFIX}-play", daemon=True).start()

    @property
    def position(self) -> float:
        return self._start + max(0.0, self._played)

    def _work(self) -> None:
        try:
            self._play()
        except GenreError as error:
            self.error = error
        except Exception as error:  # of a decoder or a driver
            self.error = NoOutputError(
                tr("cannot be played"), tr("this track cannot be played: {error}", error=str(error))
            )
        finally:
            self.over = True

    def _play(self) -> None:
        from genre_runtime import open_audio

        with closing(open_audio(self._path)) as reader:
            n_channels = reader.n_channels if reader.n_channels <= MAX_CHANNELS else 1
            output = self._open_output(reader.sample_rate, n_channels)
            try:
                for block in reader.blocks(self._start, math.inf):
                    samples = block if block.shape[1] == n_channels else mono(block)[:, np.newaxis]
                    if not self._written(output, np.clip(samples, -1.0, 1.0), reader.sample_rate):
                        break
            finally:
                output.close(at_once=self.stop.is_set())

    def _written(self, output: AudioOutput, samples: NDArray[np.float32], rate: int) -> bool:
        """Write samples in short pieces; return False if playback is to stop."""
        step = max(1, round(PIECE_SECONDS * rate))
        for begin in range(0, len(samples), step):
            if self.stop.is_set():
                return False
            piece = samples[begin : begin + step]
            output.write(piece)
            self._played += len(piece) / rate - (output.latency if self._played == 0.0 else 0.0)
        return True
