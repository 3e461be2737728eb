"""Whole tracks in limited memory, wrong headers, and stopping."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import CancelledError
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_runtime import GenreClassifier
from genre_runtime.audio import decoding
from genre_runtime.audio.decoding import decode, decode_excerpts, stream_excerpts
from genre_runtime.audio.excerpts import FloatArray
from genre_runtime.audio.waveform import is_silent, mono, resample, resample_stream
from tests.patience import PATIENCE_SECONDS
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import RATE, noise, tone, write_audio


def write_long(path: Path, minutes: int) -> Path:
    """Write quiet noise a minute at a time."""
    with soundfile.SoundFile(path, "w", 44_100, 2) as file:
        block = np.stack([noise(60, rate=44_100)] * 2, axis=1)
        for _ in range(minutes):
            file.write(block)
    return path


@pytest.mark.parametrize("n_excerpts", [None, 40])
def test_a_long_track_is_never_in_memory_as_a_whole(tmp_path: Path, n_excerpts: int | None) -> None:
    path = write_long(tmp_path / "long.wav", 12)
    tracemalloc.start()
    try:
        stream = stream_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=n_excerpts)
        n_samples = sum(excerpt.waveform.size for excerpt in stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_samples == (n_excerpts or 72) * 10 * RATE
    assert stream.length.duration_seconds == pytest.approx(720)
    assert peak < 16 * 2**20, "the track has 64 MiB as mono samples at the model's rate"


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, RATE])
@pytest.mark.parametrize("n_chunk", [1_000, 44_100])
def test_resampling_in_chunks_is_resampling_at_once(rate: int, n_chunk: int) -> None:
    waveform = noise(3, rate=rate)
    chunks = np.split(waveform, range(n_chunk, waveform.size, n_chunk))
    found = np.concatenate(list(resample_stream(chunks, rate, RATE)))
    np.testing.assert_allclose(found, resample(waveform, rate, RATE), rtol=0, atol=1e-5)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("frequency", "least", "most"), [(14_400.0, -0.05, 0.05), (17_600.0, -200.0, -120.0)])
def test_resampling_keeps_what_is_below_half_the_rate_and_no_alias(
    frequency: float, least: float, most: float, streamed: bool
) -> None:
    """Gain in dB at 90 % and at 110 % of half the new rate; soxr's "LQ" loses 20 dB at 90 %, "MQ" 0.2 dB."""
    waveform = np.sin(2 * np.pi * frequency * np.arange(2 * 48_000) / 48_000).astype(np.float32)
    found = np.concatenate(list(resample_stream([waveform], 48_000, RATE))) if streamed else None
    middle = (resample(waveform, 48_000, RATE) if found is None else found)[RATE // 2 : -RATE // 2]
    assert least < 10 * np.log10(2 * np.mean(middle.astype(np.float64) ** 2)) < most


@pytest.mark.parametrize(("level", "kept"), [(1.0, True), (2.0**31, True), (1e13, False), (np.nan, False)])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_samples_louder_than_any_recording_become_silence(level: float, kept: bool, n_channels: int) -> None:
    block = np.full((8, n_channels), 0.5, np.float32)
    block[3] = level
    expected = np.where(np.arange(8) == 3, level if kept else 0.0, 0.5)
    np.testing.assert_allclose(mono(block), expected.astype(np.float32))


@pytest.mark.parametrize(("peak", "silent"), [(0.0, True), (0.0009, True), (0.0011, False), (0.5, False)])
@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_silence_stays_60_decibels_below_full_scale(peak: float, silent: bool, offset: float) -> None:
    assert is_silent((2 * peak * tone(1) + offset).astype(np.float32)) == silent  # the tone's peak is 0.5


class ClaimingReader:
    """A reader whose exact length is wrong, as it is with a header that no structure refutes."""

    sample_rate, n_channels, is_exact = RATE, 1, True

    def __init__(self, claimed_seconds: float, seconds: float) -> None:
        self.duration_seconds: float | None = claimed_seconds
        self._samples = noise(seconds)[:, np.newaxis]

    def blocks(self, start_seconds: float, n_samples: float) -> Iterator[FloatArray]:
        begin = round(start_seconds * RATE)
        yield self._samples[begin : begin + int(min(n_samples, self._samples.size))]

    def close(self) -> None:
        """Keep the samples."""


@pytest.mark.parametrize("seconds", [30.0, 26.0, 23.0, 12.0])
def test_a_claimed_length_counts_only_if_the_last_excerpt_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Of 30 s that are claimed the last excerpt takes 17.5 to 27.5 s; if less is there, the file is measured."""
    monkeypatch.setattr(decoding, "open_readers", lambda _: iter([ClaimingReader(30.0, seconds)]))
    path = write_audio(tmp_path / "any.wav", noise(1))
    excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=2)
    assert duration == pytest.approx(seconds)
    assert [excerpt.waveform.size for excerpt in excerpts] == [10 * RATE] * len(excerpts)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".wv"])
def test_a_file_cut_short_is_spread_over_what_is_there(tmp_path: Path, suffix: str) -> None:
    write = write_with_pyav if suffix == ".wv" else write_audio
    path = write(tmp_path / f"noise{suffix}", noise(30), RATE)
    os.truncate(path, path.stat().st_size * 4 // 10)
    there = decode(path, RATE)
    excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=2, n_excerpts=3)
    assert duration == pytest.approx(there.size / RATE, abs=0.1)
    assert [excerpt.start_seconds for excerpt in excerpts] == pytest.approx(
        [duration * (i + 0.5) / 3 - 1 for i in range(3)]
    )
    for excerpt in excerpts:
        start = round(excerpt.start_seconds * RATE)
        assert excerpt.waveform.size == 2 * RATE
        np.testing.assert_allclose(excerpt.waveform, there[start:][: 2 * RATE], rtol=0, atol=1e-3)


def test_stream_without_index_is_measured(tmp_path: Path) -> None:
    """FFmpeg guesses the length of such a file from the bit rate of its beginning, here of silence."""
    samples = np.concatenate([np.zeros(20 * 44_100, np.float32), noise(20, rate=44_100)])
    path = write_with_pyav(tmp_path / "noise.aac", samples, 44_100)
    excerpts, duration = decode_excerpts(path, 44_100, excerpt_seconds=4, n_excerpts=4)
    assert duration == pytest.approx(40, abs=0.1)
    loud = [bool(np.abs(excerpt.waveform).max() > 0.01) for excerpt in excerpts]
    assert loud == [False, False, True, True]


def test_decoding_stops_soon_after_stop_is_set(tmp_path: Path) -> None:
    path = write_long(tmp_path / "long.wav", 3)
    stop = threading.Event()
    stream = iter(stream_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=None, stop=stop))
    assert len(list(islice(stream, 2))) == 2
    stop.set()
    with pytest.raises(CancelledError):
        list(stream)


def test_closing_the_results_stops_decoding(
    classifier: GenreClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_audio(tmp_path / "short.wav", noise(1)), write_long(tmp_path / "long.wav", 10)]
    started = threading.Event()
    read = classifier._model.run_graph
    seen: list[int] = []

    def counted(waveforms: FloatArray) -> FloatArray:
        seen.append(len(waveforms))
        if len(seen) > 2:
            started.set()
        answer: FloatArray = read(waveforms)
        return answer

    monkeypatch.setattr(classifier._model, "run", counted)
    results = classifier.classify_files(paths, excerpts="all", jobs=2)
    next(results)
    assert started.wait(PATIENCE_SECONDS)
    results.close()  # type: ignore[attr-defined]
    assert sum(seen) < 60, "the long file was read to its end"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("genre")]
