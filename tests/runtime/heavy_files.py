"""Small files that ask for much memory or work: covers, forged frames and indices, packets, compressed headers.

Each maker writes one file into a folder and returns its path.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from tests.runtime import odd_files as odd
from tests.runtime.container_parts import atom, element, grown, matroska, number, ogg_packets, zeros_deflated
from tests.runtime.odd_files import FRAGMENTED, coded, patched, sine
from tests.runtime.ogg_pages import ogg_page

Size = tuple[int, int]
LARGE_COVER = (16_000, 16_000)
MANY = 85_000_000
LARGE = 190_000_000


@dataclass(frozen=True)
class Heavy:
    """A file: how it is called and made, and whether it can be read, as far as that is certain."""

    name: str
    make: Callable[[Path], Path]
    readable: bool | None = None


@cache
def cover(size: Size) -> bytes:
    """Return a PNG of black pixels of 64 bits, `size` being width and height."""
    width, height = size

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    pixels = zeros_deflated(height * (1 + 8 * width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@cache
def _sound(suffix: str, seconds: float = 1.0, channels: int = 2) -> bytes:
    return coded(suffix, sine(seconds, 48_000, channels), 48_000)


def _file(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


# Covers


def _covr(size: Size) -> bytes:
    picture = atom(b"covr", atom(b"data", struct.pack(">II", 14, 0), cover(size)))
    return grown(_sound(".m4a"), (b"moov", b"udta", b"meta", b"ilst"), picture)


def _picture_block(size: Size) -> bytes:
    mime = b"image/png"
    head = struct.pack(">II", 3, len(mime)) + mime + struct.pack(">I", 0)
    return head + struct.pack(">IIIII", *size, 64, 0, len(cover(size))) + cover(size)


def _flac_picture(size: Size) -> bytes:
    flac, picture = _sound(".flac"), _picture_block(size)
    return flac[:42] + b"\x06" + len(picture).to_bytes(3, "big") + picture + flac[42:]


def _apic(size: Size) -> bytes:
    body = b"\0image/png\0\3\0" + cover(size)
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    return (
        b"ID3\3\0\0" + odd.synchsafe(len(frame)) + frame + coded(".mp3", sine(1, 48_000, 2), 48_000, options=odd.BARE)
    )


def _id3_chunk(suffix: str, size: Size) -> bytes:
    """A WAV or AIFF with the cover in a chunk of ID3."""
    body = b"\0image/png\0\3\0" + cover(size)
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    tag = b"ID3\3\0\0" + odd.synchsafe(len(frame)) + frame
    tag += b"\0" * (len(tag) % 2)
    order, name = ("<", b"id3 ") if suffix == ".wav" else (">", b"ID3 ")
    content = _sound(suffix) + name + struct.pack(f"{order}I", len(tag)) + tag
    return patched(content, 4, struct.pack(f"{order}I", len(content) - 8))


def _ogg_picture(size: Size) -> bytes:
    """Opus with a METADATA_BLOCK_PICTURE among its comments."""
    pages = odd.pages_of(odd.of_serial(_sound(".opus"), 9))
    comment = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(_picture_block(size))
    tags = b"OpusTags" + struct.pack("<I", 4) + b"none" + struct.pack("<II", 1, len(comment)) + comment
    return odd.joined(pages[:1]) + ogg_packets([tags], 0, 1) + odd.joined(pages[2:])


def _wm_picture(size: Size) -> bytes:
    """WMA with a WM/Picture in its extended content description."""
    content = _sound(".wma")
    mime = "image/png\0".encode("utf-16-le")
    picture = b"\3" + struct.pack("<I", len(cover(size))) + mime + b"\0\0" + cover(size)
    name = "WM/Picture\0".encode("utf-16-le")
    # The size of a value has 16 bits there; the metadata library's has 32.
    record = struct.pack("<HHHHI", 0, 0, len(name), 1, len(picture)) + name + picture
    guid = bytes.fromhex("941c23449894d149a1411d134e457054")
    library = guid + struct.pack("<QH", 26 + len(record), 1) + record
    extension_guid = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
    reserved = bytes.fromhex("11d2d3abbaa9cf118ee600c00c205365") + struct.pack("<H", 6)
    extension = (
        extension_guid + struct.pack("<Q", 46 + len(library)) + reserved + struct.pack("<I", len(library)) + library
    )
    (n_bytes, count) = struct.unpack_from("<QI", content, 16)
    head = content[:16] + struct.pack("<QI", n_bytes + len(extension), count + 1) + content[28:30]
    return head + extension + content[30:]


def _attachment(size: Size) -> bytes:
    file = element(
        "61a7",
        element("466e", b"cover.png"),
        element("4660", b"image/png"),
        element("465c", cover(size)),
        number("46ae", 5),
    )
    pcm = (sine(1, 48_000) * 32_767).astype("<i2").tobytes()
    return matroska(b"A_PCM/INT/LIT", b"", [pcm], channels=1, others=element("1941a469", file))


def _alac_cookie(n_samples: int, channels: int, bits: int = 16, rate: int = 48_000) -> bytes:
    return struct.pack(">IBBBBBBHIII", n_samples, 0, bits, 40, 10, 14, channels, 255, 0, 0, rate)


def _alac_frame(n_samples: int, channels: int) -> bytes:
    """A frame of silence that names its size; a run of 65,535 zeros, the longest there is, takes 26 bits."""
    run = "1" * 25
    sound = "0" + (run + "0") * (n_samples // 65_536 - 1) + run
    bits = ""
    for n_channels in {1: (1,), 2: (2,), 8: (1, 2, 2, 2, 1)}[channels]:
        # Kind of element, its size after all, no mixing; then for each channel how it is predicted, then its sound.
        bits += f"{n_channels - 1:03b}" + "0" * 16 + "1000" + f"{n_samples:032b}" + "0" * 16
        bits += f"{0x980:016b}" * n_channels + sound * n_channels
    bits += "111"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def alac(n_frames: int, channels: int = 8, n_samples: int = 2**24) -> bytes:
    """Return a Matroska file of ALAC whose frames name, and hold in silence, so many samples a channel."""
    cookie = _alac_cookie(n_samples, channels, 24, 1_500_000)
    frame = _alac_frame(n_samples, channels)
    return matroska(b"A_ALAC", cookie, [frame] * n_frames, channels=channels, bits=24, rate=1_500_000.0)


def _alac_in_mp4() -> bytes:
    content = _sound(".alac.m4a")
    place = content.index(b"alac", content.index(b"alac") + 4) + 8
    return patched(content, place, struct.pack(">I", 2**24))


# Indices


def _m4a_table(atom: bytes, *fields: int) -> bytes:
    content = _sound(".m4a")
    return patched(content, odd.behind(content, atom, 8), struct.pack(f">{len(fields)}I", *fields))


def _many_samples() -> bytes:
    content = _sound(".m4a")
    for name, fields in ((b"stts", (1, MANY, 4)), (b"stsc", (1, 1, MANY, 1)), (b"stsz", (4, MANY))):
        content = patched(content, odd.behind(content, name, 8), struct.pack(f">{len(fields)}I", *fields))
    return content


def _ctts() -> bytes:
    ctts = atom(b"ctts", struct.pack(">IIII", 0, 1, MANY, 4))
    return grown(_many_samples(), (b"moov", b"trak", b"mdia", b"minf", b"stbl"), ctts)


def _trun() -> bytes:
    content = coded(".m4a", sine(1, 48_000, 2), 48_000, options=FRAGMENTED)
    place = content.index(b"trun")
    flags = int.from_bytes(content[place + 5 : place + 8], "big") & 0x5  # without fields of each sample
    return patched(content, place + 5, flags.to_bytes(3, "big") + struct.pack(">I", MANY))


def _sidx() -> bytes:
    sidx = atom(
        b"sidx", struct.pack(">IIIIIHH", 0, 1, 48_000, 0, 0, 0, 65_535), struct.pack(">III", 99, 99, 0) * 65_535
    )
    content = coded(".m4a", sine(1, 48_000, 2), 48_000, options=FRAGMENTED)
    place = content.index(b"moof") - 4
    return content[:place] + sidx * 4 + content[place:]


def _compressed_moov(n_bytes: int) -> bytes:
    """A QuickTime file whose index is compressed: zeros without end."""
    body = zeros_deflated(n_bytes)
    header = atom(b"dcom", b"zlib") + atom(b"cmvd", struct.pack(">I", n_bytes), body)
    return atom(b"ftyp", b"qt  ", bytes(4)) + atom(b"moov", atom(b"cmov", header))


def _cues(n_cues: int) -> bytes:
    point = element("bb", number("b3", 1), element("b7", number("f7", 1), number("f1", 0)))
    pcm = bytes(96_000)
    return matroska(b"A_PCM/INT/LIT", b"", [pcm], channels=1, others=element("1c53bb6b", point * n_cues))


def _avi_index(size_of_chunk: int) -> bytes:
    content = _sound(".avi")
    place = content.index(b"idx1")
    entries = struct.pack("<4sIII", b"00wb", 16, 4, size_of_chunk)
    return content[:place] + b"idx1" + struct.pack("<I", MANY * 16) + entries * 8_000


def _asf_index() -> bytes:
    guid = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
    head = guid + struct.pack("<Q", 56 + 6 * MANY) + bytes(16) + struct.pack("<QII", 1, 1, MANY)
    return _sound(".wma") + head + bytes(6_000)


def _asf_packets() -> bytes:
    content = _sound(".wma")
    place = odd.behind(content, b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65", 92)
    return patched(content, place, struct.pack("<II", 2**30, 2**30))


def _ape(n_frames: int, blocks_per_frame: int, seek_table: int) -> bytes:
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, seek_table, 0, 4_000, 0, 0, bytes(16))
    header = struct.pack("<HHIIIHHI", 2000, 0, blocks_per_frame, 1, n_frames, 16, 2, 44_100)
    return descriptor + header + bytes(8_000)


def _caf_packets() -> bytes:
    """A CAF of ALAC whose table names many packets."""
    desc = struct.pack(">d4sIIIII", 48_000.0, b"alac", 0, 0, 4_096, 2, 0)
    kuki = _alac_cookie(4_096, 2)
    pakt = struct.pack(">qqii", MANY, MANY * 4_096, 0, 0) + b"\x01" * 8_000
    chunks = ((b"desc", desc), (b"kuki", kuki), (b"pakt", pakt), (b"data", bytes(4) + bytes(8_000)))
    return b"caff\0\1\0\0" + b"".join(name + struct.pack(">q", len(body)) + body for name, body in chunks)


# Packets, frames and channels


def _sparse(folder: Path, name: str, head: bytes, n_bytes: int, tail: bytes = b"") -> Path:
    """Write a file in which zeros lie between head and tail, and take no room on the disk."""
    path = folder / name
    with path.open("wb") as file:
        file.write(head)
        file.seek(len(head) + n_bytes)
        file.write(tail)
        file.truncate(len(head) + n_bytes + len(tail))
    return path


def _matroska_block(folder: Path, real: bool) -> Path:
    content = matroska(b"A_PCM/INT/LIT", b"", [b""], channels=2)
    end = bytearray(content)
    for name in ("18538067", "1f43b675", "a3"):  # each size lies behind its name, in eight bytes
        place = content.rindex(bytes.fromhex(name)) + len(name) // 2
        (size,) = struct.unpack_from(">Q", content, place)
        struct.pack_into(">Q", end, place, size + LARGE)
    return _sparse(folder, "block.mka", bytes(end), LARGE if real else 4_000)


def _mov_sample(folder: Path, real: bool) -> Path:
    """A MOV whose only sample of PCM has 190 MB: bytes of one sample are what stsd and stsz say."""
    content = _sound(".mov")
    mdat, moov = content.index(b"mdat"), content.index(b"moov") - 4
    index = bytearray(content[moov:])
    (n_old,) = struct.unpack_from(">I", content, odd.behind(content, b"stsz", 12))
    for name, fields in ((b"stts", (1, 1, n_old)), (b"stsc", (1, 1, 1, 1)), (b"stsz", (LARGE, 1))):
        place = bytes(index).index(name) + 8
        struct.pack_into(f">{len(fields)}I", index, place, *fields)
    head = content[: mdat - 4] + struct.pack(">I4s", 8 + LARGE, b"mdat")
    if not real:
        return _sparse(
            folder, "sample.mov", content[: mdat - 4] + bytes(index) + struct.pack(">I", 8 + LARGE) + b"mdat", 4_000
        )
    return _sparse(folder, "sample.mov", head, LARGE, bytes(index))


def _avi_chunk(folder: Path, real: bool) -> Path:
    content = _sound(".avi")
    place = content.index(b"00wb", content.index(b"movi"))
    head = bytearray(content[: place + 4] + struct.pack("<I", LARGE))
    struct.pack_into("<I", head, 4, len(head) + LARGE)
    movi = content.index(b"movi") - 4
    struct.pack_into("<I", head, movi, LARGE + 12)
    return _sparse(folder, "chunk.avi", bytes(head), LARGE if real else 4_000)


def _wav(folder: Path, channels: int, rate: int = 48_000) -> Path:
    form = struct.pack("<HHIIHH", 1, channels, rate, min(2**32 - 1, rate * channels * 2), channels * 2 % 65_536, 16)
    n_bytes = LARGE // (2 * channels) * 2 * channels
    head = b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return _sparse(folder, f"of_{channels}.wav", head + b"data" + struct.pack("<I", n_bytes), n_bytes)


def _wav_at_4_ghz() -> bytes:
    return patched(_sound(".wav"), 24, struct.pack("<I", 2**32 - 1))


def _flac_of_8_channels() -> bytes:
    noise = (0.1 * np.random.default_rng(0).standard_normal((3 * 48_000, 8))).astype(np.float32)
    return coded(".flac", noise, 48_000)


def _wavpack(n_samples: int) -> bytes:
    """Blocks that name many samples of their own."""
    changed, place = bytearray(_sound(".wv")), 0
    while changed[place : place + 4] == b"wvpk":
        struct.pack_into("<I", changed, place + 20, n_samples)
        place += 8 + struct.unpack_from("<I", changed, place + 4)[0]
    return bytes(changed)


def _tta(rate: int) -> bytes:
    """A frame lasts about a second, whatever the rate."""
    head = struct.pack("<4sHHHII", b"TTA1", 1, 2, 16, rate, 2**31 - 1)
    table = struct.pack("<I", 8_000)
    return head + struct.pack("<I", zlib.crc32(head)) + table + struct.pack("<I", zlib.crc32(table)) + bytes(8_000)


def _opus_of_255_channels() -> bytes:
    head = b"OpusHead" + struct.pack("<BBHIhBBB", 1, 255, 0, 48_000, 0, 255, 255, 0) + bytes(range(255))
    first = odd.joined([odd.Page(2, 0, 9, 0, bytes([255, len(head) - 255]), head)])
    tags = b"OpusTags" + struct.pack("<I", 4) + b"none" + bytes(4)
    return first + ogg_packets([tags, *[b"\xf8\0" * 254 + b"\xf8"] * 50], 48_000, 1)


def _endless_tag() -> bytes:
    """An ID3v2.4 frame of 64 MB of zeros, compressed."""
    n_bytes = 2**26
    body = odd.synchsafe(n_bytes) + zeros_deflated(n_bytes)
    frame = b"TXXX" + odd.synchsafe(len(body)) + b"\0\x09" + body
    return (
        b"ID3\4\0\0" + odd.synchsafe(len(frame)) + frame + coded(".mp3", sine(1, 48_000, 2), 48_000, options=odd.BARE)
    )


def _ogg_without_end() -> bytes:
    """One packet of Opus that goes on over many pages, 2 MB in all."""
    head = ogg_page(b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0), number=0, flags=2)
    tags = ogg_page(b"OpusTags" + struct.pack("<I", 4) + b"none" + bytes(4), number=1)
    pages = [odd.Page(1 if i else 0, -1, 1, 2 + i, b"\xff" * 255, bytes(255 * 255)) for i in range(32)]
    return head + tags + odd.joined(pages)


COVERS: dict[str, Callable[[Size], bytes]] = {
    "m4a": _covr,
    "flac": _flac_picture,
    "mp3": _apic,
    "wav": partial(_id3_chunk, ".wav"),
    "aiff": partial(_id3_chunk, ".aiff"),
    "opus": _ogg_picture,
    "wma": _wm_picture,
    "mka": _attachment,
}

HEAVY = (
    *(
        Heavy(f"{name} with a cover", _file(f"cover.{name}", partial(make, LARGE_COVER)), True)
        for name, make in COVERS.items()
    ),
    Heavy("one ALAC frame of 2**24 samples", _file("alac.mka", partial(alac, 1))),
    Heavy("four ALAC frames of 2**24 samples", _file("alac.mka", partial(alac, 4))),
    Heavy("an ALAC frame of 2**24 samples of 2 channels", _file("alac.mka", partial(alac, 1, 2))),
    Heavy("ALAC in MP4 whose frames may have 2**24 samples", _file("alac.m4a", _alac_in_mp4)),
    Heavy("MP4 of 85 million samples", _file("index.m4a", _many_samples)),
    Heavy("MP4 whose stts names 85 million", _file("index.m4a", partial(_m4a_table, b"stts", 1, MANY, 4))),
    Heavy("MP4 whose stts has 85 million entries", _file("index.m4a", partial(_m4a_table, b"stts", MANY))),
    Heavy("MP4 whose stsz names 85 million", _file("index.m4a", partial(_m4a_table, b"stsz", 4, MANY))),
    Heavy("MP4 whose stsz has 85 million entries", _file("index.m4a", partial(_m4a_table, b"stsz", 0, MANY))),
    Heavy("MP4 whose stsc names 85 million", _file("index.m4a", partial(_m4a_table, b"stsc", 1, 1, MANY, 1))),
    Heavy("MP4 whose stsc has 85 million entries", _file("index.m4a", partial(_m4a_table, b"stsc", MANY))),
    Heavy("MP4 whose stco has 85 million entries", _file("index.m4a", partial(_m4a_table, b"stco", MANY))),
    Heavy("MP4 of 85 million samples with ctts", _file("index.m4a", _ctts)),
    Heavy("MP4 with a fragment of 85 million samples", _file("fragment.m4a", _trun)),
    Heavy("MP4 with four sidx of 65,535 entries", _file("sidx.m4a", _sidx)),
    Heavy("MOV with a compressed index of 1 GB", _file("compressed.mov", partial(_compressed_moov, 10**9))),
    Heavy("Matroska of 100,000 cues", _file("cues.mka", partial(_cues, 100_000))),
    Heavy("AVI whose index is large", _file("index.avi", partial(_avi_index, 2**20))),
    Heavy("AVI whose index names 2 GB chunks", _file("index.avi", partial(_avi_index, 2**31 - 1))),
    Heavy("WMA whose index names 85 million", _file("index.wma", _asf_index)),
    Heavy("WMA of packets of 1 GB", _file("packets.wma", _asf_packets)),
    Heavy("APE of 85 million frames", _file("index.ape", partial(_ape, MANY, 73_728, 4 * MANY))),
    Heavy("APE of a frame of 2**31 samples", _file("frame.ape", partial(_ape, 1, 2**31 - 1, 4))),
    Heavy("APE of a frame of 2**26 samples", _file("frame.ape", partial(_ape, 2, 2**26, 8))),
    Heavy("CAF of 85 million packets", _file("index.caf", _caf_packets)),
    *(
        Heavy(f"{name} of 190 MB, {'real' if real else 'claimed'}", partial(make, real=real))
        for name, make in (("Matroska block", _matroska_block), ("MOV sample", _mov_sample), ("AVI chunk", _avi_chunk))
        for real in (False, True)
    ),
    Heavy("WAV of 190 MB", partial(_wav, channels=1), True),
    Heavy("WAV of 190 MB and 2 channels", partial(_wav, channels=2), True),
    Heavy("WAV of 190 MB and 1,024 channels", partial(_wav, channels=1_024)),
    Heavy("WAV at 4 GHz", _file("rate.wav", _wav_at_4_ghz), False),
    Heavy("WAV of 190 MB at 4 GHz", partial(_wav, channels=1, rate=2**32 - 1), False),
    Heavy("FLAC of 8 channels", _file("eight.flac", _flac_of_8_channels), True),
    Heavy("WavPack blocks of 2**31 - 1 samples", _file("block.wv", partial(_wavpack, 2**31 - 1))),
    Heavy("WavPack blocks of 2**26 samples", _file("block.wv", partial(_wavpack, 2**26))),
    Heavy("TTA frames of 2**31 samples", _file("frame.tta", partial(_tta, 2**31 - 1))),
    Heavy("TTA frames of 2**26 samples", _file("frame.tta", partial(_tta, 2**26))),
    Heavy("Opus of 255 channels", _file("many.opus", _opus_of_255_channels)),
    Heavy("a compressed ID3v2 frame of 64 MB", _file("tag.mp3", _endless_tag), True),
    Heavy("a packet of Ogg of 2 MB", _file("packet.opus", _ogg_without_end)),
)
