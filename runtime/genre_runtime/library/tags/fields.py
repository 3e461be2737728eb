"""Fields of tags: the place of each one in every container, and what a run writes into them.

The places are those of MusicBrainz Picard. It has none for a style: players and other taggers use the same name
everywhere, as they do for fields of the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from genre_runtime.errors import InvalidInputError

CONTENTS = ("genre", "genres", "styles", "moods", "instruments", "voice", "confidence")
"""What a field can hold: the genre, the answer set, names of tags, or the genre's probability."""

_DEFAULT_CONTENTS = {
    "genre": ("genre",),
    "style": ("styles",),
    "mood": ("moods",),
    "grouping": ("styles",),
    "comment": ("genre", "styles", "moods"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,58}[A-Za-z0-9_.-]")
_NOT_IN_APE = frozenset(("id3", "tag", "oggs"))
_OTHER_FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
    acoustid albumartist albumartistsort albumsort album arranger artist artists artistsort asin author barcode bitrate
    bpm catalog catalognumber compilation composer composersort conductor copyright coverart cuesheet date description
    director disc discid discnumber discsubtitle disctotal djmixer duration encodedby encoder encodersettings
    encodingtime engineer gapless initialkey isprotected isrc isvbr key label language license lyricist lyrics media
    metadatablockpicture mixer movement movementname movementnumber movementtotal mp3gainminmax mp3gainundo
    musicianscredits name organization originalalbum originalartist originaldate originalfilename originalyear
    performer picture podcast producer publisher rating releasecountry releasedate releasestatus releasetype remixer
    script showmovement subtitle syncedlyrics time title titlesort totaldiscs totaltracks track tracknumber tracktotal
    unsyncedlyrics upc url vendor version website work writer year
    """,
    )
)
_OTHER_PREFIXES = ("acoustid", "coverart", "itun", "musicbrainz", "mp3gain", "musicip", "replaygain", "r128", "wmfsdk")
"""Standard fields that hold something else, without case, spaces and signs."""


class Field(NamedTuple):
    """A field, and where each kind of tags keeps it.

    Attributes
    ----------
    name : str
    id3 : str
        Name of the frame; TXXX frames have the field's name as their description.
    vorbis, ape, mp4, asf : str
        Names of the comment, item or attribute.
    info : bytes
        Name of the text in a RIFF INFO list; empty if there is none.
    separator : str or None
        Joins several values to the one text that the field holds.
    aliases : tuple of str
        Further ID3 frames that players take for the field.
    """

    name: str
    id3: str
    vorbis: str
    ape: str
    mp4: str
    asf: str
    info: bytes = b""
    separator: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def is_standard(self) -> bool:
        """Whether players know the field; False for one of the user's own."""
        return self.name in _DEFAULT_CONTENTS

    def is_name(self, text: str) -> bool:
        """Return whether a text is the name of the field, in any case.

        Parameters
        ----------
        text : str
        """
        return text.casefold() == self.name.casefold()


GENRE = Field("genre", "TCON", "GENRE", "Genre", "\xa9gen", "WM/Genre", b"IGNR")

_FREEFORM = "----:com.apple.iTunes:"
_STANDARD = {
    field.name: field
    for field in (
        GENRE,
        Field("style", "TXXX", "STYLE", "Style", f"{_FREEFORM}STYLE", "STYLE"),
        Field("mood", "TMOO", "MOOD", "Mood", f"{_FREEFORM}MOOD", "WM/Mood"),
        Field("grouping", "TIT1", "GROUPING", "Grouping", "\xa9grp", "WM/ContentGroupDescription", aliases=("GRP1",)),
        Field("comment", "COMM", "COMMENT", "Comment", "\xa9cmt", "Description", b"ICMT", separator="; "),
    )
}


def field_of(name: str) -> Field:
    """Return the field of a name.

    Parameters
    ----------
    name : str
        genre, style, mood, grouping, comment, or the name of a field of the user's own.

    Raises
    ------
    InvalidInputError
        The name cannot be one in every container, or is that of a field that holds something else.
    """
    name = name.strip(" ")
    if name.casefold() in _STANDARD:
        return _STANDARD[name.casefold()]
    if not _NAME.fullmatch(name) or name.casefold() in _NOT_IN_APE:
        raise InvalidInputError(
            f"{name[:80]!r} cannot be the name of a field: expected {', '.join(_STANDARD)}, or a name of your own of 2 "
            "to 60 letters, digits, spaces, '_', '-' and '.'"
        )
    plain = re.sub("[ _.-]", "", name.casefold())
    if plain in _OTHER_FIELDS or plain.startswith(_OTHER_PREFIXES):
        raise InvalidInputError(
            f"the field {name!r} holds something else than genres, styles or moods: expected {', '.join(_STANDARD)}, "
            "or a name of your own"
        )
    return Field(name, "TXXX", name, name, f"{_FREEFORM}{name}", name)


def parse_fields(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what to write into which field.

    Parameters
    ----------
    texts : iterable of str
        `FIELD` or `FIELD=CONTENT,CONTENT`.

    Returns
    -------
    dict of str to tuple of str
        Contents by the name of the field, in the order of the texts.

    Raises
    ------
    InvalidInputError
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        field = field_of(name)
        contents = tuple(dict.fromkeys(one.strip() for one in listed.split(",")))
        if not equals:
            if field.name not in _DEFAULT_CONTENTS:
                raise InvalidInputError(
                    f"the field {field.name!r} is one of your own: say what it holds, such as {field.name}=styles "
                    f"({', '.join(CONTENTS)})"
                )
            contents = _DEFAULT_CONTENTS[field.name]
        for content in contents:
            if content not in CONTENTS:
                raise InvalidInputError(
                    f"the field {field.name!r} cannot hold {content[:80]!r}: expected {', '.join(CONTENTS)}, joined by "
                    "commas"
                )
        if any(field.is_name(other) for other in found):
            raise InvalidInputError(
                f"the field {field.name!r} is named twice: name it once, with its contents joined by commas"
            )
        found[field.name] = contents
    return found


def check_separator(separator: str | None) -> None:
    """Raise if a text cannot separate values.

    Parameters
    ----------
    separator : str or None

    Raises
    ------
    InvalidInputError
    """
    if separator is not None and (not separator.strip() or not separator.isprintable()):
        raise InvalidInputError(
            f"{separator!r} cannot separate values: expected printable text that is not blank, such as '; '"
        )
    if separator is not None and any(character.isalnum() for character in separator):
        raise InvalidInputError(f"{separator!r} cannot separate values: letters and digits are parts of names")
