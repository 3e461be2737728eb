"""What kind of file it is, told by its first bytes and never by its name, and where its sound begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from genre_runtime.audio.structure.finding import read_at
from genre_runtime.audio.structure.mpeg import find_adts, find_frames
from genre_runtime.errors import UnreadableAudioError

HEAD_BYTES = 2**16
"""How far libsndfile searches for the first frame of an MP3 file."""

MAX_TAGS = 64
MAX_PADDING_BYTES = 2**24
SEARCH_BYTES = 2**22
"""How far the sound is searched for behind a tag whose size is wrong."""

# (offset, magic bytes, FFmpeg demuxer): what is not listed is not opened.
_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),  # M4A, MP4, ALAC
    (0, b"\x1a\x45\xdf\xa3", "matroska"),  # WebM, MKA
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),  # WMA
    (0, b"MAC ", "ape"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (8, b"WAVE", "wav"),  # RIFF, RIFX, RF64, BW64: see `sniff_container`
    (8, b"AVI ", "avi"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (8, b"8SVX", "iff"),
    (8, b"16SV", "iff"),
    (0, b"FRM8", "iff"),  # DSDIFF
    (0, b"DSD ", "dsf"),
    (0, b".snd", "au"),
    (0, b"wvpk", "wv"),
    (0, b"TTA1", "tta"),
    (0, b"tBaK", "tak"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    *((4, atom, "mov") for atom in (b"moov", b"mdat", b"wide")),
    *((0, bytes((0xFF, second)), "aac") for second in (0xF0, 0xF1, 0xF8, 0xF9)),  # ADTS
    (0, b"caff", "caf"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"Creative Voice File", "voc"),
    (0, b"#!AMR", "amr"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    *((0, bytes((0xFF, second)), "mp3") for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)),  # layer III
    *((0, bytes((0xFF, second)), "mp3") for second in (0xF4, 0xF5, 0xFC, 0xFD)),  # layer II
)
_FORMS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
"""What begins a file whose kind stands at its ninth byte."""

# (offset, magic bytes, words): what people take for music or name so by mistake.
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"MThd", "a MIDI file, which holds notes and no sound"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"MZ", "a program of Windows"),
    (0, b"\x00\x00\x01\xba", "an MPEG film"),
    (0, b"FLV", "a Flash film"),
)
_EXPECTED = "expected MP3, FLAC, WAV, Ogg, Opus, AIFF, M4A, WMA, APE or another audio format"


def sniff_container(head: bytes) -> str | None:
    """Return FFmpeg's name of the container whose first bytes are `head`, or None if unknown."""
    for offset, magic, name in _CONTAINERS:
        if head[offset : offset + len(magic)] == magic and (offset != 8 or head[:4] in _FORMS):
            is_enhanced = name == "ac3" and len(head) > 5 and head[5] >> 3 > 10
            return "eac3" if is_enhanced else name
    return None


@dataclass(frozen=True)
class SoundStart:
    """Where the sound of a file begins.

    Attributes
    ----------
    offset : int
        Bytes of tags and padding in front of it.
    head : bytes
        Its first 64 KiB.
    plain : bool
        Whether at most one ID3v2 tag of true size is in front of it, which decoders of MP3 skip by themselves.
    """

    offset: int
    head: bytes
    plain: bool


def find_sound(file: BinaryIO) -> SoundStart:
    """Find the sound behind ID3v2, ID3v1, APEv2 and Lyrics3 tags, in any number, and behind zeros.

    A tag whose size is wrong, or was not written in seven bits a byte as ID3v2 demands, is stepped over by searching
    for what can begin a stream of sound.
    """
    offset, n_steps, plain = 0, 0, True
    head = read_at(file, 0, HEAD_BYTES)
    while n_steps < MAX_TAGS and sniff_container(head) is None:
        behind, honest = _behind_tag(file, offset, head)
        if behind is None:  # perhaps rubbish in front of an MP3
            found = None if not offset and not head.count(b"\xff") else find_frames(head, 4)
            behind, honest = (None if not found else offset + found), True
        if behind is None:
            break
        plain = plain and honest and not n_steps
        offset, n_steps = behind, n_steps + 1
        head = read_at(file, offset, HEAD_BYTES)
    return SoundStart(offset, head, plain)


