"""The container of a file, known by its first bytes and never by its name, and where its audio begins.

`structure` examines the containers whose headers can be checked. Imports `structure` and `errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from genre_runtime.audio.structure import Examiner, Structure, indexed, mpeg, pcm, read_at, xiph
from genre_runtime.audio.structure.mpeg import find_adts, find_frames
from genre_runtime.errors import UnreadableAudioError

HEAD_BYTES = 2**16
"""How far libsndfile searches for the first frame of an MP3 file."""

MAX_TAGS = 64
MAX_PADDING_BYTES = 2**24
SEARCH_BYTES = 2**22
"""How far the audio is searched for after a tag whose size is wrong."""

# (offset, magic bytes, FFmpeg demuxer); PyAV opens no other container.
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
_FORM_TYPES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
"""First bytes of the files whose magic bytes are at offset 8."""

# (offset, magic bytes, description) of files that are often given audio names by mistake.
_OTHER_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"MThd", "a MIDI file, which holds notes instead of audio"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"MZ", "a Windows program"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"FLV", "a Flash video"),
)
_EXPECTED = "expected MP3, FLAC, WAV, Ogg, Opus, AIFF, M4A, WMA, APE or another audio format"


def sniff_container(head: bytes) -> str | None:
    """Return FFmpeg's name of a container, or None if it is unknown.

    Parameters
    ----------
    head : bytes
        First bytes of the container, 64 or more.
    """
    for offset, magic, name in _CONTAINERS:
        if head[offset : offset + len(magic)] == magic and (offset != 8 or head[:4] in _FORM_TYPES):
            is_enhanced = name == "ac3" and len(head) > 5 and head[5] >> 3 > 10
            return "eac3" if is_enhanced else name
    return None


@dataclass(frozen=True)
class AudioStart:
    """Where the audio of a file begins.

    Attributes
    ----------
    offset : int
        Bytes of tags and padding before it.
    head : bytes
        First 64 KiB of the audio.
    is_skippable : bool
        Whether at most one ID3v2 tag of correct size precedes it, which MP3 decoders skip on their own.
    """

    offset: int
    head: bytes
    is_skippable: bool


def find_audio_start(file: BinaryIO) -> AudioStart:
    """Find the audio after any number of ID3v2, ID3v1, APEv2 and Lyrics3 tags and zero bytes.

    If the size of a tag is wrong, or not written in seven bits per byte as ID3v2 requires, the start of an audio stream
    is searched for.

    Parameters
    ----------
    file : seekable binary file
    """
    offset, n_steps, is_skippable = 0, 0, True
    head = read_at(file, 0, HEAD_BYTES)
    while n_steps < MAX_TAGS and sniff_container(head) is None:
        end, tag_is_skippable = _tag_end(file, offset, head)
        if end is None:  # an MP3 may begin with arbitrary bytes
            found = find_frames(head, 4)
            end, tag_is_skippable = (None if not found else offset + found), True
        if end is None:
            break
        is_skippable = is_skippable and tag_is_skippable and not n_steps
        offset, n_steps = end, n_steps + 1
        head = read_at(file, offset, HEAD_BYTES)
    return AudioStart(offset, head, is_skippable)


def _tag_end(file: BinaryIO, offset: int, head: bytes) -> tuple[int | None, bool]:
    """Return the end of the tag or padding at `offset`, None if there is none; and whether decoders skip it."""
    if head[:3] == b"ID3" and len(head) >= 10:
        return _id3_end(file, offset, head)
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
        return _padding_end(file, offset), False
    return None, False


def _id3_end(file: BinaryIO, offset: int, head: bytes) -> tuple[int | None, bool]:
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    footer = 10 if head[5] & 0x10 else 0
    end = offset + 10 + size + footer
    if max(head[6:10]) < 0x80 and _audio_or_tag_at(file, end):
        return end, not footer
    end_of_8_bits = offset + 10 + int.from_bytes(head[6:10]) + footer
    if _audio_or_tag_at(file, end_of_8_bits):
        return end_of_8_bits, False
    found = (_search_audio(file, begin) for begin in (offset + 10, end))
    return next((begin for begin in found if begin is not None), end), False


def _audio_or_tag_at(file: BinaryIO, offset: int) -> bool:
    """Tell whether audio, another tag or zeros begin at an offset."""
    head = read_at(file, offset, 64)
    tags = (b"ID3", b"APETAGEX", b"TAG", b"LYRICSBEGIN", b"\0\0\0\0")
    return sniff_container(head) is not None or head.startswith(tags)


def _padding_end(file: BinaryIO, offset: int) -> int | None:
    """Return where zeros end and audio begins; a container such as MP4 may begin with zeros of its own."""
    for at in range(offset, offset + MAX_PADDING_BYTES, SEARCH_BYTES):
        content = read_at(file, at, SEARCH_BYTES)
        n_zeros = len(content) - len(content.lstrip(b"\0"))
        if n_zeros < len(content):
            end = at + n_zeros
            for begin in range(max(offset + 1, end - 3), end):
                if sniff_container(read_at(file, begin, 64)) is not None:
                    return begin
            return end if _audio_or_tag_at(file, end) else _search_audio(file, end)
        if len(content) < SEARCH_BYTES:
            return None
    return None


def _search_audio(file: BinaryIO, offset: int) -> int | None:
    """Return where an audio stream begins within `SEARCH_BYTES` after an offset, or None."""
    content = read_at(file, offset, SEARCH_BYTES)
    places = [content.find(magic) - at for at, magic, _ in _CONTAINERS if len(magic) >= 4]
    framed = (find_frames(content, 4), find_adts(content, 4))
    found = [place for place in (*places, *framed) if place is not None and place >= 0]
    return min((offset + place for place in found if sniff_container(content[place : place + 64])), default=None)


def read_head(file: BinaryIO) -> bytes:
    """Return the first 64 KiB of the audio of a file, after tags and padding.

    Parameters
    ----------
    file : seekable binary file
    """
    return find_audio_start(file).head


def may_be_audio(head: bytes) -> bool:
    """Tell whether a file may be audio; text, for example, is not.

    Text never contains the byte 0xFF, with which MP3 frames begin and which 64 KiB of samples in the rarer formats that
    only libsndfile knows contain, too. Decoders would search the file for audio and print to stderr.

    Parameters
    ----------
    head : bytes
        First 64 KiB of the file, after tags.
    """
    return sniff_container(head) is not None or (b"\xff" in head and _other_kind(head) is None)


def not_audio_error(head: bytes) -> UnreadableAudioError:
    """Return the error for a file that is not audio.

    Parameters
    ----------
    head : bytes
        First 64 KiB of the file, after tags.
    """
    other = _other_kind(head)
    if other is not None:
        return UnreadableAudioError(f"not an audio file but {other}: {_EXPECTED}")
    if not head:
        return UnreadableAudioError("the file holds only tags (ID3 or APE): expected audio after them")
    if not head.strip(b"\0"):
        return UnreadableAudioError(f"the file holds only zeros: {_EXPECTED}")
    text = head[:16].decode("ascii", errors="replace")
    is_text = text.isascii() and all(character.isprintable() or character.isspace() for character in text)
    found = f"the text {text!r}" if is_text else f"the bytes {head[:8].hex(' ')}"
    return UnreadableAudioError(f"not an audio file: it begins with {found}, {_EXPECTED}")


def _other_kind(head: bytes) -> str | None:
    for offset, magic, description in _OTHER_KINDS:
        if head[offset : offset + len(magic)] == magic:
            return description
    return "an HTML page" if head[:256].lstrip().lower().startswith((b"<!doctype html", b"<html")) else None


_EXAMINERS: dict[str, Examiner] = indexed.EXAMINERS | mpeg.EXAMINERS | pcm.EXAMINERS | xiph.EXAMINERS


def examine(file: BinaryIO, container: str | None, start: int, size: int) -> Structure:
    """Compare the header of a file with its content.

    Parameters
    ----------
    file : seekable binary file
    container : str or None
        FFmpeg's name of the container, as `sniff_container` returns it.
    start : int
        Byte at which the container begins, after any tags.
    size : int
        Bytes in the file.

    Returns
    -------
    Structure
        The default, which trusts the header, for a container that has no examiner.

    Raises
    ------
    UnreadableAudioError
        The header announces more than a file of this size can hold; decoders would allocate memory for it.
    """
    examiner = _EXAMINERS.get(container or "")
    return examiner(file, start, size) if examiner else Structure()
