"""Read and write fields of one file's tags.

Imports: this module -> restore -> formats -> the adapters (id3_ape, wav_aiff, vorbis, mp4_asf) -> id3, id3v1 -> base
-> fields; restore -> replace -> journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from genre_runtime.errors import (
    AudioNotFoundError,
    ChangedFileError,
    InvalidInputError,
    TagWriteError,
    UnreadableAudioError,
    UntaggableError,
)
from genre_runtime.library.genre_names import distinct
from genre_runtime.library.tags.base import SEPARATOR, VENDOR, Place, all_values, first_values, known_names
from genre_runtime.library.tags.fields import Field, check_separator, field_of
from genre_runtime.library.tags.formats import adapter_of, audio_sha256, tag_errors
from genre_runtime.library.tags.journal import Entry, FileState, Journal
from genre_runtime.library.tags.replace import replace_file, target_of
from genre_runtime.library.tags.restore import difference, restored_sha256

Mode = Literal["empty", "overwrite", "append"]
"""What to do with a field that has values: leave it, replace its values, or append to them."""


@dataclass(frozen=True)
class FieldChange:
    """A planned or written change of one field.

    Attributes
    ----------
    old, new : tuple of str
        Values before and after.
    reason : str or None
        Why the values stay the same; None if they change.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Change:
    """A planned or written change of one file.

    Attributes
    ----------
    path : Path
        As given by the caller.
    fields : mapping of str to FieldChange
        By the name of the field; at least one.
    written : bool
        Whether the file was changed.
    digests : (bytes, bytes) or None
        sha256 of a written file before and after.
    """

    path: Path
    fields: Mapping[str, FieldChange]
    written: bool = False
    digests: tuple[bytes, bytes] | None = None

    @classmethod
    def none(cls, path: Path, values: Mapping[str, tuple[str, ...]], reasons: Mapping[str, str]) -> Change:
        """Return the outcome for a file whose fields stay as they are.

        Parameters
        ----------
        path : Path
        values : mapping of str to tuple of str
            The present values of each field.
        reasons : mapping of str to str
            Why each field stays.
        """
        return cls(path, {name: FieldChange(old, old, reasons[name]) for name, old in values.items()})

    @property
    def old(self) -> tuple[str, ...]:
        """The values of the first field before."""
        return next(iter(self.fields.values())).old

    @property
    def new(self) -> tuple[str, ...]:
        """The values of the first field after."""
        return next(iter(self.fields.values())).new

    @property
    def reason(self) -> str | None:
        """Why all fields stay the same; None if one changes."""
        reasons = [one.reason for one in self.fields.values()]
        return None if None in reasons else "; ".join(dict.fromkeys(filter(None, reasons)))


