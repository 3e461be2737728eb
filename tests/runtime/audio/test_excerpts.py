"""Positions of the excerpts of a track."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_runtime.audio.excerpts import MAX_EXCERPTS, MIN_EXCERPT_SECONDS, consecutive_excerpts, plan_excerpts
from genre_runtime.errors import InvalidInputError

DURATIONS = st.floats(0.001, 50_000)
LENGTHS = st.floats(0.5, 60)
COUNTS = st.integers(1, 50)
NEAR = 1e-6
patient = settings(deadline=None)


@patient
@given(DURATIONS, LENGTHS, COUNTS)
def test_excerpts_lie_inside_the_track_in_order(duration: float, length: float, count: int) -> None:
    plan = plan_excerpts(duration, length, count)
    assert plan
    assert all(0 <= start < end <= duration + NEAR for start, end in plan)
    assert plan == sorted(plan)


@patient
@given(st.floats(0.01, 60), LENGTHS, COUNTS)
def test_count_is_what_was_asked_for_or_what_fits_with_little_overlap(
    duration: float, length: float, count: int
) -> None:
    plan = plan_excerpts(duration, length, count)
    assert len(plan) == min(count, max(1, math.floor(duration / length + 0.5)))
    for (start, _), (following, _) in pairwise(plan):
        assert following - start >= length / 2 - NEAR


@patient
@given(DURATIONS, LENGTHS, COUNTS)
def test_every_excerpt_has_the_full_length(duration: float, length: float, count: int) -> None:
    for start, end in plan_excerpts(duration, length, count):
        assert math.isclose(end - start, min(length, duration), abs_tol=NEAR)


@patient
@given(DURATIONS, LENGTHS, st.integers(2, 50))
def test_excerpts_are_evenly_spread_and_symmetric(duration: float, length: float, count: int) -> None:
    starts = [start for start, _ in plan_excerpts(duration, length, count)]
    ends = [end for _, end in plan_excerpts(duration, length, count)]
    assert math.isclose(starts[0], duration - ends[-1], abs_tol=NEAR), "as far from the beginning as from the end"
    steps = [b - a for a, b in pairwise(starts)]
    if length * len(starts) <= duration:  # else the outermost are pushed inwards
        assert all(math.isclose(step, duration / len(starts), abs_tol=NEAR) for step in steps)


@patient
@given(st.integers(1, 5_000), st.lists(st.integers(0, 900), max_size=12), st.floats(0.01, 3))
def test_a_whole_track_is_cut_end_to_end(n_samples: int, cuts: list[int], length: float) -> None:
    waveform = np.arange(n_samples, dtype=np.float32)
    chunks = np.split(waveform, np.minimum(np.cumsum(cuts), n_samples)) if cuts else [waveform]
    excerpts = list(consecutive_excerpts(chunks, 100, length))
    n_excerpt = max(1, round(100 * length))
    joined = np.concatenate([excerpt.waveform for excerpt in excerpts])
    np.testing.assert_array_equal(joined, waveform[: joined.size])
    assert n_samples - joined.size < 100 * MIN_EXCERPT_SECONDS, "no more than a short rest is left out"
    assert all(excerpt.waveform.size == n_excerpt for excerpt in excerpts[:-1])
    assert [round(100 * excerpt.start_seconds) for excerpt in excerpts] == [i * n_excerpt for i in range(len(excerpts))]


def test_nothing_is_cut_into_nothing() -> None:
    assert list(consecutive_excerpts([], 100, 1)) == []


@pytest.mark.parametrize(
    ("duration", "count", "expected"),
    [
        (4.0, 3, [(0.0, 4.0)]),
        (10.0, 3, [(0.0, 10.0)]),
        (30.0, 1, [(10.0, 20.0)]),
        (30.0, 3, [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]),
        (60.0, 3, [(5.0, 15.0), (25.0, 35.0), (45.0, 55.0)]),
        (12.0, 3, [(1.0, 11.0)]),
        (15.0, 3, [(0.0, 10.0), (5.0, 15.0)]),
        (29.9, 3, [(0.0, 10.0), (9.95, 19.95), (19.9, 29.9)]),
    ],
)
def test_examples(duration: float, count: int, expected: list[tuple[float, float]]) -> None:
    assert plan_excerpts(duration, 10.0, count) == [pytest.approx(excerpt) for excerpt in expected]


def test_wrong_header_does_not_fill_memory() -> None:
    assert len(plan_excerpts(1e15, 10.0, 10**9)) == MAX_EXCERPTS


@pytest.mark.parametrize("count", [0, -1, True, 2.5, "3"])
def test_invalid_count_is_rejected(count: Any) -> None:
    with pytest.raises(InvalidInputError, match="positive integer"):
        plan_excerpts(30.0, 10.0, count)
