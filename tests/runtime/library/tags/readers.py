"""What other programs see in a file: FFmpeg's demuxer, through PyAV, knows nothing of mutagen."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av

FFMPEG_NAMES = {"tmoo": "mood", "wm/mood": "mood", "wm/contentgroupdescription": "grouping"}


def fields_seen_by_ffmpeg(path: Path) -> dict[str, str]:
    """Return the tags by the names of fields; of several values some containers show the first one."""
    with av.open(str(path)) as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    return {FFMPEG_NAMES.get(name.lower(), name.lower()): value for name, value in tags.items()}


def genre_seen_by_ffmpeg(path: Path) -> str | None:
    """Return the genre, of the container or its stream; several in the form that FFmpeg joins them."""
    with av.open(str(path)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    return {key.lower(): value for key, value in found.items()}.get("genre")


def packets(path: Path) -> list[tuple[int | None, str]]:
    """Return time and checksum of every audio packet."""
    with av.open(str(path)) as container:
        return [
            (packet.pts, hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(audio=0)
            if packet.size
        ]


def samples(path: Path) -> bytes:
    """Return the decoded sound."""
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
