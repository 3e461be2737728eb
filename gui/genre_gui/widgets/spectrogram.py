"""Spectrograms: computed from the audio of a track, drawn as pixels, and their chart."""

from __future__ import annotations

import tkinter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from tkinter import Misc

import numpy as np
from numpy.typing import NDArray

from genre_gui.widgets.charts import Chart
from genre_gui.widgets.theme import CARD, TRACK, colour, text_size
from genre_runtime import ModelMetadata, spectrogram_palette
from genre_runtime.library.report.plots import clock

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), row 0 at the top."""

N_FRAMES = 900
"""Frames of all excerpts of a track together, about: more than the width of the chart in pixels."""

_PALETTE = spectrogram_palette(256)


@dataclass(frozen=True)
class ExcerptSpectrogram:
    """The spectrogram of an excerpt, in the model's mel bands.

    Attributes
    ----------
    start_seconds, end_seconds : float
    log_mel : float32 array, shape (n_mels, n_frames), dB in [-top_db, 0]
    """

    start_seconds: float
    end_seconds: float
    log_mel: NDArray[np.float32]


def excerpt_spectrograms(
    path: Path, metadata: ModelMetadata, *, whole: bool, stop: Event
) -> tuple[ExcerptSpectrogram, ...]:
    """Return the spectrograms of the excerpts that the model analyses, with enough frames for display.

    Parameters
    ----------
    path : Path
    metadata : ModelMetadata
    whole : bool
        The whole track instead of the model's number of excerpts.
    stop : threading.Event
        Ends the work early.

    Raises
    ------
    AudioNotFoundError, EmptyAudioError, UnreadableAudioError, AudioLimitError
    """
    from genre_runtime import log_mel_spectrogram, stream_excerpts

    audio, seconds, count = metadata.audio, metadata.excerpt_seconds, metadata.n_excerpts
    if not whole:  # the model's own frames are too coarse for display, except for whole tracks
        hop = round(seconds * count * audio.sample_rate / N_FRAMES)
        audio = replace(audio, hop_length=max(1, min(audio.hop_length, hop)))
    stream = stream_excerpts(
        path, audio.sample_rate, excerpt_seconds=seconds, n_excerpts=None if whole else count, stop=stop
    )
    excerpts = []
    for excerpt in stream:
        end = excerpt.start_seconds + excerpt.waveform.size / audio.sample_rate
        log_mel = log_mel_spectrogram(excerpt.waveform, audio)
        excerpts.append(ExcerptSpectrogram(excerpt.start_seconds, end, log_mel))
    return tuple(excerpts)


def draw_spectrograms(
    excerpts: Sequence[ExcerptSpectrogram], width: int, height: int, top_db: float, gap: tuple[int, int, int]
) -> Pixels:
    """Draw spectrograms side by side, low frequencies at the bottom.

    Parameters
    ----------
    excerpts : sequence of ExcerptSpectrogram
    width, height : int
        Pixels.
    top_db : float
        Level of the darkest colour below the brightest, dB.
    gap : (int, int, int)
        Colour between excerpts; red, green and blue.
    """
    n_gap = max(1, width // 150) if len(excerpts) <= 8 else 0
    seconds = [excerpt.end_seconds - excerpt.start_seconds for excerpt in excerpts]
    bar = np.full((height, n_gap, 3), gap, np.uint8)
    pieces = []
    for excerpt, piece_width in zip(excerpts, _widths(width - n_gap * (len(excerpts) - 1), seconds), strict=True):
        level = 1 + _resize(excerpt.log_mel[::-1], piece_width, height) / top_db
        pieces += [colour_levels(level), bar]
    return np.concatenate(pieces[:-1], axis=1)


def colour_levels(level: NDArray[np.floating]) -> Pixels:
    """Return the colours of levels.

    Parameters
    ----------
    level : float array, any shape
        Clipped to [0, 1].

    Returns
    -------
    uint8 array
        Red, green and blue in a further, last axis.
    """
    pixels: Pixels = _PALETTE[(np.clip(level, 0, 1) * (len(_PALETTE) - 1)).round().astype(np.uint8)]
    return pixels


def ppm(pixels: Pixels) -> bytes:
    """Return pixels as a PPM file, which Tk reads without further libraries.

    Parameters
    ----------
    pixels : Pixels
    """
    height, width, _ = pixels.shape
    return b"P6 %d %d 255\n" % (width, height) + pixels.tobytes()


def _widths(width: int, parts: Sequence[float]) -> list[int]:
    edges = np.round(np.cumsum([0.0, *parts]) / sum(parts) * max(width, len(parts))).astype(int)
    return [max(1, int(n)) for n in np.diff(edges)]


def _resize(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float64]:
    """Interpolate between the centres of values, shape (height, width)."""
    rows, columns = values.shape
    down = (np.arange(height) + 0.5) * rows / height - 0.5
    across = (np.arange(width) + 0.5) * columns / width - 0.5
    wide = np.stack([np.interp(across, np.arange(columns), row) for row in values])
    return np.stack([np.interp(down, np.arange(rows), column) for column in wide.T], axis=1)


class Spectrogram(Chart):
    """Spectrograms of the analysed excerpts, low frequencies at the bottom."""

    def __init__(self, master: Misc) -> None:
        super().__init__(master, 72)
        # One image for all tracks: Tk cannot free an image in another thread.
        self._picture = tkinter.PhotoImage(master=self)
        self._excerpts: Sequence[ExcerptSpectrogram] = ()
        self._top_db = 80.0
        self._message = ""

    def show(self, excerpts: Sequence[ExcerptSpectrogram], top_db: float = 80.0) -> None:
        """Show spectrograms side by side.

        Parameters
        ----------
        excerpts : sequence of ExcerptSpectrogram
        top_db : float
            Level of the darkest colour below the brightest, dB.
        """
        self._excerpts, self._top_db, self._message = excerpts, top_db, ""
        self.redraw()

    def show_text(self, message: str) -> None:
        """Show a text instead.

        Parameters
        ----------
        message : str
        """
        self._excerpts, self._message = (), message
        self.redraw()

    def draw(self, size: tuple[int, int]) -> None:
        """Draw the spectrograms and the times below them, if there is room."""
        width, height = size
        floor = height - self.px(text_size(18))
        if floor < 1:
            return
        if not self._excerpts:
            if self._message:
                self.box(0, 0, width, floor, colour(TRACK))
                self.label(width / 2, floor / 2, self._message, width, anchor="center")
            return
        gap = tuple(value // 256 for value in self.winfo_rgb(colour(CARD)))
        pixels = draw_spectrograms(self._excerpts, width, floor, self._top_db, (gap[0], gap[1], gap[2]))
        self._picture.configure(data=ppm(pixels), format="ppm", width=pixels.shape[1], height=pixels.shape[0])
        self.create_image(0, 0, image=self._picture, anchor="nw")
        self.text(0, height - self.px(text_size(7)), clock(self._excerpts[0].start_seconds))
        self.text(width, height - self.px(text_size(7)), clock(self._excerpts[-1].end_seconds), anchor="e")
