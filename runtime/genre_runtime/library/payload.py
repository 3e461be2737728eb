"""The audio of a file, whatever its tags: what must be the same before and after."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import BinaryIO

from genre_runtime.containers import head_behind_tags, sniff_container
from genre_runtime.library.errors import UntaggableError
from genre_runtime.library.trailing import read_id3v1

_TAGGED_BEHIND = frozenset(("ape", "wv", "mpc", "mpc8"))
"""Containers with no other tag than one behind the audio."""
_BLOCK_BYTES = 2**20
_APE_FOOTER = 32
"""Bytes; the header has as many."""


def container_of(path: Path) -> str:
    """Return FFmpeg's name of a file's container; what begins with rubbish may be an MP3.

    Raises
    ------
    OSError
    """
    with open(path, "rb") as file:
        return sniff_container(head_behind_tags(file)) or "mp3"


def payload_sha256(path: Path) -> str:
    """Return a checksum of every audio packet and its time, as FFmpeg's demuxer hands them out.

    Where tags can only stand behind the audio, it is one of the bytes before them.

    Raises
    ------
    UntaggableError
        FFmpeg finds no audio, so that nobody could tell whether it stayed the same.
    """
    import av

    from genre_runtime.pyav_reader import open_container

    name = container_of(path)
    if name in _TAGGED_BEHIND:
        return _sha256_before_tags(path)
    digest = hashlib.sha256()
    n_packets = 0
    try:
        with open(path, "rb") as file, open_container(file, name) as container:
            for packet in container.demux(container.streams.audio):
                digest.update(f"{packet.stream_index} {packet.pts} {packet.size};".encode())
                digest.update(memoryview(packet))
                n_packets += packet.size > 0
    except (av.FFmpegError, ValueError) as error:
        raise UntaggableError(f"the audio cannot be read ({error}), so that writing to the file is a risk") from error
    if not n_packets:
        raise UntaggableError("the file holds no audio: expected some")
    return digest.hexdigest()


def _sha256_before_tags(path: Path) -> str:
    """Return a checksum of all that precedes APEv2 and ID3v1: FFmpeg takes them for audio, or for damage."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        left = _end_of_audio(file)
        file.seek(0)
        while block := file.read(min(left, _BLOCK_BYTES)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _end_of_audio(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END) - len(read_id3v1(file))
    file.seek(max(0, end - _APE_FOOTER))
    footer = file.read(_APE_FOOTER)
    if len(footer) == _APE_FOOTER and footer.startswith(b"APETAGEX"):
        _, size, _, flags = struct.unpack_from("<4I", footer, 8)
        has_header = flags >> 31
        end = max(0, end - size - has_header * _APE_FOOTER)
    return end
