"""Pictures onto frames: filled bands and mapped columns against values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre_runtime.model.features import log_mel_spectrogram
from genre_runtime.model.metadata import AudioConfig
from genre_training.config import NetworkConfig
from genre_training.data.features import read_picture
from genre_training.data.track import DataError
from genre_training.model.network import network_bands
from tests.training.miniature import compose, save_picture, write_fma, write_gtzan

CONFIG = AudioConfig()


def test_fma_bands_are_filled_linearly(tmp_path: Path) -> None:
    """Row i holds i - 80 dB; rows 0, 1, 2, 3 are bands 1, 2, 3, 5, so band 4 lies halfway between rows 2 and 3."""
    rows = np.repeat(np.arange(100)[:, None] - 80, 250, axis=1).astype(np.float32)
    save_picture(rows, tmp_path / "a.png")
    filled = read_picture(tmp_path / "a.png", "fma_small", CONFIG)
    assert filled.shape == (128, 250)
    assert filled.dtype == np.float32
    assert (filled[:6, 0] + 80).tolist() == [0, 0, 1, 2, 2.5, 3]  # band 0 takes its neighbour's value
    assert (filled[125:, 0] + 80).tolist() == [97, 98, 99]
    assert (filled == filled[:, :1]).all()


def test_fma_keeps_the_bands_it_has(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(-80, 1, (100, 250)).astype(np.float32)
    save_picture(rows, tmp_path / "a.png")
    filled = read_picture(tmp_path / "a.png", "fma_small", CONFIG)
    for i in (0, 1, 24, 49, 50, 74, 98, 99):
        band = int(np.ceil((i + 1) * 1.28)) - 1
        assert np.array_equal(filled[band], rows[i])
    assert filled.min() >= -80
    assert filled.max() <= 0


def test_gtzan_frames_take_the_nearest_column(tmp_path: Path) -> None:
    """Column j holds j - 80 dB and is frame floor(3.336 (j + 0.5)) of 23.2 ms each; frame t is at 0.12 t s."""
    columns = np.repeat(np.arange(40)[None] - 80, 128, axis=0).astype(np.float32)
    save_picture(columns, tmp_path / "a.png")
    mapped = read_picture(tmp_path / "a.png", "gtzan", CONFIG)
    assert mapped.shape == (128, 25)  # 40 x 0.0775 s hold 25 steps of 0.12 s
    assert (mapped[0, [0, 1, 2, 3, 4, 9, 10]] + 80).tolist() == [0, 1, 3, 4, 6, 14, 15]
    assert (mapped == mapped[:1]).all()


def test_gtzan_picture_of_one_column_gives_one_frame(tmp_path: Path) -> None:
    save_picture(np.full((128, 1), -3, np.float32), tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", "gtzan", CONFIG).shape == (128, 1)


@pytest.mark.parametrize("source", ["fma_small", "gtzan"])
def test_picture_of_a_sound_resembles_its_spectrogram(tmp_path: Path, source: str) -> None:
    if source == "gtzan":
        write_gtzan(tmp_path, n_clips=1)
        picture, seed = tmp_path / "gtzan" / "logmel" / "bursts.00000.png", 100
    else:
        write_fma(tmp_path, n_clips=1)
        picture, seed = tmp_path / "fma_small" / "logmel" / "000000.png", 0
    found = read_picture(picture, source, CONFIG)
    first = 0 if source == "gtzan" else 1  # FMA pictures begin one frame later
    expected = log_mel_spectrogram(compose("bursts", seed, 30), CONFIG)[:, first : first + found.shape[1]]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > (0.85 if source == "gtzan" else 0.99)


def test_each_row_of_a_picture_is_the_band_that_the_network_sees(tmp_path: Path) -> None:
    """Noise differs from band to band: a row that stood for another band would show."""
    write_fma(tmp_path, n_clips=1)
    config = NetworkConfig()
    bands = list(network_bands(config, CONFIG.n_mels))
    picture = read_picture(tmp_path / "fma_small" / "logmel" / "000000.png", "fma_small", CONFIG)[bands]
    heard = log_mel_spectrogram(compose("bursts", 0, 30), CONFIG)[:, 1:251]
    for beside, largest in ((0, 0.51), (-1, None), (1, None)):
        differences = np.abs(picture - heard[np.clip(np.array(bands) + beside, 0, 127)]).max(axis=1)
        if largest is not None:
            assert differences.max() <= largest  # rounded to whole decibels
        else:
            assert differences[1:-1].min() > 1


@pytest.mark.parametrize(
    ("source", "shape"), [("fma_small", (99, 250)), ("fma_small", (128, 250)), ("gtzan", (100, 9))]
)
def test_wrong_number_of_rows_is_an_error(tmp_path: Path, source: str, shape: tuple[int, int]) -> None:
    save_picture(np.zeros(shape, np.float32), tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png has {shape[0]} rows: expected"):
        read_picture(tmp_path / "a.png", source, CONFIG)


def test_damaged_picture_is_an_ordinary_error(tmp_path: Path) -> None:
    """Pillow raises SyntaxError where a chunk's name is destroyed; here that of the pixels."""
    path = tmp_path / "a.png"
    save_picture(np.zeros((100, 250), np.float32), path)
    path.write_bytes(path.read_bytes().replace(b"IDAT", b"\xd2U\xdc\xab"))
    with pytest.raises((DataError, OSError)):
        read_picture(path, "fma_small", CONFIG)
    path.write_bytes(b"no picture")
    with pytest.raises(OSError, match="cannot identify"):
        read_picture(path, "fma_small", CONFIG)
