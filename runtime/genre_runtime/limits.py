"""Bounds on decoding, and what counts against them."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass
from threading import Event
from typing import Any

from numpy.typing import NDArray

from genre_runtime.errors import AudioLimitError, InvalidInputError

MAX_SAMPLE_RATE = 1_536_000
"""Twice the highest rate in use, Hz. Ten seconds of what a header may claim, 4 GHz, would fill any memory."""


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds that hold while decoding, whatever a header says.

    Attributes
    ----------
    max_seconds : float
        Most seconds decoded from one file.
    max_bytes : int
        Most bytes of float32 samples, over all channels, decoded from one file.

    Raises
    ------
    InvalidInputError
        One of them is no positive number: nothing is more than NaN, so it would limit nothing.
    """

    max_seconds: float = 24 * 3600.0
    max_bytes: int = 64 * 2**30

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InvalidInputError(f"DecodeLimits.{name} is {value!r}: expected a positive number")


class Meter:
    """Counts what was decoded from one file, and stops at the limits or when told to.

    Attributes
    ----------
    n_samples : int
        Samples a channel so far.
    """

    def __init__(self, limits: DecodeLimits, stop: Event | None = None) -> None:
        self.limits = limits
        self.n_samples = 0
        self._stop = stop
        self._seconds = 0.0
        self._bytes = 0

    def add(self, block: NDArray[Any], sample_rate: int) -> None:
        """Count a block of shape (n_block, n_channels).

        Raises
        ------
        AudioLimitError
        CancelledError
            The event given was set.
        """
        if self._stop is not None and self._stop.is_set():
            raise CancelledError
        self.n_samples += block.shape[0]
        self._seconds += block.shape[0] / sample_rate
        self._bytes += block.nbytes
        if self._seconds > self.limits.max_seconds:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_seconds:g} s: shorten it or raise max_seconds",
                "max_seconds",
            )
        if self._bytes > self.limits.max_bytes:
            raise AudioLimitError(
                f"the file decodes to more than {self.limits.max_bytes} bytes: raise max_bytes to allow it",
                "max_bytes",
            )
