"""Examples to learn genres from: files with genres from tags, from one folder per genre, or from a list.

Spellings of one name are one genre; names that may mean the same are proposed
to be joined. Each file has a group, so that no artist is on both sides when a head is judged: its artist, else its
album, else its folder.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre_runtime.errors import GenreError, InvalidInputError
from genre_runtime.library.genre_names import GenreMap, normalised, spelling_key
from genre_runtime.library.tags import read_genres
from genre_runtime.library.tags.names import TrackNames, read_names

SAME_GENRES = (
    ("hip hop", "rap", "hip hop rap", "rap hip hop", "hiphop/rap"),
    ("electronic", "electronica"),
    ("classical", "classic"),
    ("soundtrack", "ost", "film score", "score"),
    ("alternative", "alternative rock", "alt rock"),
    ("world", "international"),
    ("heavy metal", "metal"),
    ("reggae", "roots reggae"),
)
"""Names that people use for one genre, besides the spellings that `spelling_key` knows."""

_NOT_ARTISTS = {"", "various", "various artists", "va", "unknown", "unknown artist", "[unknown]"}
_SEPARATORS = re.compile(r"[;\0]|\s/\s")


@dataclass(frozen=True)
class Example:
    """A file and its genres.

    Attributes
    ----------
    path : Path
    genres : tuple of str
        Empty if it has none.
    group : str
        Equal for files that must not be on both sides of a fold.
    """

    path: Path
    genres: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class GenreNames:
    """Which names of genres are used, and what became of the others.

    Attributes
    ----------
    spelling : mapping of str to str
        The name that is used, by each name as it was found.
    joined : mapping of str to tuple of str
        Spellings that were joined, by the name that is used.
    proposals : tuple of (str, str)
        (name, other name that may mean the same), the rarer first.
    """

    spelling: Mapping[str, str] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proposals: tuple[tuple[str, str], ...] = ()


_SAME = {spelling_key(name): number for number, names in enumerate(SAME_GENRES) for name in names}


def means_same(name: str, other: str) -> bool:
    """Return whether two names are spellings of one name, or known to mean the same.

    Parameters
    ----------
    name, other : str
    """
    first, second = spelling_key(name), spelling_key(other)
    return first == second or (first in _SAME and _SAME[first] == _SAME.get(second))


def settle_names(examples: Iterable[Example]) -> GenreNames:
    """Choose one spelling for each genre, the most frequent, and find names that may mean the same.

    Parameters
    ----------
    examples : iterable of Example
    """
    counts = Counter(genre for example in examples for genre in example.genres)
    spellings: dict[str, list[str]] = {}
    for genre, _ in counts.most_common():
        spellings.setdefault(spelling_key(genre), []).append(genre)
    chosen = {names[0]: sum(counts[name] for name in names) for names in spellings.values()}
    order = sorted(chosen, key=lambda name: -chosen[name])
    proposals = [
        (rare, common) for i, common in enumerate(order) for rare in order[i + 1 :] if means_same(rare, common)
    ]
    return GenreNames(
        {name: names[0] for names in spellings.values() for name in names},
        {names[0]: tuple(names[1:]) for names in spellings.values() if len(names) > 1},
        tuple(proposals),
    )


def renamed(examples: Iterable[Example], names: GenreNames) -> list[Example]:
    """Return the examples with the chosen names.

    Parameters
    ----------
    examples : iterable of Example
    names : GenreNames
    """
    return [
        Example(one.path, tuple(dict.fromkeys(names.spelling.get(g, g) for g in one.genres)), one.group)
        for one in examples
    ]


def examples_from_tags(paths: Iterable[Path], genre_map: GenreMap) -> Iterator[Example]:
    """Yield an example for each file, with the genres in its tags.

    Parameters
    ----------
    paths : iterable of Path
    genre_map : GenreMap
        Renames genres, or leaves them out.

    Raises
    ------
    MissingDependencyError
    """
    for path in paths:
        try:
            found = read_genres(path)
        except GenreError:  # the file has no tags that can be read: it teaches nothing
            found = ()
        yield Example(path, genre_map.rename(separate(found)), group_of(path))


def examples_from_folders(paths: Iterable[Path], roots: Sequence[Path], genre_map: GenreMap) -> Iterator[Example]:
    """Yield an example for each file, whose genre is the name of the folder directly below a root.

    Parameters
    ----------
    paths : iterable of Path
    roots : sequence of Path
    genre_map : GenreMap
        Renames genres, or leaves them out.
    """
    for path in paths:
        root = next((root for root in roots if path.is_relative_to(root)), None)
        parts = path.relative_to(root).parts if root is not None else ()
        genres = (parts[0],) if len(parts) > 1 else ()
        yield Example(path, genre_map.rename(genres), group_of(path, depth=0 if len(parts) < 3 else 1))


def examples_from_csv(path: Path, genre_map: GenreMap) -> list[Example]:
    """Return the examples of a list with the columns `path`, `genre` (several joined by "; ") and `artist`, if known.

    Columns are separated by commas or semicolons.

    Parameters
    ----------
    path : Path
        Paths in it are relative to its folder.
    genre_map : GenreMap
        Renames genres, or leaves them out.

    Raises
    ------
    InvalidInputError
        The list cannot be read, or lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInputError(f"the list {str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the list {str(path)!r} is not UTF-8 text: save it as CSV in UTF-8") from error
    try:
        head = text.partition("\n")[0]
        separator = ";" if head.count(";") > head.count(",") else ","  # some spreadsheets write semicolons
        rows = csv.DictReader(io.StringIO(text), delimiter=separator, strict=True)
        columns = [name.strip().lower() for name in rows.fieldnames or ()]
        rows.fieldnames = columns
        genre = next((name for name in ("genre", "genres", "label") if name in columns), None)
        if "path" not in columns or genre is None:
            raise InvalidInputError(
                f"the list {str(path)!r} has the columns {', '.join(columns) or '(none)'}: expected path, genre and, "
                "if it is known, artist"
            )
        examples = []
        for row in rows:
            if not (row["path"] or "").strip():
                continue
            file = path.parent / row["path"].strip()
            artist = _known_artist((row.get("artist") or "").strip())
            group = f"artist {artist}" if artist else group_of(file)
            examples.append(Example(file, genre_map.rename(separate([row[genre] or ""])), group))
    except csv.Error as error:
        raise InvalidInputError(f"the list {str(path)!r} is not CSV: {error}") from error
    return examples


def separate(genres: Iterable[str]) -> tuple[str, ...]:
    """Return the single genres of texts that may name several, such as "Rock; Pop" or "Rock / Pop".

    Parameters
    ----------
    genres : iterable of str
    """
    parts = (part.strip() for genre in genres for part in _SEPARATORS.split(genre))
    return tuple(dict.fromkeys(part for part in parts if part and part.isprintable()))


def group_of(path: Path, depth: int = 1, read: Callable[[Path], TrackNames] = read_names) -> str:
    """Return what must not be on both sides of a fold: the file's artist, else its album, else its folder.

    Parameters
    ----------
    path : Path
    depth : int
        1 if the file's folder may be an album; 0 if the folder says nothing of the artist, so the file stands alone.
    read : callable
        Reads the names in the tags.
    """
    names = read(path)
    artist = _known_artist(names.artist) or _known_artist(names.album_artist)
    if artist:
        return f"artist {artist}"
    if names.album:
        return f"album {normalised(names.album)}"
    return f"folder {path.parent}" if depth else f"file {path}"


def _known_artist(artist: str) -> str:
    return "" if artist.strip().casefold() in _NOT_ARTISTS else normalised(artist) or artist.strip()
