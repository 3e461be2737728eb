"""The page with the queue: what can be done stands above and below the table, the chosen track beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from tkinter import Misc
from typing import Any

import customtkinter

from genre_gui.controller import Controller
from genre_gui.pages.track_detail import Detail
from genre_gui.pages.track_table import QueueTable
from genre_gui.playback import Player
from genre_gui.text import counted
from genre_gui.tracks import UNFINISHED, State
from genre_gui.widgets.controls import HEIGHT, button, label
from genre_gui.widgets.theme import BAR, CARD, MIDDLE, MUTED, NARROW, OUTLINE, TEXT, TRACK

Action = tuple[str, Callable[[], object]]


class TracksPage(customtkinter.CTkFrame):  # type: ignore[misc]
    """Table, detail and the buttons around them.

    Parameters
    ----------
    master : Misc
    controller : Controller
    player : Player
    complain : callable
        Told in words why a track is not heard.
    first, last : sequence of (text, command)
        Buttons at the left and at the right of the filter.
    """

    def __init__(
        self,
        master: Misc,
        controller: Controller,
        player: Player,
        complain: Callable[[str], object],
        first: Sequence[Action],
        last: Sequence[Action],
    ) -> None:
        super().__init__(master, fg_color="transparent")
        self._controller = controller
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        self._tools(first, last).grid(row=0, column=0, columnspan=2, pady=(0, NARROW), sticky="ew")
        self.table = QueueTable(self, controller.tracks, self.show_chosen)
        self.table.grid(row=1, column=0, sticky="nsew")
        self.detail = Detail(self, player, complain)
        self.detail.grid(row=1, column=1, rowspan=2, padx=(MIDDLE, 0), sticky="nsew")
        self._actions().grid(row=2, column=0, pady=(NARROW, 0), sticky="ew")

    def chosen(self) -> list[int]:
        """Return the numbers of the chosen tracks."""
        return self.table.selected()

    def chosen_or_shown(self) -> list[int]:
        """Return the chosen tracks, or all that are shown if it is at most one."""
        chosen = self.chosen()
        return chosen if len(chosen) > 1 else self.table.shown()

    def added(self) -> None:
        """Show the tracks that have no row yet, and choose the first of all."""
        self.table.show(self.table.missing())
        if not self.chosen() and self.table.shown():
            self.table.choose(self.table.shown()[0])

    def changed(self, numbers: Iterable[int]) -> None:
        """Show how tracks stand now."""
        changed = list(numbers)
        self.table.show(changed)
        if self.detail.track is not None and self.detail.track.number in changed:
            self.show_chosen()

    def show_chosen(self) -> None:
        """Show the track that the keyboard is on, of those chosen."""
        numbers, focus = self.chosen(), self.table.tree.focus()
        number = int(focus) if focus and int(focus) in numbers else numbers[0] if numbers else -1
        track, backend = self._controller.tracks.get(number), self._controller.backend
        metadata = backend.metadata if backend else None
        self.detail.show(track, metadata)
        if track is not None and track.prediction is not None:
            self.detail.show_sounds(self._controller.listen(number), metadata)

    def cancel(self) -> None:
        """Cancel the chosen tracks that are not done, or all if there are none."""
        tracks = self._controller.tracks
        chosen = [number for number in self.chosen() if tracks[number].state in UNFINISHED]
        numbers = chosen if len(chosen) > 1 else [n for n, track in tracks.items() if track.state in UNFINISHED]
        self._controller.cancel(numbers)
        self.changed(numbers)

    def retry(self, whole: bool | None = None) -> None:
        """Classify the chosen tracks again."""
        numbers = self.chosen()
        self._controller.retry(numbers, whole=whole)
        self.changed(numbers)

    def remove(self) -> None:
        """Take the chosen tracks out of the queue."""
        self._controller.remove(self.chosen())
        self.table.forget()
        self.show_chosen()

    def clear(self) -> None:
        """Take all tracks out of the queue."""
        self._controller.remove()
        self.table.forget()
        self.show_chosen()

    def tick(self, waits_for: str) -> None:
        """Bring order and counts up to date; `waits_for` says what keeps the queue waiting, if anything does."""
        self.table.tick()
        self.detail.follow()
        tracks = self._controller.tracks
        states = Counter(track.state for track in tracks.values())
        count = sum(states.values())
        left = states[State.WAITING] + states[State.LISTENING]
        words = [f"{count - left} of {counted(count, 'track')} done"] if count else []
        words += [
            f"{states[state]} {state}" for state in (State.UNSURE, State.FAILED, State.CANCELLED) if states[state]
        ]
        text = "  ·  ".join([*words, *([waits_for] if waits_for else [])])
        if text != self.words.cget("text"):
            self.words.configure(text=text)
        share = (count - left) / count if count else 0.0
        if share != self.progress.get():
            self.progress.set(share)

    def restyle(self) -> None:
        """Take the colours of the present appearance."""
        self.table.restyle()
        self.detail.redraw()

    def _tools(self, first: Sequence[Action], last: Sequence[Action]) -> Any:
        tools = customtkinter.CTkFrame(self, fg_color="transparent")
        for column, (text, command) in enumerate(first):
            kind = button(tools, text, command, "filled" if column == 0 else "tonal")
            kind.grid(row=0, column=column, padx=(0, NARROW))
        self.filter = customtkinter.CTkEntry(
            tools,
            placeholder_text="Filter: file, genre or state",
            height=HEIGHT,
            corner_radius=HEIGHT // 2,
            border_width=1,
            border_color=OUTLINE,
            fg_color=CARD,
            text_color=TEXT,
            placeholder_text_color=MUTED,
        )
        self.filter.bind("<KeyRelease>", lambda _: self.table.filter(self.filter.get()))
        self.filter.grid(row=0, column=len(first), padx=NARROW, sticky="ew")
        tools.grid_columnconfigure(len(first), weight=1)
        for column, (text, command) in enumerate(last, start=len(first) + 1):
            button(tools, text, command).grid(row=0, column=column, padx=(NARROW, 0))
        return tools

    def _actions(self) -> Any:
        actions = customtkinter.CTkFrame(self, fg_color="transparent")
        buttons: Sequence[Action] = (
            ("Cancel", self.cancel),
            ("Try again", self.retry),
            ("Whole track", lambda: self.retry(whole=True)),
            ("Remove", self.remove),
            ("Clear", self.clear),
        )
        for column, (text, command) in enumerate(buttons):
            button(actions, text, command, "text").grid(row=0, column=column)
        actions.grid_columnconfigure(len(buttons), weight=1)
        self.words = label(actions, colour=MUTED)
        self.words.grid(row=2, column=0, columnspan=len(buttons) + 1, padx=NARROW, pady=(4, 0), sticky="ew")
        self.progress = customtkinter.CTkProgressBar(actions, height=4, fg_color=TRACK, progress_color=BAR)
        self.progress.set(0)
        self.progress.grid(row=1, column=0, columnspan=len(buttons) + 1, padx=NARROW, pady=(2, 0), sticky="ew")
        return actions
