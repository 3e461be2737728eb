"""Every field in every container and mode: read back by mutagen and by FFmpeg, and undone byte for byte."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import mutagen
import pytest

from genre_runtime.errors import InvalidInputError, UntaggableError
from genre_runtime.library.tags import Mode, plan_fields, read_fields, undo, write_fields
from genre_runtime.library.tags.fields import CONTENTS, field_of, parse_fields
from tests.runtime.library.conftest import SUFFIXES, MakeFile
from tests.runtime.library.tags.readers import fields_seen_by_ffmpeg, packets
from tests.runtime.library.tags.tag_bytes import id3v1, id3v1_plus, with_info

OWN = "AUDIO_CONFIDENCE"
FIELDS = ("genre", "style", "mood", "grouping", "comment", OWN)
KEYS = {
    "id3": ("TCON", "TXXX:STYLE", "TMOO", "TIT1", "COMM::eng", f"TXXX:{OWN}"),
    "vorbis": ("GENRE", "STYLE", "MOOD", "GROUPING", "COMMENT", OWN),
    "ape": ("Genre", "Style", "Mood", "Grouping", "Comment", OWN),
    "mp4": (
        *("\xa9gen", "----:com.apple.iTunes:STYLE", "----:com.apple.iTunes:MOOD", "\xa9grp", "\xa9cmt"),
        f"----:com.apple.iTunes:{OWN}",
    ),
    "asf": ("WM/Genre", "STYLE", "WM/Mood", "WM/ContentGroupDescription", "Description", OWN),
}
"""Where MusicBrainz Picard keeps the fields."""
KINDS = {".mp3": "id3", ".wav": "id3", ".aiff": "id3", ".tta": "id3", ".wma": "asf", ".wv": "ape", ".ape": "ape"}
KINDS |= dict.fromkeys((".m4a", ".alac.m4a", ".mp4"), "mp4")
BEFORE, ASKED = ("Blues", "ĆUMBIA"), ("Jazz", "blues", "音楽")


def stored(path: Path, field: str) -> tuple[str, ...]:
    opened: Any = mutagen.File(path)
    key = KEYS[KINDS.get("".join(path.suffixes), "vorbis")][FIELDS.index(field)]
    if key not in opened.tags:
        return ()
    values = opened.tags[key]
    return tuple(one.decode() if isinstance(one, bytes) else str(one) for one in getattr(values, "text", values))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("empty", (), ASKED),
        ("empty", BEFORE, BEFORE),
        ("overwrite", BEFORE, ASKED),
        ("append", BEFORE, (*BEFORE, "Jazz", "音楽")),
    ],
)
def test_matrix(
    make_file: MakeFile,
    tmp_path: Path,
    suffix: str,
    field: str,
    mode: Mode,
    before: tuple[str, ...],
    after: tuple[str, ...],
) -> None:
    path, journal = make_file(suffix), tmp_path / "journal.jsonl"
    others = {name: ("Rock",) for name in FIELDS if name != field}
    write_fields(path, others | ({field: before} if before else {}), journal=None)
    original, audio = path.read_bytes(), packets(path)
    change = write_fields(path, {field: ASKED}, mode, journal=journal)
    expected = ("; ".join(after),) if field == "comment" else after
    assert change.written is (before != after)
    assert (change.new, stored(path, field)) == (expected, expected)
    assert read_fields(path, FIELDS) == others | {field: expected}
    if suffix != ".ape":  # FFmpeg takes the tag for a part of the last frame
        assert packets(path) == audio
    seen = fields_seen_by_ffmpeg(path)
    assert seen[field.lower()] in (expected[0], ";".join(expected))
    assert {seen[name.lower()] for name in others} == {"Rock"}
    assert not write_fields(path, {field: ASKED}, mode, journal=None).written  # a second run finds nothing to do
    if before == after:
        assert path.read_bytes() == original
        return
    (undone,) = undo(journal)
    assert (undone.error, undone.values) == (
        None,
        {field: ("; ".join(before),) if field == "comment" and before else before},
    )
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_fields_change_in_one_step(make_file: MakeFile, tmp_path: Path, suffix: str) -> None:
    path, journal = make_file(suffix), tmp_path / "journal.jsonl"
    write_fields(path, {"mood": ["Sad"]}, journal=None)
    original = path.read_bytes()
    values = {name: [f"{name} 1", f"{name} 2"] for name in FIELDS}
    change = write_fields(path, values, journal=journal)
    assert {name for name, one in change.fields.items() if one.reason is None} == set(FIELDS) - {"mood"}
    assert (change.reason, change.fields["mood"].reason) == (None, "has a mood")
    assert read_fields(path, ["mood"]) == {"mood": ("Sad",)}
    assert len(journal.read_text().splitlines()) == 1
    assert [one.error for one in undo(journal)] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".wma", ".wv"])
@pytest.mark.parametrize("field", FIELDS)
def test_separator_joins_to_one_value(make_file: MakeFile, suffix: str, field: str) -> None:
    path = make_file(suffix)
    write_fields(path, {field: ["Rock", "Hip-Hop"]}, journal=None, separator=" / ")
    assert stored(path, field) == ("Rock / Hip-Hop",)
    modes: tuple[Mode, ...] = ("empty", "overwrite", "append")
    for mode in modes:
        assert not write_fields(path, {field: ["Rock", "Hip-Hop"]}, mode, journal=None, separator=" / ").written
    write_fields(path, {field: ["hip hop", "Pop"]}, "append", journal=None, separator=" / ")
    assert stored(path, field) == ("Rock / Hip-Hop / Pop",)


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".aiff", ".tta"])
@pytest.mark.parametrize("field", FIELDS)
def test_id3v23_joins_by_a_slash(make_file: MakeFile, suffix: str, field: str) -> None:
    path = make_file(suffix)
    write_fields(path, {field: ["Rock", "Pop"]}, journal=None, id3_version=3)
    opened: Any = mutagen.File(path)
    assert opened.tags.version == (2, 3, 0)
    assert stored(path, field) == ("Rock; Pop" if field == "comment" else "Rock/Pop",)
    modes: tuple[Mode, ...] = ("overwrite", "append")
    for mode in modes:
        assert not write_fields(path, {field: ["Rock", "Pop"]}, mode, journal=None).written


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_known_spelling_is_replaced_but_not_added(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    write_fields(path, {"genre": ["HIP HOP", "D&B"]}, journal=None)
    assert not write_fields(path, {"genre": ["Hip-Hop", "Drum and Bass"]}, "append", journal=None).written
    assert write_fields(path, {"genre": ["Hip-Hop", "Drum and Bass"]}, "overwrite", journal=None).written
    assert read_fields(path, ["genre"]) == {"genre": ("Hip-Hop", "Drum and Bass")}


def test_other_spellings_of_a_name_are_one_place(make_file: MakeFile) -> None:
    id3: Any = import_module("mutagen.id3")
    path = make_file(".mp3")
    tags = id3.ID3()
    tags.add(id3.TXXX(encoding=3, desc="Style", text=["Rock"]))
    tags.add(id3.TXXX(encoding=3, desc="mood", text=["Sad"]))
    tags.add(id3.GRP1(encoding=3, text=["Old"]))
    tags.add(id3.COMM(encoding=3, lang="deu", desc="", text=["alt"]))
    tags.add(id3.COMM(encoding=3, lang="eng", desc="iTunNORM", text=["00001234"]))
    tags.save(path)
    names = ("style", "mood", "grouping", "comment")
    assert read_fields(path, names) == dict(zip(names, [("Rock",), ("Sad",), ("Old",), ("alt",)], strict=True))
    write_fields(path, {name: ["New"] for name in names}, "overwrite", journal=None)
    found = id3.ID3(path)
    assert sorted(found) == sorted(
        ["TXXX:Style", "TXXX:mood", "TMOO", "GRP1", "TIT1", "COMM::deu", "COMM:iTunNORM:eng"]
    )
    assert {str(found[key]) for key in found if "iTunNORM" not in key} == {"New"}


@pytest.mark.parametrize(
    ("suffix", "key"), [(".m4a", "----:com.apple.iTunes:Mood"), (".m4a", "----:org.example:mood"), (".wma", "mood")]
)
def test_names_of_mp4_and_asf_in_another_case(make_file: MakeFile, suffix: str, key: str) -> None:
    path = make_file(suffix)
    opened: Any = mutagen.File(path)
    opened[key] = [b"Sad"] if suffix == ".m4a" else ["Sad"]
    opened.save()
    assert read_fields(path, ["mood"]) == {"mood": ("Sad",)}
    write_fields(path, {"mood": ["Happy"]}, "overwrite", journal=None)
    assert read_fields(path, ["mood"]) == {"mood": ("Happy",)}


def test_an_info_list_gets_the_same_comment(make_file: MakeFile) -> None:
    path = make_file(".wav")
    path.write_bytes(with_info(path.read_bytes(), (b"ICMT", b"ripped\0"), (b"IGNR", b"Rock\0")))
    assert read_fields(path, ["comment", "mood"]) == {"comment": ("ripped",), "mood": ()}
    write_fields(path, {"comment": ["Jazz"], "mood": ["Sad"]}, "overwrite", journal=None)
    content = path.read_bytes()
    assert b"ICMT\5\0\0\0Jazz\0" in content
    assert b"IGNR\5\0\0\0Rock\0" in content


@pytest.mark.parametrize("suffix", [".mp3", ".flac"])
def test_a_mood_leaves_the_genre_of_id3v1(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    tag = id3v1(b"title", 17)
    path.write_bytes(path.read_bytes() + tag)
    write_fields(path, {"mood": ["Sad"]}, journal=None)
    assert path.read_bytes().endswith(tag)
    assert read_fields(path, ["genre", "mood"]) == {"genre": ("Rock",), "mood": ("Sad",)}


@pytest.mark.parametrize("extension", [b"", id3v1_plus(b"Hip Hop")])
def test_joined_genres_agree_with_the_one_of_id3v1(make_file: MakeFile, extension: bytes) -> None:
    path = make_file(".mp3")
    write_fields(path, {"genre": ["Hip Hop"]}, journal=None, id3_version=3)
    path.write_bytes(path.read_bytes() + extension + id3v1(b"title", 7))
    assert write_fields(path, {"genre": ["Blues"]}, "append", journal=None).written
    assert not write_fields(path, {"genre": ["Blues"]}, "append", journal=None).written
    assert write_fields(path, {"genre": ["Soul"]}, "append", journal=None).new == ("Hip Hop/Blues", "Soul")
    assert read_fields(path, ["genre"]) == {"genre": ("Hip Hop/Blues/Soul",)}
    assert path.read_bytes().endswith(id3v1(b"title", 7))


@pytest.mark.parametrize("name", ["title", "Artist", "ALBUM", "Date", "year", "Track Number", "replaygain_track_gain"])
def test_fields_that_hold_something_else_are_refused(make_file: MakeFile, name: str) -> None:
    path = make_file(".mp3")
    original = path.read_bytes()
    with pytest.raises(InvalidInputError, match="holds something else than genres"):
        write_fields(path, {name: ["Rock"]}, journal=None)
    assert path.read_bytes() == original


@pytest.mark.parametrize(
    "name", ["", " ", "x", "a=b", "a:b", "WM/Mood", "Stimmung\n", "Stimmüng", "a\0b", "TAG", "\ud800a", "x" * 61, "-a"]
)
def test_names_that_no_container_could_hold_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be the name of a field"):
        field_of(name)


@pytest.mark.parametrize("value", ["", " ", "a\nb", "a\0b", "\x1b[31m", "\u202eevil", "\ud800"])
def test_hostile_values_are_refused(make_file: MakeFile, value: str) -> None:
    path = make_file(".flac")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_fields(path, {"mood": [value]}, journal=None)


@pytest.mark.parametrize("separator", ["", " ", "\n", "\0", "and", "\ud800"])
def test_separators_that_separate_nothing_are_refused(make_file: MakeFile, separator: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot separate values"):
        plan_fields(make_file(".flac"), {"mood": ["Sad"]}, separator=separator)


def test_a_value_with_the_separator_in_it_is_refused(make_file: MakeFile) -> None:
    with pytest.raises(InvalidInputError, match="has the separator '; ' in it"):
        plan_fields(make_file(".flac"), {"mood": ["Sad; tender"]}, separator="; ")


def test_a_long_value_is_written_whole_or_not_at_all(make_file: MakeFile) -> None:
    for suffix in SUFFIXES:
        path = make_file(suffix)
        original = path.read_bytes()
        try:
            write_fields(path, {"comment": ["ž" * 100_000]}, journal=None)
        except UntaggableError:
            assert path.read_bytes() == original
        else:
            assert read_fields(path, ["comment"]) == {"comment": ("ž" * 100_000,)}


def test_fields_are_parsed() -> None:
    assert parse_fields(["Genre=genre, styles", "mood", "MY_FIELD=confidence"]) == {
        "genre": ("genre", "styles"),
        "mood": ("moods",),
        "MY_FIELD": ("confidence",),
    }
    assert parse_fields(["style", "grouping", "comment"])["comment"] == ("genre", "styles", "moods")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["genre="], "cannot hold ''"),
        (["genre=genre,,styles"], "cannot hold ''"),
        (["genre=mood"], f"cannot hold 'mood': expected {', '.join(CONTENTS)}"),
        (["moods"], "is one of your own: say what it holds"),
        (["title=genre"], "holds something else"),
        (["=genre"], "cannot be the name"),
        (["genre", "GENRE=styles"], "is named twice"),
        (["My=moods", "my=styles"], "is named twice"),
    ],
)
def test_what_is_wrong_with_a_field_is_named(texts: list[str], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        parse_fields(texts)
