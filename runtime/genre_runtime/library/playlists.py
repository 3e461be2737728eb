"""Playlists by genre, style or mood, and by conditions, as M3U8 (extended M3U in UTF-8) or JSPF (xspf.org)."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genre_runtime.errors import InvalidInputError, MissingDependencyError, UsageError
from genre_runtime.library.duplicates import best_copy
from genre_runtime.library.genre_names import CONVENTIONAL, GenreMap, normalised
from genre_runtime.library.results.write import is_visible
from genre_runtime.library.tags.names import TrackNames, read_names
from genre_runtime.output_files import check_own, write_whole
from genre_runtime.prediction import FileResult, Prediction

MARK = "made by genre playlist"
"""Identifies a file as a playlist of this program."""

LONGEST_STEM = 80
"""Characters of a playlist's name; file systems allow 255 bytes, and a character may need up to four."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
"""Characters that Windows forbids in names, that change the direction of text, and surrogates."""

_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")


FIELDS: Mapping[str, Callable[[Prediction], Sequence[str]]] = {
    "genre": lambda track: (track.label,),
    "style": lambda track: track.styles,
    "mood": lambda track: track.moods,
    "instrument": lambda track: track.instruments,
    "voice": lambda track: track.voice,
}
"""What conditions and `--by` name, and the names that a track has for it."""

_CONDITION = re.compile(r"\s*(\w+)\s*(!?=)\s*(\S.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """What the tracks of a playlist must have, or must not have.

    Attributes
    ----------
    field : str
        One of `FIELDS`.
    values : str
        A name, or several joined by commas, of which one suffices.
    excluded : bool
        Whether tracks with one of the names are left out.
    """

    field: str
    values: str
    excluded: bool = False

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Return the condition that a text states.

        Parameters
        ----------
        text : str
            `FIELD=NAME,NAME` or `FIELD!=NAME,NAME`.

        Raises
        ------
        UsageError
        """
        found = _CONDITION.fullmatch(text)
        name = found[1].casefold() if found else ""
        if found is None or name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(FIELDS)}"
            raise UsageError(f"{text!r} is not a condition: expected FIELD=NAME, such as mood=happy; {hint}")
        return cls(name, found[3], found[2] == "!=")

    def test_of(self, names: Iterable[str]) -> Callable[[Prediction], bool]:
        """Return a function that tells whether a track meets the condition.

        Parameters
        ----------
        names : iterable of str
            Those that the results have for the field. Case, accents and signs do not matter.

        Raises
        ------
        InvalidInputError
            The results do not have a name of the condition.
        """
        known = {_key(name): name for name in names}
        whole = _key(self.values) in known  # a name may have commas itself
        parts = [self.values] if whole else [part.strip() for part in self.values.split(",") if part.strip()]
        if not parts:
            raise UsageError(f"{self.field}{'!' * self.excluded}={self.values} names nothing")
        # What no track has may be excluded, unless it is misspelt.
        possible = {*known, *map(_key, CONVENTIONAL)} if self.excluded else known.keys()
        for part in parts:
            if _key(part) not in possible:
                raise InvalidInputError(f"no result has the {self.field} {part!r}: {_near(part, known)}")
        wanted, names_of = {known[_key(part)] for part in parts if _key(part) in known}, FIELDS[self.field]
        return lambda track: wanted.isdisjoint(names_of(track)) == self.excluded


@dataclass
class Selection:
    """The tracks that are chosen for playlists, and how many files are left out.

    Attributes
    ----------
    tracks : list of Prediction
        Brief, in the order of the results.
    same_as : mapping of Path to Path
        Files, and earlier ones with the same bytes.
    names : mapping of str to set of str
        Names that the results have for each of `FIELDS`.
    left_out : Counter
        Files by the reason: failed, not music, unfit, unsure, duplicate.
    """

    tracks: list[Prediction] = field(default_factory=list)
    same_as: dict[Path, Path] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in FIELDS})
    left_out: Counter[str] = field(default_factory=Counter)


