"""Names of genres, styles, moods and instruments: their spelling, and the user's own names for those of the model.

A map is a file: a `.toml` file has `label = "name"`, a `.csv` file rows of `label,name`, any other file lines
`label = name`. An empty name means that the genre is not written; a TOML value may be a list of names.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from genre_runtime.errors import InvalidInputError

CONVENTIONAL = tuple(
    """
Blues; Classical; Country; Disco; Electronic; Experimental; Folk; Hip-Hop; Instrumental; International; Jazz; Metal; Pop
Reggae; Rock; Heavy Metal; Punk Rock; Grunge; Progressive Rock; Rock and Roll; Psychedelic Rock; R&B; Soul; Swing
Bluegrass; Funk; Middle Eastern; Opera; House; Techno; Dubstep; Drum and Bass; Electronica; EDM; Ambient; Trance
Latin American; Salsa; Flamenco; Children's Music; New Age; Vocal; A Cappella; African; Afrobeat; Christian; Gospel
Asian; Carnatic; Bollywood; Ska; Traditional; Indie; Background Music; Theme Music; Jingle; Soundtrack; Lullaby
Video Game Music; Christmas Music; Dance; Wedding Music; Trip Hop; Synth-Pop; Lo-Fi; K-Pop; J-Pop; IDM; Post-Rock
Happy; Funny; Sad; Tender; Exciting; Angry; Scary; Plucked Strings; Guitar; Electric Guitar; Bass Guitar
Acoustic Guitar; Slide Guitar; Tapped Guitar; Strum; Banjo; Sitar; Mandolin; Zither; Ukulele; Keyboard; Piano
Electric Piano; Organ; Electronic Organ; Hammond Organ; Synthesizer; Sampler; Harpsichord; Percussion; Drum Kit
Drum Machine; Drum; Snare Drum; Rimshot; Drum Roll; Bass Drum; Timpani; Tabla; Cymbal; Hi-Hat; Wood Block; Tambourine
Maraca; Gong; Tubular Bells; Mallet Percussion; Marimba or Xylophone; Glockenspiel; Vibraphone; Steelpan; Orchestra
Brass; French Horn; Trumpet; Trombone; Bowed Strings; String Section; Violin; Pizzicato; Cello; Double Bass; Woodwind
Flute; Saxophone; Clarinet; Harp; Harmonica; Accordion; Bagpipes; Didgeridoo; Theremin; Singing Bowl; Scratching
Singing; Male Singing; Female Singing; Child Singing; Choir; Chant; Mantra; Yodeling; Rapping; Humming
Synthetic Singing; Beatboxing
""".strip()
    .replace("\n", "; ")
    .split("; ")
)
"""Names as people write them: the words of MusicBrainz's list of genres, with capitals."""

_SHORT_FORMS = {
    **dict.fromkeys(("dnb", "dandb", "drumnbass"), "drumandbass"),
    **dict.fromkeys(("rnb", "randb"), "rhythmandblues"),
    "rocknroll": "rockandroll",
    "edm": "electronicdance",
    "indie": "independent",
}
"""Normalised names, by other ways to write them."""

_SIGNS = re.compile(r"[\W_]+")
_KIND = re.compile(r"(?<=\w)[\W_]+music\W*$")


def normalised(name: str) -> str:
    """Return a name without case, accents and signs.

    Parameters
    ----------
    name : str
    """
    return _SIGNS.sub("", _plain(name))


def spelling_key(name: str) -> str:
    """Return what all spellings of one name have in common: `D&B` and `Drum and Bass`, `folk music` and `Folk`.

    Other names that mean the same, such as `Electronica` and `Electronic`, differ.

    Parameters
    ----------
    name : str
    """
    key = _SIGNS.sub("", _KIND.sub("", _plain(name)))
    return _SHORT_FORMS.get(key, key) or name.strip().casefold()


def conventional(name: str) -> str:
    """Return a name in its conventional spelling; names that are not in `CONVENTIONAL` are returned as they are.

    Parameters
    ----------
    name : str
    """
    return _conventional_names().get(spelling_key(name), name)


