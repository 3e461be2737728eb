"""The audio of a file, whatever its tags: what must be the same before and after."""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO

from genre_runtime.audio.containers import read_head, sniff_container
from genre_runtime.errors import UntaggableError
from genre_runtime.library.tags.places import Window, end_of_audio, front_size

_BY_BYTES = frozenset(("mp3", "ape", "wv", "mpc", "mpc8"))
"""Containers of which everything but tags at both ends is audio: frames one after the other, without an index.

FFmpeg cuts the frames at the end of such files at other places when tags change their length, and takes tags for sound.
"""
_CUT_AT_END = frozenset(("flac",))
"""Containers whose last packet reaches, for FFmpeg, up to the end of the file."""
_BLOCK_BYTES = 2**20


def sniffed_container(file: BinaryIO) -> tuple[str | None, bytes]:
    """Return FFmpeg's name of an open file's container, None if unknown, and the first bytes behind any ID3v2 tag.

    Raises
    ------
    OSError
    """
    file.seek(0)
    head = read_head(file)
    return sniff_container(head), head


def payload_sha256(file: BinaryIO) -> str:
    """Return a checksum of every audio packet and its time, as FFmpeg's demuxer hands them out.

    Where all but the tags is audio, it is one of the bytes between them.

    Parameters
    ----------
    file : binary file object
        Seekable; its position is changed.

    Raises
    ------
    UntaggableError
        FFmpeg finds no audio, so that it could not be told whether it stayed the same.
    """
    import av

    from genre_runtime.audio.readers.pyav_reader import open_container

    name = sniffed_container(file)[0] or "mp3"  # what begins with rubbish may be an MP3
    if name in _BY_BYTES:
        return _sha256_between_tags(file)
    digest = hashlib.sha256()
    n_packets = 0
    shown: Any = Window(file, 0, end_of_audio(file) if name in _CUT_AT_END else None)
    try:
        with open_container(shown, name) as container:
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
    """Return a checksum of all between the first ID3v2 tag and the APEv2 and ID3v1 tags at the end."""
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
