"""Clips named by an `index.csv`: log-mel pictures and the audio files that go with them.

- `fma_small/index.csv` (`track_id, genre, block`) with `logmel/<track_id>.png`
- `gtzan/index.csv` (`clip, genre, split`) with `logmel/<clip>.png`; its validation part is what tests us
- `audio/index.csv` (`file, genre, artist, source`) with the files beside it
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from genre_training.tracks import DataError, Track


def read_indexed_tracks(folder: Path) -> list[Track]:
    """Return the clips of the parts that are there; audio of a clip that is also a picture is left out.

    Raises
    ------
    DataError
        An index lacks a column or a value.
    """
    tracks = [*_fma_pictures(folder), *_gtzan_pictures(folder)]
    known = {track.track_id for track in tracks}
    return tracks + [track for track in read_audio_tracks(folder) if track.track_id not in known]


def read_audio_tracks(folder: Path) -> list[Track]:
    """Return the clips of `folder/audio`, those included whose pictures stand elsewhere."""
    parts = {track.track_id: track.part for track in _gtzan_pictures(folder)}
    tracks = []
    for row in read_rows(folder / "audio" / "index.csv", "file", "genre", "artist", "source"):
        name = Path(row["file"]).stem.removeprefix(f"{row['source']}_")
        track_id = f"{row['source']}/{name}"
        path = folder / "audio" / row["file"]
        group = f"{row['source']}/{row['artist']}"
        tracks.append(Track(track_id, path, row["genre"], row["source"], group, parts.get(track_id)))
    return tracks


def _fma_pictures(folder: Path) -> Iterator[Track]:
    for row in read_rows(folder / "fma_small" / "index.csv", "track_id", "genre", "block"):
        path = folder / "fma_small" / "logmel" / f"{row['track_id']}.png"
        yield Track(f"fma_small/{row['track_id']}", path, row["genre"], "fma_small", f"fma_small/{row['block']}")


def _gtzan_pictures(folder: Path) -> Iterator[Track]:
    for row in read_rows(folder / "gtzan" / "index.csv", "clip", "genre", "split"):
        path = folder / "gtzan" / "logmel" / f"{row['clip']}.png"
        track_id = f"gtzan/{row['clip']}"
        yield Track(
            track_id, path, row["genre"], "gtzan", track_id, part="train" if row["split"] == "train" else "test"
        )


def read_rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, none if it is not there; a missing column or value is a DataError."""
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
