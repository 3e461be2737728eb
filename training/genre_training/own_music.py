"""Music of one's own: a folder for each genre, as GTZAN is laid out, or a CSV file that names the files.

- `rock/song.mp3`, `rock/artist or album/song.flac` and deeper
- `manifest.csv` (`path, label` and, where they are known, `group, split`); paths start at its folder or are absolute

The source is called like the folder, and a clip `<folder>/<path without suffix>`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from genre_runtime.files import expand
from genre_training.indexed import numbered_rows
from genre_training.tracks import PARTS, DataError, Track

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
