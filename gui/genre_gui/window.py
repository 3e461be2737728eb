"""What the keyboard does anywhere in the window.

What the window does when something has happened.

The window: three pages over one controller, brought up to date by polling its queue.
"""

from __future__ import annotations

import sys
import tkinter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tkinter import Misc
from types import TracebackType
from typing import Any

import customtkinter

from genre_gui.backends.base import Wish
from genre_gui.backends.errors import AwayError, NotReadyError, ServiceError
from genre_gui.backends.link import Link, LinkState
from genre_gui.controller import Controller, Manner
from genre_gui.pages.model import ModelPanel
from genre_gui.pages.tags import TagPage
from genre_gui.pages.tracks import TracksPage
from genre_gui.playback import Player
from genre_gui.settings import Settings, save_settings
from genre_gui.text import one_line, sentence
from genre_gui.widgets import dialogs, theme
from genre_gui.widgets.controls import Answer, Banner, Header
from genre_gui.widgets.dialogs import accept_drops
from genre_gui.widgets.theme import BACKGROUND, MIDDLE, NARROW
from genre_gui.workers import background
from genre_gui.workers.background import (
    Broken,
    DevicesTried,
    Event,
    Finished,
    Found,
    Heard,
    LinkChanged,
    Loaded,
    Notice,
    NotLoaded,
    Started,
    Tagged,
    TagsFinished,
    TagsUndone,
    report,
)
from genre_runtime import GenreError
from genre_runtime.errors import DeviceUnavailableError

MODIFIER = "Command" if sys.platform == "darwin" else "Control"


def bind(window: Window) -> None:
    """Bind the keys."""
    shortcuts: dict[str, Callable[[], object]] = {
        "o": window.ask_files,
        "O": window.ask_folder,
        "r": window.tracks.retry,
        "e": window.export,
        "t": window.open_tags,
        "p": window.tracks.detail.toggle,
        "f": lambda: _find(window),
    }
    for key, command in shortcuts.items():
        window.bind(f"<{MODIFIER}-{key}>", _doing(command))
    tree = window.tracks.table.tree
    for key in ("<Delete>", "<BackSpace>"):
        tree.bind(key, _doing(window.tracks.remove))
    for key in ("<Return>", "<KP_Enter>", "<Double-1>"):
        tree.bind(key, _doing(window.tracks.show_chosen))
    for key, pages in (("<Next>", 1), ("<Prior>", -1)):
        window.bind(key, _doing(lambda pages=pages: _scroll(window, pages)))  # type: ignore[misc]
    window.bind("<Escape>", _doing(lambda: _escape(window)))
    window.tracks.filter.bind("<Return>", _doing(tree.focus_set))
    window.tracks.filter.bind("<Down>", _doing(tree.focus_set))


def _doing(command: Callable[[], object]) -> Callable[[tkinter.Event[Misc]], str]:
    def done(_: tkinter.Event[Misc]) -> str:
        command()
        return "break"

    return done


def _find(window: Window) -> None:
    window.show_page("Tracks")
    window.tracks.filter.focus_set()


def _scroll(window: Window, pages: int) -> None:
    """Turn the pages of the model's page; the tables turn their own."""
    if "model" in vars(window) and window.model.winfo_ismapped():
        window.model.master.yview_scroll(pages, "pages")


def _escape(window: Window) -> None:
    """Leave the filter, or the page, or cancel what is in work."""
    tracks = window.tracks
    if not tracks.winfo_ismapped():
        window.show_page("Tracks")
    elif tracks.filter.get():
        tracks.filter.delete(0, "end")
        tracks.table.filter("")
        tracks.table.tree.focus_set()
    else:
        tracks.cancel()


RETRY_MILLISECONDS = 2000
"""From one try to reach a service to the next."""


def react(window: Window, events: Sequence[Event]) -> None:
    """Show what has happened; rows that changed are drawn once, however often they did."""
    changed: dict[int, None] = {}
    if any(isinstance(event, Found) for event in events):
        window.tracks.added()
    for event in events:
        if isinstance(event, Started | Finished):
            changed[event.number] = None
        elif not isinstance(event, Found):
            _react(window, event)
    present = [number for number in changed if number in window.controller.tracks]
    if present:
        window.tracks.changed(present)


