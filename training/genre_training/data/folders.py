"""The clips of a data folder, in any of its layouts.

- FMA as `genre-train data` downloads it, see `genre_training.data.fma`
- `fma_small/index.csv` (`track_id, genre, block, artist_id, official`) with the pictures `logmel/<track_id>.png`
- `gtzan/index.csv` (`clip, genre, split, artist`) with the pictures `logmel/<clip>.png`; its validation part is tested
  here, with the training clips of artists who are in it
- `audio/index.csv` (`file, genre, artist, source`) with the files beside it
- `manifest.csv` (`path, label`, optionally `group, split`): your own music, paths relative to its folder or absolute

Each index and manifest may also have the column `sub_genre`: empty, or a name that has the same genre in every row.
All layouts that are found are used together. A folder with none of them is expected to have one folder per genre:
`rock/song.mp3`, `rock/artist or album/song.flac` and deeper. A manifest of any name may be given instead of a folder.
The source of your own music is the name of the folder, and a clip is called `<folder>/<path without suffix>`.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from genre_runtime.errors import counted
from genre_runtime.library.scan import expand
from genre_training.data.fma import SUBSETS, read_fma_tracks
from genre_training.data.track import BLOCK, PARTS, DataError, Track

MANIFEST_NAME = "manifest.csv"
KNOWN_NAMES = ("fma_metadata", *(f"fma_{subset}" for subset in SUBSETS), "gtzan", "audio", MANIFEST_NAME)
"""Names that are not genres, so that half a download is not mistaken for music sorted by genre."""

EXPECTED = (
    "fma_metadata/tracks.csv and fma_medium (from `genre-train data`), fma_small/index.csv, gtzan/index.csv, "
    f"audio/index.csv, {MANIFEST_NAME} (path, label), or only folders of audio files, one per genre"
)

Rows = list[tuple[int, dict[str, str]]]
"""Rows of a manifest with their line numbers."""


def read_indexed_tracks(folder: Path) -> list[Track]:
    """Return the clips that the `index.csv` files name, without audio of clips that are there as pictures.

    Parameters
    ----------
    folder : Path
        The data folder.

    Raises
    ------
    DataError
        An index lacks a column or a value.
    """
    tracks = [*_fma_pictures(folder), *_gtzan_pictures(folder)]
    known = {track.track_id for track in tracks}
    return tracks + [track for track in read_audio_tracks(folder) if track.track_id not in known]


def read_audio_tracks(folder: Path) -> list[Track]:
    """Return the clips of `folder/audio`, including those that are there as pictures.

    Parameters
    ----------
    folder : Path
        The data folder.

    Raises
    ------
    DataError
        An index lacks a column or a value.
    """
    pictures = {track.track_id: track for track in (*_fma_pictures(folder), *_gtzan_pictures(folder))}
    tracks = []
    for _, row in numbered_rows(folder / "audio" / "index.csv", "file", "genre", "artist", "source"):
        stem = Path(row["file"]).stem
        track_id = f"{row['source']}/{stem.partition('_')[2] or stem}"  # "fma_000002": source, then clip
        path = folder / "audio" / row["file"]
        artist = row["artist"].removeprefix("fma:")
        group = f"{row['source']}/{artist}" if artist else track_id
        same = pictures.get(track_id)
        if same:
            tracks.append(replace(same, path=path))
        else:
            sub_genre = row["sub_genre"] or None
            tracks.append(Track(track_id, path, row["genre"], row["source"], group, sub_genre=sub_genre))
    return tracks


def read_twins(folder: Path, tracks: Sequence[Track]) -> list[Track]:
    """Return the audio of clips that are there as pictures.

    Parameters
    ----------
    folder : Path
        The data folder, or a manifest.
    tracks : sequence of Track
        Its clips.

    Raises
    ------
    DataError
        An index lacks a column or a value.
    """
    pictures = {track.track_id for track in tracks if track.path.suffix == ".png"}
    return [track for track in read_audio_tracks(folder) if track.track_id in pictures] if pictures else []


def _fma_pictures(folder: Path) -> Iterator[Track]:
    columns = ("track_id", "genre", "block", "artist_id", "official")
    for _, row in numbered_rows(folder / "fma_small" / "index.csv", *columns):
        path = folder / "fma_small" / "logmel" / f"{row['track_id']}.png"
        # The artist keeps a split honest; a block of tracks uploaded together stands for an unknown one.
        group = f"fma_small/{row['artist_id'] or BLOCK + row['block']}"
        official = "test" if row["official"] == "test" else "train"
        yield Track(
            f"fma_small/{row['track_id']}",
            path,
            row["genre"],
            "fma_small",
            group,
            official=official,
            sub_genre=row["sub_genre"] or None,
        )


def _gtzan_pictures(folder: Path) -> Iterator[Track]:
    rows = [row for _, row in numbered_rows(folder / "gtzan" / "index.csv", "clip", "genre", "split", "artist")]
    tested = {row["artist"] for row in rows if row["split"] != "train"} - {""}
    for row in rows:
        path = folder / "gtzan" / "logmel" / f"{row['clip']}.png"
        track_id = f"gtzan/{row['clip']}"
        group = f"gtzan/{row['artist']}" if row["artist"] else track_id
        part = "test" if row["split"] != "train" or row["artist"] in tested else "train"
        yield Track(track_id, path, row["genre"], "gtzan", group, part, sub_genre=row["sub_genre"] or None)


def numbered_rows(path: Path, *columns: str, optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file in UTF-8, each with its line number; none if the file does not exist.

    Every row has a `sub_genre`, in lower case, empty if the file does not name it.

    Parameters
    ----------
    path : Path
    columns : str
        Required columns; the first two need a value in every row, and the second is the genre.
    optional : sequence of str
        Columns that are empty if they are missing.

    Raises
    ------
    DataError
        A column or a value is missing, a row has more values than there are columns, a sub-genre has two genres, or the
        file is not CSV in UTF-8.
    """
    if not path.is_file():
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel begins its files with a byte order mark
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            genres: dict[str, tuple[str, int]] = {}  # of each sub-genre, and the line that names it first
            absent = [column for column in columns if column not in names]
            if absent:
                raise DataError(f"{path} lacks the columns {absent}: found {names}")
            for row in reader:
                # Name and genre come first and are needed; an artist may be unknown.
                empty = [
                    name for name in columns if row[name] is None or (name in columns[:2] and not row[name].strip())
                ]
                if empty:
                    raise DataError(f"{path}, line {reader.line_num}, has no value for {empty}")
                if None in row:
                    raise DataError(
                        f"{path}, line {reader.line_num}, has more values than the columns {names}: quote commas"
                    )
                sub_genre = (row.get("sub_genre") or "").strip().lower()
                _check_sub_genre(path, reader.line_num, sub_genre, row[columns[1]].strip().lower(), genres)
                yield (
                    reader.line_num,
                    {name: row.get(name) or "" for name in (*names, *optional)} | {"sub_genre": sub_genre},
                )
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from error


