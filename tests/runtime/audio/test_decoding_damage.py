"""Damaged files: a typed error, or the samples that can be decoded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.errors import EmptyAudioError, GenreError, UnreadableAudioError
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import RATE, noise, tone, write_audio


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(EmptyAudioError, match="0 bytes"):
        decode(tmp_path / "empty.mp3", RATE)


def test_header_without_samples(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "nothing.wav", np.zeros(0, np.float32))
    with pytest.raises(EmptyAudioError, match="no audio samples"):
        decode(path, RATE)
    with pytest.raises(EmptyAudioError, match="no audio samples"):
        decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=3)


def test_container_with_unknown_codec(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "tone.mka", tone(1), RATE)
    path.write_bytes(path.read_bytes().replace(b"A_MPEG/L3", b"A_UNKNOWN"))
    with pytest.raises(UnreadableAudioError, match="no decoder"):
        decode(path, RATE)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_truncated_file_gives_what_is_there(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"noise{suffix}", noise(20))
    whole = decode(path, RATE)
    os.truncate(path, path.stat().st_size * 6 // 10)
    found = decode(path, RATE)
    assert 0.4 * whole.size < found.size < 0.7 * whole.size
    n = found.size - RATE // 10  # the last packet may be cut in two
    np.testing.assert_allclose(found[:n], whole[:n], rtol=0, atol=1e-3)
    excerpts, _ = decode_excerpts(path, RATE, excerpt_seconds=4, n_excerpts=3)
    assert excerpts[0].waveform.size == 4 * RATE


@pytest.mark.parametrize("suffix", [".m4a", ".wma", ".webm", ".tta"])
@pytest.mark.parametrize("percent", [1, 30, 60, 99])
def test_truncated_container_gives_what_is_there_or_a_typed_error(tmp_path: Path, suffix: str, percent: int) -> None:
    path = write_with_pyav(tmp_path / f"noise{suffix}", noise(5, rate=48_000), 48_000)
    os.truncate(path, path.stat().st_size * percent // 100)
    try:
        excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=2, n_excerpts=2)
    except GenreError as error:
        assert isinstance(error, UnreadableAudioError | EmptyAudioError)  # noqa: PT017
    else:
        assert all(excerpt.waveform.size for excerpt in excerpts)
        assert duration > 0


def test_broken_samples_become_silence(tmp_path: Path) -> None:
    samples = np.stack([tone(1), tone(1)], axis=1)
    broken = samples.copy()
    broken[1_000] = np.nan
    broken[2_000] = (np.inf, -np.inf)
    broken[3_000] = 3e38
    broken[4_000, 0] = np.nan
    soundfile.write(tmp_path / "broken.wav", broken, RATE, subtype="FLOAT")
    found = decode(tmp_path / "broken.wav", RATE)
    expected = tone(1)
    expected[[1_000, 2_000, 3_000]] = 0
    expected[4_000] /= 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
