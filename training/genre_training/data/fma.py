"""FMA, the data set this project trains on (Defferrard et al., ISMIR 2017; repository mdeff/fma).

Clips of 30 s with the published split, in which no artist is on two sides:

- `fma_metadata/tracks.csv`, of which (set, subset), (set, split), (track, genre_top) and (artist, id) are read
- `fma_medium/001/001486.mp3`, likewise `fma_small` and `fma_large`

Reads this layout, and downloads and unpacks the archives that make it.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genre_runtime.download import fetch
from genre_runtime.errors import counted
from genre_training.data.archives import extract
from genre_training.data.track import PARTS, DataError, Track

SUBSETS = ("small", "medium", "large")
"""Each contains the ones before it."""

# Empty or cut short, according to the wiki of the data set: those of the small subset, then those of the medium one.
BAD_CLIPS = frozenset({98565, 98567, 98569, 99134, 108925, 133297}) | {
    *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98566, 98568, 98571),
    *(105247, 108924, 126981, 127336, 143992),
}
SPLITS = {"training": "train", "validation": "validation", "test": "test"}
LABELS = {"Hip-Hop": "hiphop", "Old-Time / Historic": "historic", "Soul-RnB": "soul"}
"""Genres with another name here; the others are only converted to lower case."""

COLUMNS = (("set", "split"), ("set", "subset"), ("track", "genre_top"), ("artist", "id"))
LONGEST_FIELD = 1 << 24
"""Characters: biographies in the table may be longer than the default limit of Python's reader, 131,072."""

BAD, NO_GENRE, MISSING = "known to be empty or cut short", "without a single top genre", "whose file is missing"
AGAIN = "remove the folder fma_metadata and run `genre-train data` again"


@dataclass(frozen=True)
class FmaClips:
    """The usable clips of one subset.

    Attributes
    ----------
    subset : str
    tracks : list of Track
        In the order of tracks.csv.
    left_out : Counter of str
        Number of clips of the subset that are left out, by reason.
    """

    subset: str
    tracks: list[Track] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_fma_tracks(folder: Path) -> list[Track]:
    """Return the clips of the largest subset in a folder, none without metadata or audio.

    Clips known to be bad, without a top genre or without a file are left out; missing files are reported on stderr.

    Parameters
    ----------
    folder : Path
        The data folder.

    Raises
    ------
    DataError
        tracks.csv is damaged, or no clip of the subset can be used.
    """
    subset = next((subset for subset in reversed(SUBSETS) if has_audio(folder, subset)), None)
    if subset is None or not tracks_csv(folder).is_file():
        return []
    clips = read_subset(folder, subset)
    if clips.left_out[MISSING]:
        print(f"fma_{subset}: left out {counted(clips.left_out[MISSING], 'clip')} {MISSING}", file=sys.stderr)
    return clips.tracks


def read_subset(folder: Path, subset: str) -> FmaClips:
    """Return the clips of a subset, at least one.

    Parameters
    ----------
    folder : Path
        The data folder.
    subset : {"small", "medium", "large"}

    Raises
    ------
    DataError
        tracks.csv is damaged, or no clip can be used.
    """
    clips = scan_subset(folder, subset)
    if not clips.tracks:
        raise DataError(
            f"{folder} has no usable clip of FMA {subset}, left out: {reasons(clips)}; expected files such as "
            f"{folder / f'fma_{subset}' / '000' / '000002.mp3'}: run `genre-train data --subset {subset}`"
        )
    return clips


def scan_subset(folder: Path, subset: str) -> FmaClips:
    """Return the clips of a subset, and how many were left out and why.

    Parameters
    ----------
    folder : Path
        The data folder.
    subset : {"small", "medium", "large"}

    Raises
    ------
    DataError
        tracks.csv is damaged.
    """
    included = SUBSETS[: SUBSETS.index(subset) + 1]
    clips = FmaClips(subset)
    for number, (split, smallest, genre, artist) in _rows(tracks_csv(folder)):
        if smallest not in included:
            continue
        name = f"{number:06d}"
        path = folder / f"fma_{subset}" / name[:3] / f"{name}.mp3"
        reason = BAD if number in BAD_CLIPS else NO_GENRE if not genre else "" if path.is_file() else MISSING
        if reason:
            clips.left_out[reason] += 1
            continue
        label = LABELS.get(genre, genre.lower())
        clips.tracks.append(Track(f"fma/{name}", path, label, "fma", f"fma/{artist}", official=SPLITS[split]))
    return clips


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the track's number and its values of `COLUMNS`, row by row."""
    previous = csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = list(zip(next(reader, []), next(reader, []), strict=False))
            absent = [column for column in COLUMNS if column not in header]
            if absent:
                raise DataError(f"{path} lacks the columns {absent}, expected in its first two rows: {AGAIN}")
            positions = [header.index(column) for column in COLUMNS]
            for row in reader:
                if row and row[0] == "track_id":  # the third row names the index
                    continue
                values = [row[position] for position in positions] if len(row) == len(header) else []
                if not values or not row[0].isdecimal() or values[0] not in SPLITS:
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(row)} columns, track {row[:1]} and split {values[:1]}; "
                        f"expected {len(header)} columns, a number and one of {', '.join(SPLITS)}: {AGAIN}"
                    )
                yield int(row[0]), values
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}; {AGAIN}") from error
    finally:
        csv.field_size_limit(previous)


