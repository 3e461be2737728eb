"""The places of a file in which a genre can be stored, and whether they agree.

Players differ in the place they read. A genre that is changed in one place alone is shown by some players only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

JOINT = "/"
"""Between the genres in a place that holds one text only."""

_XMP_GENRE = re.compile(rb"xmpDM:genre\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)')|>([^<]*)<)")


class Place(NamedTuple):
    """One place for a genre.

    Attributes
    ----------
    name : str
        In words, for messages.
    genres : tuple of str
        What it says, empty if nothing.
    width : int or None
        Characters that fit, where that is limited.
    number : int or None
        ID3v1's number of a genre where the place holds nothing else.
    """

    name: str
    genres: tuple[str, ...]
    width: int | None = None
    number: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether the place can say any genre in full."""
        return self.width is None and self.number is None

    def agrees_with(self, genres: Sequence[str]) -> bool:
        """Return whether the place says nothing, or these genres as well as it can."""
        if not self.genres:
            return True
        if self.number is not None:
            from genre_runtime.library.trailing import genre_number

            return self.number == genre_number(genres[0])
        if self.width is not None:
            return self.genres[0] == fitting(genres[0], self.width)
        return JOINT.join(self.genres) == JOINT.join(genres)


def first_genres(places: Iterable[Place]) -> tuple[str, ...]:
    """Return the genres of the first place that has any."""
    return next((place.genres for place in places if place.genres), ())


def all_genres(places: Sequence[Place]) -> tuple[str, ...]:
    """Return the genres of the first place, then those that other places say in full and it does not."""
    found = list(first_genres(places))
    for genre in (genre for place in places if place.is_text for genre in place.genres):
        known = names_known(found)
        if (
            genre.strip().casefold() not in known
            and not {part.strip().casefold() for part in genre.split(JOINT)} <= known
        ):
            found.append(genre)
    return tuple(found)


def names_known(genres: Iterable[str]) -> set[str]:
    """Return what genres are called, in small letters: a text such as "Rock/Pop" may hold several."""
    return {part.strip().casefold() for genre in genres for part in (genre, *genre.split(JOINT))}


def fitting(genre: str, width: int) -> str:
    """Return as much of a genre as a place of `width` Latin-1 characters holds."""
    return genre.encode("latin-1", errors="replace")[:width].decode("latin-1").strip()


def xmp_places(name: str, content: bytes) -> list[Place]:
    """Return the genre that a block of XMP names, if any."""
    found = [next(filter(None, groups), b"") for groups in _XMP_GENRE.findall(content)]
    genres = tuple(text.decode(errors="replace").strip() for text in found)
    return [Place(name, tuple(filter(None, genres)))] if any(genres) else []