def _react(window: Window, event: Event) -> None:
    match event:
        case Loaded(_, backend, devices):
            window.header.show_model(backend, window.controller.wish.device, devices)
            if "model" in vars(window):
                window.model.show(backend)
            window.tracks.show_chosen()
        case NotLoaded(_, error):
            _say_not_loaded(window, error)
        case LinkChanged(_, link):
            _show_link(window, link)
        case DevicesTried(answers):
            window.model.show_devices(answers)
        case Heard(number, _, sounds):
            shown, used = window.tracks.detail.track, window.controller.backend
            if shown is not None and shown.number == number:
                window.tracks.detail.show_sounds(sounds, used.metadata if used else None)
        case Tagged() | TagsFinished():
            window.tags.take(event)
        case TagsUndone():
            window.tags.show_undone(event)
        case Notice(words, bad):
            window.banner.say(words, bad=bad)
        case Broken(report):
            show_fault(window, report)


def _show_link(window: Window, link: Link) -> None:
    controller = window.controller
    ended = link.state is LinkState.ENDED
    window.header.show_link(replace(link, words="the service has ended") if ended else link)
    if link.anew:
        controller.load(controller.wish)
    if ended:
        again: Answer = ("Start it again", lambda: controller.load(controller.wish))
        window.banner.say(f"{link.words}. What is not done waits.", again, bad=True)


def show_fault(window: Window, report: str) -> None:
    """Say that this program has a fault, and offer the report of it."""

    def copy() -> None:
        window.clipboard_clear()
        window.clipboard_append(report)

    words = f"This program has a fault: {one_line(report.strip().splitlines()[-1])}"
    window.banner.say(words, ("Copy the report", copy), bad=True)


def _say_not_loaded(window: Window, error: GenreError) -> None:
    controller = window.controller
    if isinstance(error, AwayError | NotReadyError) and controller.fixed:
        window.header.show_link(Link(LinkState.LOST, f"not connected: {error}; trying again …"))
        window.after(RETRY_MILLISECONDS, lambda: controller.load(controller.wish))
        return
    if isinstance(error, ServiceError):
        again: Answer = ("Try again", lambda: controller.load(controller.wish))
        window.header.show_link(Link(LinkState.LOST, "not connected"))
        window.banner.say(f"{sentence(error)}.", again, bad=True)
        return
    if isinstance(error, DeviceUnavailableError):
        words = f"{sentence(error)}. Shall the CPU do the work?"
        window.banner.say(words, ("Use the CPU", lambda: _use_cpu(window)), bad=True)
        return
    stays = f" {controller.backend.name} stays in use." if controller.backend else ""
    answers: list[Answer] = [("Open a model …", window.ask_model)]
    if controller.backend is None and controller.wish.model is not None:
        answers.append(("Use the shipped one", lambda: controller.load(replace(controller.wish, model=None))))
    window.banner.say(f"{sentence(error)}.{stays}", *answers, bad=True)


def _use_cpu(window: Window) -> None:
    window.header.show_device("cpu")
    window.controller.load(replace(window.controller.wish, device="cpu"))


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
        bind(self)
        self.show_page("Tracks")
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.report_callback_exception = self._report
        wish = Wish(Path(settings.model) if settings.model else None, settings.device)
        self.after(FIRST_MILLISECONDS, controller.load, wish)
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)
        background.settle()

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
        self.add(dialogs.audio_files(self, self.settings.last_folder) or ())

    def ask_folder(self) -> None:
        """Ask for a folder and add what is in it."""
        folder = dialogs.audio_folder(self, self.settings.last_folder)
        self.add((folder,) if folder else ())

    def ask_model(self) -> None:
        """Ask for a model and load it."""
        if path := dialogs.model_file(self):
            self.controller.load(replace(self.controller.wish, model=path))

    def export(self) -> None:
        """Ask for a file and write the results of the tracks shown, or of those chosen, into it."""
        if path := dialogs.export_file(self, self.settings.last_folder):
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
        background.collect_if_due()

    def _follow_appearance(self) -> None:
        look = (theme.dark(), theme.scaling(self))
        if look != self._look:
            self._look = look
            self.restyle()

    def _report(self, _: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show_fault(self, report(error.with_traceback(trace)))
