"""Every format is decoded to the original samples: mono, float32, at the requested rate."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.audio.readers import open_audio
from tests.runtime.av_files import CONTAINERS, LOSSLESS, write_with_pyav
from tests.synthetic import RATE, tone, write_audio

NATIVE = 48_000
"""Opus knows no other."""
MAX_DELAY_SECONDS = 0.06
"""Encoders put a packet or two of padding in front; WMA's decoder drops the first one."""


def hum(seconds: float = 3.0, seed: int = 0) -> NDArray[np.float32]:
    """Noise below 3 kHz: easy for any encoder, and like itself at no other time."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * NATIVE))
    return (0.3 * np.convolve(samples, np.hanning(40) / 20, "same")).astype(np.float32)


def delay_seconds(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Time by which `found` lags behind `expected`, by the peak of their cross-correlation."""
    n = found.size + expected.size
    correlation = np.fft.irfft(np.fft.rfft(found, n) * np.conj(np.fft.rfft(expected, n)), n)
    lag = int(correlation.argmax())
    return (lag if lag < found.size else lag - n) / NATIVE


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [(".wav", 1e-4), (".flac", 1e-4), (".aiff", 1e-4), (".w64", 1e-4), (".caf", 1e-4), (".ogg", 0.05), (".mp3", 0.05)],
)
def test_round_trip_through_libsndfile(tmp_path: Path, suffix: str, tolerance: float) -> None:
    samples = hum()
    found = decode(write_audio(tmp_path / f"hum{suffix}", samples, NATIVE), NATIVE)
    assert found.dtype == np.float32
    assert found.shape == samples.shape
    assert np.abs(found - samples).max() < tolerance


def test_round_trip_through_opus(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum.opus", hum(), NATIVE, format="OGG", subtype="OPUS")
    found = decode(tmp_path / "hum.opus", NATIVE)
    assert found.size == hum().size
    assert abs(delay_seconds(found, hum())) < 1e-3


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_round_trip_through_pyav(tmp_path: Path, suffix: str) -> None:
    samples = hum()
    found = decode(write_with_pyav(tmp_path / f"hum{suffix}", samples, NATIVE), NATIVE)
    assert found.dtype == np.float32
    if suffix in LOSSLESS:
        assert found.shape == samples.shape
        assert np.abs(found - samples).max() < 1e-4
        return
    delay = delay_seconds(found, samples)
    assert abs(delay) < MAX_DELAY_SECONDS
    found = np.roll(found, -round(delay * NATIVE))
    n = round(0.95 * samples.size)
    assert np.corrcoef(found[4_000:n], samples[4_000:n])[0, 1] > 0.95


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a", ".webm"])
def test_duration_is_known_before_decoding(tmp_path: Path, suffix: str) -> None:
    write = write_with_pyav if suffix in CONTAINERS else write_audio
    reader = open_audio(write(tmp_path / f"hum{suffix}", hum(4), NATIVE))
    reader.close()
    assert reader.duration_seconds == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 32_000, 37_800, 44_100, 96_000, 192_000])
def test_odd_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(2, rate=rate), rate)
    (excerpt,), duration = decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=3)
    assert duration == 2
    assert abs(excerpt.waveform.size - 2 * RATE) <= 1
    inside = slice(1_000, 2 * RATE - 1_000)  # the resampler's filter rings where a file begins and ends
    assert np.abs(excerpt.waveform - tone(2)[: excerpt.waveform.size])[inside].max() < 1e-3


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(1), tone(1, frequency=1000)
    path = write_audio(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    assert np.abs(decode(path, RATE) - (left + right) / 2).max() < 1e-4
    path = write_audio(tmp_path / "opposite.flac", np.stack([left, -left], axis=1))
    assert np.abs(decode(path, RATE) - left).max() < 1e-4  # the mean would be silence
    path = write_audio(tmp_path / "six.wav", np.stack([left, *5 * [0 * left]], axis=1))
    assert np.abs(decode(path, RATE) - left / 6).max() < 1e-4


def test_the_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    samples = hum(1)
    for suffix in (".raw", ".mp3", ".au", ".txt", ""):
        path = write_audio(tmp_path / "hum.wav", samples, NATIVE).rename(tmp_path / f"hum{suffix}")
        assert np.abs(decode(path, NATIVE) - samples).max() < 1e-4
    path = write_with_pyav(tmp_path / "hum.m4a", samples, NATIVE).rename(tmp_path / "hum.flac")
    assert decode(path, NATIVE).size > 0.9 * samples.size


@pytest.mark.parametrize("n_samples", [1, 2, 100, 11_024])
def test_shorter_than_half_a_second(tmp_path: Path, n_samples: int) -> None:
    path = write_audio(tmp_path / "short.wav", np.full(n_samples, 0.5, np.float32))
    (excerpt,), duration = decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=3)
    assert excerpt.waveform == pytest.approx(np.full(n_samples, 0.5), abs=1e-4)
    assert duration == pytest.approx(n_samples / RATE)
    assert decode(path, 8_000).size >= 1, "even when it resamples to less than one sample"


def test_eight_channels_through_pyav(tmp_path: Path) -> None:
    """Planar frames of eight channels crashed the process: they have more planes than a frame holds."""
    samples = np.tile(tone(2, 48_000), (8, 1))
    path = tmp_path / "eight.mka"
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=48_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray((samples.T.reshape(1, -1) * 32767).astype(np.int16), "s16", "7.1")
        frame.sample_rate = 48_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    waveform = decode(path, 48_000)
    assert waveform.size > 48_000
    np.testing.assert_allclose(waveform[1000:40_000], samples[0, 1000:40_000], atol=1e-3)


@pytest.mark.parametrize("suffix", [".caf", ".w64"])
def test_silence_in_formats_that_only_libsndfile_knows(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"silence{suffix}", np.zeros(RATE, np.float32))
    assert not decode(path, RATE).any()
