"""Clips named by an `index.csv`: log-mel pictures and the audio files that go with them.

- `fma_small/index.csv` (`track_id, genre, block`) with `logmel/<track_id>.png`
- `gtzan/index.csv` (`clip, genre, split`) with `logmel/<clip>.png`; its validation part is what tests us
- `audio/index.csv` (`file, genre, artist, source`) with the files beside it

Music of one's own: a folder for each genre, as GTZAN is laid out, or a CSV file that names the files.

- `rock/song.mp3`, `rock/artist or album/song.flac` and deeper
- `manifest.csv` (`path, label` and, where they are known, `group, split`); paths start at its folder or are absolute

The source is called like the folder, and a clip `<folder>/<path without suffix>`.

Every clip of a data folder, whatever its layout.

- FMA as `genre-train data` fetches it, see `fma`
- pictures and audio files that an `index.csv` names, see `indexed`
- music of one's own that `manifest.csv` names, see `own_music`

These add up. A folder with none of them, not even a folder of such a name, is taken for one with a folder for each
genre; and in place of a folder, a manifest of any name may be given.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from genre_runtime.library.scan import expand
from genre_training.data.fma import SUBSETS, read_fma_tracks
from genre_training.data.track import PARTS, DataError, Track


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


Rows = list[tuple[int, dict[str, str]]]
"""The manifest's rows, each with the number of its line."""


def read_genre_folders(folder: Path) -> list[Track]:
    """Return the audio files in the folders of `folder`, each of which is a genre; none if there are none.

    The first folder below the genre, an artist or an album, is the group, and is the same one in every genre: an artist
    who plays two of them still stands on one side of a split. A file directly in the genre's folder is a group by
    itself. Hidden files and folders and links to folders are passed over.
    """
    files = [path.relative_to(folder) for path in expand([str(folder)])]
    files = [file for file in files if len(file.parts) > 1]
    source = folder.resolve().name
    tracks = []
    for file, name in zip(files, _names(files), strict=True):
        track_id = f"{source}/{name}"
        genre, *between = file.parts[:-1]
        group = f"{source}/{between[0]}" if between else track_id
        tracks.append(Track(track_id, folder / file, genre.lower(), source, group))
    return tracks


def read_manifest(path: Path) -> list[Track]:
    """Return the audio files that a CSV file names, in its order.

    Raises
    ------
    DataError
        The file is not there, names nothing, or lacks a column; a row lacks its path or label, names a picture, a file
        that is not there or one that stood above, or an unknown split; or a group has more than one split.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there: expected a CSV file with the columns path, label and maybe group, split")
    rows = list(numbered_rows(path, "path", "label", optional=("group", "split")))
    if not rows:
        raise DataError(f"{path} names no file: expected a line with path and label for each")
    rows = [(line, {column: value.strip() for column, value in row.items()}) for line, row in rows]
    _check_files(path, rows)
    _check_parts(path, rows)
    source = path.resolve().parent.name
    names = _names([_relative(Path(row["path"]), path.parent) for _, row in rows])
    tracks = []
    for (_, row), name in zip(rows, names, strict=True):
        track_id = f"{source}/{name}"
        group = f"{source}/{row['group']}" if row["group"] else track_id
        file = path.parent / row["path"]
        tracks.append(Track(track_id, file, row["label"].lower(), source, group, row["split"].lower() or None))
    return tracks


def _check_files(path: Path, rows: Rows) -> None:
    first_lines: dict[Path, int] = {}
    for line, row in rows:
        file = path.parent / row["path"]
        if file.suffix.lower() == ".png":
            raise DataError(f"{path}, line {line}, names the picture {row['path']}: expected an audio file")
        if not file.is_file():
            raise DataError(f"{path}, line {line}: found no file {file}; expected a path from {path.parent} or from /")
        first = first_lines.setdefault(file.resolve(), line)
        if first != line:
            raise DataError(
                f"{path}, line {line}, names {row['path']}, which line {first} names already: expected each file once"
            )


def _check_parts(path: Path, rows: Rows) -> None:
    of_group: dict[str, tuple[str, int]] = {}
    for line, row in rows:
        part, group = row["split"].lower(), row["group"]
        if part not in ("", *PARTS):
            raise DataError(
                f"{path}, line {line}: found the split {row['split']!r}; expected {', '.join(PARTS)} or nothing"
            )
        # A torn group would make the figures too good without anybody noticing.
        other, first = of_group.setdefault(group, (part, line)) if group else (part, line)
        if other != part:
            raise DataError(
                f"{path}, line {line}: found the split {part!r} for the group {group!r}, but {other!r} in line "
                f"{first}; expected one for the whole group"
            )


def _relative(file: Path, folder: Path) -> Path:
    """Return `file` as it is written, but below `folder` if that is where it lies."""
    file, folder = (Path(os.path.normpath(path)) for path in (file, folder.absolute()))
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def _names(files: Sequence[Path]) -> list[str]:
    """Return each path without its suffix, but with it where the name would not be unique."""
    whole = [file.as_posix() for file in files]
    short = [file.with_suffix("").as_posix() for file in files]
    counts = Counter(short) + Counter(set(whole))
    return [name if counts[name] == 1 else path for name, path in zip(short, whole, strict=True)]


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
