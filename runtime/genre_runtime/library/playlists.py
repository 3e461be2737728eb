"""Writes one playlist per genre: extended M3U in UTF-8, which practically every player reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from genre_runtime.errors import InvalidInputError
from genre_runtime.library.genre_names import GenreMap
from genre_runtime.library.results.read import Results
from genre_runtime.library.results.write import is_visible
from genre_runtime.output_files import check_own, write_whole
from genre_runtime.prediction import Prediction

MARK = "# made by genre playlist"

LONGEST_STEM = 80
"""Characters of a playlist's name; file systems allow 255 bytes, and a character may need up to four."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
"""Characters that Windows forbids in names, that change the direction of text, and surrogates."""

_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")


@dataclass
class Playlists:
    """The files of each playlist, and those left out.

    Attributes
    ----------
    tracks : mapping of str to list of Prediction
        By name of the genre, in the order of the results.
    n_unsure, n_failed : int
        Files left out because they are unsure, below the required confidence or not music, or were not classified.
    unwritable : list of str
        Paths with a line break, which M3U cannot represent.
    """

    tracks: dict[str, list[Prediction]] = field(default_factory=dict)
    n_unsure: int = 0
    n_failed: int = 0
    unwritable: list[str] = field(default_factory=list)


def sort_into_playlists(
    results: Results, genre_map: GenreMap, *, unsure: bool = False, min_confidence: float = 0.0
) -> Playlists:
    """Read results and sort them by genre; the last result of each file counts.

    Parameters
    ----------
    results : Results
    genre_map : GenreMap
        Names to use instead of the model's labels; labels with the same name share a playlist.
    unsure : bool
        Whether to include answers that are not confident.
    min_confidence : float
        Lowest confidence of an included answer, 0 to 1.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or the map has genres that they do not contain.
    """
    found: dict[str, Prediction | None] = {}
    labels: dict[str, None] = {}
    for result in results:
        prediction = result.prediction
        found[str(result.path)] = prediction and prediction.brief()
        labels.update(dict.fromkeys(prediction.probabilities if prediction else ()))
    if labels:
        genre_map.check(labels)
    playlists = Playlists()
    for path, track in found.items():
        if track is None:
            playlists.n_failed += 1
        elif not track.is_music or not (unsure or track.confident) or track.confidence < min_confidence:
            playlists.n_unsure += 1
        elif "\n" in path or "\r" in path:
            playlists.unwritable.append(path)
        else:
            for name in genre_map.rename([track.label]):
                playlists.tracks.setdefault(name, []).append(track)
    return playlists


def write_playlists(
    playlists: Playlists, folder: Path, *, relative: bool = False, force: bool = False
) -> Iterator[tuple[Path, int]]:
    """Write one playlist per genre and yield (its path, number of files in it), sorted by genre.

    Parameters
    ----------
    playlists : Playlists
    folder : Path
        Created if it does not exist.
    relative : bool
        Whether to write paths relative to the folder, for a library that is moved as a whole.
    force : bool
        Whether to overwrite files that this program did not write.

    Raises
    ------
    ForeignFileError, InvalidInputError
        Raised before anything is written.
    OSError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidInputError(
            f"{str(folder)!r} is a file or inside a file: name a folder for the playlists"
        ) from error
    genres = sorted(playlists.tracks, key=str.casefold)
    paths = [folder / name for name in file_names(genres)]
    for path in paths:
        check_own(path, MARK, force=force)
    for genre, path in zip(genres, paths, strict=True):
        rows = playlists.tracks[genre]
        write_whole(path, _lines(genre, rows, folder if relative else None))
        yield path, len(rows)


def file_names(genres: Sequence[str]) -> list[str]:
    """Return a file name for each genre, valid and unique on Windows, macOS and Linux.

    Parameters
    ----------
    genres : sequence of str
    """
    taken: set[str] = set()
    names = []
    for genre in genres:
        stem = _FORBIDDEN.sub("_", genre)[:LONGEST_STEM].strip(" ").rstrip(". ").lstrip(".") or "genre"
        if _DEVICES.fullmatch(stem):
            stem = f"_{stem}"
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem} ({number})"
        taken.add(unique.casefold())
        names.append(f"{unique}.m3u8")
    return names


def entry(path: Path, folder: Path | None) -> str:
    """Return the line of a playlist for a file.

    It is a `file:` URL, percent-encoded, if the path is not UTF-8 or players would strip its outer spaces.

    Parameters
    ----------
    path : Path
    folder : Path or None
        Where the playlist is, for a relative path; None for an absolute one.
    """
    absolute = path.absolute()
    text = str(absolute)
    if not _is_utf8(text) or text != text.strip():
        return absolute.as_uri()
    if folder is None:
        return text
    try:
        found = os.path.relpath(Path(_real(str(absolute.parent))) / absolute.name, _real(str(folder)))
    except ValueError:  # another drive
        return text
    found = Path(found).as_posix()
    if not _is_utf8(found):
        return absolute.as_uri()
    return f"./{found}" if found.startswith("#") or found != found.lstrip() else found


def _lines(genre: str, tracks: Iterable[Prediction], folder: Path | None) -> Iterator[str]:
    yield f"#EXTM3U\n{MARK}\n#PLAYLIST:{_title(genre)}\n"
    for track in tracks:
        path = track.path or Path()
        yield f"#EXTINF:{round(track.duration_seconds)},{_title(path.stem)}\n{entry(path, folder)}\n"


def _title(text: str) -> str:
    return "".join(c if is_visible(c) else "\N{REPLACEMENT CHARACTER}" for c in text).strip()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    # The system that reads the playlist follows links before "..".
    return os.path.realpath(folder)
