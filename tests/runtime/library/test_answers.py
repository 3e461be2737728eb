"""Which genres of an answer are written."""

from __future__ import annotations

import pytest

from genre_runtime.library.results.read import Answer


@pytest.mark.parametrize(
    ("top", "min_confidence", "expected"),
    [
        (1, 0.0, ("rock",)),
        (9, 0.0, ("rock", "jazz")),  # a third of the first one's probability is 0.25
        (9, 0.25, ("rock", "jazz")),
        (9, 0.251, ("rock",)),
        (9, 0.75, ("rock",)),
        (9, 0.751, ()),
    ],
)
def test_labels_reach_the_confidence_and_a_third_of_the_first(
    top: int, min_confidence: float, expected: tuple[str, ...]
) -> None:
    answer = Answer({"rock": 0.75, "jazz": 0.25, "pop": 0.2}, confident=True)
    assert answer.labels(top=top, min_confidence=min_confidence) == expected