def _check_sub_genre(path: Path, line: int, sub_genre: str, genre: str, genres: dict[str, tuple[str, int]]) -> None:
    other, first = genres.setdefault(sub_genre, (genre, line)) if sub_genre else (genre, line)
    if other != genre:
        raise DataError(
            f"{path}, line {line}: found the sub-genre {sub_genre!r} for the genre {genre!r}, but for {other!r} in "
            f"line {first}; expected each sub-genre below one genre only: rename one of the two"
        )


def read_genre_folders(folder: Path) -> list[Track]:
    """Return the audio files of a folder that has one folder per genre.

    The first folder below the genre, an artist or an album, is the group. It is the same group in every genre, so an
    artist of two genres stays on one side of a split. A file directly in the genre's folder is a group by itself.
    Hidden files and folders and links to folders are skipped.

    Parameters
    ----------
    folder : Path
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

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        The file does not exist, is empty, or lacks a column; a row lacks its path or label, names a picture, a missing
        file, a file of an earlier row or an unknown split; a group has more than one split, or a sub-genre more than
        one genre.
    """
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: expected a CSV file with the columns path, label and optionally group, split, "
            "sub_genre"
        )
    rows = list(numbered_rows(path, "path", "label", optional=("group", "split")))
    if not rows:
        raise DataError(f"{path} has no rows: expected a line with path and label for each file")
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
        part, sub_genre = row["split"].lower() or None, row["sub_genre"] or None
        tracks.append(Track(track_id, file, row["label"].lower(), source, group, part, sub_genre=sub_genre))
    return tracks


def _check_files(path: Path, rows: Rows) -> None:
    first_lines: dict[Path, int] = {}
    for line, row in rows:
        file = path.parent / row["path"]
        if file.suffix.lower() == ".png":
            raise DataError(f"{path}, line {line}, names the picture {row['path']}: expected an audio file")
        if not file.is_file():
            raise DataError(
                f"{path}, line {line}: found no file {file}; expected an absolute path or one relative to {path.parent}"
            )
        first = first_lines.setdefault(file.resolve(), line)
        if first != line:
            raise DataError(f"{path}, line {line}, names {row['path']} as line {first} does: expected each file once")


