"""Excerpts found by seeking equal the same part of the whole decoded file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.audio.waveform import excerpts_of_waveform
from tests.runtime.audio.test_decoding_formats import NATIVE, delay_seconds, hum
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.synthetic import write_audio

SECONDS = 9
DELAY_TOLERANCE = {".wma": 0.1, ".webm": 1e-3, ".mka": 1e-3}
"""Seconds. FFmpeg's times are two packets late in WMA, whole milliseconds in Matroska, and exact elsewhere."""


FileOf = Callable[[str], Path]


@pytest.fixture(scope="module")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> FileOf:
    """Return the same sound as a file of any suffix, written once."""
    folder = tmp_path_factory.mktemp("excerpts")

    @cache
    def write(suffix: str) -> Path:
        path, samples = folder / f"hum{suffix}", hum(SECONDS)
        if suffix in CONTAINERS:
            return write_with_pyav(path, samples, NATIVE)
        if suffix == ".opus":
            soundfile.write(path, samples, NATIVE, format="OGG", subtype="OPUS")
            return path
        return write_audio(path, samples, NATIVE)

    return write


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".ogg", ".mp3", ".opus", *CONTAINERS])
@pytest.mark.parametrize("n_excerpts", [4, None])
def test_excerpts_start_at_their_start_seconds(file_of: FileOf, suffix: str, n_excerpts: int | None) -> None:
    path = file_of(suffix)
    whole = decode(path, NATIVE)
    excerpts, duration = decode_excerpts(path, NATIVE, excerpt_seconds=2, n_excerpts=n_excerpts)
    assert duration == pytest.approx(whole.size / NATIVE, abs=0.6 if suffix == ".aac" else 0.1)
    assert len(excerpts) >= (n_excerpts or SECONDS / 2)
    for excerpt in excerpts[:-1]:  # of the last one, padding may be missing
        start = round(excerpt.start_seconds * NATIVE)
        expected = whole[start : start + excerpt.waveform.size]
        assert excerpt.waveform.size == 2 * NATIVE
        assert abs(delay_seconds(excerpt.waveform, expected)) <= DELAY_TOLERANCE.get(suffix, 1 / NATIVE)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".alac.m4a", ".wv", ".tta"])
def test_excerpts_are_the_same_from_their_first_sample_on(file_of: FileOf, suffix: str) -> None:
    """An MP3 decoder that is not fed a little earlier misses bits there and is silent for up to 0.1 s."""
    path = file_of(suffix)
    whole = decode(path, NATIVE)
    for excerpt in decode_excerpts(path, NATIVE, excerpt_seconds=2, n_excerpts=4)[0]:
        start = round(excerpt.start_seconds * NATIVE)
        np.testing.assert_allclose(excerpt.waveform, whole[start:][: excerpt.waveform.size], rtol=0, atol=1e-3)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".flac"])
def test_blocks_join_without_a_seam(file_of: FileOf, suffix: str) -> None:
    path = file_of(suffix)
    at_once, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(decode(path, NATIVE), at_once, rtol=0, atol=1e-6)


def test_the_first_packet_of_matroska_is_kept(file_of: FileOf) -> None:
    for suffix in (".webm", ".mka"):
        found = decode(file_of(suffix), NATIVE)
        n = NATIVE // 100
        assert np.abs(found[: 2 * n]).max() > 0.1
        assert found.size >= SECONDS * NATIVE


def test_samples_in_memory_are_cut_in_the_same_places(file_of: FileOf) -> None:
    samples = hum(SECONDS)
    path = file_of(".wav")
    for n_excerpts in (1, 3, None):
        from_file, file_duration = decode_excerpts(path, 22_050, excerpt_seconds=2, n_excerpts=n_excerpts)
        in_memory, duration = excerpts_of_waveform(samples, NATIVE, 22_050, excerpt_seconds=2, n_excerpts=n_excerpts)
        assert duration == file_duration
        assert len(from_file) == len(in_memory)
        for a, b in zip(from_file, in_memory, strict=True):
            assert a.start_seconds == b.start_seconds
            np.testing.assert_allclose(a.waveform, b.waveform, rtol=0, atol=1e-3)


def test_a_short_rest_at_the_end_is_left_out() -> None:
    samples = hum(4.3)
    excerpts, _ = excerpts_of_waveform(samples, NATIVE, NATIVE, excerpt_seconds=2, n_excerpts=None)
    assert [excerpt.start_seconds for excerpt in excerpts] == [0, 2]
    excerpts, _ = excerpts_of_waveform(hum(4.6), NATIVE, NATIVE, excerpt_seconds=2, n_excerpts=None)
    assert [excerpt.start_seconds for excerpt in excerpts] == [0, 2, 4]
