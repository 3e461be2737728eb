"""Audio from a path, from bytes and from an open file is the same audio."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_runtime import GenreClassifier
from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.errors import EmptyAudioError, GenreError, InvalidInputError, UnreadableAudioError
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.synthetic import RATE, noise, write_audio


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", *CONTAINERS])
def test_the_same_samples_from_path_bytes_and_file(tmp_path: Path, suffix: str) -> None:
    write = write_with_pyav if suffix in CONTAINERS else write_audio
    path = write(tmp_path / f"noise{suffix}", noise(5, rate=48_000), 48_000)
    expected = decode(path, RATE)
    content = path.read_bytes()
    np.testing.assert_array_equal(decode(content, RATE), expected)
    with path.open("rb") as file:
        file.seek(7)  # from any position
        np.testing.assert_array_equal(decode(file, RATE), expected)
        assert not file.closed
    excerpts, duration = decode_excerpts(path, RATE, excerpt_seconds=1, n_excerpts=3)
    found, found_duration = decode_excerpts(io.BytesIO(content), RATE, excerpt_seconds=1, n_excerpts=3)
    assert duration == found_duration
    for a, b in zip(excerpts, found, strict=True):
        assert a.start_seconds == b.start_seconds
        np.testing.assert_array_equal(a.waveform, b.waveform)


def test_a_prediction_from_bytes_has_no_path(classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "noise.wav", noise(2))
    from_path, from_bytes = classifier.classify_file(str(path)), classifier.classify_file(path.read_bytes())
    assert from_path.path == path
    assert from_bytes.path is None
    assert from_bytes.probabilities == from_path.probabilities


@pytest.mark.parametrize("content", [b"", b"\0", b"no music" * 100, b"#EXTM3U\nhttp://127.0.0.1/a.ts\n"])
def test_bytes_that_are_not_audio(content: bytes) -> None:
    with pytest.raises((EmptyAudioError, UnreadableAudioError)):
        decode(content, RATE)
    with pytest.raises((EmptyAudioError, UnreadableAudioError)):
        decode(io.BytesIO(content), RATE)


@pytest.mark.parametrize("suffix", [".m4a", ".wav"])
def test_a_file_open_for_writing_too_is_only_read(tmp_path: Path, suffix: str) -> None:
    write = write_with_pyav if suffix in CONTAINERS else write_audio
    content = write(tmp_path / f"noise{suffix}", noise(2), RATE).read_bytes()
    with tempfile.SpooledTemporaryFile(max_size=2**24) as file:
        file.write(content)
        np.testing.assert_array_equal(decode(file, RATE), decode(content, RATE))  # type: ignore[arg-type]
        file.seek(0)
        assert file.read() == content


def test_seeks_before_the_start_print_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = write_audio(tmp_path / "noise.aiff", noise(1)).read_bytes()
    for at in range(12, 60):
        damaged = bytearray(content)
        damaged[at : at + 4] = b"\xff\xff\xff\xf0"
        with contextlib.suppress(GenreError):
            decode(bytes(damaged), RATE)
    assert "Traceback" not in capfd.readouterr().err


class Pipe(io.RawIOBase):
    """A file that can only be read on."""

    def readable(self) -> bool:
        return True


@pytest.mark.parametrize("source", [Pipe(), io.StringIO("text"), 3, None, ["song.mp3"], np.zeros(4)])
def test_invalid_sources(source: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expected a path, bytes|opened for text"):
        decode(source, RATE)
