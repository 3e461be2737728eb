"""Limits hold while decoding, whatever a header says."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from genre_runtime import DecodeLimits, GenreClassifier
from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.errors import AudioLimitError
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.synthetic import RATE, tone, write_audio


def _write(path: Path, seconds: float) -> Path:
    write = write_with_pyav if path.suffix in CONTAINERS else write_audio
    return write(path, tone(seconds), RATE)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_seconds(tmp_path: Path, suffix: str) -> None:
    path = _write(tmp_path / f"tone{suffix}", 5)
    assert decode(path, RATE, limits=DecodeLimits(max_seconds=5.2)).size >= 5 * RATE
    with pytest.raises(AudioLimitError, match="more than 4 s") as caught:
        decode(path, RATE, limits=DecodeLimits(max_seconds=4))
    assert caught.value.limit == "max_seconds"


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_bytes(tmp_path: Path, suffix: str) -> None:
    path = _write(tmp_path / f"tone{suffix}", 5)
    assert decode(path, RATE, limits=DecodeLimits(max_bytes=6 * RATE * 4)).size >= 5 * RATE
    with pytest.raises(AudioLimitError, match="bytes") as caught:
        decode(path, RATE, limits=DecodeLimits(max_bytes=4 * RATE * 4))
    assert caught.value.limit == "max_bytes"


def test_a_long_track_may_be_classified_by_excerpts(tmp_path: Path) -> None:
    """What counts is what was decoded, and excerpts decode little of a track."""
    path = _write(tmp_path / "tone.flac", 60)
    limits = DecodeLimits(max_seconds=12)
    excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=4, n_excerpts=3, limits=limits)
    assert len(excerpts) == 3
    assert duration == 60
    with pytest.raises(AudioLimitError):
        decode_excerpts(path, RATE, excerpt_seconds=4, n_excerpts=None, limits=limits)


def test_a_limit_of_exactly_the_track_allows_all_of_it(tmp_path: Path) -> None:
    path = _write(tmp_path / "tone.mp3", 30)
    limits = DecodeLimits(max_seconds=30)
    excerpts, _ = decode_excerpts(path, RATE, excerpt_seconds=10, n_excerpts=None, limits=limits)
    assert sum(excerpt.waveform.size for excerpt in excerpts) == 30 * RATE


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    """Programs that write into a pipe cannot go back and fill in the sizes."""
    path = _write(tmp_path / "tone.wav", 5)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert decode(path, RATE).size == 5 * RATE
    with pytest.raises(AudioLimitError):
        decode(path, RATE, limits=DecodeLimits(max_seconds=4))


def test_header_that_claims_days_is_ignored(tmp_path: Path) -> None:
    path = _write(tmp_path / "tone.flac", 3)
    content = bytearray(path.read_bytes())
    content[21:26] = bytes((content[21] & 0xF0 | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF))  # STREAMINFO's total of samples
    path.write_bytes(content)
    excerpts, duration = decode_excerpts(
        path, RATE, excerpt_seconds=2, n_excerpts=3, limits=DecodeLimits(max_seconds=10)
    )
    assert [excerpt.start_seconds for excerpt in excerpts] == [0, 1]
    assert duration == 3


def test_limits_of_a_classifier(tmp_path: Path, model_path: Path) -> None:
    path = _write(tmp_path / "tone.wav", 5)
    strict = GenreClassifier.load(model_path, device="cpu", limits=DecodeLimits(max_seconds=1))
    with pytest.raises(AudioLimitError):
        strict.classify_file(path)
    (result,) = strict.classify_files([path], jobs=1)
    assert isinstance(result, AudioLimitError)
