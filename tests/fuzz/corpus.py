"""Small sound files of every container and codec that can be written here: what the fuzzer damages."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.runtime import heavy_files, odd_files
from tests.runtime.av_files import CONTAINERS, write_with_pyav
from tests.synthetic import noise, tone

RATE = 16_000

# name: (libsndfile's format, subtype, sample rate, channels, seconds)
_LIBSNDFILE = {
    "wav-pcm16": ("WAV", "PCM_16", 8_000, 1, 1.3),
    "wav-pcm24-stereo": ("WAV", "PCM_24", 8_000, 2, 0.5),
    "wav-float": ("WAV", "FLOAT", 8_000, 1, 0.5),
    "wav-ulaw": ("WAV", "ULAW", 8_000, 1, 2.0),
    "wav-ima": ("WAV", "IMA_ADPCM", 8_000, 1, 2.0),
    "wav-ms": ("WAV", "MS_ADPCM", 8_000, 2, 2.0),
    "wav-extensible": ("WAVEX", "PCM_16", 8_000, 6, 0.3),
    "w64": ("W64", "PCM_16", 8_000, 1, 0.8),
    "rf64": ("RF64", "PCM_16", 8_000, 1, 0.8),
    "aiff": ("AIFF", "PCM_16", 8_000, 1, 1.3),
    "aiff-float": ("AIFF", "FLOAT", 8_000, 1, 0.5),
    "au": ("AU", "PCM_16", 8_000, 1, 0.8),
    "au-ulaw": ("AU", "ULAW", 8_000, 1, 1.3),
    "caf": ("CAF", "PCM_16", 8_000, 1, 0.8),
    "caf-alac": ("CAF", "ALAC_16", RATE, 1, 1.3),
    "voc": ("VOC", "PCM_16", 8_000, 1, 0.8),
    "flac": ("FLAC", "PCM_16", RATE, 1, 2.0),
    "flac-24-stereo": ("FLAC", "PCM_24", RATE, 2, 0.5),
    "ogg-vorbis": ("OGG", "VORBIS", RATE, 1, 2.0),
    "ogg-vorbis-stereo": ("OGG", "VORBIS", 44_100, 2, 0.7),
    "ogg-opus": ("OGG", "OPUS", 48_000, 1, 2.0),
    "ogg-flac": ("OGG", "PCM_16", RATE, 1, 1.0),
    "mp3": ("MP3", "MPEG_LAYER_III", RATE, 1, 2.0),
    "mp3-stereo": ("MP3", "MPEG_LAYER_III", 44_100, 2, 0.7),
}


def silent_ape(seconds: float = 0.8, rate: int = RATE) -> bytes:
    """Monkey's Audio of digital silence, which needs no encoder: each frame is a flag that says so."""
    blocks_per_frame = rate // 4
    n_frames = round(seconds * rate / blocks_per_frame)
    # Checksum whose highest bit announces flags, the flags for silence, padding; in words of four swapped bytes.
    frame = struct.pack("<4I", 0x80000000, 3, 0, 0)
    frames = frame * n_frames
    descriptor, header, seek_table = 52, 24, 4 * n_frames
    first = descriptor + header + seek_table
    content = struct.pack(
        "<4sHHIIIIIII16s",
        *(b"MAC ", 3990, 0, descriptor, header, seek_table, 0, len(frames), 0, 0, bytes(16)),
    )
    content += struct.pack("<HHIIIHHI", 2000, 0, blocks_per_frame, blocks_per_frame, n_frames, 16, 1, rate)
    content += struct.pack(f"<{n_frames}I", *(first + i * len(frame) for i in range(n_frames)))
    return content + frames


