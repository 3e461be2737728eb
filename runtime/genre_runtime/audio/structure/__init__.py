"""WMA and AVI: the length that the header announces. Of a file that was cut short FFmpeg tells only what is left.

Monkey's Audio and True Audio: seek tables that are larger than the file. FFmpeg allocates what the header names.

What a file's own frames, pages and chunks say of its length, compared with what its header claims.

Decoders believe headers: libsndfile never reads past the length that a header names, and FFmpeg allocates whatever an
index announces. Each module here reads a little of one family of formats and finds out whether the header can be
believed. Nothing is decoded. `examine` chooses the module; `genre_runtime.audio.readers` acts on what it returns.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from genre_runtime.audio.structure import mp4, mpeg, pcm, xiph
from genre_runtime.audio.structure.finding import Structure, read_at
from genre_runtime.errors import UnreadableAudioError

HEADER_BYTES = 2**16
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST = 1


def examine_asf(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the play duration of the file properties object, less the time that a player buffers before it begins."""
    head = read_at(file, start, HEADER_BYTES)
    at = head.find(_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return Structure()
    ticks, _, preroll, flags = struct.unpack_from("<QQQI", head, at + 64)
    seconds = ticks / 1e7 - preroll / 1e3
    return Structure(announced_seconds=seconds if seconds > 0 and not flags & _BROADCAST else None)


def examine_avi(file: BinaryIO, start: int, _: int) -> Structure:
    """Read the length of the first stream of sound from its header."""
    head = read_at(file, start, HEADER_BYTES)
    at = head.find(b"strh")
    while at >= 0 and len(head) >= at + 44:
        if head[at + 8 : at + 12] == b"auds":
            scale, rate, _, n_units = struct.unpack_from("<4I", head, at + 28)
            return Structure(announced_seconds=n_units * scale / rate if rate and n_units else None)
        at = head.find(b"strh", at + 1)
    return Structure()


def examine_ape(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the frames and the seek table that the header names with the file's size."""
    head = read_at(file, start, 76)
    if len(head) < 76:
        return Structure()
    (version,) = struct.unpack_from("<H", head, 4)
    if version >= 3980:
        (descriptor, _, table) = struct.unpack_from("<3I", head, 8)
        body = read_at(file, start + descriptor, 24)
        n_frames = struct.unpack_from("<I", body, 12)[0] if len(body) == 24 else 0
    else:
        (n_frames,) = struct.unpack_from("<I", head, 24)
        (table,) = struct.unpack_from("<I", head, 28)
        table = 0 if table > size else table
    _check("ape", max(table, 4 * n_frames), size)
    return Structure()


def examine_tta(file: BinaryIO, start: int, size: int) -> Structure:
    """Compare the seek table that the number of samples implies with the file's size."""
    head = read_at(file, start, 22)
    if len(head) < 22:
        return Structure()
    rate, n_samples = struct.unpack_from("<2I", head, 10)
    _check("tta", 4 * (n_samples // max(1, 256 * rate // 245)), size)
    return Structure()


def _check(name: str, n_bytes: int, size: int) -> None:
    if n_bytes > size:
        raise UnreadableAudioError(
            f"the seek table of the {name} file has {n_bytes:,} bytes by its header, the file {size:,}: it is damaged "
            "or forged"
        )


__all__ = ["Structure", "examine"]

_EXAMINERS = {
    "mp3": mpeg.examine,
    "flac": xiph.examine_flac,
    "ogg": xiph.examine_ogg,
    "wav": pcm.examine_wav,
    "aiff": pcm.examine_aiff,
    "au": pcm.examine_au,
    "caf": pcm.examine_caf,
    "w64": pcm.examine_w64,
    "mov": mp4.examine,
    "asf": examine_asf,
    "avi": examine_avi,
    "ape": examine_ape,
    "tta": examine_tta,
}


def examine(file: BinaryIO, container: str | None, start: int, size: int) -> Structure:
    """Compare what a file's header claims with what lies in the file.

    Parameters
    ----------
    file : seekable binary file
    container : str or None
        FFmpeg's name of the container, as `sniff_container` tells it.
    start : int
        Where the container begins, in bytes: behind any tags in front of it.
    size : int
        Bytes of the file.

    Returns
    -------
    Structure
        Of a format that is not examined, one that believes the header.

    Raises
    ------
    UnreadableAudioError
        The header announces more than a file of this size can hold, and decoders would allocate it.
    """
    examiner = _EXAMINERS.get(container or "")
    return examiner(file, start, size) if examiner else Structure()
