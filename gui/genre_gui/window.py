"""The main window: six pages over one controller, updated by polling its events."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import customtkinter

from genre_gui.backends.base import Backend, ModelRequest
from genre_gui.controller import Controller
from genre_gui.language import choose_language, tr
from genre_gui.pages.connection import ModelMessages
from genre_gui.pages.keys import bind_keys
from genre_gui.pages.learning import CheckPage, LearnPage
from genre_gui.pages.model import ModelPage
from genre_gui.pages.settings import SettingsPage
from genre_gui.pages.tags import TagsPage
from genre_gui.pages.tracks import TracksPage
from genre_gui.playback import Player
from genre_gui.settings import Settings, save_settings
from genre_gui.text import one_line
from genre_gui.widgets import dialogs, theme
from genre_gui.widgets.controls import PAGES, Banner, FocusRing, Header
from genre_gui.widgets.theme import BACKGROUND, MIDDLE, NARROW
from genre_gui.workers.background import (
    Audited,
    Broken,
    Compared,
    DevicesTested,
    Event,
    Finished,
    Found,
    HeadSaved,
    LearningFailed,
    LearningStep,
    Learnt,
    LinkChanged,
    Loaded,
    NamesRead,
    Notice,
    NotLoaded,
    Progressed,
    Recalled,
    Restored,
    SpectrogramReady,
    Started,
    Tagged,
    TagsFinished,
    TagsUndone,
    collect_if_due,
    fault_report,
)
from genre_gui.workers.tagging import TagOptions
from genre_runtime import Prediction

if TYPE_CHECKING:
    from genre_runtime.library.tags import Mode

POLL_MILLISECONDS, BEHIND_MILLISECONDS = 40, 4
KEEP_SECONDS = 15
"""Between two looks whether the queue has to be written: a crash loses what changed since the last one."""
FIRST_MILLISECONDS = 20
"""Delay before the model is loaded: the imports of its thread delay the drawing of the window."""

TRACKS_PER_POLL = 100
MIN_SIZE = (920, 680)
"""At the usual size of text."""

MOST_PIXELS = 16_000
SCREEN_SHARE = 0.92
"""Of the height; the rest is for the frame and the bar of the desktop."""

Answers = Sequence[tuple[Path, Prediction]]
HEAD_SUFFIX = ".genre"


class Window(customtkinter.CTk):  # type: ignore[misc]
    """Main window.

    Parameters
    ----------
    controller : Controller
        Does the work; the window shows its state and polls its events.
    settings : Settings
    settings_file : Path or None
        Where they are saved; None for nowhere.
    player : Player, optional

    Attributes
    ----------
    settings : Settings
    replaced : bool
        Whether another window with the present settings is to take the place of this one.
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
        self.replaced = False
        self._player = player or Player()
        self._tag_numbers: list[int] = []
        self._mended: Answers = ()
        choose_language(settings.language)
        self.title(tr("Music genres"))
        theme.choose_text_size(settings.text_size)
        theme.choose_scale(self, settings.scale)
        self._limit_size(settings.size)
        self._look = (theme.dark(), theme.scaling(self))
        theme.style_tables(self)
        self._build()
        self.restyle()
        droppable = dialogs.accept_drops(self, self.add)
        hint = tr("Drop music here, or press Ctrl+O.") if droppable else tr("Press Ctrl+O to add music.")
        self.tracks.table.set_hint(hint)
        self._ring = FocusRing(self)
        bind_keys(self)
        self.show_page("Tracks")
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.report_callback_exception = self._report
        model, head = (Path(name) if name else None for name in (settings.model, settings.head))
        request = ModelRequest(model, settings.device, head)
        if controller.backend is None:
            self.after(FIRST_MILLISECONDS, self._load_first, request)
        else:
            self._show_tracks(controller.backend)
        self._keep_due = time.monotonic() + KEEP_SECONDS
        self._next_poll = self.after(POLL_MILLISECONDS, self._poll)
        gc.freeze()  # searching all that exists by now for garbage would take too long

    def _build(self) -> None:
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(2, weight=1)
        self.header = Header(self, self.settings, self.show_page, self.choose_device)
        self.header.grid(row=0, column=0, padx=MIDDLE, pady=(MIDDLE, NARROW), sticky="ew")
        self.banner = Banner(self)
        self.banner.grid(row=1, column=0, padx=MIDDLE, pady=(0, NARROW), sticky="ew")
        self.banner.hide()
        if self.controller.fixed:
            self.header.hide_device()
        self._messages = ModelMessages(
            self.controller, self.header, self.banner, self._load, self.ask_model, self.ask_head
        )
        left = ((tr("Add files …"), self.ask_files), (tr("Add a folder …"), self.ask_folder))
        right = ((tr("Write tags …"), self.open_tags), (tr("Export …"), self.export))
        more = (tr("More like this"), self.more_like_this)
        self.tracks = TracksPage(
            self, self.controller, self._player, self.settings, self.banner.show, left, right, more
        )

    @cached_property
    def model(self) -> ModelPage:
        """The page about the model; made on first use, so that the window appears sooner."""
        page = ModelPage(self, self.ask_model, self.controller.probe_devices)
        if self.controller.fixed:
            page.hide_open()
        if self.controller.backend is not None:
            page.show(self.controller.backend)
        return page

    @cached_property
    def tags(self) -> TagsPage:
        """The page that writes tags; made on first use."""
        plan, write = self._plan_tags, self.controller.tags.write
        return TagsPage(self, plan, write, self.undo_tags, lambda: self.show_page("Tracks"), self._ask_names)

    @cached_property
    def learn(self) -> LearnPage:
        """The page that learns genres; made on first use."""
        return LearnPage(
            self, self.controller, lambda: self.settings.last_folder, self.ask_folder, self.ask_head, self.use_head
        )

    @cached_property
    def check_tags(self) -> CheckPage:
        """The page of doubtful tags; made on first use."""
        return CheckPage(self, self.controller, lambda answers: self.show_page("Tags", answers), self.show_track)

    @cached_property
    def settings_page(self) -> SettingsPage:
        """The page of settings; made on first use."""
        return SettingsPage(self, self.settings, self.choose)

    def show_page(self, name: str, mended: Answers = ()) -> None:
        """Show a page.

        Parameters
        ----------
        name : str
            One of `PAGES`.
        mended : sequence of (Path, Prediction)
            Files whose genres are to be replaced on the page Tags; empty for the selected tracks.
        """
        for page in self._made():
            page.grid_remove()
        page = getattr(self, _attribute(name))
        page.grid(row=2, column=0, padx=MIDDLE, pady=(0, MIDDLE), sticky="nsew")
        self.header.mark_page(name)
        if name == "Tracks":
            self.tracks.table.tree.focus_set()
        if name == "Tags":
            mode: Mode | None = "overwrite" if mended else "empty" if self._mended else None
            self._tag_numbers, self._mended = self.tracks.selected_or_shown(), mended
            self.tags.show(mode)

    def add(self, names: Sequence[str]) -> None:
        """Add files and folders; a file of the user's own genres is used.

        Parameters
        ----------
        names : sequence of str
        """
        heads = [name for name in names if name.lower().endswith(HEAD_SUFFIX) and not Path(name).is_dir()]
        if heads:
            self.use_head(Path(heads[-1]))
        music = [name for name in names if name not in heads]
        if music:
            parent = Path(music[0]).parent
            self.settings = replace(self.settings, last_folder=str(parent))
            self.controller.add(music)

    def ask_files(self) -> None:
        """Ask for files and add them."""
        self.add(dialogs.audio_files(self, self.settings.last_folder) or ())

    def ask_folder(self) -> None:
        """Ask for a folder and add its files."""
        folder = dialogs.audio_folder(self, self.settings.last_folder)
        self.add((folder,) if folder else ())

    def ask_model(self) -> None:
        """Ask for a model and load it."""
        if path := dialogs.model_file(self):
            self._load(model=path, head=None)

    def ask_head(self) -> None:
        """Ask for the user's own genres and use them."""
        if path := dialogs.head_file(self, self.settings.last_folder):
            self.use_head(path)

    def _ask_names(self) -> Path | None:
        return dialogs.names_file(self, self.settings.last_folder)

    def use_head(self, path: Path | None) -> None:
        """Answer by the user's own genres.

        Parameters
        ----------
        path : Path or None
            None for the genres of the model.
        """
        if self.controller.fixed:
            message = tr("The service chooses its genres: set GENRE_HEAD where it runs, and start it again.")
            self.banner.show(message, bad=True)
        else:
            self._load(head=path and path.absolute())

    def show_track(self, path: Path) -> None:
        """Show a track.

        Parameters
        ----------
        path : Path
        """
        self.show_page("Tracks")
        self.tracks.show_track(path)

    def more_like_this(self) -> None:
        """Sort the tracks by their similarity to the selected one."""
        shown = self.tracks.detail.track
        if self.controller.no_embeddings:
            self.banner.show(self.controller.no_embeddings)
        elif shown is None or not self.controller.compare(shown.number):
            self.banner.show(
                tr("Select a track that is analysed and not silent, to sort the others by their similarity.")
            )

    def export(self) -> None:
        """Ask for a file and write the results of the selected tracks, or of all that are shown, into it."""
        numbers = self.tracks.selected_or_shown()
        if not any(self.controller.tracks[number].result for number in numbers):
            self.banner.show(tr("There is no result to export: add music, or wait until a track is analysed."))
        elif path := dialogs.export_file(self, self.settings.last_folder):
            self.controller.export(path, numbers)

    def open_tags(self) -> None:
        """Show what would be written into the selected files, or into all that are shown."""
        self.show_page("Tags")

    def undo_tags(self) -> None:
        """Undo the tags written last, also after the window was closed and opened again."""
        journal = self.controller.tags.journal or (Path(self.settings.journal) if self.settings.journal else None)
        if journal is None:
            self.banner.show(tr("No tags have been written yet, so there is nothing to undo."))
        else:
            self.controller.tags.undo(journal)

    def choose_device(self, device: str) -> None:
        """Load the model on another device.

        Parameters
        ----------
        device : str
        """
        self.settings = replace(self.settings, device=device)
        self._load(device=device)

    def choose(self, name: str, value: str) -> None:
        """Change a setting: the appearance at once, any other by another window that takes the place of this one.

        Parameters
        ----------
        name : {"theme", "scale", "text_size", "language"}
        value : str
        """
        self.settings = replace(self.settings, **{name: value})
        if name == "theme":
            theme.choose_appearance(value)
            self._follow_appearance()
        else:  # customtkinter would show hidden widgets if it scaled them
            self.replaced = True
            self._leave()

    def _limit_size(self, size: str) -> None:
        """Give the window a size that fits the screen."""
        scale = theme.scaling(self)
        room = int(self.winfo_screenwidth() / scale), int(SCREEN_SHARE * self.winfo_screenheight() / scale)
        self.maxsize(MOST_PIXELS, MOST_PIXELS)  # customtkinter fixes the old size for a second
        least = [min(theme.text_size(pixels), most) for pixels, most in zip(MIN_SIZE, room, strict=True)]
        self.minsize(*least)
        wanted = zip(least, size.split("x"), room, strict=True)
        width, height = (min(max(small, int(number)), most) for small, number, most in wanted)
        self.geometry(f"{width}x{height}")

    def restyle(self) -> None:
        """Apply the colours of the present appearance to what customtkinter does not draw."""
        theme.style_tables(self)
        for page in self._made():
            page.restyle()

    def show_fault(self, report: str) -> None:
        """Report an unexpected exception, and offer the text for a bug report.

        Parameters
        ----------
        report : str
            As returned by `fault_report`.
        """

        def copy() -> None:
            self.clipboard_clear()
            self.clipboard_append(report)

        message = tr("Unexpected error: {error}", error=one_line(report.strip().splitlines()[-1]))
        self.banner.show(message, (tr("Copy the report"), copy), bad=True)

    def close(self) -> None:
        """Close at once, whatever is running."""
        self.controller.save_queue()
        self.controller.close()
        self._leave()

    def _leave(self) -> None:
        self._player.pause()
        self.after_cancel(self._next_poll)
        self._save()
        self.destroy()

    def _made(self) -> list[Any]:
        """Return the pages made so far."""
        return [page for name in map(_attribute, PAGES) if (page := self.__dict__.get(name)) is not None]

    def _load_first(self, request: ModelRequest) -> None:
        """Load a model after the rows of the last window are there, which its imports would delay."""
        if self.controller.restored and not self.tracks.table.behind:
            self.controller.load(request)
        else:
            self.after(FIRST_MILLISECONDS, self._load_first, request)

    def _load(self, **changes: Any) -> None:
        self.controller.load(replace(self.controller.request, **changes))

    def _show_tracks(self, backend: Backend) -> None:
        """Show the model and the tracks of the window before."""
        self.header.show_model(backend.name, backend.device)
        self.header.offer_devices({*self.controller.devices, self.controller.request.device})
        self.tracks.show_added()

    def _save(self) -> None:
        size = self.geometry().partition("+")[0]
        journal = self.controller.tags.journal
        model, head = (str(path or "") for path in (self.controller.request.model, self.controller.request.head))
        columns, widths = self.tracks.table.columns, self.tracks.table.widths
        changed = replace(self.settings, model=model, head=head, size=size, columns=columns, widths=widths)
        if journal is not None:
            changed = replace(changed, journal=str(journal))
        self.settings = changed
        if self._settings_file is not None:
            save_settings(self._settings_file, changed)

    def _plan_tags(self, options: TagOptions) -> int:
        if self._mended:
            return self.controller.tags.plan(self._mended, replace(options, own_genres=True))
        return self.controller.plan_tags(self._tag_numbers, options)

    def _poll(self) -> None:
        behind = self.tracks.table.behind
        self._next_poll = self.after(BEHIND_MILLISECONDS if behind else POLL_MILLISECONDS, self._poll)
        self._follow_appearance()
        self._handle(self.controller.poll(TRACKS_PER_POLL))
        self.tracks.update_state(self.controller.waits_for)
        for name in ("learn", "check_tags"):
            if name in vars(self):
                vars(self)[name].update_state()
        if time.monotonic() > self._keep_due:
            self._keep_due = time.monotonic() + KEEP_SECONDS
            self.controller.keep_queue()
        collect_if_due()

    def _handle(self, events: Sequence[Event]) -> None:
        """Show events; a row that has changed several times is drawn once."""
        changed: dict[int, None] = {}
        if any(isinstance(event, Found | Restored) for event in events):
            self.tracks.show_added()
        for event in events:
            if isinstance(event, Started | Progressed | Finished):
                changed[event.number] = None
            elif isinstance(event, Recalled):
                changed.update((number, None) for number, *_ in event.answers)
            elif isinstance(event, NamesRead):
                changed.update(dict.fromkeys(event.names))
            elif not isinstance(event, Found | Restored):
                self._show(event)
        present = [number for number in changed if number in self.controller.tracks]
        if present:
            self.tracks.show_changed(present)

    def _show(self, event: Event) -> None:
        match event:
            case Loaded(_, backend):
                self._show_tracks(backend)
                if backend.notice:
                    self.banner.show(backend.notice, bad=True)
                if "model" in vars(self):
                    self.model.show(backend)
                if "learn" in vars(self):
                    self.learn.show_in_use()
                self.tracks.show_selected()
            case NotLoaded(_, error):
                self._messages.show_load_failure(error)
            case LinkChanged(_, link):
                self._messages.show_link(link)
            case DevicesTested(answers):
                self.model.show_devices(answers)
            case SpectrogramReady(number, _, excerpts):
                shown, used = self.tracks.detail.track, self.controller.backend
                if shown is not None and shown.number == number:
                    self.tracks.detail.show_spectrogram(excerpts, used.metadata if used else None)
            case Tagged() | TagsFinished():
                self.tags.handle(event)
            case TagsUndone():
                self.tags.show_undone(event)
            case LearningStep() | LearningFailed() | Learnt() | Audited():
                (self.learn if event.kind == "learn" else self.check_tags).handle(event)
            case HeadSaved(path):
                self.learn.show_saved(path)
            case Compared():
                self.tracks.show_compared(event)
            case Notice(message, bad):
                self.banner.show(message, bad=bad)
            case Broken(report):
                self.show_fault(report)

    def _follow_appearance(self) -> None:
        look = (theme.dark(), theme.scaling(self))
        if look != self._look:
            self._look = look
            self.restyle()

    def _report(self, _: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.show_fault(fault_report(error.with_traceback(trace)))


def _attribute(page: str) -> str:
    return "settings_page" if page == "Settings" else page.lower().replace(" ", "_")
