"""Every clip of a data folder, whatever its layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from genre_training.indexed import read_indexed_tracks
from genre_training.tracks import DataError, Track


def read_tracks(folder: Path) -> list[Track]:
    """Return every clip to train on below `folder`, each once, in a fixed order.

    Raises
    ------
    DataError
        The folder has none of the known layouts, an index names a file that is not there or a clip twice, or lacks
        a column or a value.
    """
    tracks = read_indexed_tracks(folder)
    if not tracks:
        raise DataError(
            f"{folder} holds no training data: expected fma_small/index.csv, gtzan/index.csv or audio/index.csv"
        )
    counts = Counter(track.track_id for track in tracks)
    repeated = [track_id for track_id, count in counts.items() if count > 1]
    if repeated:
        raise DataError(f"{len(repeated)} clips stand more than once in the index, {repeated[0]} the first")
    missing = [track.path for track in tracks if not track.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} files named in the index are missing, {missing[0]} the first")
    return tracks
