"""Files to tag, one of each container, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.runtime.av_files import write_with_pyav
from tests.runtime.conftest import genre, music  # noqa: F401  # fixtures for the command
from tests.runtime.library.ape_file import write_ape
from tests.synthetic import noise, tone, write_audio

RATE = 44_100
SUFFIXES = (
    *(".mp3", ".flac", ".ogg", ".opus", ".oga", ".wav", ".aiff", ".m4a", ".alac.m4a", ".mp4", ".wma", ".wv", ".tta"),
    ".ape",
)
MakeFile = Callable[[str], Path]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each container, without a genre."""
    folder = tmp_path_factory.mktemp("originals")
    sound = (tone(2, RATE) / 2 + noise(2, RATE)).astype(np.float32)
    files = {}
    for suffix in SUFFIXES:
        path = files[suffix] = folder / f"song{suffix}"
        if suffix in (".mp3", ".flac", ".ogg", ".wav", ".aiff"):
            write_audio(path, sound, RATE)
        elif suffix == ".opus":
            soundfile.write(path, noise(2, 48_000), 48_000, format="OGG", subtype="OPUS")
        elif suffix == ".oga":
            write_ogg_flac(path)
        elif suffix == ".ape":
            write_ape(path)
        else:
            write_with_pyav(path, sound, RATE)
    return files


@pytest.fixture
def make_file(originals: dict[str, Path], tmp_path: Path) -> MakeFile:
    """Return a function that copies the file of a suffix to a folder of the test's own."""

    def make(suffix: str) -> Path:
        path = tmp_path / f"song{suffix}"
        shutil.copyfile(originals[suffix], path)
        return path

    return make


def write_ogg_flac(path: Path) -> None:
    """Write a second of noise as FLAC in Ogg."""
    import av

    with av.open(str(path), "w", format="ogg") as output:
        stream = output.add_stream("flac", rate=RATE, layout="mono")
        samples = (noise(1, RATE) * 30_000).astype(np.int16)
        for start in range(0, samples.size, 4_608):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 4_608], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
