"""Artist, album and title are read from every container."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import MissingDependencyError
from genre_runtime.library.tags.names import TrackNames, read_names
from tests.runtime.library.conftest import SUFFIXES, MakeFile

mutagen: Any = import_module("mutagen")
id3: Any = import_module("mutagen.id3")

EXPECTED = TrackNames("Björk & Others", "Various Artists", "An Album", "The Title")

_VORBIS = dict(zip(("artist", "albumartist", "album", "title"), EXPECTED, strict=True))
_APE = dict(zip(("Artist", "Album Artist", "Album", "Title"), EXPECTED, strict=True))
_MP4 = dict(zip(("\xa9ART", "aART", "\xa9alb", "\xa9nam"), EXPECTED, strict=True))
_ASF = dict(zip(("Author", "WM/AlbumArtist", "WM/AlbumTitle", "Title"), EXPECTED, strict=True))
_ID3 = dict(zip(("TPE1", "TPE2", "TALB", "TIT2"), EXPECTED, strict=True))

KEYS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys((".flac", ".ogg", ".opus", ".oga"), _VORBIS),
    **dict.fromkeys((".ape", ".wv"), _APE),
    **dict.fromkeys((".m4a", ".alac.m4a", ".mp4"), _MP4),
    ".wma": _ASF,
    **dict.fromkeys((".mp3", ".wav", ".aiff", ".tta"), _ID3),
}


def write_tags(path: Path, values: Mapping[str, str]) -> None:
    """Write tags with mutagen."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for key, value in values.items():
        file.tags[key] = getattr(id3, key)(encoding=3, text=[value]) if key in _ID3 else [value]
    file.save()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_container(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    assert not any(read_names(path)[:3]), "the encoder may have written a title, but no names"
    write_tags(path, KEYS[suffix])
    assert read_names(path) == EXPECTED
    assert read_names(str(path)) == EXPECTED


@pytest.mark.parametrize("suffix", [".flac", ".m4a", ".wv", ".wma"])
def test_the_first_of_several_values_counts(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    file.tags[next(iter(KEYS[suffix]))] = ["One", "Two"]
    file.save()
    assert read_names(path).artist == "One"


def test_the_first_of_several_values_of_an_id3_frame_counts(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    write_tags(path, {"TPE1": "One\0Two", "TALB": "  an \n album\t"})
    assert read_names(path) == TrackNames("One", "", "an album", "")


def test_files_without_names(make_file: MakeFile, tmp_path: Path) -> None:
    assert read_names(tmp_path / "gone.mp3") == TrackNames()
    assert read_names(tmp_path) == TrackNames()
    (tmp_path / "text.mp3").write_text("no music")
    assert read_names(tmp_path / "text.mp3") == TrackNames()
    path = make_file(".flac")
    write_tags(path, _VORBIS)
    content = path.read_bytes()
    for length in range(0, 400, 7):
        path.write_bytes(content[:length])
        assert read_names(path) in (TrackNames(), EXPECTED)


def test_mutagen_is_needed(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_file(".mp3")
    monkeypatch.setitem(sys.modules, "mutagen", None)
    with pytest.raises(MissingDependencyError, match=r"genre-runtime\[library\]"):
        read_names(path)
