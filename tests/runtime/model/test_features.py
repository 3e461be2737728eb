"""The NumPy log-mel front end: golden values, ranges, edges and errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_runtime.errors import EmptyAudioError, InvalidInputError
from genre_runtime.model.features import (
    KALDI_FLOOR,
    KALDI_OFFSET,
    KALDI_SPAN,
    MOST_GAIN,
    PRE_EMPHASIS,
    QUIETEST_RMS,
    hz_to_mel,
    log_mel_spectrogram,
    mel_filterbank,
    mel_to_hz,
)
from genre_runtime.model.metadata import FINE_AUDIO, AudioConfig
from tests.golden.make import FRONT_ENDS, GOLDEN, SIGNALS
from tests.synthetic import noise, tone

CONFIG = AudioConfig()
GOLDEN_TOLERANCE = {"coarse": 2e-3, "fine": 2e-4}
"""Decibels, and units of the scale `kaldi`: stored digits, and the last bits of FFTs, which differ between NumPys."""


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("name", SIGNALS)
def test_golden_values(name: str, front_end: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[front_end]
    log_mel = log_mel_spectrogram(SIGNALS[name](), AudioConfig.from_dict(golden["audio"]))
    found = log_mel[np.ix_(golden["bands"], golden["frames"])]
    np.testing.assert_allclose(found, golden["log_mel"][name], rtol=0, atol=GOLDEN_TOLERANCE[front_end])


def test_golden_values_are_those_of_the_settings_in_use() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {name: AudioConfig.from_dict(golden[name]["audio"]) for name in golden} == FRONT_ENDS, "run `invoke golden`"
    assert all(set(golden[name]["log_mel"]) == set(SIGNALS) for name in golden)


@pytest.mark.parametrize("samples", [tone(), noise(), tone() + noise(), 1e-4 * noise(seed=3)])
def test_range_is_the_dynamic_range_below_zero(samples: np.ndarray) -> None:
    log_mel = log_mel_spectrogram(samples, CONFIG)
    assert log_mel.dtype == np.float32
    assert log_mel.shape == (CONFIG.n_mels, CONFIG.n_frames(samples.size))
    assert log_mel.max() == 0
    assert log_mel.min() >= -CONFIG.top_db


def test_a_tone_stands_in_its_own_band() -> None:
    edges = mel_to_hz(np.linspace(hz_to_mel(CONFIG.f_min), hz_to_mel(CONFIG.f_max), CONFIG.n_mels + 2))
    for frequency in (220.0, 1000.0, 5000.0):
        log_mel = log_mel_spectrogram(tone(frequency=frequency), CONFIG)
        band = int(log_mel[:, 5].argmax())
        assert edges[band] < frequency < edges[band + 2]


def test_mel_scale() -> None:
    """Slaney's: 200 / 3 Hz a mel up to 1 kHz, 27 mels for every factor of 6.4 above."""
    np.testing.assert_allclose(hz_to_mel(np.array([0.0, 500, 1000, 6400])), [0, 7.5, 15, 42])
    frequencies = np.linspace(0, 11_025, 100)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(frequencies)), frequencies, atol=1e-9)


def test_silence_gives_zeros() -> None:
    assert not log_mel_spectrogram(np.zeros(10_000, np.float32), CONFIG).any()


def test_one_sample_gives_one_flat_frame() -> None:
    log_mel = log_mel_spectrogram(np.array([0.5], np.float32), CONFIG)
    assert log_mel.shape == (CONFIG.n_mels, 1)
    assert log_mel.max() == 0
    assert log_mel.min() > -1, "a click contains all frequencies alike"


@pytest.mark.parametrize("gain", [0.01, 0.5, 100.0])
def test_level_does_not_matter(gain: float) -> None:
    loud = log_mel_spectrogram(noise(), CONFIG)
    np.testing.assert_allclose(log_mel_spectrogram(noise() * np.float32(gain), CONFIG), loud, rtol=0, atol=1e-3)


