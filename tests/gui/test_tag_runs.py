"""What was shown is what is written; needs no screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genre_gui.backends.base import LocalBackend, ModelRequest
from genre_gui.workers.background import Broken, Event, Notice, Tagged, TagsFinished, TagsUndone
from genre_gui.workers.tagging import TagOptions, make_tagging
from genre_runtime import Prediction
from genre_runtime.library.tags import Change, read_genres
from tests.gui.conftest import OpenController, finished, wait, wait_for
from tests.gui.fake_backend import FakeBackend, prediction
from tests.synthetic import tone, write_audio

pytest.importorskip("mutagen", reason="mutagen is missing")


def test_what_was_shown_is_written_even_if_the_queue_changed_since(
    open_controller: OpenController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))
    labels = iter(["tone", "noise"])
    controller = open_controller(lambda _: FakeBackend(lambda path, _: prediction(path, next(labels))))
    path = write_audio(tmp_path / "song.flac", tone(1))
    before = path.read_bytes()
    controller.add([str(path)])
    wait(controller, finished(controller, 1))
    assert controller.plan_tags([0], TagOptions()) == 1
    wait_for(controller, TagsFinished)
    assert path.read_bytes() == before
    controller.retry([0])
    wait(controller, finished(controller, 1))
    controller.remove()
    events: list[Event] = []
    controller.tags.write()
    wait_for(controller, TagsFinished, events)
    (outcome,) = [event.outcome for event in events if isinstance(event, Tagged)]
    assert isinstance(outcome, Change)
    assert outcome.written
    assert read_genres(path) == ("tone",)
    journal = controller.tags.journal
    assert journal is not None
    controller.tags.undo(journal)
    wait_for(controller, TagsUndone)
    assert path.read_bytes() == before


def test_without_a_place_for_the_journal_nothing_is_written(
    open_controller: OpenController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", no_home)
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    controller = open_controller(lambda _: FakeBackend())
    path = write_audio(tmp_path / "song.flac", tone(1))
    before = path.read_bytes()
    controller.add([str(path)])
    wait(controller, finished(controller, 1))
    events: list[Event] = []
    controller.plan_tags([0], TagOptions())
    controller.tags.write()
    while not wait_for(controller, TagsFinished, events).write:
        pass  # the plan has an end of its own, where writing did not take its place
    assert path.read_bytes() == before
    assert any(isinstance(event, Notice) and "home folder" in event.message for event in events)
    assert not any(isinstance(event, Broken) for event in events)


def test_a_newer_plan_takes_the_place_of_an_older_one(open_controller: OpenController, tmp_path: Path) -> None:
    controller = open_controller(lambda _: FakeBackend())
    paths = [write_audio(tmp_path / name, tone(1)) for name in ("a.flac", "b.flac")]
    controller.add([str(path) for path in paths])
    wait(controller, finished(controller, 2))
    controller.plan_tags([0, 1], TagOptions())
    controller.plan_tags([1], TagOptions(top=2))
    events: list[Event] = []
    wait_for(controller, TagsFinished, events)
    assert [event.path for event in events if isinstance(event, Tagged)] == [paths[1]]


@pytest.mark.parametrize("corrected", [False, True])
def test_written_files_keep_their_stored_answers(
    open_controller: OpenController,
    model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    corrected: bool,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    controller = open_controller(lambda request: LocalBackend.load(request, state=tmp_path / "answers"))
    controller.load(ModelRequest(model_path, "cpu"))
    path = write_audio(tmp_path / "song.flac", tone(1))
    controller.add([str(path)])
    wait(controller, finished(controller, 1))
    controller.plan_tags([0], TagOptions(unsure=True))
    wait_for(controller, TagsFinished)
    before = path.read_bytes()
    controller.tags.write(corrected={path: {"genre": ("Polka",)}} if corrected else None)
    wait_for(controller, TagsFinished)
    assert path.read_bytes() != before
    assert controller.backend is not None
    found = controller.backend.recall(path, whole=False)
    assert isinstance(found, Prediction), "the file would be analysed again in the next window"


def test_own_genres_are_written_as_the_user_spelt_them() -> None:
    backend = FakeBackend()
    assert not make_tagging(TagOptions(), (), write=False, backend=backend).own_genres
    backend.metadata = replace(backend.model_metadata, labels=("hiphop", "Chanson"))
    assert make_tagging(TagOptions(), (), write=False, backend=backend).own_genres
