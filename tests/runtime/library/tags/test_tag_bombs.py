"""Small files whose tags take gigabytes once they are read: refused or tagged, in little memory and time."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags import read_genres
from tests.patience import PATIENCE_SECONDS
from tests.runtime.library.conftest import MakeFile
from tests.runtime.library.tags.tag_bytes import atom, comment_block, flac_block, flac_with, with_atom

flac: Any = import_module("mutagen.flac")
id3: Any = import_module("mutagen.id3")
mp4: Any = import_module("mutagen.mp4")
asf: Any = import_module("mutagen.asf")

SIDE = 8_000
PROGRAM = """
import re, sys
from pathlib import Path
from genre_runtime.library.tags import undo, write_genres
write_genres(sys.argv[1], ["Jazz"], journal=sys.argv[1] + ".jsonl")
(undone,) = undo(sys.argv[1] + ".jsonl")
assert undone.error is None, undone
# The most memory of this process in KiB; ru_maxrss begins with the most of the process that started this one.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture(scope="module")
def cover() -> bytes:
    """A PNG of 8,000 x 8,000 pixels of 64 bits: half a gigabyte, packed into half a megabyte."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def packed() -> Iterator[bytes]:
        packer = zlib.compressobj(1)
        for _ in range(SIDE):
            yield packer.compress(bytes(1 + 8 * SIDE))
        yield packer.flush()

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0)
    body = b"".join(packed())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in KiB there")
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".wma", ".wav"])
def test_covers_are_not_decoded(make_file: MakeFile, suffix: str, cover: bytes) -> None:
    path = make_file(suffix)
    if suffix == ".m4a":
        opened = mp4.MP4(path)
        opened["covr"] = [mp4.MP4Cover(cover, mp4.MP4Cover.FORMAT_PNG)]
    elif suffix == ".flac":
        opened, picture = flac.FLAC(path), flac.Picture()
        picture.data, picture.type, picture.mime = cover, 3, "image/png"
        opened.add_picture(picture)
    elif suffix == ".wma":
        opened = asf.ASF(path)
        value = struct.pack("<BI", 3, len(cover)) + "image/png\0\0".encode("utf-16-le") + cover
        opened["WM/Picture"] = [asf.ASFByteArrayAttribute(value)]
    else:
        module, name = ("mutagen.mp3", "MP3") if suffix == ".mp3" else ("mutagen.wave", "WAVE")
        opened = getattr(import_module(module), name)(path)
        if opened.tags is None:
            opened.add_tags()
        opened.tags.add(id3.APIC(mime="image/png", type=3, data=cover))
    opened.save()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300 * 1024


def bomb(version: int, n_bytes: int) -> bytes:
    """Return an ID3v2 tag with a compressed frame."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"x" * 2**20) for _ in range(n_bytes >> 20)) + packer.flush()
    body = struct.pack(">I", min(n_bytes, 2**31)) + packed
    size = len(body)
    if version == 4:
        frame = b"TXXX" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\0\x09" + body
    else:
        frame = b"TXXX" + struct.pack(">I", size) + b"\0\x80" + body
    head = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, 0)) + head + frame


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", ["mp3", "second", "flac", "wav", "aiff"])
def test_compressed_frames_that_expand_are_refused(make_file: MakeFile, version: int, kind: str) -> None:
    path = make_file(f".{'mp3' if kind == 'second' else kind}")
    content, tag = path.read_bytes(), bomb(version, 2**27)
    if kind in ("mp3", "flac"):
        content = tag + content
    elif kind == "second":
        content = bomb(version, 2**20) + tag + content
    else:
        form = ">I" if kind == "aiff" else "<I"
        content += b"ID3 " + struct.pack(form, len(tag)) + tag + bytes(len(tag) % 2)
        content = content[:4] + struct.pack(form, len(content) - 8) + content[8:]
    path.write_bytes(content)
    with pytest.raises(UntaggableError, match="expands to more than"):
        read_genres(path)


def test_a_compressed_frame_of_usual_size_is_read(make_file: MakeFile) -> None:
    path = make_file(".mp3")
    path.write_bytes(bomb(4, 2**20) + path.read_bytes())
    assert read_genres(path) == ()


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("text", [b"\0" + bytes(10**6), b"\1" + b"\xff\xfea\0\0\0" * 200_000])
def test_frames_of_very_many_texts_are_refused(make_file: MakeFile, version: int, text: bytes) -> None:
    path = make_file(".mp3")
    size = len(text)
    coded = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) if version == 4 else struct.pack(">I", size)
    frame = b"TPE1" + coded + bytes(2) + text
    head = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3" + bytes((version, 0, 0)) + head + frame + path.read_bytes())
    with pytest.raises(UntaggableError, match="texts: it is damaged"):
        read_genres(path)


@pytest.mark.parametrize("kind", ["chunks", "blocks", "comments", "atoms", "items"])
def test_numbers_beyond_all_reason_are_refused(make_file: MakeFile, kind: str) -> None:
    if kind == "chunks":
        path = make_file(".wav")
        content = path.read_bytes() + b"junk\0\0\0\0" * 300_000
        content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    elif kind in ("blocks", "comments"):
        path = make_file(".flac")
        blocks = [flac_block(1, b"")] * 300_000 if kind == "blocks" else [comment_block(*[b""] * 300_000)]
        content = flac_with(path.read_bytes(), *blocks, flac_block(1, b"", last=True))
    else:
        path = make_file(".m4a")
        at = (b"moov", b"udta") if kind == "items" else (b"moov",)
        content = with_atom(path.read_bytes(), at, atom(b"free") * 300_000)
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UntaggableError, match="it is damaged"):
        read_genres(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_an_ogg_file_with_a_forged_number_of_comments(make_file: MakeFile) -> None:
    ogg: Any = import_module("mutagen.ogg")
    path = make_file(".opus")
    file, pages = io.BytesIO(path.read_bytes()), b""
    while True:
        try:
            page = ogg.OggPage(file)
        except EOFError:
            break
        if page.packets and page.packets[0].startswith(b"OpusTags"):
            page.packets[0] = b"OpusTags" + bytes(4) + struct.pack("<I", 2**31)
        pages += page.write()
    path.write_bytes(pages)
    with pytest.raises(UntaggableError, match="it is damaged"):
        read_genres(path)