def test_frames_depend_on_their_own_surroundings_alone() -> None:
    """Frame t reads n_fft samples about t * hop_length: a longer clip begins with the same frames."""
    short, long = noise(2), noise(4)
    assert np.array_equal(short, long[: short.size])
    n = 1 + (short.size - CONFIG.n_fft // 2) // CONFIG.hop_length
    first, second = log_mel_spectrogram(short, CONFIG)[:, :n], log_mel_spectrogram(long, CONFIG)[:, :n]
    offset = first - second  # each clip's own loudest bin is 0 dB
    np.testing.assert_allclose(offset, offset[0, 0], atol=1e-3)


def test_the_same_clip_gives_the_same_numbers_whatever_came_before() -> None:
    samples = noise()
    before = samples.copy()
    first = log_mel_spectrogram(samples, CONFIG)
    log_mel_spectrogram(100 * tone(), CONFIG)
    assert np.array_equal(log_mel_spectrogram(samples, CONFIG), first)
    assert np.array_equal(log_mel_spectrogram(np.repeat(samples, 2)[::2], CONFIG), first), "strides do not matter"
    assert np.array_equal(samples, before), "the caller's samples stay as they were"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20_000))
def test_number_of_frames(n_samples: int) -> None:
    log_mel = log_mel_spectrogram(np.ones(n_samples, np.float32), CONFIG)
    assert log_mel.shape[1] == CONFIG.n_frames(n_samples) == 1 + n_samples // CONFIG.hop_length


def test_filters_have_unit_area_and_cannot_be_changed() -> None:
    filters = mel_filterbank(CONFIG)
    assert filters.shape == (CONFIG.n_mels, CONFIG.n_fft // 2 + 1)
    wide = filters[-20:].sum(axis=1) * CONFIG.sample_rate / CONFIG.n_fft
    np.testing.assert_allclose(wide, 1, atol=0.01)
    with pytest.raises(ValueError, match="read-only"):
        filters[0, 0] = 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    samples = tone()
    samples[1000] = bad
    with pytest.raises(InvalidInputError, match="NaN"):
        log_mel_spectrogram(samples, CONFIG)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"\(2, 100\)"):
        log_mel_spectrogram(np.zeros((2, 100), np.float32), CONFIG)
    with pytest.raises(EmptyAudioError):
        log_mel_spectrogram(np.zeros(0, np.float32), CONFIG)


def test_the_fine_front_end_keeps_the_level() -> None:
    """On the scale `kaldi`, a factor of three in amplitude is ln(9) / 5, and silence is the floor."""
    loud, soft = (log_mel_spectrogram(gain * noise(), FINE_AUDIO) for gain in (np.float32(3), np.float32(1)))
    assert loud.shape == (FINE_AUDIO.n_mels, FINE_AUDIO.n_frames(noise().size))
    assert np.median(loud - soft) == pytest.approx(np.log(9) / KALDI_SPAN, abs=0.01)
    floor = (np.log(KALDI_FLOOR) + KALDI_OFFSET) / KALDI_SPAN
    np.testing.assert_allclose(log_mel_spectrogram(np.zeros(1_000, np.float32), FINE_AUDIO), floor, rtol=1e-5)
    assert log_mel_spectrogram(np.ones(1, np.float32), FINE_AUDIO).shape == (FINE_AUDIO.n_mels, 1)


def test_the_fine_front_end_makes_quiet_music_louder() -> None:
    """Below the level of quiet music the level changes nothing, down to what is left of 60 dB."""
    emphasised = noise()[1:] - np.float32(PRE_EMPHASIS) * noise()[:-1]
    waveform = noise() * np.float32(QUIETEST_RMS / np.sqrt(np.square(emphasised).mean()))
    levels = (1, 0.1, 1 / MOST_GAIN, 0.1 / MOST_GAIN)
    least, quiet, quietest, beyond = (log_mel_spectrogram(np.float32(gain) * waveform, FINE_AUDIO) for gain in levels)
    np.testing.assert_allclose(quiet, least, atol=1e-4)
    np.testing.assert_allclose(quietest, least, atol=1e-4)
    assert np.median(least - beyond) == pytest.approx(np.log(100) / KALDI_SPAN, abs=0.05)  # near the floor
    with_offset = log_mel_spectrogram(np.float32(0.1) * waveform + np.float32(0.1), FINE_AUDIO)
    np.testing.assert_allclose(with_offset[40:, 5:-5], least[40:, 5:-5], atol=0.05)
