"""The page with the queue: the table of tracks, its buttons, and the details of the selected track."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui.controller import Controller
from genre_gui.language import number, plural, tr
from genre_gui.pages.track_detail import TrackDetail
from genre_gui.pages.track_table import TrackTable
from genre_gui.playback import Player
from genre_gui.settings import Settings
from genre_gui.tracks import UNFINISHED, State
from genre_gui.widgets.controls import HEIGHT, Flow, button, label
from genre_gui.widgets.theme import BAR, CARD, MIDDLE, MUTED, NARROW, OUTLINE, TEXT, TRACK, text_font, text_size
from genre_gui.workers.background import Compared

Action = tuple[str, Callable[[], object]]


class TracksPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """Table, details and the buttons around them.

    Parameters
    ----------
    master : Misc
    controller : Controller
    player : Player
    settings : Settings
        Its columns and widths are used.
    show_message : callable
        Called with a message, and the text and command of a button.
    left, right : sequence of (str, callable)
        Text and command of the buttons on both sides of the filter.
    more : (str, callable)
        Text and command of another button below the table.
    """

    def __init__(
        self,
        master: Misc,
        controller: Controller,
        player: Player,
        settings: Settings,
        show_message: Callable[..., object],
        left: Sequence[Action],
        right: Sequence[Action],
        more: Action,
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._controller, self._show_message = controller, show_message
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        self._tools(left, right).grid(row=0, column=0, columnspan=2, pady=(0, NARROW), sticky="ew")
        self.table = TrackTable(self, controller.tracks, self.show_selected, settings.columns, settings.widths)
        self.table.grid(row=1, column=0, sticky="nsew")
        self.detail = TrackDetail(self, player, show_message)
        self.detail.grid(row=1, column=1, rowspan=2, padx=(MIDDLE, 0), sticky="nsew")
        self._actions(more).grid(row=2, column=0, pady=(NARROW, 0), sticky="ew")

    def selected(self) -> list[int]:
        """Return the numbers of the selected tracks."""
        return self.table.selected()

    def selected_or_shown(self) -> list[int]:
        """Return the selected tracks, or all that are shown if at most one is selected."""
        selected = self.selected()
        return selected if len(selected) > 1 else self.table.shown()

    def show_added(self) -> None:
        """Add rows for new tracks, and select the first track if none is selected."""
        self.table.show(self.table.missing())
        if not self.selected() and self.table.shown():
            self.table.select(self.table.shown()[0])

    def show_changed(self, numbers: Iterable[int]) -> None:
        """Update the rows of tracks.

        Parameters
        ----------
        numbers : iterable of int
        """
        changed = list(numbers)
        self.table.show(changed)
        if self.detail.track is not None and self.detail.track.number in changed:
            self.show_selected()

    def show_selected(self) -> None:
        """Show the details of the selected track, or of the one with the keyboard focus if several are selected."""
        numbers, focus = self.selected(), self.table.tree.focus()
        number = int(focus) if focus and int(focus) in numbers else numbers[0] if numbers else -1
        track, backend = self._controller.tracks.get(number), self._controller.backend
        metadata = backend.metadata if backend else None
        self.detail.show(track, metadata)
        if track is not None and track.prediction is not None and track.prediction.excerpts:
            self.detail.show_spectrogram(self._controller.spectrograms(number), metadata)

    def show_compared(self, event: Compared) -> None:
        """Sort the tracks by their similarity to one of them.

        Parameters
        ----------
        event : Compared
        """
        if event.number in self._controller.tracks:
            self.table.sort_alike(event.similarities)
            self.table.tree.see(str(event.number))

    def show_track(self, path: Path) -> None:
        """Select the track of a file, if it is in the queue.

        Parameters
        ----------
        path : Path
        """
        number = next((track.number for track in self._controller.tracks.values() if track.path == path), None)
        if number is not None:
            self.clear_filter()
            self.table.select(number)

    def clear_filter(self) -> None:
        """Show all tracks."""
        self.filter.delete(0, "end")
        self.table.filter("")

    def cancel(self) -> None:
        """Cancel the selected unfinished tracks, or all unfinished tracks if at most one is selected."""
        tracks = self._controller.tracks
        selected = [number for number in self.selected() if tracks[number].state in UNFINISHED]
        numbers = selected if len(selected) > 1 else [n for n, track in tracks.items() if track.state in UNFINISHED]
        self._controller.cancel(numbers)
        self.show_changed(numbers)

    def retry(self, whole: bool | None = None) -> None:
        """Classify the selected tracks again.

        Parameters
        ----------
        whole : bool, optional
            Analyse the whole tracks; None for as much as before.
        """
        numbers = self.selected()
        self._controller.retry(numbers, whole=whole)
        self.show_changed(numbers)

    def remove(self) -> None:
        """Remove the selected tracks from the queue."""
        self._remove(self.selected())

    def clear(self) -> None:
        """Remove all tracks from the queue."""
        self._remove(list(self._controller.tracks))

    def _remove(self, numbers: Sequence[int]) -> None:
        removed = [self._controller.tracks[number] for number in numbers]
        self._controller.remove(numbers)
        self.table.drop_removed()
        self.show_selected()
        if len(removed) > 1:

            def undo() -> None:
                self._controller.put_back(removed)
                self.show_added()
                self.table.arrange()

            message = plural(
                "{n} track removed from the queue; the files stay.",
                "{n} tracks removed from the queue; the files stay.",
                len(removed),
            )
            self._show_message(message, (tr("Undo"), undo))

    def update_state(self, waits_for: str) -> None:
        """Update order, cursor, counts and progress.

        Parameters
        ----------
        waits_for : str
            What tracks wait for; empty if they do not wait.
        """
        self.table.go_on()
        self.detail.follow_player()
        tracks = self._controller.tracks
        states = Counter(track.state for track in tracks.values())
        count = sum(states.values())
        left = states[State.WAITING] + states[State.ANALYSING]
        parts = []
        if count:
            parts.append(plural("{done} of {n} track done", "{done} of {n} tracks done", count, done=count - left))
        parts += [
            f"{number(states[state])} {tr(state)}"
            for state in (State.UNSURE, State.FAILED, State.CANCELLED)
            if states[state]
        ]
        text = "  ·  ".join([*parts, *([waits_for] if waits_for else [])])
        if text != self.message.cget("text"):
            self.message.configure(text=text)
        for made in self._need_results:
            state = "normal" if count > left else "disabled"
            if made.cget("state") != state:
                made.configure(state=state)
        analysing = sum(track.share for track in tracks.values() if track.state is State.ANALYSING)
        share = (count - left + analysing) / count if count else 0.0
        if share != self.progress.get():
            self.progress.set(share)

    def restyle(self) -> None:
        """Apply the colours of the present appearance."""
        self.table.restyle()
        self.detail.redraw()

    def _tools(self, left: Sequence[Action], right: Sequence[Action]) -> Any:
        tools = customtkinter.CTkFrame(self, fg_color="transparent")
        for column, (text, command) in enumerate(left):
            kind = button(tools, text, command, "filled" if column == 0 else "tonal")
            kind.grid(row=0, column=column, padx=(0, NARROW))
        self.filter = customtkinter.CTkEntry(
            tools,
            placeholder_text=tr("Filter: file, artist, genre, state …"),
            height=text_size(HEIGHT),
            corner_radius=text_size(HEIGHT) // 2,
            font=text_font(),
            border_width=1,
            border_color=OUTLINE,
            fg_color=CARD,
            text_color=TEXT,
            placeholder_text_color=MUTED,
        )
        self.filter.bind("<KeyRelease>", lambda _: self.table.filter(self.filter.get()))
        self.filter.grid(row=0, column=len(left), padx=NARROW, sticky="ew")
        tools.grid_columnconfigure(len(left), weight=1)
        self._need_results = [button(tools, text, command) for text, command in right]
        for column, made in enumerate(self._need_results, start=len(left) + 1):
            made.grid(row=0, column=column, padx=(NARROW, 0))
        return tools

    def _actions(self, more: Action) -> Any:
        actions = customtkinter.CTkFrame(self, fg_color="transparent")
        buttons: Sequence[Action] = (
            (tr("Cancel"), self.cancel),
            (tr("Try again"), self.retry),
            (tr("Whole track"), lambda: self.retry(whole=True)),
            more,
            (tr("Remove"), self.remove),
            (tr("Clear"), self.clear),
        )
        row = Flow(actions, gap=0)
        for text, command in buttons:
            row.add(button(row, text, command, "text"))
        row.grid(row=0, column=0, sticky="ew")
        actions.grid_columnconfigure(0, weight=1)
        self.message = label(actions, colour=MUTED)
        self.message.grid(row=2, column=0, padx=NARROW, pady=(4, 0), sticky="ew")
        self.progress = customtkinter.CTkProgressBar(actions, height=4, fg_color=TRACK, progress_color=BAR)
        self.progress.set(0)
        self.progress.grid(row=1, column=0, padx=NARROW, pady=(2, 0), sticky="ew")
        return actions
