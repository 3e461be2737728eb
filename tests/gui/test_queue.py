"""The queue and its answers, from one window to the next; needs no screen."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from genre_gui.backends.base import LocalBackend, ModelRequest
from genre_gui.controller import Controller
from genre_gui.tracks import State, Track
from genre_gui.workers.background import Notice
from genre_gui.workers.queue import QueueFile
from genre_runtime import Prediction
from tests.gui.conftest import finished, named, states, wait, wait_for
from tests.synthetic import noise, tone, write_audio


@pytest.fixture
def remembering(model_path: Path, tmp_path: Path) -> Any:
    """Return a function that opens a controller over the same queue and state file."""
    load = partial(LocalBackend.load, state=tmp_path / "state" / "window.state")
    opened: list[Controller] = []

    def make() -> Controller:
        controller = Controller(lambda _: load(ModelRequest(model_path, "cpu")), 1, queue=tmp_path / "queue.jsonl")
        controller.load(ModelRequest())
        opened.append(controller)
        return controller

    yield make
    for controller in opened:
        controller.close()


def test_the_next_window_has_the_queue_and_its_answers(remembering: Any, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for name, sound in (("a.wav", tone(2)), ("b.wav", noise(2)), ("c.wav", tone(3))):
        write_audio(music / name, sound)
    (music / "d.wav").write_text("no audio")
    first = remembering()
    first.add([str(music)])
    wait(first, finished(first, 4))
    before = [track.cells() for track in first.tracks.values()]
    assert first.save_queue() is None

    (music / "b.wav").unlink()
    write_audio(music / "c.wav", noise(4))
    again = remembering()
    wait(again, lambda: len(again.tracks) == 4)
    wait(again, lambda: named(again, "a.wav").analysis is not None and not again.n_unfinished)
    after = [track.cells() for track in again.tracks.values()]
    assert after[0] == before[0]
    assert named(again, "b.wav").state is State.GONE
    assert after[1].genre == before[1].genre, "what is known of a file that is gone stays"
    wait(again, lambda: named(again, "c.wav").cells().duration == "0:04")
    assert after[3] == before[3]
    again.add([str(music)])
    wait(again, lambda: not again.n_unfinished)
    assert len(again.tracks) == 4, "a file is in the queue once"
    again.remove()
    assert again.save_queue() is None
    empty = remembering()
    wait(empty, lambda: empty.save_queue() is None and empty.restored)
    assert empty.tracks == {}


def test_queue_is_kept_while_the_window_is_open(remembering: Any, tmp_path: Path) -> None:
    """A crash does not close the window."""
    write_audio(tmp_path / "a.wav", tone(2))
    first = remembering()
    first.add([str(tmp_path / "a.wav")])
    wait(first, finished(first, 1))
    first.keep_queue()
    wait(first, (tmp_path / "queue.jsonl").is_file)
    again = remembering()
    wait(again, lambda: len(again.tracks) == 1)
    assert named(again, "a.wav").result is not None


def test_an_older_state_never_replaces_a_newer_one(tmp_path: Path) -> None:
    file = QueueFile(tmp_path / "queue.jsonl")
    tracks = [Track(i, tmp_path / f"{i}.wav") for i in range(3)]
    assert file.has_changed(tracks[:2])
    assert not file.has_changed(tracks[:2])
    older, newer = file.plan(tracks[:2]), file.plan(tracks)
    assert newer() is None
    assert older() is None
    assert len((tmp_path / "queue.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert file.has_changed(tracks)


def test_damaged_lines_are_left_out(remembering: Any, tmp_path: Path) -> None:
    good = {
        "path": str(tmp_path / "x.wav"),
        "whole": False,
        "state": "CANCELLED",
        "artist": "",
        "title": "",
        "album": "",
    }
    write_audio(tmp_path / "x.wav", tone(1))
    bad: list[Any] = [
        None,
        [],
        {"path": 3},
        good | {"state": "NOWHERE"},
        good | {"answer": {"label": 1}},
        good | {"path": ""},
    ]
    lines = [json.dumps(value) for value in (*bad, good)]
    (tmp_path / "queue.jsonl").write_text("\n".join([*lines, "[" * 5000, '{"cut": ']) + "\n")
    controller = remembering()
    notice = wait_for(controller, Notice)
    assert "8 lines" in notice.message
    assert states(controller) == [State.CANCELLED]


def test_a_queue_that_was_not_read_is_not_written_over(remembering: Any, tmp_path: Path) -> None:
    (tmp_path / "queue.jsonl").mkdir()
    controller = remembering()
    assert "cannot be read" in wait_for(controller, Notice).message
    assert controller.save_queue() is None


def test_a_damaged_state_file_is_said_and_not_used(model_path: Path, tmp_path: Path) -> None:
    state = tmp_path / "window.state"
    state.write_text("this is no database")
    backend = LocalBackend.load(ModelRequest(model_path, "cpu"), state)
    assert backend.notice.startswith("Answers are not kept: ")
    assert state.read_text() == "this is no database"


def test_a_stored_answer_of_another_model_is_found_again(model_path: Path, tmp_path: Path) -> None:
    """The row says that a part of its embedding are tags, which this model has not; a head could not be applied."""
    path, state = write_audio(tmp_path / "a.wav", tone(3)), tmp_path / "window.state"
    backend = LocalBackend.load(ModelRequest(model_path, "cpu"), state)
    answer = backend.classify(path, whole=False, stop=Event())
    with closing(sqlite3.connect(state)) as database, database:
        ((row, embedding),) = database.execute("SELECT answer, embedding FROM answers").fetchall()
        values = zlib.compress(json.dumps(json.loads(zlib.decompress(row)) | {"n_tags": 1}).encode())
        database.execute("UPDATE answers SET answer = ?, embedding = ?", (values, embedding * 2))
    assert backend.recall(path, whole=False) is None
    again = backend.classify(path, whole=False, stop=Event())
    assert isinstance(answer, Prediction)
    assert isinstance(again, Prediction)
    assert again.to_dict() == answer.to_dict()
