"""Every place of a file that holds a genre is seen, and changed with the others, or the file is refused by its name."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import mutagen
import pytest

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags import plan_genres, read_genres, undo, write_genres
from genre_runtime.library.tags.vorbis import _flac_comments, _ogg_comments
from tests.runtime.library.conftest import MakeFile
from tests.runtime.library.tags.mpc_file import write_mpc
from tests.runtime.library.tags.readers import genre_seen_by_ffmpeg
from tests.runtime.library.tags.tag_bytes import (
    atom,
    comment_block,
    flac_block,
    flac_with,
    id3v1,
    id3v1_plus,
    id3v2,
    with_atom,
    with_info,
)

apev2: Any = import_module("mutagen.apev2")
asf: Any = import_module("mutagen.asf")
flac: Any = import_module("mutagen.flac")
id3: Any = import_module("mutagen.id3")
mp4: Any = import_module("mutagen.mp4")

ROCK_TAG = id3v2(4, (b"TIT2", b"\0title"), (b"TCON", b"\0Rock"))
XMP = b'XMP\0<x:xmpmeta xmpDM:genre="Rock"/>'


def with_ape(path: Path, genre: str) -> None:
    tags = apev2.APEv2()
    tags["Genre"], tags["Title"] = [genre], "title"
    tags.save(path)


def change_and_check(path: Path, old: tuple[str, ...], new: tuple[str, ...] = ("Jazz",)) -> bytes:
    """Overwrite the genre and return the bytes; without --overwrite the file has one, and undo restores it."""
    original = path.read_bytes()
    assert read_genres(path) == old
    assert write_genres(path, new, journal=None).reason == "has a genre"
    assert path.read_bytes() == original
    journal = path.with_suffix(".jsonl")
    assert write_genres(path, new, "overwrite", journal=journal).written
    changed = path.read_bytes()
    assert read_genres(path) == new
    assert plan_genres(path, new, "overwrite").reason == "has these genres"
    assert [item.error for item in undo(journal)] == [None]
    assert path.read_bytes() == original
    return changed


@pytest.mark.parametrize("in_front", [False, True])
@pytest.mark.parametrize("old", [b"Rock\0", b"R", b"Rockabilly and more\0"])
@pytest.mark.parametrize("new", [("Jazz",), ("Drum & Bass", "Ćumbia")])
def test_wav_with_an_info_list(make_file: MakeFile, in_front: bool, old: bytes, new: tuple[str, ...]) -> None:
    path = make_file(".wav")
    path.write_bytes(
        with_info(path.read_bytes(), (b"INAM", b"odd\0\0"), (b"IGNR", old), (b"ISFT", b"x"), in_front=in_front)
    )
    changed = change_and_check(path, (old.rstrip(b"\0").decode(),), new)
    assert len(changed) == struct.unpack("<I", changed[4:8])[0] + 8
    text = "/".join(new).encode() + b"\0"
    assert b"IGNR" + struct.pack("<I", len(text)) + text in changed
    assert changed.count(b"IGNR") == changed.count(b"INAM\x05\0\0\0odd\0\0\0") == changed.count(b"ISFT\1\0\0\0x\0") == 1
    path.write_bytes(changed)
    assert genre_seen_by_ffmpeg(path) in ("/".join(new), ";".join(new), new[0])


def test_wav_with_several_info_lists_and_genres(make_file: MakeFile) -> None:
    path = make_file(".wav")
    content = with_info(path.read_bytes(), (b"IGNR", b"Rock\0"), (b"IGNR", b"Pop\0"), in_front=True)
    content = with_info(content, (b"IART", b"artist\0"))
    path.write_bytes(with_info(content, (b"IGNR", b"Folk\0")))
    assert read_genres(path) == ("Rock", "Pop")
    assert plan_genres(path, ["Jazz"], "append").new == ("Rock", "Pop", "Folk", "Jazz")
    changed = change_and_check(path, ("Rock", "Pop"))
    assert changed.count(b"IGNR\5\0\0\0Jazz\0\0") == changed.count(b"IGNR") == 2


def test_wav_whose_info_list_and_id3_chunk_disagree(make_file: MakeFile) -> None:
    path = make_file(".wav")
    write_genres(path, ["Jazz"], journal=None)
    path.write_bytes(with_info(path.read_bytes(), (b"IGNR", b"Rock\0")))
    assert read_genres(path) == ("Jazz",)
    assert write_genres(path, ["Jazz"], "overwrite", journal=None).written  # the list is brought in step
    assert genre_seen_by_ffmpeg(path) == "Jazz"
    assert not write_genres(path, ["Jazz"], "overwrite", journal=None).written


def test_an_info_list_without_a_genre_stays(make_file: MakeFile) -> None:
    path = make_file(".wav")
    path.write_bytes(with_info(path.read_bytes(), (b"IART", b"artist\0")))
    write_genres(path, ["Jazz"], journal=None)
    assert b"IGNR" not in path.read_bytes()
    assert genre_seen_by_ffmpeg(path) == "Jazz"


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
def test_several_id3_chunks_are_refused(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    form = ">I" if suffix == ".aiff" else "<I"
    chunk = b"ID3 " + struct.pack(form, len(ROCK_TAG)) + ROCK_TAG + bytes(len(ROCK_TAG) % 2)
    content = path.read_bytes() + 2 * chunk
    path.write_bytes(content[:4] + struct.pack(form, len(content) - 8) + content[8:])
    with pytest.raises(UntaggableError, match="several ID3 chunks"):
        write_genres(path, ["Jazz"], journal=None)


def test_rf64_is_refused_by_name(make_file: MakeFile) -> None:
    path = make_file(".wav")
    content = path.read_bytes()
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, len(content) + 28, len(content) - 44, 0, 0)
    path.write_bytes(b"RF64\xff\xff\xff\xffWAVE" + ds64 + content[12:])
    with pytest.raises(UntaggableError, match="RF64"):
        read_genres(path)


def two_blocks(first: tuple[bytes, ...], second: tuple[bytes, ...]) -> Callable[[bytes], bytes]:
    return lambda content: flac_with(content, comment_block(*first), comment_block(*second, last=True))


@pytest.mark.parametrize(
    ("make", "old"),
    [
        (two_blocks((), (b"GENRE=Rock",)), ("Rock",)),
        (two_blocks((b"TITLE=a",), (b"genre=Rock", b"TITLE=b")), ("Rock",)),
        (two_blocks((b"GENRE=Blues",), (b"GENRE=Rock",)), ("Blues",)),
        (two_blocks((b"GENRE= ",), (b"Genre=Rock",)), ("Rock",)),
        (lambda content: ROCK_TAG + flac_with(content, comment_block(last=True)), ("Rock",)),
        (lambda content: ROCK_TAG + flac_with(content, comment_block(b"GENRE=Blues", last=True)), ("Blues",)),
        (lambda content: ROCK_TAG + flac_with(content), ("Rock",)),
        (lambda content: content + id3v1(b"title", 17), ("Rock",)),
        (lambda content: content + id3v1_plus(b"Hard Rock") + id3v1(b"title", 17), ("Hard Rock",)),
        (lambda content: ROCK_TAG + content + id3v1(b"title", 9), ("Rock",)),
    ],
)
def test_flac(make_file: MakeFile, make: Callable[[bytes], bytes], old: tuple[str, ...]) -> None:
    path = make_file(".flac")
    path.write_bytes(make(path.read_bytes()))
    changed = change_and_check(path, old)
    assert b"Rock" not in changed
    assert b"Blues" not in changed
    path.write_bytes(changed)
    assert genre_seen_by_ffmpeg(path) == "Jazz"  # once, and not "Jazz;Jazz"
    assert flac.FLAC(path)["genre"] == ["Jazz"]
    if b"TAG\0\0" in changed[-400:] or changed[-128:].startswith(b"TAG"):
        assert changed[-1] == 8


def test_flac_with_a_genre_in_apev2_is_refused_by_its_name(make_file: MakeFile) -> None:
    path = make_file(".flac")
    with_ape(path, "Rock")
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match="the APEv2 tag names the genre 'Rock', too"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)


@pytest.mark.parametrize("suffix", [".mp3", ".tta"])
def test_tags_that_disagree(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    path.write_bytes(id3v2(3, (b"TCON", b"\0Blues"), (b"TXXX", b"\0GENRE\0Folk")) + path.read_bytes())
    with_ape(path, "Pop")
    path.write_bytes(path.read_bytes() + id3v1_plus(b"Metal") + id3v1(b"title", 17))
    assert plan_genres(path, ["Jazz"], "append").new == ("Blues", "Folk", "Pop", "Jazz")
    changed = change_and_check(path, ("Blues",))
    assert not [word for word in (b"Blues", b"Folk", b"Pop", b"Metal") if word in changed]
    assert changed.count(b"Jazz") == 4
    assert changed[-1] == 8
    assert write_genres(path, ["Blues"], "overwrite", journal=None).written  # the others are brought in step
    assert not write_genres(path, ["Blues"], "overwrite", journal=None).written


def test_a_second_id3_tag_in_front_of_an_mp3_is_refused_if_it_has_a_genre(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    audio = path.read_bytes()
    path.write_bytes(id3v2(4, (b"TIT2", b"\0one")) + ROCK_TAG + audio)
    original = path.read_bytes()
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match="ID3v2 tag 2 in front of the audio names the genre 'Rock'"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)
    assert path.read_bytes() == original
    path.write_bytes(id3v2(4, (b"TIT2", b"\0one")) + id3v2(4, (b"TIT2", b"\0two")) + audio)
    change = write_genres(path, ["Jazz"], journal=None)
    assert change.written
    assert genre_seen_by_ffmpeg(path) == "Jazz"


@pytest.mark.parametrize("suffix", [".mp3", ".flac"])
def test_xmp_in_an_id3_tag_is_read_and_refused(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    path.write_bytes(id3v2(4, (b"PRIV", XMP)) + path.read_bytes())
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match="the XMP in the ID3v2 tag"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)


@pytest.mark.parametrize("kind", [".wv", ".ape", 7, 8])
@pytest.mark.parametrize("places", [("id3v2",), ("id3v1",), ("ape",), ("id3v2", "ape", "id3v1"), ("id3v2", "id3v1")])
def test_ape_tagged_containers(make_file: MakeFile, tmp_path: Path, kind: Any, places: tuple[str, ...]) -> None:
    path = make_file(kind) if isinstance(kind, str) else write_mpc(tmp_path / "song.mpc", kind)
    if "ape" in places:
        with_ape(path, "Rock")
    path.write_bytes(ROCK_TAG * ("id3v2" in places) + path.read_bytes() + id3v1(b"t", 17) * ("id3v1" in places))
    changed = change_and_check(path, ("Rock",))
    assert b"Rock" not in changed
    path.write_bytes(changed)
    assert list(apev2.APEv2(path)["Genre"]) == ["Jazz"]
    if "id3v2" in places:
        assert [str(id3.ID3(path)[name]) for name in ("TIT2", "TCON")] == ["title", "Jazz"]
    if "id3v1" in places:
        assert changed[-1] == 8


@pytest.mark.parametrize("name", ["----:com.apple.iTunes:GENRE", "----:org.example:genre"])
@pytest.mark.parametrize("with_own", [False, True])
def test_mp4_with_a_freeform_genre(make_file: MakeFile, name: str, with_own: bool) -> None:
    path = make_file(".m4a")
    opened = mp4.MP4(path)
    opened[name] = [b"Rock"]
    if with_own:
        opened["\xa9gen"] = ["Blues"]
    opened.save()
    changed = change_and_check(path, ("Blues",) if with_own else ("Rock",))
    path.write_bytes(changed)
    assert bytes(mp4.MP4(path)[name][0]) == b"Jazz"
    assert genre_seen_by_ffmpeg(path) == "Jazz"


def test_mp4_with_a_number_for_a_genre(make_file: MakeFile) -> None:
    path = make_file(".m4a")
    number = atom(b"gnre", atom(b"data", bytes(8), struct.pack(">H", 18)))
    opened = mp4.MP4(path)
    opened["\xa9nam"] = ["title"]
    opened.save()
    content = path.read_bytes()
    start = content.index(b"ilst") - 4
    size = int.from_bytes(content[start : start + 4], "big")
    free = content.index(b"free", start) - 4
    assert free == start + size
    room = int.from_bytes(content[free : free + 4], "big") - len(number)
    content = (
        content[:free]
        + number
        + struct.pack(">I", room)
        + content[free + 4 : free + room]
        + content[free + room + len(number) :]
    )
    path.write_bytes(content[:start] + struct.pack(">I", size + len(number)) + content[start + 4 :])
    changed = change_and_check(path, ("Rock",))
    assert b"gnre" not in changed


@pytest.mark.parametrize(
    ("path_to", "inner", "name"),
    [
        ((b"moov", b"udta"), atom(b"\xa9gen", struct.pack(">HH", 4, 0), b"Rock"), r"moov\.udta\.\xa9gen"),
        ((b"moov", b"udta"), atom(b"gnre", bytes(6), b"Rock\0"), r"moov\.udta\.gnre"),
        ((b"moov", b"trak"), atom(b"udta", atom(b"\xa9gen", struct.pack(">HH", 4, 0), b"Rock")), r"moov\.trak\.udta"),
        (
            (b"moov",),
            atom(
                b"meta",
                atom(b"hdlr", bytes(8), b"mdta", bytes(12)),
                atom(b"keys", bytes(4), b"\0\0\0\1", struct.pack(">I", 35), b"mdtacom.apple.quicktime.genre"[:27]),
                atom(b"ilst"),
            ),
            None,
        ),
        ((), atom(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), XMP), "the XMP atom"),
    ],
)
def test_mp4_atoms_that_cannot_be_written_are_named(
    make_file: MakeFile, path_to: tuple[bytes, ...], inner: bytes, name: str | None
) -> None:
    path = make_file(".m4a")
    content = path.read_bytes()
    path.write_bytes(with_atom(content, path_to, inner) if path_to else content + inner)
    original = path.read_bytes()
    if name is None:  # a list of keys without a value
        assert read_genres(path) == ()
        return
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match=name):
        write_genres(path, ["Jazz"], "overwrite", journal=None)
    assert path.read_bytes() == original
    assert write_genres(path, ["Rock"], "overwrite", journal=None).written is False


def test_mp4_with_a_quicktime_key(make_file: MakeFile) -> None:
    path = make_file(".m4a")
    key = b"com.apple.quicktime.genre"
    meta = atom(
        b"meta",
        atom(b"hdlr", bytes(8), b"mdta", bytes(12)),
        atom(b"keys", bytes(4), b"\0\0\0\1", struct.pack(">I", 8 + len(key)), b"mdta", key),
        atom(b"ilst", atom(b"\0\0\0\1", atom(b"data", b"\0\0\0\1", bytes(4), b"Rock"))),
    )
    path.write_bytes(with_atom(path.read_bytes(), (b"moov",), meta))
    assert genre_seen_by_ffmpeg(path) in ("Rock", None)
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match="the key 'genre'"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)


@pytest.mark.parametrize("name", ["genre", "Genre", "GENRE"])
def test_asf_with_an_attribute_of_another_name(make_file: MakeFile, name: str) -> None:
    path = make_file(".wma")
    opened = asf.ASF(path)
    opened[name] = ["Rock"]
    opened.save()
    changed = change_and_check(path, ("Rock",))
    path.write_bytes(changed)
    assert [str(value) for value in asf.ASF(path)["WM/Genre"]] == ["Jazz"]
    assert genre_seen_by_ffmpeg(path) == "Jazz"


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".oga"])
def test_a_later_link_of_a_chain(make_file: MakeFile, suffix: str, tmp_path: Path) -> None:
    path, second = make_file(suffix), tmp_path / f"second{suffix}"
    plain = path.read_bytes()
    second.write_bytes(plain)
    write_genres(second, ["Rock"], journal=None)
    path.write_bytes(plain + renumbered(second.read_bytes()))
    assert read_genres(path) == ("Rock",)
    with pytest.raises(UntaggableError, match="the comments of stream 2 names the genre 'Rock'"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)
    path.write_bytes(plain + renumbered(plain))
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert read_genres(path) == ("Jazz",)
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def renumbered(content: bytes) -> bytes:
    """Return an Ogg file with another serial number."""
    ogg: Any = import_module("mutagen.ogg")
    import io

    file, pages = io.BytesIO(content), b""
    while True:
        try:
            page = ogg.OggPage(file)
        except EOFError:
            return pages
        page.serial ^= 0x5A5A
        pages += page.write()


@pytest.mark.parametrize("suffix", [".ogg", ".m4a", ".wma", ".wav", ".aiff"])
def test_an_id3_tag_in_front_of_other_containers_is_named(make_file: MakeFile, suffix: str) -> None:
    path = make_file(suffix)
    path.write_bytes(ROCK_TAG + path.read_bytes())
    with pytest.raises(UntaggableError, match="an ID3v2 tag precedes"):
        write_genres(path, ["Jazz"], "overwrite", journal=None)


@pytest.mark.parametrize("odd", [b"M\xc3\xbcll=x", b"Sony Ogg Vorbis 1.0 Final", b"", b"=", b"artist=M\xe4rchen"])
def test_comments_that_mutagen_would_change_are_kept(make_file: MakeFile, tmp_path: Path, odd: bytes) -> None:
    path = make_file(".flac")
    path.write_bytes(flac_with(path.read_bytes(), comment_block(b"genre=Pop", odd, b"TITLE=t", last=True)))
    original = path.read_bytes()
    write_genres(path, ["Jazz", "Rock"], "overwrite", journal=tmp_path / "j")
    (block,) = _flac_comments(io.BytesIO(path.read_bytes()))
    assert block.entries == (odd, b"TITLE=t", b"GENRE=Jazz", b"GENRE=Rock")
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".oga"])
def test_a_comment_without_a_name_is_kept_in_ogg(make_file: MakeFile, tmp_path: Path, suffix: str) -> None:
    path = make_file(suffix)
    opened = mutagen.File(path)
    opened["artist"], nameless = "x", b"Sony Ogg Vorbis"
    opened.tags.write = partial(_with_entry, opened.tags.write, nameless)
    opened.save()
    original = path.read_bytes()
    assert nameless in original
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert read_genres(path) == ("Jazz",)
    assert {nameless, b"artist=x"} <= set(_ogg_comments(io.BytesIO(path.read_bytes()))[0].entries)
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def _with_entry(write: Callable[..., bytes], entry: bytes, framing: bool = True) -> bytes:
    """Return a block of comments with an entry more."""
    block = write(framing=False)
    count = 4 + struct.unpack_from("<I", block)[0]
    (number,) = struct.unpack_from("<I", block, count)
    entries = block[count + 4 :] + struct.pack("<I", len(entry)) + entry
    return block[:count] + struct.pack("<I", number + 1) + entries + b"\x01" * framing


@pytest.mark.parametrize("n_paddings", [0, 1, 2, 5])
@pytest.mark.parametrize("with_comments", [False, True])
def test_flac_with_any_number_of_paddings_and_without_comments(
    make_file: MakeFile, tmp_path: Path, n_paddings: int, with_comments: bool
) -> None:
    path = make_file(".flac")
    blocks = [flac_block(1, bytes(100 * i)) for i in range(n_paddings)]
    blocks[1:1] = [flac_block(2, b"testapplication")]
    blocks[3:3] = [comment_block(b"TITLE=t")] * with_comments
    blocks[-1] = bytes((blocks[-1][0] | 0x80,)) + blocks[-1][1:]
    path.write_bytes(flac_with(path.read_bytes(), *blocks))
    original = path.read_bytes()
    assert read_genres(path) == ()
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert read_genres(path) == ("Jazz",)
    assert flac.FLAC(path)["genre"] == ["Jazz"]
    assert b"testapplication" in path.read_bytes()
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("suffix", [".m4a", ".alac.m4a", ".mp4"])
def test_mp4_without_any_tags(make_file: MakeFile, tmp_path: Path, suffix: str) -> None:
    path = make_file(suffix)
    path.write_bytes(path.read_bytes().replace(b"udta", b"free"))
    original = path.read_bytes()
    assert mp4.MP4(path).tags is None
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert genre_seen_by_ffmpeg(path) == "Jazz"
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("cut", [0, 1, 50, 200, 333])
@pytest.mark.parametrize("with_ape_tag", [False, True])
def test_mp3_with_tags_at_both_ends(
    make_file: MakeFile, tmp_path: Path, version: int, cut: int, with_ape_tag: bool
) -> None:
    """The audio stays the same, whatever the tags' lengths and wherever the last frame ends."""
    path = make_file(".mp3")
    title = (b"TT2" if version == 2 else b"TIT2", b"\0title")
    content = path.read_bytes()
    path.write_bytes(id3v2(version, title) + content[: len(content) - cut])
    if with_ape_tag:
        with_ape(path, "Rock")
    path.write_bytes(path.read_bytes() + id3v1(b"title", 17))
    original = path.read_bytes()
    write_genres(path, ["Jazz", "a longer name of a genre " * 8], "overwrite", journal=tmp_path / "j")
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


