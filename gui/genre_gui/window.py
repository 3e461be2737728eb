"""The window: three pages over one controller, brought up to date by polling its queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import customtkinter

from genre_gui import choosing, keys, theme, ui_thread
from genre_gui.backend import Wish
from genre_gui.background import report
from genre_gui.banner import Banner
from genre_gui.controller import Controller
from genre_gui.dropping import accept_drops
from genre_gui.header import Header
from genre_gui.model_panel import ModelPanel
from genre_gui.player import Player
from genre_gui.reactions import react, show_fault
from genre_gui.settings import Settings, save_settings
from genre_gui.tag_page import TagPage
from genre_gui.tag_runs import Manner
from genre_gui.theme import BACKGROUND, MIDDLE, NARROW
from genre_gui.tracks_page import TracksPage

POLL_MILLISECONDS = 40
FIRST_MILLISECONDS = 20
"""When the model begins to load: what threads import keeps the window from being drawn."""

TRACKS_PER_TICK = 100
MIN_SIZE = (920, 680)


class Window(customtkinter.CTk):  # type: ignore[misc]
    """Main window.

    Parameters
    ----------
    controller : Controller
        Does the work; the window shows its state and asks it for what has happened.
    settings : Settings
    settings_file : Path or None
        Where they are kept; None: nowhere.
    player : Player, optional
    """

    def __init__(
        self,
        controller: Controller,
        settings: Settings,
        settings_file: Path | None = None,
        player: Player | None = None,
    ) -> None:
        super().__init__(fg_color=BACKGROUND, className="genre-gui")
        self.controller, self.settings = controller, settings
        self._settings_file = settings_file
        self._player = player or Player()
        self._tag_numbers: list[int] = []
        self.title("Music genres")
        self.minsize(*MIN_SIZE)
        self.geometry(settings.size)
        self._look = (theme.dark(), theme.scaling(self))
        theme.style_tables(self)
        self._build()
        self.restyle()
        droppable = accept_drops(self, self.add)
        hint = "Drop music here, or press Ctrl+O." if droppable else "Press Ctrl+O to add music."
        self.tracks.table.say_when_empty(hint)
        keys.bind(self)
        self.show_page("Tracks")
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.report_callback_exception = self._report
        wish = Wish(Path(settings.model) if settings.model else None, settings.device)
        self.after(FIRST_MILLISECONDS, controller.load, wish)
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)
        ui_thread.settle()

    def _build(self) -> None:
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(2, weight=1)
        self.header = Header(self, self.settings, self.show_page, self.choose_device, self.choose_theme)
        self.header.grid(row=0, column=0, padx=MIDDLE, pady=(MIDDLE, NARROW), sticky="ew")
        self.banner = Banner(self)
        self.banner.grid(row=1, column=0, padx=MIDDLE, pady=(0, NARROW), sticky="ew")
        self.banner.hide()
        if self.controller.fixed:
            self.header.fix()
        adding = (("Add files …", self.ask_files), ("Add a folder …", self.ask_folder))
        using = (("Write tags …", self.open_tags), ("Export …", self.export))
        self.tracks = TracksPage(self, self.controller, self._player, self.banner.say, adding, using)

    @cached_property
    def model(self) -> ModelPanel:
        """The page about the model, made when it is wanted first: the window appears the sooner."""
        page = ModelPanel(self, self.ask_model, self.controller.try_devices)
        if self.controller.fixed:
            page.fix()
        if self.controller.backend is not None:
            page.show(self.controller.backend)
        return page

    @cached_property
    def tags(self) -> TagPage:
        """The page that writes tags, made when it is wanted first."""
        plan, write = self._plan_tags, self.controller.tags.write
        return TagPage(self, plan, write, self.undo_tags, lambda: self.show_page("Tracks"))

    def show_page(self, name: str) -> None:
        """Show one of the pages."""
        for page in self._made():
            page.grid_remove()
        page = getattr(self, name.lower())
        page.grid(row=2, column=0, padx=MIDDLE, pady=(0, MIDDLE), sticky="nsew")
        self.header.choose_page(name)
        if name == "Tracks":
            self.tracks.table.tree.focus_set()
        if name == "Tags":
            self._tag_numbers = self.tracks.chosen_or_shown()
            self.tags.refresh()

    def add(self, names: Sequence[str]) -> None:
        """Add files and folders, chosen, dropped or named on the command line."""
        if names:
            parent = Path(names[0]).parent
            self.settings = replace(self.settings, last_folder=str(parent))
            self.controller.add(names)

    def ask_files(self) -> None:
        """Ask for files and add them."""
        self.add(choosing.audio_files(self, self.settings.last_folder) or ())

    def ask_folder(self) -> None:
        """Ask for a folder and add what is in it."""
        folder = choosing.audio_folder(self, self.settings.last_folder)
        self.add((folder,) if folder else ())

    def ask_model(self) -> None:
        """Ask for a model and load it."""
        if path := choosing.model_file(self):
            self.controller.load(replace(self.controller.wish, model=path))

    def export(self) -> None:
        """Ask for a file and write the results of the tracks shown, or of those chosen, into it."""
        if path := choosing.export_file(self, self.settings.last_folder):
            self.controller.export(path, self.tracks.chosen_or_shown())

    def open_tags(self) -> None:
        """Show what would be written into the files chosen, or into all that are shown."""
        self.show_page("Tags")

    def undo_tags(self) -> None:
        """Take back the tags written last, even before the window was closed and opened again."""
        journal = self.controller.tags.journal or (Path(self.settings.journal) if self.settings.journal else None)
        if journal is None:
            self.banner.say("Nothing was written yet, so there is nothing to take back.")
        else:
            self.controller.tags.undo(journal)

    def choose_device(self, device: str) -> None:
        """Load the model onto another device."""
        self.settings = replace(self.settings, device=device)
        self.controller.load(replace(self.controller.wish, device=device))

    def choose_theme(self, name: str) -> None:
        """Switch the appearance."""
        self.settings = replace(self.settings, theme=name)
        theme.choose_appearance(name)
        self._follow_appearance()

    def restyle(self) -> None:
        """Give what customtkinter does not draw the colours of the present appearance."""
        theme.style_tables(self)
        for page in self._made():
            page.restyle()

    def close(self) -> None:
        """Close at once, whatever is in work."""
        self._player.pause()
        self.controller.close()
        self.after_cancel(self._next_poll)
        self._save()
        self.destroy()

    def _made(self) -> list[Any]:
        """Return the pages that are there yet."""
        return [page for name in ("tracks", "model", "tags") if (page := self.__dict__.get(name)) is not None]

    def _save(self) -> None:
        if self._settings_file is None:
            return
        size = self.geometry().partition("+")[0]
        journal, wish = self.controller.tags.journal, self.controller.wish
        changed = replace(self.settings, model=str(wish.model or ""), size=size)
        if journal is not None and journal.exists():
            changed = replace(changed, journal=str(journal))
        save_settings(self._settings_file, changed)

    def _plan_tags(self, manner: Manner) -> int:
        return self.controller.plan_tags(self._tag_numbers, manner)

    def _poll(self) -> None:
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)
        self._follow_appearance()
        react(self, self.controller.poll(TRACKS_PER_TICK))
        self.tracks.tick(self.controller.waits_for)
        ui_thread.collect_if_due()

    def _follow_appearance(self) -> None:
        look = (theme.dark(), theme.scaling(self))
        if look != self._look:
            self._look = look
            self.restyle()

    def _report(self, _: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show_fault(self, report(error.with_traceback(trace)))
