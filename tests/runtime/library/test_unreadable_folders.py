"""A folder that cannot be looked into is named, and the run has not been a whole one, whatever the verb."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.conftest import Genre
from tests.synthetic import tone, write_audio


@pytest.fixture
def library(music: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Music with a folder of an odd name that nobody may read, not even the administrator."""
    closed = music / "closed\nfolder"
    closed.mkdir()
    write_audio(closed / "song.wav", tone(1))
    scandir = os.scandir

    def refused(folder: Any = ".") -> Iterator[os.DirEntry[Any]]:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    return music


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("verb", ["classify", "into Parquet", "tag", "similar"])
def test_the_folder_is_named_and_the_rest_is_done(genre: Genre, library: Path, tmp_path: Path, verb: str) -> None:
    track = write_audio(tmp_path / "track.wav", tone(2))
    words: list[str | Path] = ["classify", library]
    if verb == "into Parquet":
        pytest.importorskip("pyarrow", reason="pyarrow of genre-runtime[ray] is not installed")
        words += ["--output", tmp_path / "genres.parquet"]
    elif verb == "tag":
        pytest.importorskip("mutagen", reason="mutagen of genre-runtime[library] is not installed")
        words = ["tag", library, "--unsure"]
    elif verb == "similar":
        words = ["similar", track, "--in", library]
    status, out, err = genre(*words)
    assert status == 1
    assert err.count("the folder cannot be read: Permission denied\n") == 1
    assert f"genre: {library}{os.sep}closed\\nfolder: the folder cannot be read" in err
    if verb == "into Parquet":
        assert (tmp_path / "genres.parquet").stat().st_size
    else:
        assert "tone.wav" in out
        assert "noise.FLAC" in out