def select_tracks(
    results: Iterable[FileResult],
    conditions: Sequence[Condition] = (),
    *,
    unsure: bool = False,
    min_confidence: float = 0.0,
) -> Selection:
    """Read results and choose tracks; the last result of each file counts. What is not music is left out.

    Parameters
    ----------
    results : iterable of FileResult
    conditions : sequence of Condition
        All must be met.
    unsure : bool
        Whether to include tracks whose genre is not confident.
    min_confidence : float
        Lowest confidence of an included track, 0 to 1.

    Raises
    ------
    InvalidInputError
        The results cannot be used, or do not have a name of a condition.
    """
    chosen = Selection()
    found: dict[Path, Prediction | None] = {}
    for result in results:
        path, prediction = Path(result.path), result.prediction
        found[path] = prediction and replace(prediction.brief(), path=path)
        if result.same_as is not None:
            chosen.same_as[path] = result.same_as
        if prediction is not None:
            chosen.names["genre"].update(prediction.probabilities)
            for name, names_of in FIELDS.items():
                chosen.names[name].update(names_of(prediction))
    tests = [condition.test_of(chosen.names[condition.field]) for condition in conditions]
    for track in found.values():
        if track is None:
            chosen.left_out["failed"] += 1
        elif not track.is_music:
            chosen.left_out["not music"] += 1
        elif not all(test(track) for test in tests):
            chosen.left_out["unfit"] += 1
        elif not (unsure or track.confident) or track.confidence < min_confidence:
            chosen.left_out["unsure"] += 1
        else:
            chosen.tracks.append(track)
    return chosen


def drop_duplicates(chosen: Selection, groups: Iterable[Sequence[Path]]) -> None:
    """Keep one track of each recording, see `best_copy`, and count the others as left out.

    Parameters
    ----------
    chosen : Selection
        Is changed.
    groups : iterable of sequence of Path
        Files with the same recording, all chosen.
    """
    tracks = {track.path: track for track in chosen.tracks}
    dropped: set[Path] = set()
    for group in groups:
        kept = best_copy([tracks[path] for path in group])
        dropped.update(path for path in group if path != kept.path)
    chosen.tracks = [track for track in chosen.tracks if track.path not in dropped]
    chosen.left_out["duplicate"] += len(dropped)


def sort_into_playlists(tracks: Iterable[Prediction], by: str, genre_map: GenreMap) -> dict[str, list[Prediction]]:
    """Return the tracks by what they have in a field; a track with several names is in several playlists.

    Parameters
    ----------
    tracks : iterable of Prediction
    by : str
        One of `FIELDS`.
    genre_map : GenreMap
        Names to use instead of those in the results; names that become the same share a playlist.
    """
    playlists: dict[str, list[Prediction]] = {}
    for track in tracks:
        for name in genre_map.rename(FIELDS[by](track)):
            playlists.setdefault(name, []).append(track)
    return playlists


def _key(name: str) -> str:
    return normalised(name) or name.casefold()


def _near(name: str, known: Mapping[str, str]) -> str:
    near = get_close_matches(_key(name), known, 1, 0.7)
    if near:
        return f"did you mean {known[near[0]]!r}?"
    names = sorted(known.values(), key=str.casefold)
    return f"the results have {', '.join(map(repr, names))}" if names else "the results have none; classify again"


