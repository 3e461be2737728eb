"""Messages about a model that does not load and about the connection to a service, with buttons that help."""

from __future__ import annotations

from collections.abc import Callable

from genre_gui.backends.base import Link, LinkState
from genre_gui.backends.errors import AwayError, NotReadyError, ServiceError
from genre_gui.controller import Controller
from genre_gui.language import tr
from genre_gui.text import sentence
from genre_gui.widgets.controls import Answer, Banner, Header
from genre_gui.widgets.theme import ERROR, GOOD, MUTED
from genre_runtime import GenreError
from genre_runtime.errors import DeviceUnavailableError, InvalidHeadError

RETRY_MILLISECONDS = 2000
"""Delay between two attempts to reach a service."""

_COLOURS = {LinkState.CONNECTED: GOOD, LinkState.UNREADY: MUTED}


class ModelMessages:
    """Shows why a model or service cannot be used.

    Parameters
    ----------
    controller : Controller
    header : Header
    banner : Banner
    load : callable
        Loads a model; takes the values of `ModelRequest` that change.
    ask_model, ask_head : callable
        Ask for a model or for the user's own genres, and load them.
    """

    def __init__(
        self,
        controller: Controller,
        header: Header,
        banner: Banner,
        load: Callable[..., object],
        ask_model: Callable[[], object],
        ask_head: Callable[[], object],
    ) -> None:
        self._controller, self._header, self._banner, self._load = controller, header, banner, load
        self._ask_model, self._ask_head = ask_model, ask_head

    def show_link(self, link: Link) -> None:
        """Show the state of the connection.

        Parameters
        ----------
        link : Link
        """
        ended = link.state is LinkState.ENDED
        self._header.show_link(tr("the service has ended") if ended else link.message, _COLOURS.get(link.state, ERROR))
        if link.anew:
            self._load()
        if ended:
            message = f"{link.message}. " + tr("Unfinished tracks wait.")
            self._banner.show(message, (tr("Start it again"), self._load), bad=True)

    def show_load_failure(self, error: GenreError) -> None:
        """Show why a model did not load.

        Parameters
        ----------
        error : GenreError
        """
        controller, banner = self._controller, self._banner
        if isinstance(error, AwayError | NotReadyError) and controller.fixed:
            self._header.show_link(tr("not connected: {error}; trying again …", error=str(error)), ERROR)
            self._header.after(RETRY_MILLISECONDS, self._load)
        elif isinstance(error, ServiceError):
            self._header.show_link(tr("not connected"), ERROR)
            banner.show(f"{sentence(error)}.", (tr("Try again"), self._load), bad=True)
        elif isinstance(error, DeviceUnavailableError):
            question = f"{sentence(error)}. " + tr("Use the CPU instead?")
            banner.show(question, (tr("Use the CPU"), self._use_cpu), bad=True)
        else:
            stays = " " + tr("{model} stays in use.", model=controller.backend.name) if controller.backend else ""
            own = isinstance(error, InvalidHeadError)
            answers: list[Answer] = [
                (tr("Open genres …"), self._ask_head) if own else (tr("Open a model …"), self._ask_model)
            ]
            if controller.backend is None and own:
                answers.append((tr("Use the model's genres"), lambda: self._load(head=None)))
            elif controller.backend is None and controller.request.model is not None:
                answers.append((tr("Use the shipped model"), lambda: self._load(model=None, head=None)))
            banner.show(f"{sentence(error)}.{stays}", *answers, bad=True)

    def _use_cpu(self) -> None:
        self._header.show_device("cpu")
        self._load(device="cpu")