def read_fields(path: Path | str, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of fields in a file's tags, empty where there are none.

    Parameters
    ----------
    path : path
    names : iterable of str
        genre, style, mood, grouping, comment, or a name of one's own.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError, InvalidInputError
    """
    return {field.name: first_values(own) for field, own in _places(Path(path), map(field_of, names)).items()}


def read_genres(path: Path | str) -> tuple[str, ...]:
    """Return the genres in a file's tags, empty if there are none.

    Parameters
    ----------
    path : path

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError
    """
    return read_fields(path, ["genre"])["genre"]


def plan_fields(
    path: Path | str, values: Mapping[str, Sequence[str]], mode: Mode = "empty", *, separator: str | None = None
) -> Change:
    """Return what `write_fields` would do, without writing.

    Parameters
    ----------
    path, values, mode, separator
        As for `write_fields`.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError, InvalidInputError
    """
    check_separator(separator)
    wanted = {field_of(name): _checked(own, separator) for name, own in values.items()}
    if not wanted:
        raise InvalidInputError("no field to write: name at least one")
    places = _places(Path(path), wanted)
    fields = {field.name: _planned(field, places[field], own, mode, separator) for field, own in wanted.items()}
    return Change(Path(path), fields)


def plan_genres(path: Path | str, genres: Sequence[str], mode: Mode = "empty") -> Change:
    """Return what `write_genres` would do, without writing.

    Parameters
    ----------
    path, genres, mode
        As for `write_genres`.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, MissingDependencyError, InvalidInputError
    """
    return plan_fields(path, {"genre": genres}, mode)


def write_fields(
    path: Path | str,
    values: Mapping[str, Sequence[str]],
    mode: Mode = "empty",
    *,
    journal: Journal | Path | str | None,
    separator: str | None = None,
    id3_version: Literal[3, 4] | None = None,
    keep_mtime: bool = False,
) -> Change:
    """Write fields into a file's tags in one step; the audio and all other tags stay the same.

    Parameters
    ----------
    path : path
        The target of a link is changed.
    values : mapping of str to sequence of str
        By the name of the field; the most important value first, duplicates are dropped.
    mode : {"empty", "overwrite", "append"}
        What to do with a field that has values, for each field on its own.
    journal : Journal or path or None
        Records the change before it is made. Without a journal it cannot be undone.
    separator : str, optional
        Joins the values of a field to one, for players that know only one.
    id3_version : 3 or 4, optional
        Minor version of ID3v2 tags. By default a tag keeps its version, and a new one gets 4.
    keep_mtime : bool
        Keep the modification time.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, TagWriteError, ChangedFileError, InvalidInputError,
    MissingDependencyError
        The file is unchanged.
    """
    change = plan_fields(path, values, mode, separator=separator)
    changed = {name: one for name, one in change.fields.items() if one.reason is None}
    if not changed:
        return change
    target = target_of(Path(path))
    book = journal if isinstance(journal, Journal) or journal is None else Journal(Path(journal))
    wanted = {field_of(name): one.new for name, one in changed.items()}

    def edit(original: BinaryIO, copy: BinaryIO) -> None:
        with tag_errors(target, original):
            _write_and_check(original, copy, wanted, id3_version)

    digests: list[bytes] = []

    def record(old: FileState, new: FileState, original: BinaryIO, copy: BinaryIO) -> None:
        digests[:] = map(bytes.fromhex, (old.sha256, new.sha256))
        if book is None:
            return
        patch = difference(original, copy)
        if restored_sha256(patch, copy, old.size) != old.sha256:  # the file is not the one that was copied
            raise ChangedFileError("another program changed the file meanwhile: nothing was written, try again")
        before, after = ({name: getattr(one, when) for name, one in changed.items()} for when in ("old", "new"))
        try:
            book.record(Entry(target, old, new, before, after, patch))
        except OSError as error:
            words = error.strerror or str(error)
            raise TagWriteError(target, f"the journal {str(book.path)!r} cannot be written ({words})") from error

    replace_file(target, edit, record, "keep" if keep_mtime else None)
    return replace(change, written=True, digests=(digests[0], digests[1]))


def write_genres(
    path: Path | str,
    genres: Sequence[str],
    mode: Mode = "empty",
    *,
    journal: Journal | Path | str | None,
    id3_version: Literal[3, 4] | None = None,
    keep_mtime: bool = False,
) -> Change:
    """Write genres into a file's tags; the audio and all other tags stay the same.

    Parameters
    ----------
    path, mode, journal, id3_version, keep_mtime
        As for `write_fields`.
    genres : sequence of str
        The most important first; duplicates are dropped.

    Raises
    ------
    AudioNotFoundError, UnreadableAudioError, UntaggableError, TagWriteError, ChangedFileError, InvalidInputError,
    MissingDependencyError
        The file is unchanged.
    """
    return write_fields(path, {"genre": genres}, mode, journal=journal, id3_version=id3_version, keep_mtime=keep_mtime)


def _places(path: Path, fields: Iterable[Field]) -> dict[Field, list[Place]]:
    target = target_of(path)
    with _opened(target) as file, tag_errors(target, file):
        adapter = adapter_of(file)
        return {field: adapter.places(file, field) for field in fields}


def _planned(
    field: Field, places: Sequence[Place], values: tuple[str, ...], mode: Mode, separator: str | None
) -> FieldChange:
    old = first_values(places)
    if old and mode == "empty":
        return FieldChange(old, old, f"has a {field.name}")
    if not values:
        return FieldChange(old, old, f"no {field.name} to write")
    separator = separator or field.separator
    new, joined = values, separator is not None
    if mode == "append":
        kept = all_values(places, separator)
        added = distinct(values, known_names(kept, separator))
        new, joined = (*kept, *added), joined and bool(added)
    if joined:
        new = ((separator or "").join(new),)
    stored = next((place for place in places if place.values), None)
    if stored is not None and stored.holds(new) and all(place.agrees_with(new) for place in places):
        return FieldChange(old, old, f"has these {field.name}s" if field.is_standard else f"has this {field.name}")
    return FieldChange(old, new)


def _checked(values: Sequence[str], separator: str | None) -> tuple[str, ...]:
    for value in values:
        if not value.strip() or not value.isprintable():
            raise InvalidInputError(f"{value!r} cannot be written: expected text without control characters")
        if separator is not None and separator.rstrip() in value:
            raise InvalidInputError(f"{value!r} has the separator {separator!r} in it: choose another one")
    return distinct(value.strip() for value in values)


def _write_and_check(
    original: BinaryIO, copy: BinaryIO, values: Mapping[Field, Sequence[str]], id3_version: int | None
) -> None:
    adapter = adapter_of(copy)
    others = adapter.others(copy, values)
    converted = adapter.write(copy, values, id3_version)
    copy.flush()
    for field, own in values.items():
        places = adapter.places(copy, field)
        stored = next((place for place in places if place.values), None)
        if stored is None or not stored.holds(own):
            found = () if stored is None else stored.values
            raise UntaggableError(f"{tuple(own)} were written but read back as {found}: nothing was changed")
        for place in places:
            if not place.agrees_with(own):
                raise UntaggableError(
                    f"{place.name} names the {field.name} {SEPARATOR.join(place.values)!r}, too, and cannot be "
                    "changed: remove it there with another program first"
                )
    kept = adapter.others(copy, values)
    # New comments add the name of the program that wrote them.
    changed = sorted(
        key for key in kept | others if kept.get(key) != others.get(key) and (key in others or key != VENDOR)
    )
    if changed and not converted:
        raise UntaggableError(f"other tags would not stay the same ({', '.join(changed)}): nothing was changed")
    if audio_sha256(copy) != audio_sha256(original):
        raise UntaggableError("the audio would not stay the same: nothing was changed")


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise AudioNotFoundError(path) from error
    except OSError as error:
        raise UnreadableAudioError(f"{error.strerror or error}: check the permissions") from error
