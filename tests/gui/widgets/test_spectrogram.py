"""Spectrograms as pixels; needs no screen."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest

from genre_gui.widgets.spectrogram import (
    ExcerptSpectrogram,
    colour_levels,
    draw_spectrograms,
    excerpt_spectrograms,
    ppm,
)
from genre_runtime.errors import UnreadableAudioError
from tests.gui.fake_backend import metadata
from tests.synthetic import tone, write_audio


def brightness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.astype(float).sum(axis=-1))


def test_a_high_tone_is_bright_near_the_top(tmp_path: Path) -> None:
    rows = []
    for frequency in (200.0, 6000.0):
        path = write_audio(tmp_path / "tone.wav", tone(12, frequency=frequency))
        excerpts = excerpt_spectrograms(path, metadata(), whole=False, stop=Event())
        pixels = draw_spectrograms(excerpts, 300, 128, 80.0, (0, 0, 0))
        assert pixels.shape == (128, 300, 3)
        assert pixels.dtype == np.uint8
        rows.append(int(brightness(pixels).mean(axis=1).argmax()))
    assert rows[0] > 100
    assert rows[1] < 30


def test_excerpts_stand_side_by_side_with_a_gap() -> None:
    loud, soft = np.zeros((128, 10), np.float32), np.full((128, 30), -80, np.float32)
    pixels = draw_spectrograms(
        [ExcerptSpectrogram(0, 10, loud), ExcerptSpectrogram(10, 40, soft)], 402, 64, 80.0, (1, 2, 3)
    )
    assert pixels.shape[:2] == (64, 402)
    gap = (pixels == (1, 2, 3)).all(axis=(0, 2)).nonzero()[0]
    assert gap.tolist() == [100, 101]
    assert brightness(pixels[:, :100]).min() > brightness(pixels[:, 102:]).max()


def test_many_more_excerpts_than_pixels() -> None:
    excerpts = [ExcerptSpectrogram(i, i + 1, np.zeros((8, 3), np.float32)) for i in range(200)]
    assert draw_spectrograms(excerpts, 50, 20, 80.0, (0, 0, 0)).shape[0] == 20


def test_colours_grow_brighter_with_the_level() -> None:
    levels = brightness(colour_levels(np.linspace(0, 1, 50)))
    assert (np.diff(levels) > 0).all()
    assert (colour_levels(np.array([-1.0, 2.0])) == colour_levels(np.array([0.0, 1.0]))).all()


def test_ppm_is_what_the_format_says() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    assert ppm(pixels) == b"P6 4 1 255\n" + bytes(range(12))


def test_file_that_is_no_audio_has_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("These are words and no music.")
    with pytest.raises(UnreadableAudioError):
        excerpt_spectrograms(path, metadata(), whole=False, stop=Event())