def _check_parts(path: Path, rows: Rows) -> None:
    of_group: dict[str, tuple[str, int]] = {}
    for line, row in rows:
        part, group = row["split"].lower(), row["group"]
        if part not in ("", *PARTS):
            raise DataError(
                f"{path}, line {line}: found the split {row['split']!r}; expected {', '.join(PARTS)} or nothing"
            )
        # A group on both sides of a split would make the scores too good unnoticed.
        other, first = of_group.setdefault(group, (part, line)) if group else (part, line)
        if other != part:
            raise DataError(
                f"{path}, line {line}: found the split {part!r} for the group {group!r}, but {other!r} in line "
                f"{first}; expected one for the whole group"
            )


def _relative(file: Path, folder: Path) -> Path:
    """Return `file` relative to `folder` if it is below it, otherwise unchanged."""
    file, folder = (Path(os.path.normpath(path)) for path in (file, folder.absolute()))
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def _names(files: Sequence[Path]) -> list[str]:
    """Return each path without its suffix, or with it if the name would not be unique."""
    whole = [file.as_posix() for file in files]
    short = [file.with_suffix("").as_posix() for file in files]
    counts = Counter(short) + Counter(set(whole))
    return [name if counts[name] == 1 else path for name, path in zip(short, whole, strict=True)]


def read_tracks(folder: Path) -> list[Track]:
    """Return all clips of a data folder or of a manifest, each once, in a fixed order.

    Parameters
    ----------
    folder : Path
        A data folder, or a manifest (`.csv`).

    Raises
    ------
    DataError
        The folder does not exist or has none of the known layouts, an index names a missing file or a clip twice or
        lacks a column or a value, or FMA's table is damaged or names no existing clip.
    """
    if folder.suffix.lower() == ".csv" and not folder.is_dir():
        tracks = read_manifest(folder)
    elif any((folder / name).exists() for name in KNOWN_NAMES):
        tracks = _read_parts(folder)
    else:
        tracks = read_genre_folders(folder)
    if not tracks:
        raise DataError(f"{folder} has no training data: {_found(folder)}; expected {EXPECTED}")
    counts = Counter(track.track_id for track in tracks)
    repeated = [track_id for track_id, count in counts.items() if count > 1]
    if repeated:
        raise DataError(f"the index has {counted(len(repeated), 'clip')} more than once, the first is {repeated[0]}")
    missing = [track.path for track in tracks if not track.path.is_file()]
    if missing:
        raise DataError(f"the index names {counted(len(missing), 'missing file')}, the first is {missing[0]}")
    return tracks


def read_branch_tracks(folder: Path, branch: str) -> list[Track]:
    """Return the clips of a data folder that a branch can read.

    Parameters
    ----------
    folder : Path
    branch : {"picture", "audio"}
        `picture` reads all clips; `audio` those that exist as audio files, also if they are there as pictures too.

    Raises
    ------
    DataError
        As `read_tracks` does, or no clip is an audio file.
    """
    tracks = read_tracks(folder)
    if branch == "picture":
        return tracks
    files = [track for track in tracks if track.path.suffix != ".png"] + read_twins(folder, tracks)
    if not files:
        raise DataError(f"{folder} has pictures only, {len(tracks)} of them: the audio branch needs audio files")
    return files


def _read_parts(folder: Path) -> list[Track]:
    fma = read_fma_tracks(folder)
    # Every subset of FMA contains the small one, so its pictures would be the same music again.
    tracks = fma + [track for track in read_indexed_tracks(folder) if not fma or track.source != "fma_small"]
    if not (folder / MANIFEST_NAME).is_file():
        return tracks
    known = {track.path.resolve() for track in tracks}
    own = read_manifest(folder / MANIFEST_NAME)
    twice = [track.path for track in own if track.path.resolve() in known]
    if twice:
        raise DataError(
            f"{folder / MANIFEST_NAME} names {counted(len(twice), 'file')} of another part of {folder}, the "
            f"first is {twice[0]}: expected each file once"
        )
    return tracks + own


def _found(folder: Path) -> str:
    """Say what a folder has instead of training data."""
    if not folder.exists():
        return "it does not exist"
    if not folder.is_dir():
        return "it is a file, but not a .csv"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"found {', '.join(names[:5])}{more}" if names else "it is empty"
