"""Pictures: the spectrogram of the analysed excerpts as PNG, the confusion matrix as SVG and PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from genre_runtime import AudioConfig, FloatArray, is_silent, log_mel_spectrogram, spectrogram_palette

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont


COLUMNS = 84
"""Most columns of an excerpt: the frames of ten seconds with the shipped model."""

COLUMNS_OF_WHOLE = 32
"""Most columns of an excerpt if the whole track is analysed, which may last hours."""

N_COLOURS = 64
"""More colours are hardly visible and double the size of the file."""


class Picture:
    """Draws the spectrograms of excerpts side by side.

    Parameters
    ----------
    audio : AudioConfig
        How the model makes spectrograms.
    whole : bool, optional
        Whether the whole track is analysed.
    """

    def __init__(self, audio: AudioConfig, whole: bool = False) -> None:
        self._audio = audio
        self._n_columns = COLUMNS_OF_WHOLE if whole else COLUMNS
        self._pieces: list[NDArray[np.uint8]] = []

    def add(self, waveform: FloatArray) -> None:
        """Add an excerpt; brightness is relative to its loudest bin.

        Parameters
        ----------
        waveform : float array, shape (n_samples,)
            Samples at the model's rate.
        """
        log_mel = log_mel_spectrogram(waveform, self._audio)
        self._add(np.full_like(log_mel, -self._audio.top_db) if is_silent(waveform) else log_mel)

    def add_log_mel(self, log_mel: FloatArray) -> None:
        """Add a spectrogram.

        Parameters
        ----------
        log_mel : float array, shape (n_mels, n_frames)
            Decibels relative to any reference.
        """
        self._n_columns = max(COLUMNS, min(log_mel.shape[1], 12 * COLUMNS))
        self._add(np.maximum(log_mel - log_mel.max(), -self._audio.top_db))

    def png(self) -> str:
        """Return the picture as PNG in Base64, with one row for each mel band and the lowest at the bottom."""
        from PIL import Image  # slow to import, and few requests need it

        image = Image.fromarray(np.concatenate(self._pieces, axis=1)[::-1], "P")
        image.putpalette(spectrogram_palette(N_COLOURS).tobytes())
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True, bits=6)
        return base64.b64encode(file.getvalue()).decode()

    def _add(self, log_mel: FloatArray) -> None:
        level = 1 + _narrowed(log_mel, self._n_columns) / self._audio.top_db
        self._pieces.append(np.clip(level * (N_COLOURS - 1), 0, N_COLOURS - 1).astype(np.uint8))


def _narrowed(log_mel: FloatArray, n_columns: int) -> FloatArray:
    """Average neighbouring frames until no more than `n_columns` are left."""
    n_frames = log_mel.shape[1]
    if n_frames <= n_columns:
        return log_mel
    starts = np.arange(n_columns) * n_frames // n_columns
    sums = np.add.reduceat(log_mel, starts, axis=1)
    return (sums / np.diff([*starts, n_frames])).astype(np.float32)


CELL = 34
MARGIN = 130
SCALE = 2
"""Pixels of the PNG for each unit of the SVG."""

_DARK = (8, 81, 156)


def confusion_svg(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Draw a confusion matrix as SVG; the shade of a cell is its fraction of the row.

    Parameters
    ----------
    labels : sequence of str
        Names of the genres.
    matrix : sequence of sequence of int
        Tracks by true genre (row) and predicted genre (column).
    """
    side = MARGIN + CELL * len(labels) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{side}" height="{side}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Confusion matrix: true genres in rows, predicted genres in columns</title>",
        f'<rect width="{side}" height="{side}" fill="white"/>',
    ]
    for i, label in enumerate(labels):
        place = MARGIN + CELL * (i + 0.5)
        name = escape(label)
        parts.append(f'<text x="{MARGIN - 6}" y="{place + 4}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({place + 4} {MARGIN - 6}) rotate(-60)">{name}</text>')
        n_row = sum(matrix[i]) or 1
        parts.extend(_cell(i, j, count, count / n_row) for j, count in enumerate(matrix[i]))
    return "\n".join([*parts, "</svg>", ""])


def _cell(i: int, j: int, count: int, share: float) -> str:
    x, y = MARGIN + CELL * j, MARGIN + CELL * i
    ink = "white" if share > 0.5 else "black"
    number = f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle" fill="{ink}">{count}</text>'
    return (
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" stroke="#ddd" fill="#08519c" '
        f'fill-opacity="{share:.3f}"/>{number if count else ""}'
    )


def confusion_png(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> bytes:
    """Draw a confusion matrix as PNG, like `confusion_svg`.

    Parameters
    ----------
    labels : sequence of str
        Names of the genres.
    matrix : sequence of sequence of int
        Tracks by true genre (row) and predicted genre (column).
    """
    from PIL import Image, ImageDraw, ImageFont  # slow to import, and few requests need it

    side = SCALE * (MARGIN + CELL * len(labels) + 10)
    image = Image.new("RGB", (side, side), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12 * SCALE)
    for i, label in enumerate(labels):
        place = SCALE * (MARGIN + CELL * (i + 0.5))
        draw.text((SCALE * (MARGIN - 6), place), label, "black", font, anchor="rm")
        _write_upwards(image, label, font, place)
        n_row = sum(matrix[i]) or 1
        for j, count in enumerate(matrix[i]):
            share = count / n_row
            x, y = (SCALE * (MARGIN + CELL * k) for k in (j, i))
            fill = tuple(round(255 + share * (dark - 255)) for dark in _DARK)
            draw.rectangle((x, y, x + SCALE * CELL, y + SCALE * CELL), fill, "#dddddd")
            if count:
                ink, middle = "white" if share > 0.5 else "black", SCALE * CELL / 2
                draw.text((x + middle, y + middle), str(count), ink, font, anchor="mm")
    file = io.BytesIO()
    image.quantize().save(file, "PNG", optimize=True)
    return file.getvalue()


def _write_upwards(image: Image, label: str, font: FreeTypeFont | ImageFont, x: float) -> None:
    """Write the label of a column above the matrix, rotated by 90 degrees."""
    from PIL import Image, ImageDraw

    margin, height = SCALE * (MARGIN - 6), SCALE * 20
    strip = Image.new("RGB", (margin, height), "white")
    ImageDraw.Draw(strip).text((0, height / 2), label, "black", font, anchor="lm")
    image.paste(strip.rotate(90, expand=True), (round(x - height / 2), 0))