@pytest.mark.parametrize(
    "suffix", [".ogg", ".opus", ".m4a", ".flac", ".wav", ".wma", ".ape", ".wv", ".mpc", ".mp3", ".tta"]
)
def test_text_is_named_for_what_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song{suffix}"
    path.write_bytes(b"plain text, nothing else\n" * 100)
    with pytest.raises(UntaggableError, match="begins with the text 'plain text, noth'") as caught:
        write_genres(path, ["Jazz"], journal=None)
    assert "MPEG frame" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "nothing at all"),
        (ROCK_TAG, "nothing but an ID3v2 tag"),
        (b"DSD \x1c\0\0\0\xff" + bytes(2_000), "dsf files cannot be tagged"),
        (b"\xff\xfb\x90\x64" + bytes(300), "begins like an MP3 file"),
    ],
)
def test_what_is_not_audio_of_a_known_kind_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(UntaggableError, match=words):
        read_genres(path)


@pytest.mark.parametrize(
    ("name", "data"), [(b"TENC", b"\1"), (b"TCOM", b"\0"), (b"WXXX", b"\0\0"), (b"TOPE", b"\1\xff\xfe\0\0")]
)
def test_empty_frames_do_not_forbid_writing(make_file: MakeFile, tmp_path: Path, name: bytes, data: bytes) -> None:
    path = make_file(".mp3")
    path.write_bytes(id3v2(3, (b"TIT2", b"\0title"), (name, data)) + path.read_bytes())
    original = path.read_bytes()
    write_genres(path, ["Jazz"], journal=tmp_path / "j")
    assert [item.error for item in undo(tmp_path / "j")] == [None]
    assert path.read_bytes() == original


def test_a_wav_file_whose_audio_claims_no_bytes_is_refused_in_words(make_file: MakeFile) -> None:
    path = make_file(".wav")
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + bytes(4) + content[at + 4 :])
    with pytest.raises(UntaggableError, match="claims to be empty"):
        write_genres(path, ["Jazz"], journal=None)
