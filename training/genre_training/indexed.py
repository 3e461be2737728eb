"""Clips named by an `index.csv`: log-mel pictures and the audio files that go with them.

- `fma_small/index.csv` (`track_id, genre, block`) with `logmel/<track_id>.png`
- `gtzan/index.csv` (`clip, genre, split`) with `logmel/<clip>.png`; its validation part is what tests us
- `audio/index.csv` (`file, genre, artist, source`) with the files beside it
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
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
        stem = Path(row["file"]).stem
        track_id = f"{row['source']}/{stem.partition('_')[2] or stem}"  # "fma_000002": a source's name, then the clip's
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
    for _, row in numbered_rows(path, *columns):
        yield row


def numbered_rows(path: Path, *columns: str, optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file in UTF-8, each with the number of its line; none if it is not there.

    Parameters
    ----------
    path : Path
    columns : str
        Columns that must be there; the first two must have a value in every row.
    optional : sequence of str
        Columns whose values are empty where they are not there.

    Raises
    ------
    DataError
        A column or a value is missing, a row has more values than there are columns, or the file is no CSV in UTF-8.
    """
    if not path.is_file():
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel begins its files with a byte order mark
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            absent = [column for column in columns if column not in names]
            if absent:
                raise DataError(f"{path} lacks the columns {absent}: found {names}")
            for row in reader:
                # The name and the genre come first; of the others, an artist may be unknown.
                empty = [
                    name for name in columns if row[name] is None or (name in columns[:2] and not row[name].strip())
                ]
                if empty:
                    raise DataError(f"{path}, line {reader.line_num}, has no value for {empty}")
                if None in row:
                    raise DataError(
                        f"{path}, line {reader.line_num}, has more values than the columns {names}: quote commas"
                    )
                yield reader.line_num, {name: row.get(name) or "" for name in (*names, *optional)}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}") from error
