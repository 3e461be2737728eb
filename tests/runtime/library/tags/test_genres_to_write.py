"""Which genres of a prediction are written into tags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genre_runtime.library.tags import Change, Tagging, genres_to_write
from tests.runtime.library.results_files import predict
from tests.synthetic import tone, write_audio


@pytest.mark.parametrize(
    ("top", "min_confidence", "expected"),
    [
        (1, 0.0, ("rock",)),
        (9, 0.0, ("rock", "jazz")),  # a third of the first one's probability is 0.2
        (9, 0.21875, ("rock", "jazz")),
        (9, 0.25, ("rock",)),
        (9, 0.625, ("rock",)),
        (9, 0.626, ()),
    ],
)
def test_genres_reach_the_confidence_and_a_third_of_the_first(
    top: int, min_confidence: float, expected: tuple[str, ...]
) -> None:
    prediction = predict("/a.mp3", {"rock": 0.625, "jazz": 0.21875, "pop": 0.15625})
    assert genres_to_write(prediction, top=top, min_confidence=min_confidence) == expected


@pytest.mark.parametrize("music", ["speech", "noise", "tone", "silence"])
def test_what_is_not_music_gets_no_genre_even_if_unsure_answers_do(music: str, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", tone())
    prediction = replace(
        predict(str(path), {"rock": 0.9, "jazz": 0.1}), music=music, confident=False, reason="no music"
    )
    change = Tagging(write=True, unsure=True).apply(path, prediction)
    assert isinstance(change, Change)
    assert (change.new, change.reason) == (change.old, "no music")


@pytest.mark.parametrize(("own", "expected"), [(False, ("Hip-Hop",)), (True, ("hiphop",))])
def test_own_genres_keep_the_spelling_of_the_user(*, own: bool, expected: tuple[str, ...], tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", tone())
    prediction = replace(predict(str(path), {"hiphop": 0.9, "jazz": 0.1}), genre_set=("hiphop",), moods=("happy",))
    fields = {"genre": ("genre", "genres"), "mood": ("moods",)}
    change = Tagging(fields=fields, own_genres=own).apply(path, prediction)
    assert isinstance(change, Change)
    assert change.fields["genre"].new == expected
    assert change.fields["mood"].new == ("Happy",)
