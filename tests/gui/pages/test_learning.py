"""The user's own genres in the window: learnt, used, left again; doubtful tags found, mended and restored."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genre_gui.backends.base import Backend, LocalBackend, ModelRequest
from genre_gui.settings import Settings, load_settings
from genre_gui.widgets import dialogs
from genre_runtime.library.tags import read_genres
from tests.gui.conftest import OpenController, OpenWindow, drive, finished, wait
from tests.gui.fake_backend import FakeBackend, prediction
from tests.gui.test_window import press, row, text
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import noise, tone, write_audio

mutagen = pytest.importorskip("mutagen", reason="mutagen is missing")

Load = Callable[[ModelRequest], Backend]


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep journals out of the user's own folders."""
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Six tones and six noises by six artists each; the genre of one tone is wrong. All are tones to the model."""
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(6):
        for genre, sound in (("Tone", tone(2 + number / 10)), ("Noise", noise(2 + number / 10, seed=number))):
            file = mutagen.File(write_audio(folder / f"{genre.lower()} {number}.flac", sound))
            file["genre"] = "Noise" if (genre, number) == ("Tone", 3) else genre
            file["artist"] = f"{genre} player {number}"
            file.save()
    return folder


@pytest.fixture
def load(model_path: Path) -> Load:
    """Load the tiny model, with the user's own genres if they are requested."""

    def loaded(request: ModelRequest) -> Backend:
        return LocalBackend.load(ModelRequest(model_path, "cpu", request.head))

    return loaded


def opened(open_window: OpenWindow, music: Path, load: Load, **options: Any) -> Any:
    """Return a window in which the music is analysed."""
    window = open_window(load, **options)
    window.add([str(music)])
    drive(window, finished(window.controller, 12))
    window.update()
    return window


def learn(window: Any) -> None:
    """Learn from the tags of the queue, by the button."""
    window.show_page("Learn")
    drive(window, lambda: window.learn.start.cget("state") == "normal")
    window.learn.start.invoke()
    drive(window, lambda: window.learn.head is not None)


def genres(window: Any) -> set[str]:
    """Return the genres that the table shows."""
    return {row(window, number)[1] for number in window.controller.tracks}


def test_genres_are_learnt_saved_used_and_left(
    open_window: OpenWindow, music: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened(open_window, music, load, file=tmp_path / "window.json")
    assert genres(window) == {"tone"}
    learn(window)
    page = window.learn
    shown = [page.table.item(item, "values")[:2] for item in page.table.get_children()]
    assert sorted(shown) == [("Noise", "7"), ("Tone", "5")]
    assert text(page.title) == "2 genres from 12 tracks by 12 artists"
    assert "right\t" in page.facts.get("1.0", "end")

    path = tmp_path / "mine.genre"
    monkeypatch.setattr(dialogs, "new_head_file", lambda *_: path)
    turns = [track.analysis for track in window.controller.tracks.values()]
    page.use.invoke()
    drive(window, lambda: genres(window) == {"Tone", "Noise"})
    assert [track.analysis for track in window.controller.tracks.values()] == turns, "tracks were analysed again"
    assert text(page.in_use) == "In use: mine.genre"
    assert text(window.header.model).startswith("mine.genre (best_model.onnx)")
    window.close()

    settings, warning = load_settings(tmp_path / "window.json")
    assert (warning, settings.head) == (None, str(path))
    again = opened(open_window, music, load, settings=settings)
    assert genres(again) == {"Tone", "Noise"}
    again.show_page("Learn")
    again.learn.back.invoke()
    drive(again, lambda: genres(again) == {"tone"})
    assert again.learn.back.cget("state") == "disabled"


def test_doubtful_tag_is_found_mended_and_restored(open_window: OpenWindow, music: Path, load: Load) -> None:
    wrong = music / "tone 3.flac"
    before = wrong.read_bytes()
    window = opened(open_window, music, load)
    window.show_page("Check tags")
    page = window.check_tags
    drive(window, lambda: page.start.cget("state") == "normal")
    page.start.invoke()
    drive(window, lambda: "is doubtful" in text(page.message))
    assert text(page.message) == "1 of 12 tracks is doubtful."
    (item,) = page.table.get_children()
    name, tag, _, answer, _, alike = page.table.item(item, "values")
    assert (name, tag, answer.strip()) == ("tone 3.flac", "Noise", "Tone")
    assert len(alike.split(",")) == 3
    assert text(page.alike).count("\n") == 3
    page.mend.invoke()
    drive(window, lambda: text(window.tags.message) == "1 file would change.")
    assert window.tags.mode.get() == "replace genres"
    window.tags.write.invoke()
    drive(window, lambda: text(window.tags.message) == "1 file written.")
    assert read_genres(wrong) == ("Tone",)
    window.tags.undo.invoke()
    drive(window, lambda: text(window.tags.message) == "1 file restored byte for byte.")
    assert wrong.read_bytes() == before
    window.open_tags()
    assert window.tags.mode.get() == "only if there is none", "other files would have been overwritten"
    window.show_page("Check tags")
    page.show_one.invoke()
    drive(window, lambda: text(window.tracks.detail.name) == "tone 3.flac")


def test_head_of_another_model_is_refused_and_the_genres_stay(
    open_window: OpenWindow, music: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened(open_window, music, load)
    learn(window)
    path, other = tmp_path / "mine.genre", tmp_path / "other.genre"
    path.write_text(window.learn.head.to_json(), encoding="utf-8")
    other.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "model_sha256": "f" * 64}))
    window.add([str(path)])  # as a drop does
    drive(window, lambda: genres(window) == {"Tone", "Noise"})
    window.add([str(other)])
    drive(window, lambda: "another model" in text(window.banner.message))
    assert window.controller.request.head == path
    assert len(window.controller.tracks) == 12, "the file of genres was added as music"
    window.close()

    broken = open_window(load, settings=Settings(theme="light", head=str(tmp_path / "gone.genre")))
    drive(broken, lambda: text(broken.banner.message).startswith("There is no file"))
    assert text(broken.banner.answers[1]) == "Use the model's genres"
    broken.banner.answers[1].invoke()
    drive(broken, lambda: broken.controller.backend is not None)


