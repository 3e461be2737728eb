"""Silent tracks are reported as silent; tracks with cancelling channels or audio between silence are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import odd_files as odd
from tests.runtime.apart import Apart
from tests.runtime.odd_files import FloatArray, coded, halves, music_at, sine


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with Apart(tmp_path_factory.mktemp("apart")) as started:
        yield started


RATE = 48_000
LEFT = sine(4, RATE)
OTHER = sine(4, RATE, frequency=660)


def _channels(*channels: FloatArray) -> FloatArray:
    return np.concatenate(channels, axis=1).astype(np.float32)


CANCELLING = {
    "right is left inverted": _channels(LEFT, -LEFT),
    "right is left inverted, a hundredth quieter": _channels(LEFT, -0.99 * LEFT),
    "left is quieter": _channels(-0.995 * LEFT, LEFT),
    "four channels that cancel": _channels(LEFT, -LEFT, LEFT, -LEFT),
    "four channels in pairs": _channels(LEFT, OTHER * 0.8, -LEFT, -OTHER * 0.8),
    "six channels, two that cancel and four silent": _channels(LEFT, -LEFT, *[0 * LEFT] * 4),
}

NOT_CANCELLING = {
    "one channel much quieter": _channels(LEFT, 0.01 * LEFT),
    "one channel much quieter and inverted": _channels(LEFT, -0.01 * LEFT),
    "one channel silent": _channels(LEFT, 0 * LEFT),
    "middle and sides": _channels(0.8 * LEFT + 0.2 * OTHER, 0.8 * LEFT - 0.2 * OTHER),
    "sides louder than the middle": _channels(0.2 * LEFT + 0.8 * OTHER, 0.2 * LEFT - 0.8 * OTHER),
    "first in phase, then inverted": halves(_channels(LEFT, LEFT), _channels(LEFT, -LEFT)),
    "first inverted, then in phase": halves(_channels(LEFT, -LEFT), _channels(LEFT, LEFT)),
}

# Formats that keep the channels apart well enough for them to cancel.
EXACT = (".wav", ".flac", ".mp3", ".wv", ".alac.m4a", ".aiff", ".mka")
LOSSY = (".m4a", ".ogg", ".opus", ".wma")


def _takes(suffix: str, channels: int) -> bool:
    return channels <= {".mp3": 2, ".wma": 2, ".alac.m4a": 2}.get(suffix, 6)


@pytest.mark.parametrize("suffix", [*EXACT, *LOSSY])
@pytest.mark.parametrize("name", [*CANCELLING, *NOT_CANCELLING])
def test_channels_that_cancel_are_not_silence(apart: Apart, tmp_path: Path, name: str, suffix: str) -> None:
    samples = {**CANCELLING, **NOT_CANCELLING}[name]
    if not _takes(suffix, samples.shape[1]):
        pytest.skip(f"{suffix} has no {samples.shape[1]} channels")
    path, left = tmp_path / f"phase{suffix}", tmp_path / f"left{suffix}"
    path.write_bytes(coded(suffix, samples, RATE))
    left.write_bytes(coded(suffix, samples[:, :1], RATE))
    for how in ("path", "whole"):
        found, alone = apart.classify(path, how), apart.classify(left, how)
        assert found.error is None, found.message
        assert not any(found.silent)
        assert "silent" not in (found.reason or "")
        assert found.label == "tone"
        if name in CANCELLING:
            for label, probability in alone.probabilities.items():
                assert found.probabilities[label] == pytest.approx(probability, abs=0.06), how


def test_cancelling_channels_are_decoded_as_one_of_them(apart: Apart, tmp_path: Path) -> None:
    path = tmp_path / "inverted.flac"
    path.write_bytes(coded(".flac", CANCELLING["right is left inverted"], RATE))
    found = apart.decode(path, [1.0, 3.0])
    assert found.pitches == pytest.approx([440, 440], abs=15)


SILENT_RATE = 32_000
"""The model's own: a resampler rings where direct current begins and ends."""