def id3_tag(n_bytes: int = 300) -> bytes:
    """An ID3v2 tag of one comment."""
    body = b"COMM" + struct.pack(">IH", n_bytes - 10, 0) + b"\0eng\0" + b"x" * (n_bytes - 15)
    size = bytes((n_bytes >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + body


def _sound(seconds: float, rate: int, channels: int) -> NDArray[np.float32]:
    samples = tone(seconds, rate) + noise(seconds, rate)
    return np.stack([samples] * channels, axis=1) if channels > 1 else samples


def _libsndfile(form: str, subtype: str, rate: int, channels: int, seconds: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, _sound(seconds, rate, channels), rate, format=form, subtype=subtype)
    return buffer.getvalue()


def _links(suffix: str, *links: tuple[float, int, int]) -> bytes:
    """Join files of (seconds, rate, channels); bare frames of MP3, streams of their own serial number in Ogg."""
    options = odd_files.BARE if suffix == ".mp3" else None
    pieces = [
        odd_files.coded(suffix, odd_files.sine(seconds, rate, channels), rate, options=options)
        for seconds, rate, channels in links
    ]
    if suffix in (".ogg", ".opus", ".oga"):
        pieces = [odd_files.of_serial(piece, i + 1) for i, piece in enumerate(pieces)]
    return b"".join(pieces)


def _with_film(suffix: str) -> bytes:
    sound = odd_files.coded(suffix, odd_files.sine(0.7, 48_000), 48_000)
    return odd_files.multiplexed(odd_files.theora_pages(5), odd_files.pages_of(sound))


SMALL_COVER = (16, 16)
"""Pixels: a damaged header makes it as large as it likes."""


def _odd_seeds() -> dict[str, Callable[[], bytes]]:
    """Makers of covers, joined and changing streams, tags in front, and files of which a part can be read."""
    whole = partial(odd_files.coded, samples=odd_files.sine(1.3, 48_000, 2), rate=48_000)

    def tagged(suffix: str) -> bytes:
        return odd_files.id3v2(120, version=4, footer=True) + odd_files.id3v2(60) + bytes(40) + whole(suffix)

    def cut(suffix: str) -> bytes:
        return odd_files.cut(whole(suffix), 0.4)

    return {
        **{f"cover-{name}": partial(make, SMALL_COVER) for name, make in heavy_files.COVERS.items()},
        "alac-frames": lambda: heavy_files.alac(2, 2, 2**16),
        "chained-vorbis": lambda: _links(".ogg", (0.5, 16_000, 1), (0.5, 22_050, 2)),
        "chained-opus": lambda: _links(".opus", (0.1, 48_000, 1), (0.7, 48_000, 2)),
        "chained-ogg-flac": lambda: _links(".oga", (0.3, 16_000, 1), (0.3, 16_000, 1)),
        "joined-mp3": lambda: _links(".mp3", (0.5, 44_100, 2), (0.5, 22_050, 1)),
        "joined-aac": lambda: _links(".aac", (0.5, 44_100, 1), (0.5, 44_100, 2)),
        "joined-flac": lambda: _links(".flac", (0.3, 16_000, 1), (0.3, 16_000, 1)),
        "film-opus": lambda: _with_film(".opus"),
        "film-vorbis": lambda: _with_film(".ogg"),
        "inverted-flac": lambda: odd_files.coded(
            ".flac", odd_files.sine(0.5, 16_000, 2) * np.array([1, -1], np.float32), 16_000
        ),
        "hidden-flac": lambda: odd_files.coded(".flac", odd_files.music_at([(0, 0.3), (9, 9.5)], 9.5), 8_000),
        "dsf": lambda: odd_files.dsf(0.1),
        "avi": lambda: odd_files.coded(".avi", odd_files.sine(0.3, 8_000), 8_000),
        **{f"tags-{suffix[1:]}": partial(tagged, suffix) for suffix in (".mp3", ".aac", ".wv", ".wma")},
        **{f"cut-{suffix[1:]}": partial(cut, suffix) for suffix in (".flac", ".mp3", ".ogg", ".wma")},
        "damaged-flac": lambda: odd_files.damaged(whole(".flac"), 0.3),
        "cut-m4a": lambda: odd_files.cut(odd_files.with_index_first(whole(".m4a")), 0.5),
    }


def make_corpus(folder: Path) -> dict[str, bytes]:
    """Return the content of every seed by name; those of PyAV are written to `folder` on the way.

    An encoder that this installation lacks leaves its seed out.
    """
    makers: dict[str, Callable[[], bytes]] = {
        name: lambda values=values: _libsndfile(*values)  # type: ignore[misc]
        for name, values in _LIBSNDFILE.items()
    }
    for suffix in CONTAINERS:
        rate = 48_000 if suffix == ".webm" else RATE

        def write(suffix: str = suffix, rate: int = rate) -> bytes:
            return write_with_pyav(folder / f"seed{suffix}", _sound(1.3, rate, 1), rate).read_bytes()

        makers[suffix.strip(".").replace(".", "-")] = write
    corpus = {}
    for name, make in (makers | _odd_seeds()).items():
        try:
            corpus[name] = make()
        except (ValueError, soundfile.SoundFileError):
            continue
    corpus["ape"] = silent_ape()
    corpus["mp3-id3"] = id3_tag() + corpus["mp3"]
    return corpus
