"""The beets plugin `genreaudio`: genres, styles and moods from the audio, on import and by `beet genreaudio`.

beets loads it through `beetsplug.genreaudio`. Genres go to the field `genres`, everything else to flexible fields.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from genre_runtime.errors import GenreError, MissingDependencyError
from genre_runtime.library.analysis import Library as AnalysedLibrary
from genre_runtime.library.analysis import plan_of
from genre_runtime.library.cache import LibraryState
from genre_runtime.library.genre_names import GenreMap, conventional, read_map
from genre_runtime.library.loading import opened_classifier
from genre_runtime.library.tags import genres_to_write
from genre_runtime.parallel import available_cores
from genre_runtime.prediction import Prediction

try:
    import confuse
    from beets import logging, ui
    from beets.dbcore import types
    from beets.importer import Action, ImportSession, ImportTask
    from beets.library import Album, Item, Library
    from beets.plugins import BeetsPlugin
    from beets.ui import UserError  # type: ignore[attr-defined]  # newer versions also have it in beets.exceptions

    if "genres" not in Item.all_keys():
        raise ImportError("items have no field `genres`")
except ImportError as error:
    raise MissingDependencyError(
        f"beets is not installed, or too old ({error}): install beets 2.7 or newer into the environment of "
        "genre-runtime"
    ) from error

LOG = logging.getLogger("beets.genreaudio")
"""The logger of the plugin of this name."""

DEFAULTS = {
    "auto": True,
    "force": False,
    "fields": True,
    "unsure": False,
    "count": 1,
    "min_confidence": 0.0,
    "separator": None,
    "map": None,
    "model": None,
    "head": None,
    "device": "auto",
    "excerpts": None,
    "jobs": 0,
    "state": None,
}
"""Options of the section `genreaudio:` in the configuration of beets, see docs/integrations.md."""

LISTS = {
    "audio_genres": "genre_set",
    "audio_styles": "styles",
    "audio_moods": "moods",
    "audio_instruments": "instruments",
    "audio_voice": "voice",
}
"""Flexible fields with several names, and the attribute of the prediction that each holds."""


@dataclass(frozen=True)
class Settings:
    """Checked options.

    Attributes
    ----------
    force : bool
        Analyse every item, and replace its genres.
    fields : bool
        Also analyse items that have genres, for the flexible fields.
    unsure : bool
        Use answers below the confidence threshold, too.
    count : int
        Most genres of an item.
    min_confidence : float
        Least probability of a genre, 0 to 1.
    separator : str or None
        Joins several genres to one text.
    genre_map : GenreMap
    own_genres : bool
        Whether the genres are the user's own, which keep their spelling.
    """

    force: bool
    fields: bool
    unsure: bool
    count: int
    min_confidence: float
    separator: str | None
    genre_map: GenreMap
    own_genres: bool


class GenreAudio(BeetsPlugin):
    """The plugin; the class that beets loads is derived from it."""

    item_types: ClassVar[dict[str, types.Type]] = {
        "audio_genre": types.STRING,
        "audio_confidence": types.FLOAT,
        "audio_music": types.STRING,
        **dict.fromkeys(LISTS, types.MULTI_VALUE_DSV),
    }

    def __init__(self) -> None:
        super().__init__(name="genreaudio")
        self.config.add(DEFAULTS)
        self._opened = ExitStack()
        self._failure: GenreError | None = None
        self._to_write: set[int | None] = set()
        self.register_listener("cli_exit", self.close)
        if self.config["auto"].get(bool):
            self.import_stages = [self.imported]
            self.register_listener("import_begin", self.begin_import)
            self.register_listener("import_task_files", self.write_imported)

    def commands(self) -> list[ui.Subcommand]:
        """Return the command `beet genreaudio`."""
        command = ui.Subcommand("genreaudio", help="genres, styles and moods from the audio")
        add = command.parser.add_option
        add("-f", "--force", action="store_true", help="analyse every item, and replace its genres")
        add("-p", "--pretend", action="store_true", help="show genres, and change nothing")
        add("-w", "--write", action="store_true", default=None, help="write genres to the files")
        add("-W", "--nowrite", action="store_false", dest="write", help="do not write genres to the files")
        command.func = self.command
        return [command]

    def command(self, library: Library, options: Any, words: list[str]) -> None:
        """Run `beet genreaudio`.

        Parameters
        ----------
        library : Library
        options : optparse.Values
        words : list of str
            The query.

        Raises
        ------
        UserError
            A setting is wrong, or the model cannot be used.
        """
        settings = self.check_settings(force=options.force)
        items = list(library.items(words))
        wanted = [item for item in items if _is_wanted(item, settings)]
        if wanted and self._analysis is None:
            raise UserError(f"genreaudio: {self._failure}")
        LOG.info("{} of {} items are to be analysed", len(wanted), len(items))
        write = ui.should_write(options.write)
        albums: dict[int | None, Album] = {}
        for item, prediction in self._predictions(wanted):
            names = self._names(item, prediction, settings)
            if names:
                verb = "would be" if options.pretend else "is"
                LOG.info("{.filepath}: {} {} ({:.0%})", item, verb, "; ".join(names), prediction.confidence)
            if options.pretend:
                continue
            _set_fields(item, prediction)
            if names:
                item.genres = names
            item.try_sync(write=write and bool(names), move=False)
            if names and (album := item.get_album()) is not None:
                albums[album.id] = album
        for album in albums.values():
            _set_album(album, settings)

    def imported(self, session: ImportSession, task: ImportTask) -> None:  # noqa: ARG002
        """Analyse the items of an import task, before their files are copied or moved.

        Parameters
        ----------
        session : ImportSession
        task : ImportTask
        """
        settings = self.check_settings()
        items = [item for item in task.imported_items() if _is_wanted(item, settings)]
        if items and self._analysis is None:
            if self._failure is not None:
                LOG.error("no genres: {}", self._failure)
            self._failure = None  # said once
            return
        found = False
        for item, prediction in self._predictions(items):
            _set_fields(item, prediction)
            names = self._names(item, prediction, settings)
            if names:
                found = True
                item.genres = names
                self._to_write.add(item.id)
            item.store()
        if found and task.is_album:
            _set_album(task.album, settings)

    def write_imported(self, task: ImportTask, **_: object) -> None:
        """Write the genres of items that are imported as they are, which beets does not write by itself.

        Parameters
        ----------
        task : ImportTask
        """
        for item in task.imported_items():
            if item.id not in self._to_write:
                continue
            self._to_write.discard(item.id)
            written_by_beets = task.apply or task.choice_flag == Action.RETAG
            if not written_by_beets and ui.should_write():
                item.try_sync(write=True, move=False)

    def begin_import(self, **_: object) -> None:
        """Check the options before anything is imported."""
        self.check_settings()

    def check_settings(self, *, force: bool | None = None) -> Settings:
        """Return the options of the configuration.

        Parameters
        ----------
        force : bool, optional
            Of the command line.

        Raises
        ------
        ConfigError
            An option has a wrong value.
        UserError
            The map cannot be used.
        """
        config = self.config
        path = config["map"].get(confuse.Optional(confuse.Filename()))
        try:
            genre_map = GenreMap() if path is None else read_map(Path(path))
        except GenreError as error:
            raise UserError(f"genreaudio: {error}") from error
        least = config["min_confidence"].get(confuse.Number())
        count = config["count"].get(int)
        if count < 1:
            raise UserError(f"genreaudio.count is {count}: expected 1 or more")
        if (jobs := config["jobs"].get(int)) < 0:
            raise UserError(f"genreaudio.jobs is {jobs}: expected a positive number, or 0 for one per core")
        excerpts = config["excerpts"].get()
        if excerpts not in (None, "all") and (type(excerpts) is not int or excerpts < 1):
            raise UserError(f"genreaudio.excerpts is {excerpts!r}: expected a positive number or all")
        if not 0 <= least <= 1:
            raise UserError(f"genreaudio.min_confidence is {least:g}: expected 0 to 1")
        return Settings(
            force=config["force"].get(bool) or bool(force),
            fields=config["fields"].get(bool),
            unsure=config["unsure"].get(bool),
            count=count,
            min_confidence=least,
            separator=config["separator"].get(confuse.Optional(str)),
            genre_map=genre_map,
            own_genres=config["head"].get() is not None,
        )

    def close(self, **_: object) -> None:
        """End the decoder processes and close the state file."""
        self._opened.close()

    @cached_property
    def _analysis(self) -> tuple[AnalysedLibrary, int] | None:
        """The library to classify with, and how many files at once; None if the model cannot be used."""
        config = self.config
        paths = {
            name: config[name].get(confuse.Optional(confuse.Filename(cwd=os.curdir)))
            for name in ("model", "head", "state")
        }
        try:
            classifier, jobs = self._opened.enter_context(
                opened_classifier(
                    available_cores(),
                    model=paths["model"],
                    head=None if paths["head"] is None else Path(paths["head"]),
                    device=config["device"].as_str(),
                    jobs=config["jobs"].get(int),
                )
            )
            self.check_settings().genre_map.check(classifier.labels)
            excerpts, state = config["excerpts"].get(), None
            if paths["state"] is not None:
                state = LibraryState(Path(paths["state"]), plan_of(classifier, excerpts))
                self._opened.enter_context(closing(state))
            return AnalysedLibrary(classifier, excerpts, state), jobs
        except GenreError as error:
            self._failure = error
            return None

    def _predictions(self, items: Sequence[Item]) -> Iterator[tuple[Item, Prediction]]:
        """Yield the items that could be analysed, with their predictions; the others are logged."""
        if not items or self._analysis is None:
            return
        library, jobs = self._analysis
        paths = [Path(os.fsdecode(item.path)) for item in items]
        try:
            with closing(library.classify(paths, jobs)) as results:
                for item, result in zip(items, results, strict=True):
                    if isinstance(result.outcome, Prediction):
                        yield item, result.outcome
                    else:
                        LOG.warning("{.filepath}: {}", item, result.outcome)
        except GenreError as error:  # the state file failed
            LOG.error("{}", error)

    def _names(self, item: Item, prediction: Prediction, settings: Settings) -> list[str]:
        """Return the genres to set; an empty list if the item keeps what it has."""
        if item.genres and not settings.force:
            return []
        if not prediction.is_music or not (prediction.confident or settings.unsure):
            LOG.info("{.filepath}: no genre, {}", item, prediction.reason or "the answer is not confident")
            return []
        labels = genres_to_write(prediction, top=settings.count, min_confidence=settings.min_confidence)
        names = list(settings.genre_map.rename(labels, str if settings.own_genres else conventional))
        return [settings.separator.join(names)] if names and settings.separator else names


def _is_wanted(item: Item, settings: Settings) -> bool:
    return settings.force or not item.genres or (settings.fields and "audio_genre" not in item)


def _set_fields(item: Item, prediction: Prediction) -> None:
    """Set the flexible fields."""
    item["audio_genre"] = prediction.label
    item["audio_confidence"] = round(prediction.confidence, 4)
    item["audio_music"] = prediction.music or ""
    for name, attribute in LISTS.items():
        item[name] = list(getattr(prediction, attribute))


def _set_album(album: Album, settings: Settings) -> None:
    """Give an album the most frequent genres of its tracks; tracks keep their own."""
    if album.genres and not settings.force:
        return
    tracks: Iterable[Item] = album.items()
    counts = Counter(genre for track in tracks for genre in track.genres)
    album.genres = [genre for genre, _ in counts.most_common(settings.count)]
    album.store(inherit=False)