def distinct(names: Iterable[str], known: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the first spelling of each name.

    Parameters
    ----------
    names : iterable of str
    known : iterable of str
        Names to leave out, in any spelling.
    """
    seen = set(map(spelling_key, known))
    found = []
    for name in names:
        key = spelling_key(name)
        if key not in seen:
            found.append(name)
            seen.add(key)
    return tuple(found)


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKD", name.casefold().replace("&", " and ").replace("+", " and "))
    return "".join(character for character in text if not unicodedata.combining(character))


@cache
def _conventional_names() -> dict[str, str]:
    return {spelling_key(name): name for name in CONVENTIONAL}


@dataclass(frozen=True)
class GenreMap:
    """Names to write instead of labels.

    Parameters
    ----------
    names : mapping of str to tuple of str
        Names by case-folded label; a label with an empty tuple is not written.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rename(self, labels: Sequence[str], spell: Callable[[str], str] = str) -> tuple[str, ...]:
        """Return the names of labels in order, without duplicates.

        Parameters
        ----------
        labels : sequence of str
        spell : callable
            Returns the name of a label that the map does not have.
        """
        names = (name for label in labels for name in self._find(label) or (spell(label),))
        return tuple(dict.fromkeys(filter(None, names)))

    def check(self, labels: Iterable[str], tags: Iterable[str] = ()) -> None:
        """Check that the model has every label of the map, in any spelling.

        Parameters
        ----------
        labels : iterable of str
            The model's labels.
        tags : iterable of str
            Names of its styles, moods and instruments.

        Raises
        ------
        InvalidInputError
            A label is unknown.
        """
        known = sorted(labels)
        others = [spelling_key(tag) for tag in tags]
        keys = {*map(spelling_key, known), *others}
        unknown = sorted(name for name in self.names if spelling_key(name) not in keys)
        if unknown:
            more = ", and the model's styles, moods and instruments" if others else ""
            raise InvalidInputError(
                f"the map names unknown labels {', '.join(unknown)}: known are {', '.join(known)}{more}"
            )

    def _find(self, label: str) -> tuple[str, ...]:
        """Return the names of a label: ("",) if it is not written, () if the map does not have it."""
        found = self.names.get(label.casefold())
        if found is None:
            found = self._by_key.get(spelling_key(label))
        return () if found is None else found or ("",)

    @cached_property
    def _by_key(self) -> dict[str, tuple[str, ...]]:
        return {spelling_key(label): names for label, names in self.names.items()}


def read_map(path: Path) -> GenreMap:
    """Read a map from a file.

    Parameters
    ----------
    path : Path
        The suffix decides the format.

    Raises
    ------
    InvalidInputError
        The file cannot be read, a line is not a pair, or a label is repeated.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        names: dict[str, tuple[str, ...]] = {}
        for label, values in _PARSERS.get(path.suffix.lower(), _lines)(text):
            if label.casefold() in names:
                raise ValueError(f"{label!r} is named twice")
            for value in values:
                if not value.isprintable():
                    raise ValueError(f"{value!r} is not a genre's name: it has control characters")
            names[label.casefold()] = values
    except OSError as error:
        raise InvalidInputError(f"the map {str(path)!r} cannot be read: {error.strerror}") from error
    except ValueError as error:  # also raised by tomllib, and for text that is not UTF-8
        raise InvalidInputError(f"the map {str(path)!r} cannot be used ({error}): expected `label = name`") from error
    return GenreMap(names)


def _toml(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for label, value in tomllib.loads(text).items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in values):
            raise ValueError(f"{label} is {value!r}, expected text or a list of texts")
        yield label, tuple(item.strip() for item in values if item.strip())


def _csv(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number, row in enumerate(csv.reader(io.StringIO(text), strict=True)):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 0 and cells[:1] == ["label"]):
            continue
        if len(cells) != 2 or not cells[0]:
            raise ValueError(f"row {number + 1} is {row!r}, expected label,name")
        yield cells[0], tuple(filter(None, cells[1:]))


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, equals, name = (part.strip() for part in line.partition("="))
        if not equals or not label:
            raise ValueError(f"line {number} is {line!r}, expected label = name")
        yield label, tuple(filter(None, [name]))


_PARSERS = {".toml": _toml, ".csv": _csv}