def reasons(clips: FmaClips) -> str:
    """Say how many clips were left out and why; empty if none were.

    Parameters
    ----------
    clips : FmaClips
    """
    return ", ".join(f"{count:,} {reason}" for reason, count in clips.left_out.items())


def has_audio(folder: Path, subset: str) -> bool:
    """Return whether a folder has MP3s of a subset; log-mel pictures are in folders of the same name.

    Parameters
    ----------
    folder : Path
    subset : {"small", "medium", "large"}
    """
    return any((folder / f"fma_{subset}").glob("[0-9][0-9][0-9]/*.mp3"))


def tracks_csv(folder: Path) -> Path:
    """Return the path of the table of all tracks.

    Parameters
    ----------
    folder : Path
        The data folder.
    """
    return folder / "fma_metadata" / "tracks.csv"


BASE_URL = "https://os.unil.cloud.switch.ch/fma/"
MEBIBYTE = 2**20
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Archive:
    """One file of the data set.

    Attributes
    ----------
    name : str
        `<name>.zip` has one folder of this name.
    size, unpacked : int
        Approximate bytes of the archive and of what is unpacked.
    sha1 : str
    wanted : tuple of str or None
        Members to unpack; None for all.
    """

    name: str
    size: int
    unpacked: int
    sha1: str
    wanted: tuple[str, ...] | None = None


# MP3s are not compressed further by the archive. Of the metadata only the table of tracks is read, a fifth of it.
METADATA = Archive(
    "fma_metadata",
    342 * MEBIBYTE,
    300 * MEBIBYTE,
    "f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    ("fma_metadata/README.txt", "fma_metadata/tracks.csv"),
)
AUDIO = {
    "small": Archive(
        "fma_small", round(7.2 * GIBIBYTE), round(7.5 * GIBIBYTE), "ade154f733639d52e35e32f5593efe5be76c6d70"
    ),
    "medium": Archive("fma_medium", 22 * GIBIBYTE, 23 * GIBIBYTE, "c67b69ea232021025fca9231fc1c7c1a063ab50b"),
    "large": Archive("fma_large", 93 * GIBIBYTE, 96 * GIBIBYTE, "497109f4dd721066b5ce5e5f250ec604dc78939e"),
}


def fetch_fma(folder: Path, subset: str, base_url: str = BASE_URL, *, keep_archives: bool = False) -> FmaClips:
    """Download and unpack the metadata and one subset; steps that are already done are skipped.

    Parameters
    ----------
    folder : Path
        The data folder.
    subset : {"small", "medium", "large"}
    base_url : str
        Address of the archives.
    keep_archives : bool
        Keep the zip files, which are as large as their contents.

    Returns
    -------
    FmaClips

    Raises
    ------
    DownloadError
        See `genre_runtime.download.fetch` and `genre_training.data.archives.extract`.
    DataError
        The subset is unknown, or the archives have no usable clip.
    """
    if subset not in SUBSETS:
        raise DataError(f"FMA has no subset {subset!r}: expected one of {', '.join(SUBSETS)}")
    if not tracks_csv(folder).is_file():
        _bring(METADATA, folder, base_url, keep_archives)
    if scan_subset(folder, subset).left_out[MISSING]:
        _bring(AUDIO[subset], folder, base_url, keep_archives)
    return read_subset(folder, subset)


def _bring(archive: Archive, folder: Path, base_url: str, keep: bool) -> None:
    path = folder / f"{archive.name}.zip"
    fetch(f"{base_url.rstrip('/')}/{path.name}", path, archive.sha1, archive.size, archive.unpacked)
    extract(path, folder, archive.wanted)
    if not keep:
        path.unlink()


def describe(clips: FmaClips) -> str:
    """Return a table of the clips by genre and part, and what was left out.

    Parameters
    ----------
    clips : FmaClips
    """
    counts = Counter((track.label, track.official) for track in clips.tracks)
    lines = [f"{'fma_' + clips.subset:<16}" + "".join(f"{part:>12}" for part in PARTS)]
    for label in sorted({track.label for track in clips.tracks}):
        lines.append(f"{label:<16}" + "".join(f"{counts[label, part]:>12,}" for part in PARTS))
    totals = Counter(track.official for track in clips.tracks)
    lines.append(f"{'all':<16}" + "".join(f"{totals[part]:>12,}" for part in PARTS))
    return "\n".join([*lines, f"left out: {reasons(clips) or 'nothing'}"])
