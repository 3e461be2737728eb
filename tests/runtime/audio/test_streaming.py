"""Whole tracks in limited memory, wrong headers, and stopping."""

from __future__ import annotations

import os
import threading
import tracemalloc
from concurrent.futures import CancelledError
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_runtime import GenreClassifier
from genre_runtime.audio.decoding import decode, decode_excerpts, stream_excerpts
from genre_runtime.audio.waveform import FloatArray, resample, resample_stream
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import RATE, noise, write_audio


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
    read = classifier._judge.run_graph
    seen: list[int] = []

    def counted(waveforms: FloatArray) -> FloatArray:
        seen.append(len(waveforms))
        if len(seen) > 2:
            started.set()
        answer: FloatArray = read(waveforms)
        return answer

    monkeypatch.setattr(classifier._judge, "run", counted)
    results = classifier.classify_files(paths, excerpts=None, jobs=2)
    next(results)
    assert started.wait(30)
    results.close()  # type: ignore[attr-defined]
    assert sum(seen) < 60, "the long file was read to its end"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("genre")]
