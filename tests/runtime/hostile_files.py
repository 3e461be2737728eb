"""Files that lie, lack, or are none: one line an input, with the code of the error or the answer to expect.

The answers are those of the tiny model of `tests.synthetic`: loud sound is "tone", silence "quiet".
"""

from __future__ import annotations

import functools
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.fuzz.corpus import id3_tag, silent_ape
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.runtime.ogg_pages import ogg_page
from tests.synthetic import tone

RATE = 16_000

_U32 = struct.Struct("<I").pack

FORMATS = (
    *(".mp3", ".flac", ".wav", ".aiff", ".ogg", ".opus", ".m4a", ".alac.m4a", ".wma", ".ape", ".au", ".webm"),
    *(".aac", ".mka", ".wv", ".tta", ".caf", ".w64"),
)


@functools.cache
def tone_in(suffix: str, folder: Path) -> bytes:
    """Return 1.2 s of a tone as a file of that format, written through `folder` if it must be; .ape is silent."""
    path = folder / f"tone{suffix}"
    if suffix == ".ape":
        return silent_ape(1.25)
    if suffix in CONTAINERS:
        return write_with_pyav(path, tone(1.2, 48_000), 48_000).read_bytes()
    if suffix == ".opus":
        soundfile.write(path, tone(1.2, 48_000), 48_000, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, tone(1.2, RATE), RATE)
    return path.read_bytes()


def endless_opus(hours: float) -> bytes:
    """Ogg Opus of many hours in few bytes: packets of 60 ms that hold no sound, one byte each."""
    head = ogg_page(b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0), number=0, flags=2)
    tags = ogg_page(b"OpusTags" + struct.pack("<I", 4) + b"none" + bytes(4), number=1)
    n_pages = round(hours * 3600 / (255 * 0.06))
    sound = [
        ogg_page(
            b"\x18" * 255, number=2 + i, n_packets=255, granule=(i + 1) * 255 * 2_880, flags=4 * (i == n_pages - 1)
        )
        for i in range(n_pages)
    ]
    return b"".join((head, tags, *sound))


@dataclass(frozen=True)
class Hostile:
    """An input: how it is called and made, and the error's code or the label to expect of it."""

    name: str
    make: Callable[[Path], Path]
    expected: str