def test_similar_tracks_come_first_until_another_order_is_chosen(
    open_window: OpenWindow, music: Path, load: Load
) -> None:
    window = opened(open_window, music, load)
    table = window.tracks.table
    number = next(n for n, track in window.controller.tracks.items() if track.path.name == "tone 2.flac")
    before = table.shown()
    table.select(number)
    window.update()
    press(window, "<Control-l>")
    drive(window, lambda: table.tree.heading("state", "text").strip() == "Similarity")
    assert table.shown()[0] == number
    assert row(window, number)[4] == "1.00"
    table.sort("file")
    assert row(window, number)[4] == "done"
    table.sort("file")
    table.sort("file")
    assert table.shown() == before


def test_without_embeddings_the_window_says_why_it_cannot_learn(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window(lambda _: FakeBackend())
    window.add([str(write_audio(tmp_path / "song.wav", tone(1)))])
    drive(window, finished(window.controller, 1))
    for name in ("Learn", "Check tags"):
        window.show_page(name)
        page = window.learn if name == "Learn" else window.check_tags
        drive(window, lambda page=page: text(page.message) == FakeBackend.no_embeddings)  # type: ignore[misc]
        assert page.start.cget("state") == "disabled"
    window.more_like_this()
    window.update()
    assert text(window.banner.message) == FakeBackend.no_embeddings


def test_a_service_chooses_its_own_genres(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window(lambda _: FakeBackend(), fixed=True)
    drive(window, lambda: window.controller.backend is not None)
    window.use_head(tmp_path / "mine.genre")
    window.update()
    assert "GENRE_HEAD" in text(window.banner.message)
    assert window.controller.request.head is None


def test_learning_waits_for_the_queue_and_can_be_cancelled(open_window: OpenWindow, tmp_path: Path) -> None:
    gate = threading.Event()

    def classify(path: Path, _: threading.Event) -> Any:
        gate.wait(PATIENCE_SECONDS)
        return prediction(path)

    backend = FakeBackend(classify)
    backend.no_embeddings = ""
    window = open_window(lambda _: backend)
    window.add([str(write_audio(tmp_path / "song.wav", tone(1)))])
    drive(window, lambda: window.controller.n_unfinished == 1)
    window.show_page("Learn")
    page = window.learn
    drive(window, lambda: page.start.cget("state") == "normal")
    page.start.invoke()
    drive(window, lambda: text(page.message) == "Waiting until 1 track is analysed …")
    page.cancel.invoke()
    window.update()
    assert text(page.message) == "Cancelled."
    page.start.invoke()
    gate.set()
    drive(window, lambda: "genre in its tags" in text(page.message))
    assert page.start.cget("state") == "normal"
    assert page.save.cget("state") == "disabled"


def test_head_is_not_written_over_another_file(
    open_controller: OpenController, music: Path, load: Load, tmp_path: Path
) -> None:
    from genre_gui.workers.background import Event, HeadSaved, Learnt, Notice
    from tests.gui.conftest import wait_for

    controller = open_controller(load)
    controller.add([str(music)])
    wait(controller, finished(controller, 12))
    controller.start_learning("learn")
    head = wait_for(controller, Learnt).lesson.head
    song = music / "tone 1.flac"
    before = song.read_bytes()
    controller.save_head(head, song)
    assert "choose another name" in wait_for(controller, Notice).message
    assert song.read_bytes() == before
    events: list[Event] = []
    for _ in range(2):  # its own file it may write again
        controller.save_head(head, tmp_path / "mine.genre")
        wait_for(controller, HeadSaved, events)
