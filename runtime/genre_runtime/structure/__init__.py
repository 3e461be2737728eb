"""What a file's own frames, pages and chunks say of its length, compared with what its header claims.

Decoders believe headers: libsndfile never reads past the length that a header names, and FFmpeg allocates whatever an
index announces. Each module here reads a little of one family of formats and finds out whether the header can be
believed. Nothing is decoded. `examine` chooses the module; `genre_runtime.opening` acts on what it returns.
"""

from __future__ import annotations

from typing import BinaryIO

from genre_runtime.structure import flac, headers, mp4, mpeg, ogg, pcm, seek_tables
from genre_runtime.structure.finding import Structure

__all__ = ["Structure", "examine"]

_EXAMINERS = {
    "mp3": mpeg.examine,
    "flac": flac.examine,
    "ogg": ogg.examine,
    "wav": pcm.examine_wav,
    "aiff": pcm.examine_aiff,
    "au": pcm.examine_au,
    "caf": pcm.examine_caf,
    "w64": pcm.examine_w64,
    "mov": mp4.examine,
    "asf": headers.examine_asf,
    "avi": headers.examine_avi,
    "ape": seek_tables.examine_ape,
    "tta": seek_tables.examine_tta,
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
