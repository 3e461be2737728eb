"""A labelled clip of any data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_runtime.errors import GenreError

Indices = NDArray[np.int64]

PARTS = ("train", "validation", "test")


class DataError(GenreError, ValueError):
    """The data folder is missing or not laid out as expected."""

    code = "data"


@dataclass(frozen=True)
class Track:
    """One labelled clip.

    Attributes
    ----------
    track_id : str
        Unique among all sources, `source/name`.
    path : Path
        Audio file or log-mel picture.
    label : str
        Genre.
    source : str
        The data set it comes from.
    group : str
        Tracks of one group (artist, album, upload block) are never on both sides of a split.
    part : {"train", "validation", "test"} or None
        Part that the source gives the clip in every split by artists, if it does.
    official : {"train", "validation", "test"} or None
        Part of the source's official split, which only the split `official` follows.
    sub_genre : str or None
        A finer genre within `label`, if the source names it; in lower case.
    """

    track_id: str
    path: Path
    label: str
    source: str
    group: str
    part: str | None = None
    official: str | None = None
    sub_genre: str | None = None


BLOCK = "block "
"""Begins the name of a group that stands for an unknown artist: tracks that were uploaded together."""


def artist_is_known(track: Track) -> bool:
    """Return whether the group of a clip is an artist.

    Parameters
    ----------
    track : Track
    """
    return track.group != track.track_id and not track.group.startswith(f"{track.source}/{BLOCK}")


def label_names(tracks: Iterable[Track]) -> tuple[str, ...]:
    """Return the genres of some tracks, sorted.

    Parameters
    ----------
    tracks : iterable of Track
    """
    return tuple(sorted({track.label for track in tracks}))
