"""Every clip of a data folder, whatever its layout.

- FMA as `genre-train data` fetches it, see `fma`
- pictures and audio files that an `index.csv` names, see `indexed`
- music of one's own that `manifest.csv` names, see `own_music`

These add up. A folder with none of them, not even a folder of such a name, is taken for one with a folder for each
genre; and in place of a folder, a manifest of any name may be given.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from genre_training.fma import SUBSETS, read_fma_tracks
from genre_training.indexed import read_indexed_tracks
from genre_training.own_music import read_genre_folders, read_manifest
from genre_training.tracks import DataError, Track

MANIFEST_NAME = "manifest.csv"
KNOWN_NAMES = ("fma_metadata", *(f"fma_{subset}" for subset in SUBSETS), "gtzan", "audio", MANIFEST_NAME)
"""No genres: half a download must not be taken for music sorted by genre."""

EXPECTED = (
    "fma_metadata/tracks.csv and fma_medium (from `genre-train data`), fma_small/index.csv, gtzan/index.csv, "
    f"audio/index.csv, {MANIFEST_NAME} (path, label), or else nothing but a folder of audio files for each genre"
)


def read_tracks(folder: Path) -> list[Track]:
    """Return every clip to train on below `folder`, or in the manifest `folder`, each once, in a fixed order.

    Raises
    ------
    DataError
        There is no such folder or it has none of the known layouts, an index names a file that is not there or a clip
        twice, or lacks a column or a value, or FMA's table is damaged or names no clip that is there.
    """
    if folder.suffix.lower() == ".csv" and not folder.is_dir():
        tracks = read_manifest(folder)
    elif any((folder / name).exists() for name in KNOWN_NAMES):
        tracks = _read_parts(folder)
    else:
        tracks = read_genre_folders(folder)
    if not tracks:
        raise DataError(f"{folder} holds no training data: {_found(folder)}; expected {EXPECTED}")
    counts = Counter(track.track_id for track in tracks)
    repeated = [track_id for track_id, count in counts.items() if count > 1]
    if repeated:
        raise DataError(f"{len(repeated)} clips stand more than once in the index, {repeated[0]} the first")
    missing = [track.path for track in tracks if not track.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} files named in the index are missing, {missing[0]} the first")
    return tracks


def _read_parts(folder: Path) -> list[Track]:
    fma = read_fma_tracks(folder)
    # Every subset of FMA holds the small one, so its pictures would be the same music once more.
    tracks = fma + [track for track in read_indexed_tracks(folder) if not fma or track.source != "fma_small"]
    if not (folder / MANIFEST_NAME).is_file():
        return tracks
    known = {track.path.resolve() for track in tracks}
    own = read_manifest(folder / MANIFEST_NAME)
    twice = [track.path for track in own if track.path.resolve() in known]
    if twice:
        raise DataError(
            f"{folder / MANIFEST_NAME} names {len(twice)} files that another part of {folder} holds already, "
            f"{twice[0]} the first: expected each file once"
        )
    return tracks + own


def _found(folder: Path) -> str:
    """Say what is there instead of training data."""
    if not folder.exists():
        return "there is no such file or folder"
    if not folder.is_dir():
        return "it is a file, but no .csv"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"found {', '.join(names[:5])}{more}" if names else "it is empty"
