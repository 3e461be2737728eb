"""Choose the tag adapter of a file by its content, and compute a checksum of its audio.

The audio has to be the same before and after tags are written: `audio_sha256` is compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from genre_runtime.audio.containers import may_be_audio, read_head, sniff_container
from genre_runtime.errors import GenreError, TagWriteError, UnreadableAudioError, UntaggableError
from genre_runtime.library.tags.base import FileSlice, TagAdapter, front_size, import_mutagen, rewound
from genre_runtime.library.tags.id3_ape import ApeAdapter, Id3Adapter
from genre_runtime.library.tags.id3v1 import end_of_audio
from genre_runtime.library.tags.mp4_asf import Mp4AsfAdapter
from genre_runtime.library.tags.vorbis import FlacAdapter, OggAdapter
from genre_runtime.library.tags.wav_aiff import WavAiffAdapter

_ADAPTERS: dict[str, TagAdapter] = {
    "mp3": Id3Adapter("mp3"),
    "tta": Id3Adapter("tta"),
    "wav": WavAiffAdapter("wav"),
    "aiff": WavAiffAdapter("aiff"),
    "flac": FlacAdapter(),
    "ogg": OggAdapter(),
    "mov": Mp4AsfAdapter("mov"),
    "asf": Mp4AsfAdapter("asf"),
    "ape": ApeAdapter("ape"),
    "wv": ApeAdapter("wv"),
    "mpc": ApeAdapter("mpc"),
    "mpc8": ApeAdapter("mpc"),
}
"""By FFmpeg's name of the container."""

_EXPECTED = "expected MP3, FLAC, Ogg, Opus, M4A, WMA, APE, WavPack, Musepack, TTA, AIFF or WAV"
_FRAMES_ONLY = frozenset(("mp3", "ape", "wv", "mpc", "mpc8"))
"""Containers without an index: all bytes between the tags are audio.

FFmpeg splits the last frames of such files differently when tags change their length, and takes tags for audio.
"""
_CUT_AT_END = frozenset(("flac",))
"""Containers whose last packet reaches, for FFmpeg, up to the end of the file."""
_BLOCK_BYTES = 2**20


def adapter_of(file: BinaryIO) -> TagAdapter:
    """Return the adapter for an open file.

    Parameters
    ----------
    file : binary file object
        Seekable; its position is changed.

    Raises
    ------
    UntaggableError
        The container has no tags, or none that can be written safely.
    MissingDependencyError
        mutagen is not installed.
    OSError
    """
    import_mutagen()
    head = read_head(rewound(file))
    name = sniff_container(head)
    if name is None and not may_be_audio(head):
        raise _unknown_file(head)
    if name is not None and name not in _ADAPTERS:
        raise UntaggableError(f"{name} files cannot be tagged: {_EXPECTED}")
    return _ADAPTERS[name or "mp3"]


@contextmanager
def tag_errors(path: Path, file: BinaryIO) -> Iterator[None]:
    """Convert the errors of mutagen and of the system while the tags of an open file are read or written.

    Parameters
    ----------
    path : Path
        For messages.
    file : binary file object

    Raises
    ------
    UntaggableError, TagWriteError, UnreadableAudioError, MissingDependencyError
    """
    mutagen = import_mutagen()
    try:
        yield
    except mutagen.MutagenError as error:
        cause = error.__cause__ or error.args[0] if error.args else error
        if isinstance(cause, OSError):
            raise TagWriteError.from_os_error(path, cause) from error
        if type(error).__name__ == "HeaderNotFoundError":  # MP3 is tried if no container is recognised
            raise _unknown_file(read_head(rewound(file))) from error
        raise UntaggableError(f"the tags cannot be read or written safely ({error or type(error).__name__})") from error
    except PermissionError as error:
        raise UnreadableAudioError(f"{error.strerror}: check the permissions") from error
    except (OSError, GenreError):
        raise
    except Exception as error:  # mutagen raises many types for damaged files; one file must not end the run
        raise UntaggableError(f"the tags are damaged ({type(error).__name__}: {error})") from error


def audio_sha256(file: BinaryIO) -> str:
    """Return a checksum of every audio packet and its time, as FFmpeg's demuxer returns them.

    If all bytes but the tags are audio, it is the checksum of those bytes.

    Parameters
    ----------
    file : binary file object
        Seekable; its position is changed.

    Raises
    ------
    UntaggableError
        FFmpeg finds no audio, so a change of it would not be noticed.
    """
    import av

    from genre_runtime.audio.readers.pyav_reader import open_container

    name = sniff_container(read_head(rewound(file))) or "mp3"  # an MP3 file may begin with other bytes
    if name in _FRAMES_ONLY:
        return _sha256_between_tags(file)
    digest = hashlib.sha256()
    n_packets = 0
    audio: Any = FileSlice(file, 0, end_of_audio(file) if name in _CUT_AT_END else None)
    try:
        with open_container(audio, name) as container:
            for packet in container.demux(container.streams.audio):
                digest.update(f"{packet.stream_index} {packet.pts} {packet.size};".encode())
                digest.update(memoryview(packet))
                n_packets += packet.size > 0
    except (av.FFmpegError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise UntaggableError(f"the audio cannot be read ({words}), so that writing to the file is a risk") from error
    if not n_packets:
        raise UntaggableError("the file holds no audio: expected some")
    return digest.hexdigest()


def _sha256_between_tags(file: BinaryIO) -> str:
    """Return a checksum of the bytes between the first ID3v2 tag and the APEv2 and ID3v1 tags at the end."""
    digest = hashlib.sha256()
    start = front_size(file)
    left = end_of_audio(file) - start
    if left <= 0:
        raise UntaggableError("the file holds no audio: expected some")
    file.seek(start)
    while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _unknown_file(head: bytes) -> UntaggableError:
    """Return the error for a file whose audio is not recognised, given the first bytes behind an ID3v2 tag."""
    text = head[:16].decode("ascii", errors="replace")
    if not head:
        found = "holds nothing but an ID3v2 tag, or nothing at all"
    elif head[0] == 0xFF:
        found = "begins like an MP3 file, but the frames of one do not follow: it is damaged or too short"
    elif text.isascii() and all(character.isprintable() or character.isspace() for character in text):
        found = f"begins with the text {text!r}"
    else:
        found = f"begins with the bytes {head[:8].hex(' ')}"
    return UntaggableError(f"the file cannot be tagged, it {found} ({_EXPECTED})")
