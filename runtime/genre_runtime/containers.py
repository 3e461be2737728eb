"""What kind of file it is, told by its first bytes and never by its name."""

from __future__ import annotations

from typing import BinaryIO

from genre_runtime.errors import UnreadableAudioError

HEAD_BYTES = 2**16
"""How far libsndfile searches for the first frame of an MP3 file."""

# (offset, magic bytes, FFmpeg demuxer): what is not listed is not opened.
_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),  # M4A, MP4, ALAC
    (0, b"\x1a\x45\xdf\xa3", "matroska"),  # WebM, MKA
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),  # WMA
    (0, b"MAC ", "ape"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"RIFF", "wav"),
    (0, b"RF64", "wav"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"wvpk", "wv"),
    (0, b"TTA1", "tta"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    *((4, atom, "mov") for atom in (b"moov", b"mdat", b"wide")),
    *((0, bytes((0xFF, second)), "aac") for second in (0xF0, 0xF1, 0xF8, 0xF9)),  # ADTS
    (0, b"caff", "caf"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"Creative Voice File", "voc"),
    *((0, bytes((0xFF, second)), "mp3") for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)),  # layer III
    *((0, bytes((0xFF, second)), "mp3") for second in (0xF4, 0xF5, 0xFC, 0xFD)),  # layer II
)


def sniff_container(head: bytes) -> str | None:
    """Return FFmpeg's name of the container whose first bytes are `head`, or None if unknown."""
    for offset, magic, name in _CONTAINERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def head_behind_tags(file: BinaryIO) -> bytes:
    """Return the first 64 KiB of an open file behind any ID3v2 tag."""
    head = file.read(HEAD_BYTES)
    if head[:3] == b"ID3" and len(head) >= 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10 + size)
        head = file.read(HEAD_BYTES)
    return head


def may_be_audio(head: bytes) -> bool:
    """Tell text and the like from audio before a decoder searches it for sound, and complains on stderr.

    An MP3 may begin with rubbish, but its frames begin with a byte that text never holds; so does, somewhere
    in 64 KiB, any sampled sound of the rarer formats that only libsndfile knows.
    """
    return sniff_container(head) is not None or b"\xff" in head


def not_audio(head: bytes) -> UnreadableAudioError:
    """Make the error for a file that begins with `head`."""
    text = head[:16].decode("ascii", errors="replace")
    is_text = text.isascii() and all(character.isprintable() or character.isspace() for character in text)
    found = f"the text {text!r}" if is_text else f"the bytes {head[:8].hex(' ')}"
    return UnreadableAudioError(
        f"not an audio file: it begins with {found}, expected MP3, FLAC, WAV, Ogg, Opus, AIFF, M4A, WMA, APE or alike"
    )
