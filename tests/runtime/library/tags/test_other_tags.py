"""What else is in the tags stays: frames nobody knows, pictures, comments, replay gain, other versions."""

from __future__ import annotations

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags import read_genres, undo, write_genres
from tests.runtime.library.conftest import MakeFile
from tests.runtime.library.tags.mpc_file import write_mpc
from tests.runtime.library.tags.tag_bytes import id3v1, id3v2

apev2: Any = import_module("mutagen.apev2")  # mutagen's own types are incomplete
flac: Any = import_module("mutagen.flac")
id3: Any = import_module("mutagen.id3")
mp4: Any = import_module("mutagen.mp4")

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def test_flac_keeps_pictures_comments_and_blocks(make_file: MakeFile) -> None:
    path = make_file(".flac")
    opened: Any = flac.FLAC(path)
    opened["REPLAYGAIN_TRACK_GAIN"] = ["-7.5 dB"]
    opened["artist"] = ["one", "two"]
    picture = flac.Picture()
    picture.data, picture.type, picture.mime = PICTURE, 3, "image/png"
    opened.add_picture(picture)
    opened.save()
    before: Any = flac.FLAC(path)
    write_genres(path, ["Jazz", "Pop"], journal=None)
    found: Any = flac.FLAC(path)
    assert found.pictures[0].data == PICTURE
    assert found["artist"] == ["one", "two"]
    assert found["replaygain_track_gain"] == ["-7.5 dB"]
    assert [block.code for block in found.metadata_blocks] == [block.code for block in before.metadata_blocks]


def test_mp4_keeps_covers_and_freeform_items(make_file: MakeFile) -> None:
    path = make_file(".m4a")
    opened: Any = mp4.MP4(path)
    opened["covr"] = [mp4.MP4Cover(PICTURE, mp4.MP4Cover.FORMAT_PNG)]
    opened["----:com.apple.iTunes:replaygain_track_gain"] = [b"-7.5 dB"]
    opened["\xa9nam"] = ["title"]
    opened.save()
    before = dict(mp4.MP4(path).tags)
    write_genres(path, ["Jazz"], journal=None)
    after = dict(mp4.MP4(path).tags)
    assert after.pop("\xa9gen") == ["Jazz"]
    assert after == before


@pytest.mark.parametrize("version", [3, 4])
def test_id3_keeps_its_version_and_every_frame(make_file: MakeFile, tmp_path: Path, version: int) -> None:
    path = make_file(".mp3")
    unknown = (b"XYZQ", b"whatever that is")
    year = (b"TYER", b"\x001999") if version == 3 else (b"TDRC", b"\x001999-05")
    artists = (b"TPE1", b"\x00one\x00two")
    path.write_bytes(id3v2(version, year, artists, unknown, (b"TCON", b"\x00(17)")) + path.read_bytes())
    tags: Any = id3.ID3(path, translate=False)
    tags.add(id3.APIC(mime="image/png", type=3, data=PICTURE))
    tags.add(id3.COMM(lang="deu", desc="", text="Grüße"))
    tags.add(id3.TXXX(desc="replaygain_track_gain", text="-7.5 dB"))
    tags.save(path, v2_version=version, v23_sep=None)
    original = path.read_bytes()
    before: Any = id3.ID3(path, translate=False)
    assert read_genres(path) == ("Rock",)
    assert write_genres(path, ["Jazz"], journal=None).reason == "has a genre"
    write_genres(path, ["Jazz"], "overwrite", journal=tmp_path / "j")
    after: Any = id3.ID3(path, translate=False)
    assert after.version == (2, version, 0)
    assert after.unknown_frames == before.unknown_frames
    assert b"XYZQ" in after.unknown_frames[0]
    assert {k: v for k, v in after.items() if k != "TCON"} == {k: v for k, v in before.items() if k != "TCON"}
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def test_unknown_frames_forbid_another_version(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    path.write_bytes(id3v2(3, (b"TIT2", b"\0title"), (b"XYZQ", b"what")) + path.read_bytes())
    original = path.read_bytes()
    with pytest.raises(UntaggableError, match=r"ID3v2\.3 tag holds frames .* keep its version"):
        write_genres(path, ["Jazz"], journal=None, id3_version=4)
    assert path.read_bytes() == original


COMMENT = b"\0eng\0"


@pytest.mark.parametrize(
    ("version", "frames", "lost"),
    [
        (3, [(b"TALB", b"\x09of no known encoding")], "TALB"),
        (4, [(b"POPM", b"somebody")], "POPM"),
        (3, [(b"COMM", COMMENT + b"one"), (b"COMM", COMMENT + b"two")], "COMM"),
        (3, [(b"POPM", b"a\0\1"), (b"POPM", b"a\0\2")], "POPM"),
        (2, [(b"TAL", b"\x09of no known encoding")], "TALB"),
    ],
)
def test_frames_that_would_be_lost_are_named(
    make_file: MakeFile, version: int, frames: list[tuple[bytes, bytes]], lost: str
) -> None:
    path = make_file(".mp3")
    title = (b"TT2" if version == 2 else b"TIT2", b"\0title")
    path.write_bytes(id3v2(version, title, *frames) + path.read_bytes())
    original = path.read_bytes()
    with pytest.raises(UntaggableError, match=rf"would be lost \({lost}\)"):
        write_genres(path, ["Jazz"], journal=None)
    assert path.read_bytes() == original


@pytest.mark.parametrize("kind", [".wav", ".aiff"])
def test_frames_that_would_be_lost_are_named_in_chunks(make_file: MakeFile, kind: str) -> None:
    path = make_file(kind)
    write_genres(path, ["Rock"], journal=None, id3_version=3)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"TCON", b"TALB").replace(b"\0Rock", b"\x09Rock"))
    with pytest.raises(UntaggableError, match=r"would be lost \(TALB\)"):
        write_genres(path, ["Jazz"], journal=None)


