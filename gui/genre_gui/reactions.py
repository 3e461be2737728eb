"""What the window does when something has happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from genre_gui.banner import Answer
from genre_gui.events import (
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
)
from genre_gui.link import Link, LinkState
from genre_gui.refusals import AwayError, NotReadyError, ServiceError
from genre_gui.words import one_line, sentence
from genre_runtime import GenreError
from genre_runtime.errors import DeviceUnavailableError

if TYPE_CHECKING:
    from genre_gui.window import Window

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
