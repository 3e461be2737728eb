"""FLAC files that no library decodes are decoded by the ffmpeg program, if it is installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_runtime.audio.decoding import decode, decode_excerpts
from genre_runtime.audio.readers.ffmpeg_reader import SAMPLE_RATE
from genre_runtime.errors import UnreadableAudioError
from tests.runtime.av_files import write_with_pyav
from tests.synthetic import RATE, noise, tone, write_audio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for ffmpeg is a shell script")

STAND_IN = """#!{python}
import sys, pathlib
import numpy as np
arguments = sys.argv[1:]
pathlib.Path({log!r}).open("a").write(" ".join(arguments) + "\\n")
start = float(arguments[arguments.index("-ss") + 1])
samples = np.sin(np.arange(30 * {rate}) * 2 * np.pi * 440 / {rate}).astype("<f4")
sys.stdout.buffer.write(samples[round(start * {rate}):].tobytes())
"""


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A FLAC file that both libraries refuse."""

    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            raise UnreadableAudioError("damaged")

    def refuse(*_: object) -> None:
        raise TypeError

    monkeypatch.setattr("genre_runtime.audio.readers.soundfile_reader.SoundFileReader", refuse)
    monkeypatch.setattr("genre_runtime.audio.readers.pyav_reader.PyAvReader", Refusing)
    return write_audio(tmp_path / "-noise:1.flac", noise(3), RATE)


def use_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "log"
    program = tmp_path / "ffmpeg"
    program.write_text(STAND_IN.format(python=sys.executable, log=str(log), rate=SAMPLE_RATE))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return log


def test_the_program_is_used_for_local_flac_only(
    refused: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = use_stand_in(tmp_path, monkeypatch)
    found = decode(refused, RATE)
    np.testing.assert_allclose(found[1_000:-1_000], (2 * tone(30))[1_000:-1_000], rtol=0, atol=1e-3)
    *_, command = log.read_text().splitlines()
    assert "-protocol_whitelist file -f flac" in command
    assert f"-i file:{refused}" in command
    excerpts, duration = decode_excerpts(refused, RATE, excerpt_seconds=5, n_excerpts=3)
    assert duration == pytest.approx(30)
    assert [excerpt.start_seconds for excerpt in excerpts] == pytest.approx([2.5, 12.5, 22.5])


def test_without_the_program_the_error_of_the_libraries_is_raised(
    refused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnreadableAudioError, match="damaged"):
        decode(refused, RATE)


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "no program"])
def test_a_program_that_fails(refused: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "ffmpeg").write_text(script)
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreadableAudioError, match="ffmpeg program"):
        decode(refused, RATE)


def test_other_formats_and_bytes_never_reach_the_program(
    refused: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = use_stand_in(tmp_path, monkeypatch)
    for source in (write_with_pyav(tmp_path / "tone.m4a", tone(1), RATE), refused.read_bytes()):
        with pytest.raises(UnreadableAudioError):
            decode(source, RATE)
    assert not log.exists()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_real_program(refused: Path) -> None:
    found = decode(refused, RATE)
    np.testing.assert_allclose(found.size, 3 * RATE, rtol=0.01)