def _bytes(name: str, content: bytes | Callable[[Path], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content(folder) if callable(content) else content)
        return path

    return make


def _wav(samples: NDArray[np.float32], rate: int = RATE, subtype: str = "FLOAT") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        soundfile.write(folder / "made.wav", samples, rate, subtype=subtype)
        return folder / "made.wav"

    return make


def _patched(suffix: str, offset: int, content: bytes) -> Callable[[Path], Path]:
    """Make a tone whose file has other bytes at an offset."""

    def damaged(folder: Path) -> bytes:
        good = tone_in(suffix, folder)
        return good[:offset] + content + good[offset + len(content) :]

    return _bytes(f"patched{suffix}", damaged)


def _sparse_wav(n_bytes: int, rate: int) -> Callable[[Path], Path]:
    """Make a file of 8-bit samples that takes no room on the disk: what nobody wrote reads as zeros."""

    def make(folder: Path) -> Path:
        path = folder / "sparse.wav"
        form = struct.pack("<HHIIHH", 1, 1, rate, rate, 1, 8)
        with path.open("wb") as file:
            file.write(b"RIFF" + _U32(n_bytes + 36) + b"WAVEfmt " + _U32(16) + form + b"data" + _U32(n_bytes))
            file.truncate(44 + n_bytes)
        return path

    return make


def _first(suffix: str, n_bytes: int) -> Callable[[Path], Path]:
    return _bytes(f"header{suffix}", lambda folder: tone_in(suffix, folder)[:n_bytes])


def _forged_flac(rate: int | None = None, n_samples: int | None = None) -> Callable[[Path], Path]:
    """Change STREAMINFO's 20 bits of rate or 36 bits of samples."""

    def forge(folder: Path) -> bytes:
        content = bytearray(tone_in(".flac", folder))
        fields = int.from_bytes(content[18:26], "big")
        if rate is not None:
            fields = fields & ~(0xFFFFF << 44) | rate << 44
        if n_samples is not None:
            fields = fields & ~0xFFFFFFFFF | n_samples
        content[18:26] = fields.to_bytes(8, "big")
        return bytes(content)

    return _bytes("forged.flac", forge)


def _mp3_of_frames(n_frames: int) -> Callable[[Path], Path]:
    """Change the number of frames that the first frame of an MP3 tells."""

    def forge(folder: Path) -> bytes:
        soundfile.write(folder / "stereo.mp3", np.tile(tone(0.7, 44_100)[:, None], 2), 44_100)
        content = bytearray((folder / "stereo.mp3").read_bytes())
        place = max(content.find(b"Xing"), content.find(b"Info")) + 8
        assert place > 8
        content[place : place + 4] = n_frames.to_bytes(4, "big")
        return bytes(content)

    return _bytes("forged.mp3", forge)


def _named(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(tone_in(".wav", folder))
        return path

    return make


def _folder(folder: Path) -> Path:
    (folder / "album.mp3").mkdir()
    return folder / "album.mp3"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def _socket(folder: Path) -> Path:
    here = Path.cwd()
    os.chdir(folder)  # the address of a socket may have 107 bytes at the most
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.wav")
    finally:
        os.chdir(here)
    return folder / "socket.wav"


def _link(to: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "link.wav").symlink_to(to)
        (folder / "tone.wav").write_bytes(tone_in(".wav", folder))
        return folder / "link.wav"

    return make


def _locked(folder: Path) -> Path:
    path = _named("locked.wav")(folder)
    path.chmod(0)
    return path


LOUD, WAV_RATE, WAV_CHANNELS, WAV_SIZE = np.full(RATE, 0.5, np.float32), 24, 22, 40

SPARSE = (
    Hostile("WAV of 4 GB at 2 GHz", _sparse_wav(2**32 - 99, 2**31 - 1), "unreadable_audio"),
    Hostile("WAV of 4 GB at 1 Hz", _sparse_wav(2**32 - 99, 1), "typed"),
    Hostile("WAV of 4 GB at 768 kHz", _sparse_wav(2**32 - 99, 768_000), "typed"),
)
"""Files of 4 GB that take no room on the disk, but in memory and on a network."""

CONTENTS = (
    Hostile("no byte", _bytes("empty.mp3", b""), "empty_audio"),
    Hostile("one zero byte", _bytes("one.wav", b"\0"), "unreadable_audio"),
    Hostile("one byte of a magic number", _bytes("one.wav", b"R"), "unreadable_audio"),
    Hostile("one byte of an MP3 frame", _bytes("one.mp3", b"\xff"), "unreadable_audio"),
    Hostile("text", _bytes("letter.mp3", b"Dear listener, " * 900), "unreadable_audio"),
    Hostile("text behind an ID3 tag", _bytes("tagged.mp3", id3_tag() + b"Dear listener, " * 900), "unreadable_audio"),
    Hostile("nothing behind an ID3 tag", _bytes("tagged.mp3", id3_tag()), "unreadable_audio"),
    Hostile(
        "ID3 tag of 256 MiB, claimed", _bytes("t.mp3", b"ID3\3\0\0\x7f\x7f\x7f\x7f" + bytes(99)), "unreadable_audio"
    ),
    Hostile("zeros", _bytes("zeros.mp3", bytes(100_000)), "unreadable_audio"),
    Hostile("ones", _bytes("ones.mp3", b"\xff" * 100_000), "unreadable_audio"),
    Hostile("WAV, header only", _first(".wav", 44), "empty_audio"),
    Hostile("WAV, half a header", _first(".wav", 22), "unreadable_audio"),
    Hostile("FLAC, STREAMINFO only", _first(".flac", 42), "empty_audio"),
    Hostile("Ogg, first page only", _first(".ogg", 58), "unreadable_audio"),
    Hostile("Opus, first page only", _first(".opus", 47), "unreadable_audio"),
    Hostile("M4A, ftyp only", _first(".m4a", 28), "unreadable_audio"),
    Hostile("WebM, EBML header only", _first(".webm", 40), "unreadable_audio"),
    Hostile("AIFF, half a header", _first(".aiff", 30), "unreadable_audio"),
    Hostile("APE, descriptor only", _first(".ape", 52), "unreadable_audio"),
    Hostile("MP3, one frame header only", _bytes("one.mp3", b"\xff\xfb\x90\x64"), "unreadable_audio"),
    Hostile("WAV at 0 Hz", _patched(".wav", WAV_RATE, _U32(0)), "unreadable_audio"),
    Hostile("WAV at 1 Hz", _wav(LOUD[:30], 1), "tone"),
    Hostile("WAV at 768 kHz", _wav(tone(1, 768_000), 768_000), "tone"),
    Hostile("WAV at 1.5 MHz", _wav(tone(0.5, 1_500_000), 1_500_000), "tone"),
    Hostile("WAV at 2 MHz", _patched(".wav", WAV_RATE, _U32(2_000_000)), "unreadable_audio"),
    Hostile("WAV at 2 GHz", _patched(".wav", WAV_RATE, _U32(2**31 - 1)), "unreadable_audio"),
    Hostile("WAV at 4 GHz", _patched(".wav", WAV_RATE, _U32(2**32 - 1)), "unreadable_audio"),
    Hostile("FLAC forged to 655,350 Hz", _forged_flac(rate=655_350), "typed"),
    Hostile("FLAC forged to 0 Hz", _forged_flac(rate=0), "typed"),
    Hostile("FLAC forged to 2**36 - 1 samples", _forged_flac(n_samples=2**36 - 1), "tone"),
    Hostile("FLAC forged to 1 sample", _forged_flac(n_samples=1), "typed"),
    Hostile("MP3 forged to 1 frame", _mp3_of_frames(1), "typed"),
    Hostile("MP3 forged to 0 frames", _mp3_of_frames(0), "typed"),
    Hostile("MP3 forged to 2**32 - 1 frames", _mp3_of_frames(2**32 - 1), "typed"),
    Hostile("WAV forged to 4 GiB of samples", _patched(".wav", WAV_SIZE, _U32(2**32 - 1)), "tone"),
    Hostile("WAV forged to 0 samples", _patched(".wav", WAV_SIZE, _U32(0)), "typed"),
    Hostile("WAV of 8 channels", _wav(np.tile(LOUD[:, None], 8)), "tone"),
    Hostile("WAV of 255 channels", _wav(np.tile(LOUD[:4_000, None], 255)), "tone"),
    Hostile(
        "WAV forged to 65,535 channels", _patched(".wav", WAV_CHANNELS, b"\xff\xff"), "typed"
    ),  # PyAV 18 refuses it, 19 finds no samples
    Hostile("WAV forged to 0 channels", _patched(".wav", WAV_CHANNELS, b"\0\0"), "unreadable_audio"),
    Hostile("WAV of NaN", _wav(np.full(RATE, np.nan, np.float32)), "quiet"),
    Hostile("WAV of infinities", _wav(np.full(RATE, -np.inf, np.float32)), "quiet"),
    Hostile("WAV of 3e38", _wav(np.full(RATE, 3e38, np.float32)), "quiet"),
    Hostile("WAV of direct current", _wav(LOUD), "tone"),
    Hostile("WAV of one sample", _wav(LOUD[:1]), "tone"),
    Hostile("WAV of one sample at 768 kHz", _wav(LOUD[:1], 768_000), "quiet"),
    Hostile("Opus of 10 hours in 160 KiB", _bytes("endless.opus", lambda _: endless_opus(10)), "quiet"),
)

NAMES_AND_KINDS = (
    Hostile("folder", _folder, "unreadable_audio"),
    Hostile("named pipe", _pipe, "unreadable_audio"),
    Hostile("socket", _socket, "unreadable_audio"),
    Hostile("endless device", lambda _: Path("/dev/zero"), "unreadable_audio"),
    Hostile("empty device", lambda _: Path("/dev/null"), "unreadable_audio"),
    Hostile("terminal", lambda _: Path("/dev/tty"), "unreadable_audio"),
    Hostile("links in a circle", _link("link.wav"), "unreadable_audio"),
    Hostile("link to nothing", _link("nothing.wav"), "not_found"),
    Hostile("link to a file", _link("tone.wav"), "tone"),
    Hostile("link to a device", _link("/dev/zero"), "unreadable_audio"),
    Hostile("no permission", _locked, "unreadable_audio"),
    Hostile("name with a newline", _named("two\nlines.wav"), "tone"),
    Hostile("name with a lone surrogate", _named("caf\udce9.wav"), "tone"),
    Hostile("name of 255 bytes", _named("n" * 251 + ".wav"), "tone"),
    Hostile("name with control characters", _named("\x1b[31m\a.wav"), "tone"),
    Hostile("name of a pattern", _named("%d%s*?[a].wav"), "tone"),
    Hostile("name of dots", _named("..."), "tone"),
)