def _behind_tag(file: BinaryIO, offset: int, head: bytes) -> tuple[int | None, bool]:
    """Return where what begins with `head` ends, None if it is no tag; and whether it is one that decoders skip."""
    if head[:3] == b"ID3" and len(head) >= 10:
        return _behind_id3(file, offset, head)
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        return offset + 32 + int.from_bytes(head[12:16], "little"), False
    if head[:4] == b"TAG+":
        return offset + 227, False
    if head[:3] == b"TAG":
        return offset + 128, False
    if head[:11] == b"LYRICSBEGIN":
        end = max(head.find(b"LYRICSEND"), head.find(b"LYRICS200"))
        return (offset + end + 9, False) if end > 0 else (None, False)
    if head[:1] == b"\0":
        return _behind_zeros(file, offset), False
    return None, False


def _behind_id3(file: BinaryIO, offset: int, head: bytes) -> tuple[int | None, bool]:
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    footer = 10 if head[5] & 0x10 else 0
    named = offset + 10 + size + footer
    if max(head[6:10]) < 0x80 and _goes_on(file, named):
        return named, not footer
    plain = offset + 10 + int.from_bytes(head[6:10]) + footer
    if _goes_on(file, plain):
        return plain, False
    for begin in (offset + 10, named):
        found = _search(read_at(file, begin, SEARCH_BYTES))
        if found is not None:
            return begin + found, False
    return named, False


def _goes_on(file: BinaryIO, offset: int) -> bool:
    """Tell whether sound, another tag or zeros begin at an offset."""
    head = read_at(file, offset, 64)
    tags = (b"ID3", b"APETAGEX", b"TAG", b"LYRICSBEGIN", b"\0\0\0\0")
    return sniff_container(head) is not None or head.startswith(tags)


def _behind_zeros(file: BinaryIO, offset: int) -> int | None:
    """Return where zeros end; what begins with zeros of its own, as MP4 does, begins there."""
    for at in range(offset, offset + MAX_PADDING_BYTES, SEARCH_BYTES):
        content = read_at(file, at, SEARCH_BYTES)
        n_zeros = len(content) - len(content.lstrip(b"\0"))
        if n_zeros < len(content):
            behind = at + n_zeros
            for begin in range(max(offset + 1, behind - 3), behind):
                if sniff_container(read_at(file, begin, 64)) is not None:
                    return begin
            return behind if _goes_on(file, behind) else _found_behind(file, behind)
        if len(content) < SEARCH_BYTES:
            return None
    return None


def _found_behind(file: BinaryIO, offset: int) -> int | None:
    found = _search(read_at(file, offset, SEARCH_BYTES))
    return None if found is None else offset + found


def _search(content: bytes) -> int | None:
    """Return where a stream of sound begins in `content`, or None."""
    places = [content.find(magic) - offset for offset, magic, _ in _CONTAINERS if len(magic) >= 4]
    framed = (find_frames(content, 4), find_adts(content, 4))
    found = [place for place in (*places, *framed) if place is not None and place >= 0]
    return min((place for place in found if sniff_container(content[place : place + 64])), default=None)


def head_behind_tags(file: BinaryIO) -> bytes:
    """Return the first 64 KiB of an open file behind whatever precedes its sound."""
    return find_sound(file).head


def may_be_audio(head: bytes) -> bool:
    """Tell text and the like from audio before a decoder searches it for sound, and complains on stderr.

    An MP3 may begin with rubbish, but its frames begin with a byte that text never holds; so does, somewhere
    in 64 KiB, any sampled sound of the rarer formats that only libsndfile knows.
    """
    return sniff_container(head) is not None or (b"\xff" in head and _other(head) is None)


def not_audio(head: bytes) -> UnreadableAudioError:
    """Make the error for a file that begins with `head`."""
    other = _other(head)
    if other is not None:
        return UnreadableAudioError(f"not an audio file but {other}: {_EXPECTED}")
    if not head:
        return UnreadableAudioError("the file holds tags (ID3 or APE) and nothing behind them: expected sound")
    if not head.strip(b"\0"):
        return UnreadableAudioError(f"the file holds nothing but zeros: {_EXPECTED}")
    text = head[:16].decode("ascii", errors="replace")
    is_text = text.isascii() and all(character.isprintable() or character.isspace() for character in text)
    found = f"the text {text!r}" if is_text else f"the bytes {head[:8].hex(' ')}"
    return UnreadableAudioError(f"not an audio file: it begins with {found}, {_EXPECTED}")


def _other(head: bytes) -> str | None:
    for offset, magic, words in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return words
    return "an HTML page" if head[:256].lstrip().lower().startswith((b"<!doctype html", b"<html")) else None
