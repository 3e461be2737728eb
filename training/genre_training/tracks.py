"""Which clips there are: `Track` lists read from a data folder.

A data folder holds any of these parts; their union is trained on.

- `fma_small/index.csv` (`track_id, genre, block`) with `logmel/<track_id>.png`
- `gtzan/index.csv` (`clip, genre, split`) with `logmel/<clip>.png`
- `audio/index.csv` (`file, genre, artist, source`) with the files beside it
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genre_runtime.errors import GenreError


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
        Tracks of one group (artist, album, upload block) never stand on both sides of a split.
    held_out : bool or None
        True or False where the source itself says which part the clip belongs to.
    """

    track_id: str
    path: Path
    label: str
    source: str
    group: str
    held_out: bool | None = None


def read_tracks(folder: Path) -> list[Track]:
    """Return every clip to train on below `folder`, each once, in a fixed order.

    Audio of a clip that is also there as a picture is left out: see `read_audio_tracks`.

    Raises
    ------
    DataError
        The folder has none of the parts, a part's index names a file that is not there or a clip twice, or lacks
        a column or a value.
    """
    tracks = [*_fma_pictures(folder), *_gtzan_pictures(folder)]
    known = {track.track_id for track in tracks}
    tracks += [track for track in read_audio_tracks(folder) if track.track_id not in known]
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


def read_audio_tracks(folder: Path) -> list[Track]:
    """Return the clips of `folder/audio`, those included whose pictures stand elsewhere."""
    held_out = {track.track_id: track.held_out for track in _gtzan_pictures(folder)}
    tracks = []
    for row in _rows(folder / "audio" / "index.csv", "file", "genre", "artist", "source"):
        name = Path(row["file"]).stem.removeprefix(f"{row['source']}_")
        track_id = f"{row['source']}/{name}"
        path = folder / "audio" / row["file"]
        group = f"{row['source']}/{row['artist']}"
        tracks.append(Track(track_id, path, row["genre"], row["source"], group, held_out.get(track_id)))
    return tracks


def label_names(tracks: list[Track]) -> tuple[str, ...]:
    """Return the genres of `tracks`, sorted."""
    return tuple(sorted({track.label for track in tracks}))


def _fma_pictures(folder: Path) -> Iterator[Track]:
    for row in _rows(folder / "fma_small" / "index.csv", "track_id", "genre", "block"):
        path = folder / "fma_small" / "logmel" / f"{row['track_id']}.png"
        yield Track(f"fma_small/{row['track_id']}", path, row["genre"], "fma_small", f"fma_small/{row['block']}")


def _gtzan_pictures(folder: Path) -> Iterator[Track]:
    for row in _rows(folder / "gtzan" / "index.csv", "clip", "genre", "split"):
        path = folder / "gtzan" / "logmel" / f"{row['clip']}.png"
        track_id = f"gtzan/{row['clip']}"
        yield Track(track_id, path, row["genre"], "gtzan", track_id, held_out=row["split"] != "train")


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        absent = [column for column in columns if column not in (reader.fieldnames or ())]
        if absent:
            raise DataError(f"{path} lacks the columns {absent}: found {reader.fieldnames}")
        for row in reader:
            # The name and the genre come first; of the others, an artist may be unknown.
            empty = [column for column in columns if row[column] is None or (column in columns[:2] and not row[column])]
            if empty:
                raise DataError(f"{path}, line {reader.line_num}, has no value for {empty}")
            yield row