def write_playlists(
    playlists: Mapping[str, Sequence[Prediction]],
    folder: Path,
    *,
    form: str = "m3u8",
    relative: bool = False,
    force: bool = False,
) -> Iterator[tuple[Path, int]]:
    """Write playlists and yield (path, number of files in it) of each, sorted by name.

    Parameters
    ----------
    playlists : mapping of str to sequence of Prediction
        Tracks by the name of the playlist.
    folder : Path
        Created if it does not exist.
    form : {"m3u8", "jspf"}
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
    names = sorted(playlists, key=str.casefold)
    paths = [folder / name for name in file_names(names, form)]
    for path in paths:
        check_own(path, MARK, force=force)
    read = lru_cache(maxsize=None)(_read_names)  # a track may be in several playlists
    for name, path in zip(names, paths, strict=True):
        rows = playlists[name]
        write_whole(path, WRITERS[form](name, rows, folder if relative else None, read))
        yield path, len(rows)


def file_names(names: Sequence[str], suffix: str = "m3u8") -> list[str]:
    """Return a file name for each playlist, valid and unique on Windows, macOS and Linux.

    Parameters
    ----------
    names : sequence of str
    suffix : str
    """
    taken: set[str] = set()
    found = []
    for name in names:
        stem = _FORBIDDEN.sub("_", name)[:LONGEST_STEM].strip(" ").rstrip(". ").lstrip(".") or "genre"
        if _DEVICES.fullmatch(stem):
            stem = f"_{stem}"
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem} ({number})"
        taken.add(unique.casefold())
        found.append(f"{unique}.{suffix}")
    return found


def why_not_written(path: Path | None, form: str) -> str | None:
    """Return why a playlist cannot hold a path; None if it can.

    Parameters
    ----------
    path : Path or None
    form : {"m3u8", "jspf"}
    """
    if form == "m3u8" and {"\n", "\r"} & set(str(path)):
        return "an M3U8 playlist cannot hold a path with a line break: use --format jspf"
    try:
        os.fsencode(str(path))
    except UnicodeEncodeError:
        return "a file of this system cannot have this name"
    return None


def entry(path: Path, folder: Path | None) -> str:
    """Return the line of an M3U8 playlist for a file.

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
    found = None if folder is None else _relative(absolute, folder)
    if found is None:
        return text
    if not _is_utf8(found):
        return absolute.as_uri()
    return f"./{found}" if found.startswith("#") or found != found.lstrip() else found


def location(path: Path, folder: Path | None) -> str:
    """Return the URL of a file in a JSPF playlist.

    Parameters
    ----------
    path : Path
    folder : Path or None
        Where the playlist is, for a relative URL; None for an absolute one.
    """
    absolute = path.absolute()
    found = None if folder is None else _relative(absolute, folder)
    return absolute.as_uri() if found is None else quote(os.fsencode(found))


def _relative(path: Path, folder: Path) -> str | None:
    """Return a path relative to a folder, with slashes; None if it is on another drive."""
    try:
        return Path(os.path.relpath(Path(_real(str(path.parent))) / path.name, _real(str(folder)))).as_posix()
    except ValueError:
        return None


def _m3u8(name: str, tracks: Iterable[Prediction], folder: Path | None, read: ReadNames) -> Iterator[str]:
    yield f"#EXTM3U\n# {MARK}\n#PLAYLIST:{_title(name)}\n"
    for track in tracks:
        path = track.path or Path()
        names = read(path)
        title = " - ".join(filter(None, (names.artist, names.title))) if names.title else path.stem
        yield f"#EXTINF:{round(track.duration_seconds)},{_title(title)}\n{entry(path, folder)}\n"


def _jspf(name: str, tracks: Iterable[Prediction], folder: Path | None, read: ReadNames) -> Iterator[str]:
    yield f'{{"playlist": {{"annotation": "{MARK}", "title": {json.dumps(_title(name))}, "track": ['
    separator = "\n"
    for track in tracks:
        path = track.path or Path()
        names = read(path)
        values = {"title": names.title or path.stem, "creator": names.artist, "album": names.album}
        row: dict[str, Any] = {"location": [location(path, folder)]}
        row |= {key: _title(value) for key, value in values.items() if value}
        yield separator + json.dumps(row | {"duration": round(1000 * track.duration_seconds)}, ensure_ascii=False)
        separator = ",\n"
    yield "\n]}}\n"


ReadNames = Callable[[Path], TrackNames]
WRITERS: Mapping[str, Callable[[str, Iterable[Prediction], Path | None, ReadNames], Iterator[str]]] = {
    "m3u8": _m3u8,
    "jspf": _jspf,
}


def _read_names(path: Path) -> TrackNames:
    try:
        return read_names(path)
    except MissingDependencyError:  # file names are titles then
        return TrackNames()


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
