"""Builders of files that are odd in one way: encoders for every format, Ogg pages, tags, and headers to be changed.

Everything is made of sines, so that the pitch at any second tells which part of a file was read, and at what rate.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from tests.runtime.ogg_pages import ogg_checksum

FloatArray = NDArray[np.float32]

# suffix: libsndfile's format and subtype
LIBSNDFILE = {
    ".wav": ("WAV", "PCM_16"),
    ".rf64": ("RF64", "PCM_16"),
    ".w64": ("W64", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".au": ("AU", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
}

# suffix: FFmpeg's muxer, encoder, sample format
PYAV = {
    ".mp3": ("mp3", "libmp3lame", "s16p"),
    ".mp2": ("mp2", "mp2", "s16"),
    ".aac": ("adts", "aac", "fltp"),
    ".m4a": ("ipod", "aac", "fltp"),
    ".alac.m4a": ("ipod", "alac", "s16p"),
    ".mov": ("mov", "pcm_s16le", "s16"),
    ".opus": ("opus", "libopus", "flt"),
    ".oga": ("oga", "flac", "s16"),
    ".mka": ("matroska", "pcm_s16le", "s16"),
    ".webm": ("webm", "libopus", "flt"),
    ".wma": ("asf", "wmav2", "fltp"),
    ".wv": ("wv", "wavpack", "s16p"),
    ".tta": ("tta", "tta", "s16"),
    ".avi": ("avi", "pcm_s16le", "s16"),
    ".mp3.avi": ("avi", "libmp3lame", "s16p"),
}


def sine(seconds: float, rate: int = 44_100, channels: int = 1, frequency: float = 440.0) -> FloatArray:
    """A sine of half amplitude on every channel, shape (n_samples, channels)."""
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)


def coded(
    suffix: str,
    samples: FloatArray,
    rate: int = 44_100,
    *,
    bit_rate: int = 128_000,
    options: dict[str, str] | None = None,
) -> bytes:
    """Return samples of shape (n_samples, channels) as a file of the format that the suffix names.

    Parameters
    ----------
    suffix : str
        A key of `LIBSNDFILE` or `PYAV`.
    samples : float32 array
        From -1 to 1.
    rate : int
        Hz; one that the format knows.
    bit_rate : int
        For encoders that lose something.
    options : dict of str, optional
        Of FFmpeg's muxer.
    """
    buffer = io.BytesIO()
    if suffix in LIBSNDFILE:
        form, subtype = LIBSNDFILE[suffix]
        with soundfile.SoundFile(buffer, "w", rate, samples.shape[1], subtype, format=form) as file:
            for i in range(0, len(samples), rate):  # long blocks overflow the stack of libsndfile's Vorbis encoder
                file.write(samples[i : i + rate])
        return buffer.getvalue()
    muxer, encoder, sample_format = PYAV[suffix]
    layout = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1"}[samples.shape[1]]
    with av.open(buffer, "w", format=muxer, options=options or {}) as output:
        stream = output.add_stream(encoder, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.format = av.AudioFormat(sample_format)
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate
        n_frame = stream.codec_context.frame_size or 4096
        resampler = av.AudioResampler(sample_format, layout, rate, frame_size=n_frame)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        # FLAC's encoder ends with a packet that only brings a new header, which the muxer of Ogg refuses.
        output.mux([packet for packet in stream.encode(None) if packet.size or suffix != ".oga"])
    return buffer.getvalue()


BARE = {"write_xing": "0", "id3v2_version": "0", "write_id3v1": "0"}
"""Options that leave nothing of an MP3 but its frames."""

FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov", "frag_duration": "500000"}
"""Options that write an MP4 in pieces, whose beginning names no length."""


def patched(content: bytes, place: int, new: bytes) -> bytes:
    """Return content with other bytes at a place."""
    assert 0 <= place <= len(content) - len(new)
    return content[:place] + new + content[place + len(new) :]


def behind(content: bytes, magic: bytes, offset: int) -> int:
    """Return the place `offset` bytes behind the first byte of `magic`."""
    return content.index(magic) + offset


# MP3


def with_frames(content: bytes, n_frames: int) -> bytes:
    """Return an MP3 whose first frame names another number of frames."""
    place = max(content.find(b"Xing"), content.find(b"Info"))
    assert place > 0
    return patched(content, place + 8, struct.pack(">I", n_frames))


# Ogg


@dataclass(frozen=True)
class Page:
    """A page of Ogg."""

    flags: int
    granule: int
    serial: int
    number: int
    segments: bytes
    body: bytes

    def content(self) -> bytes:
        """Return the page with a right checksum."""
        head = struct.pack(
            "<4sBBqIIIB", b"OggS", 0, self.flags, self.granule, self.serial, self.number, 0, len(self.segments)
        )
        page = bytearray(head + self.segments + self.body)
        page[22:26] = struct.pack("<I", ogg_checksum(page))
        return bytes(page)


def pages_of(content: bytes) -> list[Page]:
    """Take an Ogg file to pieces."""
    pages, place = [], 0
    while place < len(content):
        flags, granule, serial, number, _, n_segments = struct.unpack_from("<BqIIIB", content, place + 5)
        segments = content[place + 27 : place + 27 + n_segments]
        begin = place + 27 + n_segments
        place = begin + sum(segments)
        pages.append(Page(flags, granule, serial, number, segments, content[begin:place]))
    return pages


def joined(pages: list[Page]) -> bytes:
    """Put pages together."""
    return b"".join(page.content() for page in pages)


def with_granules(content: bytes, change: Callable[[int], int], *, only_last: bool = False) -> bytes:
    """Return an Ogg file whose pages of sound, or the last page alone, tell other positions."""
    pages = pages_of(content)
    last = len(pages) - 1
    return joined(
        [
            replace(page, granule=change(page.granule)) if page.granule > 0 and (i == last or not only_last) else page
            for i, page in enumerate(pages)
        ]
    )


def of_serial(content: bytes, serial: int) -> bytes:
    """Return an Ogg file whose stream has another serial number."""
    return joined([replace(page, serial=serial) for page in pages_of(content)])


def _packets(serial: int, headers: list[bytes], n_packets: int, granule_step: int) -> list[Page]:
    """Return the pages of a made-up stream: one packet of 100 bytes a page."""
    pages = []
    for i, packet in enumerate([*headers, *[bytes([i % 251]) * 100 for i in range(n_packets)]]):
        granule = max(0, i - len(headers) + 1) * granule_step
        flags = 2 * (i == 0) + 4 * (i == len(headers) + n_packets - 1)
        pages.append(Page(flags, granule, serial, i, bytes([len(packet)]), packet))
    return pages


def theora_pages(seconds: float, serial: int = 77) -> list[Page]:
    """Return a stream that is called Theora, of one picture a second; its pictures are rubbish."""
    head = b"\x80theora\x03\x02\x01" + struct.pack(">HH", 2, 2)
    head += (32).to_bytes(3, "big") * 2 + b"\0\0" + struct.pack(">II", 1, 1) + (1).to_bytes(3, "big") * 2
    head += b"\0" + bytes(3) + struct.pack(">H", 6 << 5)
    comments = b"\x81theora" + struct.pack("<I", 4) + b"none" + bytes(4)
    return _packets(serial, [head, comments, b"\x82theora" + bytes(100)], round(seconds), 1 << 6)


def unknown_pages(n_packets: int, serial: int = 78) -> list[Page]:
    """Return a stream of a kind that no decoder knows."""
    return _packets(serial, [b"mystery\0" + bytes(40)], n_packets, 1_000_000)


def multiplexed(*streams: list[Page]) -> bytes:
    """Return one Ogg file of several streams: first pages first, then the others in turns."""
    pages = [stream[0] for stream in streams]
    rest = [iter(stream[1:]) for stream in streams]
    while rest:
        for pages_left in tuple(rest):
            page = next(pages_left, None)
            if page is None:
                rest.remove(pages_left)
            else:
                pages.append(page)
    return joined(pages)


# FLAC, RIFF, MP4, Matroska, ASF, WavPack, TTA


def with_total_samples(flac: bytes, n_samples: int) -> bytes:
    """Return a FLAC whose STREAMINFO names another number of samples (36 bits)."""
    fields = int.from_bytes(flac[18:26], "big") & ~0xFFFFFFFFF | n_samples
    return patched(flac, 18, fields.to_bytes(8, "big"))


def with_chunk_size(content: bytes, chunk: bytes, size: int, order: str = "<") -> bytes:
    """Return a RIFF ("<") or AIFF (">") file one of whose chunks names another size."""
    return patched(content, behind(content, chunk, 4), struct.pack(f"{order}I", size))


def with_atom_duration(mp4: bytes, atom: bytes, factor: float) -> bytes:
    """Return an MP4 whose atom (mvhd, tkhd, mdhd or elst) names a duration of that many times the right one."""
    offset = {b"mvhd": 20, b"tkhd": 24, b"mdhd": 20, b"elst": 12}[atom]
    place = behind(mp4, atom, offset)
    (value,) = struct.unpack_from(">I", mp4, place)
    return patched(mp4, place, struct.pack(">I", min(2**32 - 2, round(value * factor))))


def with_index_first(mp4: bytes) -> bytes:
    """Return an MP4 whose index lies before its sound, as a file meant for downloading has it."""
    atoms, place = {}, 0
    while place < len(mp4):
        size, name = struct.unpack_from(">I4s", mp4, place)
        atoms[name] = (place, mp4[place : place + size])
        place += size
    index = bytearray(atoms[b"moov"][1])
    at = index.index(b"stco") + 8
    (n_chunks,) = struct.unpack_from(">I", index, at)
    begin = len(atoms[b"ftyp"][1]) + len(index) + 8
    shift = begin - (atoms[b"mdat"][0] + 8)
    for i in range(n_chunks):
        (offset,) = struct.unpack_from(">I", index, at + 4 + 4 * i)
        struct.pack_into(">I", index, at + 4 + 4 * i, offset + shift)
    return atoms[b"ftyp"][1] + bytes(index) + atoms[b"mdat"][1]


def with_matroska_duration(content: bytes, factor: float | None) -> bytes:
    """Return a Matroska file whose Duration is multiplied, or taken away (None)."""
    place = content.index(b"\x44\x89\x88")
    if factor is None:
        return patched(content, place, b"\xec\x89" + bytes(9))
    (value,) = struct.unpack_from(">d", content, place + 3)
    return patched(content, place + 3, struct.pack(">d", value * factor))


def with_play_duration(wma: bytes, factor: float) -> bytes:
    """Return a WMA whose file properties name a play and send duration of that many times the right ones."""
    place = behind(wma, b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65", 64)
    values = (min(2**63 - 1, round(value * factor)) for value in struct.unpack_from("<QQ", wma, place))
    return patched(wma, place, struct.pack("<QQ", *values))


def with_wavpack_samples(content: bytes, n_samples: int) -> bytes:
    """Return a WavPack file whose blocks all name another number of samples of the whole."""
    changed, place = bytearray(content), 0
    while content[place : place + 4] == b"wvpk":
        struct.pack_into("<I", changed, place + 12, n_samples)
        place += 8 + struct.unpack_from("<I", content, place + 4)[0]
    return bytes(changed)


def with_tta_samples(content: bytes, n_samples: int) -> bytes:
    """Return a TTA file whose header names another number of samples, with a right checksum."""
    head = content[:14] + struct.pack("<I", n_samples)
    return head + struct.pack("<I", zlib.crc32(head)) + content[22:]


def dsf(seconds: float, *, silent: bool = False, rate: int = 2_822_400, channels: int = 2) -> bytes:
    """Return DSD in a DSF file: a sine, or the pattern that means silence."""
    n_blocks = -(-round(seconds * rate) // (8 * 4096))
    n_samples = n_blocks * 8 * 4096
    if silent:
        block = bytes([0x69]) * (4096 * n_blocks)
    else:
        wave = 0.25 * np.sin(2 * np.pi * 440 * np.arange(n_samples) / rate)
        bits = np.diff(np.floor(np.cumsum((wave + 1) / 2)), prepend=0).astype(np.uint8)
        block = np.packbits(bits, bitorder="little").tobytes()
    sound = b"".join(block[i : i + 4096] * channels for i in range(0, len(block), 4096))
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, channels, channels, rate, 1, n_samples, 4096, 0)
    data = struct.pack("<4sQ", b"data", 12 + len(sound)) + sound
    return struct.pack("<4sQQQ", b"DSD ", 28, 28 + len(form) + len(data), 0) + form + data


# Tags in front


def synchsafe(value: int) -> bytes:
    """Return 28 bits in four bytes of seven."""
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v2(n_bytes: int = 300, *, version: int = 3, footer: bool = False, size: bytes | None = None) -> bytes:
    """Return an ID3v2 tag whose comment and padding take `n_bytes`; `size` is put in place of the honest one."""
    text = b"\0eng\0" + b"a comment"
    frame = b"COMM" + struct.pack(">IH", len(text), 0) + text
    fields = bytes((version, 0, 0x10 if footer else 0)) + (synchsafe(n_bytes) if size is None else size)
    return b"ID3" + fields + frame.ljust(n_bytes, b"\0") + (b"3DI" + fields if footer else b"")


def apev2(n_bytes: int = 200) -> bytes:
    """Return an APEv2 tag with a header."""
    item = struct.pack("<II", n_bytes, 0) + b"Comment\0" + b"x" * n_bytes
    fields = struct.pack("<III", 2000, 32 + len(item), 1)
    return b"APETAGEX" + fields + struct.pack("<IQ", 0xA0000000, 0) + item + b"APETAGEX" + fields + bytes(12)


def id3v1() -> bytes:
    """Return an ID3v1 tag."""
    return b"TAG" + b"a title".ljust(124, b"\0") + b"\x11"


def lyrics3() -> bytes:
    """Return a Lyrics3v2 tag with the ID3v1 tag that belongs behind it."""
    fields = b"LYRICSBEGIN" + b"IND00002" + b"10" + b"LYR00005" + b"words"
    return fields + f"{len(fields):06d}".encode() + b"LYRICS200" + id3v1()


# Where sound lies


def damaged(content: bytes, share: float, filling: bytes | None = None) -> bytes:
    """Return content of which only the first share is right; noise, or what `filling` repeats, takes the rest."""
    n_kept = round(share * len(content))
    n_bad = len(content) - n_kept
    bad = np.random.default_rng(0).bytes(n_bad) if filling is None else filling * n_bad
    return content[:n_kept] + bad[:n_bad]


def cut(content: bytes, share: float) -> bytes:
    """Return the first share of content."""
    return content[: round(share * len(content))]


def long_path(folder: Path) -> Path:
    """Return a path that is longer than the system takes."""
    return folder.joinpath(*["long" * 25] * 60, "song.wav")


def music_at(stretches: list[tuple[float, float]], seconds: float, rate: int = 8_000) -> FloatArray:
    """Silence of `seconds` with a sine in the stretches (start, end), shape (n_samples, 1)."""
    samples, wave = np.zeros((round(seconds * rate), 1), np.float32), sine(seconds, rate)
    for start, end in stretches:
        stretch = slice(round(start * rate), round(end * rate))
        samples[stretch] = wave[stretch]
    return samples


def halves(first: FloatArray, second: FloatArray) -> FloatArray:
    """Put two pieces of sound one after the other."""
    return np.concatenate([first, second])


def chunks_of(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield name and place of each chunk of a RIFF file."""
    place = 12
    while place + 8 <= len(content):
        yield content[place : place + 4], place
        place += 8 + struct.unpack_from("<I", content, place + 4)[0]
