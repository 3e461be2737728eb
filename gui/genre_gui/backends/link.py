"""The connection to a service: polled in the background, reported at each change, waited for by requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Event

from genre_gui.backends.errors import AwayError, ServiceError

PERIOD_SECONDS = 2.0
_POLL_SECONDS = 0.1


class LinkState(StrEnum):
    """State of a connection."""

    CONNECTED = "connected"
    UNREADY = "not ready"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class Link:
    """State of a connection, with a text for it; `anew` if another service or model answers than before."""

    state: LinkState
    words: str
    anew: bool = False


class Watcher:
    """Polls a service.

    Parameters
    ----------
    address : str
        Shown in the texts.
    check : callable
        Raises `ServiceError` if the service cannot be used now.
    changed : callable
        Returns whether the service, when it answers again, is another one than before; may raise `ServiceError`, too.
    ended : callable
        Returns why the service will never answer again, or None.
    note : str
        Appended to the text for a working connection.
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
        self._check_now = Event()
        self.link = self._connected()

    @property
    def lost(self) -> bool:
        """Whether the service does not answer."""
        return self.link.state in (LinkState.LOST, LinkState.ENDED)

    def check_now(self) -> None:
        """Check the connection at once, after a failed request."""
        if self.link.state is LinkState.CONNECTED:
            self.link = Link(LinkState.LOST, f"connection to {self._address} lost, trying again …")
        self._check_now.set()

    def wait(self, stop: Event) -> bool:
        """Wait until the service can be used; return False if `stop` is set first.

        Parameters
        ----------
        stop : threading.Event
        """
        while self.link.state is not LinkState.CONNECTED:
            if stop.wait(_POLL_SECONDS):
                return False
        return not stop.is_set()

    def watch(self, tell: Callable[[Link], object], stop: Event) -> None:
        """Poll until `stop` is set or the service has ended.

        Parameters
        ----------
        tell : callable
            Called with the state at first and after each change.
        stop : threading.Event
        """
        told: Link | None = None
        while not stop.is_set():
            self.link = self._poll()
            if self.link != told:
                told = self.link
                tell(told)
            if told.state is LinkState.ENDED:
                return
            waited = 0.0
            while waited < PERIOD_SECONDS and not self._check_now.wait(_POLL_SECONDS) and not stop.is_set():
                waited += _POLL_SECONDS
            if self._check_now.is_set():
                self._check_now.clear()
                stop.wait(_POLL_SECONDS)  # no endless requests to a service that refuses each of them

    def _poll(self) -> Link:
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
