"""Whether a service can be reached: watched all the time, told at every change, and waited for by who needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Event

from genre_gui.backends.errors import AwayError, ServiceError

PERIOD_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class LinkState(StrEnum):
    """How the connection stands."""

    CONNECTED = "connected"
    UNREADY = "not ready"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class Link:
    """How the connection stands, and the words for it; `anew` if what answers now is another service or model."""

    state: LinkState
    words: str
    anew: bool = False


class Watcher:
    """Asks a service again and again.

    Parameters
    ----------
    address : str
        As people write it.
    check : callable
        Raises `ServiceError` if the service cannot be used now.
    changed : callable
        Tells whether what answers again is something else than before; may raise `ServiceError`, too.
    ended : callable
        Returns why the service will never answer again, or None.
    note : str
        Added to the words for a connection that stands.
    """

    def __init__(
        self,
        address: str,
        check: Callable[[], object],
        changed: Callable[[], bool],
        ended: Callable[[], str | None],
        note: str = "",
    ) -> None:
        self._address, self._check, self._changed, self._ended, self._note = address, check, changed, ended, note
        self._doubted = Event()
        self.link = self._connected()

    @property
    def lost(self) -> bool:
        """Whether nobody answers."""
        return self.link.state in (LinkState.LOST, LinkState.ENDED)

    def doubt(self) -> None:
        """Have it looked at now: a request went wrong."""
        if self.link.state is LinkState.CONNECTED:
            self.link = Link(LinkState.LOST, f"connection to {self._address} lost, trying again …")
        self._doubted.set()

    def wait(self, stop: Event) -> bool:
        """Wait until the service can be used; return False if `stop` is set first."""
        while self.link.state is not LinkState.CONNECTED:
            if stop.wait(_LOOK_SECONDS):
                return False
        return not stop.is_set()

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Look until `stop` is set, and tell how the connection stands at first and whenever that has changed."""
        told: Link | None = None
        while not stop.is_set():
            self.link = self._look()
            if self.link != told:
                told = self.link
                tell(told)
            if told.state is LinkState.ENDED:
                return
            waited = 0.0
            while waited < PERIOD_SECONDS and not self._doubted.wait(_LOOK_SECONDS) and not stop.is_set():
                waited += _LOOK_SECONDS
            if self._doubted.is_set():
                self._doubted.clear()
                stop.wait(_LOOK_SECONDS)  # a service that refuses every request is not asked without a pause

    def _look(self) -> Link:
        if (why := self._ended()) is not None:
            return Link(LinkState.ENDED, why)
        try:
            self._check()
            anew = self.link.state is not LinkState.CONNECTED and self._changed()
        except AwayError as error:
            if (why := self._ended()) is not None:
                return Link(LinkState.ENDED, why)
            return Link(LinkState.LOST, f"connection to {self._address} lost ({error.why}), trying again …")
        except ServiceError as error:
            return Link(LinkState.UNREADY, f"{error}; trying again …")
        return self._connected(anew)

    def _connected(self, anew: bool = False) -> Link:
        return Link(LinkState.CONNECTED, f"connected to {self._address}{self._note}", anew)