SILENT: dict[str, FloatArray] = {
    "zeros": np.zeros((4 * SILENT_RATE, 2), np.float32),
    "direct current": np.full((4 * SILENT_RATE, 2), 0.3, np.float32),
    "direct current, inverted": np.full((4 * SILENT_RATE, 2), 0.3, np.float32) * np.array([1, -1], np.float32),
    "dither": np.random.default_rng(0).integers(-1, 2, (4 * SILENT_RATE, 2)).astype(np.float32) / np.float32(32_768),
    "a sine of -66 dB, inverted": 0.001 * sine(4, SILENT_RATE, 2) * np.array([1, -1], np.float32),
}


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".alac.m4a"])
@pytest.mark.parametrize("name", SILENT)
def test_silent_tracks_are_reported_as_silent(apart: Apart, tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"silent{suffix}"
    path.write_bytes(coded(suffix, SILENT[name], SILENT_RATE))
    for how in ("path", "whole"):
        found = apart.classify(path, how)
        assert found.error is None, found.message
        assert all(found.silent)
        assert "silent" in (found.reason or "")


LONG = 65.0
HIDDEN = {
    "music, silence, music": [(0.0, 3.0), (63.0, 65.0)],
    "the beginning": [(0.0, 3.0)],
    "the end": [(62.0, 65.0)],
    "the very end": [(64.0, 65.0)],
    "a stretch before the middle": [(20.0, 23.0)],
    "a stretch behind the middle": [(42.0, 45.0)],
    "two stretches": [(5.0, 7.0), (40.0, 42.5)],
}
"""Excerpts of a second lie at 10.3, 32 and 53.7 s: in silence."""
HIDDEN_RATES = {".opus": 48_000, ".mp3": 16_000, ".m4a": 16_000, ".aac": 16_000, ".wma": 16_000}
"""Low, since encoding takes most of the time; one that the format knows."""


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".wma", ".wv"])
@pytest.mark.parametrize("name", HIDDEN)
def test_audio_between_silence_is_found(apart: Apart, tmp_path: Path, name: str, suffix: str) -> None:
    rate = HIDDEN_RATES.get(suffix, 8_000)
    path = tmp_path / f"hidden{suffix}"
    path.write_bytes(coded(suffix, music_at(HIDDEN[name], LONG, rate), rate))
    for how in ("path", "whole", "bytes"):
        found = apart.classify(path, how)
        assert found.error is None, found.message
        assert found.label == "tone", (how, found.reason)
        assert "silent" not in (found.reason or "")
        assert found.duration == pytest.approx(LONG, abs=0.25)
        assert not all(found.silent)
        assert found.announced is None


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_long_silent_track_is_reported_as_silent(apart: Apart, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"silent{suffix}"
    path.write_bytes(coded(suffix, np.zeros((300 * 8_000, 1), np.float32), 8_000))
    for how in ("path", "whole"):
        found = apart.classify(path, how)
        assert found.error is None, found.message
        assert "silent" in (found.reason or "")
        assert found.duration == pytest.approx(300, abs=0.5)


def test_audio_after_ten_minutes_of_silence_in_a_second_stream(apart: Apart, tmp_path: Path) -> None:
    first = coded(".ogg", np.zeros((600 * 8_000, 1), np.float32), 8_000)
    second = coded(".ogg", sine(3, 8_000), 8_000)
    (tmp_path / "hidden.ogg").write_bytes(odd.of_serial(first, 1) + odd.of_serial(second, 2))
    for how in ("path", "whole"):
        found = apart.classify(tmp_path / "hidden.ogg", how)
        assert found.label == "tone"
        assert found.duration == pytest.approx(603, abs=0.3)


def test_ultrasound_is_silence(apart: Apart, tmp_path: Path) -> None:
    """A DSD file holds noise above what its excerpts are resampled to."""
    path = tmp_path / "ultrasound.wav"
    ultrasound = 0.004 * np.sin(2 * np.pi * 60_000 * np.arange(3 * 192_000) / 192_000).astype(np.float32)
    path.write_bytes(coded(".wav", ultrasound[:, None], 192_000))
    found = apart.classify(path, "path")
    assert all(found.silent)
    assert found.reason == "the track is silent"
