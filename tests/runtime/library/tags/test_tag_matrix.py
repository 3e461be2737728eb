"""Every container in every mode: read back by mutagen and by FFmpeg, the audio the same, all of it undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mutagen
import pytest

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags import Mode, read_genres, undo, write_genres
from tests.runtime.av_files import write_with_pyav
from tests.runtime.library.conftest import SUFFIXES, MakeFile
from tests.runtime.library.tags.readers import genre_seen_by_ffmpeg, packets, samples
from tests.synthetic import tone

KEYS = {".mp3": "TCON", ".wav": "TCON", ".aiff": "TCON", ".tta": "TCON", ".wma": "WM/Genre"}
KEYS |= dict.fromkeys((".m4a", ".alac.m4a", ".mp4"), "\xa9gen")
FIRST_ONLY = frozenset(KEYS) | {".wv", ".ape"}
"""Containers of which some versions of FFmpeg show the first of several values alone."""


def stored(path: Path) -> list[str]:
    opened: Any = mutagen.File(path)
    key = KEYS.get("".join(path.suffixes), "Genre")
    return [str(value) for value in opened.tags[key]]


def seen(suffix: str, genres: tuple[str, ...]) -> tuple[str, ...]:
    """What FFmpeg may show: newer versions join in MP4, too."""
    joined = ";".join(genres)
    return (genres[0], joined) if suffix in FIRST_ONLY else (joined,)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("empty", (), ("Jazz",)),
        ("empty", (), ("Jazz", "Ćumbia / Folk", "音楽")),
        ("empty", ("Blues", "Folk"), ("Blues", "Folk")),
        ("overwrite", ("Blues", "Folk"), ("Jazz", "Pop")),
        ("overwrite", ("Jazz",), ("Jazz",)),
        ("append", ("Blues", "jazz"), ("Blues", "jazz", "Pop")),
        ("append", (), ("Jazz", "Pop")),
    ],
)
def test_matrix(
    make_file: MakeFile, tmp_path: Path, suffix: str, mode: Mode, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    path = make_file(suffix)
    journal = tmp_path / "journal.jsonl"
    if before:
        write_genres(path, before, journal=None)
    original, audio = path.read_bytes(), packets(path)
    asked = ("Jazz", "Pop") if mode == "append" or before == ("Blues", "Folk") else after
    change = write_genres(path, asked, mode, journal=journal)
    assert (change.old, change.new, change.written) == (before, after, before != after)
    assert read_genres(path) == after
    assert stored(path) == list(after)
    assert genre_seen_by_ffmpeg(path) in seen(suffix, after)
    if suffix != ".ape":  # FFmpeg takes the tag for a part of the last frame
        assert packets(path) == audio
    if before == after:
        assert path.read_bytes() == original
        assert not journal.exists()
        return
    assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".ape"])
def test_a_tag_that_needs_room_moves_no_sample(make_file: MakeFile, tmp_path: Path, suffix: str) -> None:
    path = make_file(suffix)
    original, sound = path.read_bytes(), samples(path)
    genres = [f"genre {'x' * 200} {i}" for i in range(1_500)]  # 300 kB: Ogg needs more pages and renumbers all
    if suffix == ".wma":
        genres = genres[:300]  # an attribute has at most 64 KiB, here as UTF-16 each; the header has room for all
    write_genres(path, genres, journal=tmp_path / "journal.jsonl")
    assert read_genres(path) == tuple(genres)
    assert samples(path) == sound
    assert [item.error for item in undo(tmp_path / "journal.jsonl")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".aiff", ".tta"])
@pytest.mark.parametrize(("genres", "text"), [(("Jazz",), "Jazz"), (("Jazz", "Pop"), "Jazz/Pop")])
def test_id3v23_joins_by_a_slash(make_file: MakeFile, suffix: str, genres: tuple[str, ...], text: str) -> None:
    path = make_file(suffix)
    write_genres(path, genres, journal=None, id3_version=3)
    opened: Any = mutagen.File(path)
    assert opened.tags.version == (2, 3, 0)
    assert read_genres(path) == (text,)
    assert genre_seen_by_ffmpeg(path) == (genres[0] if suffix == ".tta" else text)  # it has APEv2 items, too
    again = [genre.upper() for genre in reversed(genres)]
    assert write_genres(path, again, "append", journal=None).written is False
    write_genres(path, ["Rock"], "append", journal=None)
    assert read_genres(path) == (f"{text}/Rock",)


@pytest.mark.parametrize("suffix", [".mka", ".aac", ".webm"])
def test_containers_without_a_place_for_it_are_named(tmp_path: Path, suffix: str) -> None:
    path = write_with_pyav(tmp_path / f"song{suffix}", tone(1, 48_000), 48_000)
    original = path.read_bytes()
    with pytest.raises(UntaggableError, match="cannot be tagged: expected MP3"):
        write_genres(path, ["Jazz"], journal=None)
    assert path.read_bytes() == original


@pytest.mark.parametrize(
    "content", [b"", b"plain text, nothing else\n" * 100, b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), b"RIFF\0\0\0\0WAVE"]
)
def test_what_is_no_audio_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(UntaggableError):
        write_genres(path, ["Jazz"], "overwrite", journal=None)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files_raise_what_is_ours_or_stay_whole(make_file: MakeFile, suffix: str, share: float) -> None:
    path = make_file(suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    original = path.read_bytes()
    try:
        write_genres(path, ["Jazz"], journal=path.with_suffix(".jsonl"))
    except UntaggableError:
        assert path.read_bytes() == original
        return
    assert read_genres(path) == ("Jazz",)
    assert [item.error for item in undo(path.with_suffix(".jsonl"))] == [None]
    assert path.read_bytes() == original
