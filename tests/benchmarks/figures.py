"""What a measure yields, and how two sides are timed side by side."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from genre_runtime.errors import GenreError

Values = NDArray[np.float64]


class BenchmarkError(GenreError, RuntimeError):
    """A measure could not be taken, or what it compares is not comparable."""

    code = "benchmark"


@dataclass(frozen=True)
class Target:
    """A bound that a figure is meant to keep."""

    bound: float
    at_most: bool = True

    def met_by(self, value: float) -> bool:
        """Tell whether `value` lies within the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Attributes
    ----------
    measure : str
        Name of the measure it belongs to, as `--only` takes it.
    name : str
        What it is, for people.
    value, low, high : float
        Median, least and largest of `n` rounds, in `unit`.
    unit : {"ratio", "share", "tracks/s", "s", "ms", "MB"}
        MB are millions of bytes.
    n : int
    target : Target, optional
    """

    measure: str
    name: str
    value: float
    low: float
    high: float
    unit: str
    n: int
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met_by(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**asdict(self), "met": self.met}


def figure(
    measure: str, name: str, values: Values | Sequence[float], unit: str, target: Target | None = None
) -> Figure:
    """Sum up the values of several rounds."""
    rounds = np.asarray(values, np.float64)
    low, high = float(rounds.min()), float(rounds.max())
    return Figure(measure, name, float(np.median(rounds)), low, high, unit, rounds.size, target)


def alternate(
    title: str, sides: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True
) -> dict[str, Values]:
    """Time several sides in turn: A B A B ..., so that whatever else the machine does falls on all of them.

    Parameters
    ----------
    title : str
        What the progress bar says.
    sides : mapping of str to callable
    rounds : int
        Rounds that count.
    warm_up : bool
        Run one round more, first, that fills the disk cache and makes what is made at the first use.

    Returns
    -------
    dict of str to float array, shape (rounds,)
        Seconds of each side.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with tqdm(total=(rounds + warm_up) * len(sides), desc=title, unit="run", leave=False, disable=None) as bar:
        for number in range(-warm_up, rounds):
            for name, run in sides.items():
                gc.collect()  # one side's rubbish is not swept up in the other side's time
                started = time.perf_counter()
                run()
                elapsed = time.perf_counter() - started
                if number >= 0:
                    seconds[name].append(elapsed)
                bar.update()
    return {name: np.array(values) for name, values in seconds.items()}