def test_texts_of_one_name_are_joined(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    twice = [(b"TPE1", b"\0one"), (b"TPE1", b"\0two"), (b"COMM", COMMENT + b"of its own")]
    path.write_bytes(id3v2(4, *twice) + path.read_bytes())
    write_genres(path, ["Jazz"], journal=None)
    found: Any = id3.ID3(path)
    assert found["TPE1"].text == ["one", "two"]
    assert found.getall("COMM")[0].text == ["of its own"]


def test_sizes_as_itunes_wrote_them(make_file: MakeFile, tmp_path: Path) -> None:
    path = make_file(".mp3")
    title = b"\3" + b"x" * 299  # its size is not given in seven bits a byte, as version 2.4 has it
    body = b"TIT2" + struct.pack(">IH", len(title), 0) + title + b"TPE1" + struct.pack(">IH", 4, 0) + b"\3one"
    head = b"ID3\4\0\0" + bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(head + body + path.read_bytes())
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    found: Any = id3.ID3(path)
    assert (str(found["TIT2"]), str(found["TPE1"])) == ("x" * 299, "one")
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def test_a_wav_file_with_a_forged_size_is_an_error_of_ours(make_file: MakeFile) -> None:
    path = make_file(".wav")
    path.write_bytes(path.read_bytes()[:4] + b"\xff\xff\xff\xff" + path.read_bytes()[8:])
    original = path.read_bytes()
    with pytest.raises(UntaggableError, match="damaged"):
        write_genres(path, ["Jazz"], journal=None)
    assert path.read_bytes() == original


def test_a_version_asked_for_carries_the_frames_over(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    path.write_bytes(id3v2(4, (b"TIT2", b"\0title"), (b"TDRC", b"\x001999-05-06")) + path.read_bytes())
    write_genres(path, ["Jazz"], journal=None, id3_version=3)
    found: Any = id3.ID3(path, translate=False)
    assert found.version == (2, 3, 0)
    assert [str(found[name]) for name in ("TIT2", "TYER", "TCON")] == ["title", "1999", "Jazz"]


def test_id3v22_becomes_23(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    path.write_bytes(id3v2(2, (b"TT2", b"\0title"), (b"TCO", b"\0(8)")) + path.read_bytes())
    assert read_genres(path) == ("Jazz",)
    write_genres(path, ["Pop"], "append", journal=None)
    found: Any = id3.ID3(path, translate=False)
    assert found.version == (2, 3, 0)
    assert [str(found[name]) for name in ("TIT2", "TCON")] == ["title", "Jazz/Pop"]


@pytest.mark.parametrize(("genre", "number"), [("Hip Hop", 7), ("hiphop", 7), ("Psybient", 191), ("Own", 255)])
def test_id3v1_is_kept_in_step(make_file: MakeFile, tmp_path: Path, genre: str, number: int) -> None:
    path = make_file(".mp3")
    tail = id3v1(b"old title", 17)
    path.write_bytes(id3v2(4, (b"TIT2", b"\0new title")) + path.read_bytes() + tail)
    original = path.read_bytes()
    assert read_genres(path) == ("Rock",)
    write_genres(path, [genre, "Pop"], "overwrite", journal=tmp_path / "j")
    assert path.read_bytes()[-128:] == tail[:-1] + bytes((number,))
    assert read_genres(path) == (genre, "Pop")
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def test_a_file_with_id3v1_alone_keeps_its_title(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    path.write_bytes(path.read_bytes() + id3v1(b"old title", 255))
    write_genres(path, ["Jazz"], journal=None)
    found: Any = id3.ID3(path, load_v1=False)
    assert [str(found[name]) for name in ("TIT2", "TCON")] == ["old title", "Jazz"]
    assert path.read_bytes()[-128:] == id3v1(b"old title", 8)


@pytest.mark.parametrize("suffix", [".mp3", ".tta", ".wv", ".ape"])
def test_apev2_and_id3v1_at_the_end(make_file: MakeFile, tmp_path: Path, suffix: str) -> None:
    path = make_file(suffix)
    ape = apev2.APEv2()
    ape["Genre"], ape["REPLAYGAIN_TRACK_GAIN"] = ["Rock"], "-7.5 dB"
    ape.save(path)
    path.write_bytes(path.read_bytes() + id3v1(b"title", 17))
    original = path.read_bytes()
    assert read_genres(path) == ("Rock",)
    write_genres(path, ["Jazz", "Pop"], "overwrite", journal=tmp_path / "j")
    found = apev2.APEv2(path)
    assert list(found["Genre"]) == ["Jazz", "Pop"]
    assert str(found["REPLAYGAIN_TRACK_GAIN"]) == "-7.5 dB"
    assert path.read_bytes()[-128:] == id3v1(b"title", 8)
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("stream_version", [7, 8])
@pytest.mark.parametrize("with_id3v1", [False, True])
def test_musepack(tmp_path: Path, stream_version: int, with_id3v1: bool) -> None:
    path, journal = write_mpc(tmp_path / "song.mpc", stream_version), tmp_path / "j"
    path.write_bytes(path.read_bytes() + id3v1(b"title", 255) * with_id3v1)
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=journal)
    write_genres(path, ["Ćumbia", "Pop"], "append", journal=journal)
    assert read_genres(path) == ("Jazz", "Ćumbia", "Pop")
    assert list(apev2.APEv2(path)["Genre"]) == ["Jazz", "Ćumbia", "Pop"]
    audio = original[: len(original) - 128 * with_id3v1]
    assert path.read_bytes().startswith(audio)
    assert [(item.n_restored, item.error) for item in undo(journal)] == [(2, None)]
    assert path.read_bytes() == original


def test_comments_that_are_no_utf8_are_not_damaged(make_file: MakeFile) -> None:
    path = make_file(".flac")
    opened: Any = flac.FLAC(path)
    opened["artist"] = ["M@rchen"]
    opened.save()
    path.write_bytes(path.read_bytes().replace(b"M@rchen", b"M\xe4rchen"))
    write_genres(path, ["Jazz"], journal=None)
    assert read_genres(path) == ("Jazz",)
    assert b"M\xe4rchen" in path.read_bytes()


@pytest.mark.parametrize(("text", "genre"), [(b"Rock\0", "Rock"), (b"M\xfcll\0\0", "Müll"), (b"\0", None)])
def test_the_info_list_of_a_wav_file_counts(make_file: MakeFile, text: bytes, genre: str | None) -> None:
    path = make_file(".wav")
    content = path.read_bytes()
    texts = b"INFO" + b"".join(
        name + struct.pack("<I", len(value)) + value + bytes(len(value) % 2)
        for name, value in ((b"INAM", b"odd\0\0"), (b"IGNR", text))
    )
    chunk = b"LIST" + struct.pack("<I", len(texts)) + texts
    path.write_bytes(content[:4] + struct.pack("<I", len(content) + len(chunk) - 8) + content[8:] + chunk)
    assert read_genres(path) == (() if genre is None else (genre,))
    assert write_genres(path, ["Jazz"], journal=None).written is (genre is None)
    write_genres(path, ["Jazz"], "overwrite", journal=None)
    assert read_genres(path) == ("Jazz",)
    assert b"INAM\x05\0\0\0odd\0\0\0IGNR\x05\0\0\0Jazz\0\0" in path.read_bytes()
