"""The window as people see it, over the tiny model."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_gui.theme import ERROR, TEXT
from genre_runtime import GenreClassifier
from genre_runtime.errors import ModelNotFoundError
from tests.gui.conftest import DEADLINE_SECONDS, OpenWindow, drive
from tests.synthetic import RATE, tone, write_audio

LONG_NAME = "a_name_without_any_gap_" * 10 + "the_end.wav"


def text(label: Any) -> str:
    """What a label shows; nothing if it is hidden."""
    return str(label.cget("text")) if label.winfo_ismapped() else ""


def rows(window: Any) -> list[tuple[str, float, str]]:
    """What the bars show: label, value, percentage."""
    children = window.card.bars.winfo_children()
    return [
        (name.cget("text"), bar.get(), percent.cget("text"))
        for name, bar, percent in zip(children[::3], children[1::3], children[2::3], strict=True)
    ]


def classify(window: Any, path: Path) -> None:
    """Classify a file and wait until the window shows the outcome."""
    window.classify(path)
    assert window.card.words.cget("text") == "Listening ..."
    drive(window, lambda: window.card.words.cget("text") != "Listening ...")
    window.update()


def test_window_asks_for_a_file(open_window: OpenWindow, classifier: GenreClassifier) -> None:
    window = open_window(lambda: classifier)
    assert text(window.card.caption) == "No file yet"
    assert "Choose" in text(window.card.words)
    assert rows(window) == []


def test_prediction_shows_label_and_bars(open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "song.wav", tone(35))
    prediction = classifier.classify_file(path)
    window = open_window(lambda: classifier)
    classify(window, path)
    assert text(window.card.answer) == "tone"
    assert text(window.card.caption) == "song.wav  ·  35 s  ·  cpu"
    assert text(window.card.words) == ""
    assert rows(window) == [(label, value, f"{value:.0%}") for label, value in prediction.probabilities.items()]
    for child in window.card.bars.winfo_children():
        assert child.winfo_viewable()
        assert child.winfo_width() > 1


def test_next_file_replaces_the_answer(open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path) -> None:
    window = open_window(lambda: classifier)
    classify(window, write_audio(tmp_path / "tone.wav", tone(2)))
    classify(window, write_audio(tmp_path / "silence.wav", np.zeros(RATE, np.float32)))
    assert text(window.card.answer) == "quiet"
    assert text(window.card.words) == "Not sure: the track is silent."
    assert [label for label, _, _ in rows(window)] == ["quiet", "noise", "tone"]


def test_results_leave_no_fonts_behind(open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "tone.wav", tone(1))
    window = open_window(lambda: classifier)
    fonts = window.tk.call("font", "names")
    for _ in range(3):
        classify(window, path)
    assert window.tk.call("font", "names") == fonts


def test_broken_file_shows_words_and_no_dialog(
    open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path
) -> None:
    window = open_window(lambda: classifier)
    classify(window, write_audio(tmp_path / "tone.wav", tone(2)))
    children = window.winfo_children()
    broken = tmp_path / "notes.mp3"
    broken.write_text("These are words and no music.")
    classify(window, broken)
    assert text(window.card.caption) == "notes.mp3"
    assert text(window.card.words).startswith("not an audio file")
    assert window.card.words.cget("text_color") == ERROR
    assert (text(window.card.answer), rows(window)) == ("", [])
    assert window.winfo_children() == children, "something besides the window has opened"
    classify(window, tmp_path / "tone.wav")
    assert text(window.card.answer) == "tone"
    assert window.card.words.cget("text_color") != ERROR


def test_model_that_does_not_load_is_said_in_words(open_window: OpenWindow) -> None:
    def load() -> GenreClassifier:
        raise ModelNotFoundError("best_model.onnx", "`invoke export` writes it")

    window = open_window(load)
    classify(window, Path("song.wav"))
    assert "invoke export" in text(window.card.words)


def test_close_while_busy_does_not_wait(open_window: OpenWindow) -> None:
    released, loaded = threading.Event(), threading.Event()

    def load() -> GenreClassifier:
        released.wait(DEADLINE_SECONDS)
        loaded.set()
        raise ModelNotFoundError("best_model.onnx", "")

    window = open_window(load)
    window.classify(Path("song.wav"))
    window.update()
    assert (text(window.card.caption), text(window.card.words)) == ("song.wav", "Listening ...")
    assert window.card.words.cget("text_color") == TEXT
    window.tk.call(window.protocol("WM_DELETE_WINDOW"))  # what the close button of the frame calls
    assert not loaded.is_set()
    released.set()


@pytest.mark.parametrize("exists", [True, False])
def test_long_file_name_does_not_widen_the_window(
    open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path, exists: bool
) -> None:
    window = open_window(lambda: classifier)
    size = (window.winfo_width(), window.winfo_height())
    path = tmp_path / LONG_NAME
    if exists:
        write_audio(path, tone(1))
    classify(window, path)
    assert (window.winfo_width(), window.winfo_height()) == size
    assert window.winfo_reqwidth() <= size[0]
    caption = text(window.card.caption)
    assert caption.startswith("a_name_without")
    assert "the_end.wav" in caption


@pytest.mark.parametrize("geometry", ["400x440", "800x600"])
def test_lines_break_where_the_card_ends(open_window: OpenWindow, classifier: GenreClassifier, geometry: str) -> None:
    window = open_window(lambda: classifier)
    window.geometry(geometry)
    drive(window, lambda: window.geometry().startswith(geometry))
    classify(window, Path(*["no folder"] * 40))
    card = window.card
    drive(window, lambda: card.words.winfo_reqwidth() <= card.words.winfo_width())
    assert card.words.winfo_reqwidth() > 0.7 * card.winfo_width(), "lines break too early"


def test_name_with_line_breaks_and_undecodable_bytes(
    open_window: OpenWindow, classifier: GenreClassifier, tmp_path: Path
) -> None:
    name = "two\nlines ü 音.wav" if sys.platform == "win32" else os.fsdecode(b"two\nlines \xff.wav")
    window = open_window(lambda: classifier)
    classify(window, tmp_path / name)
    assert "two lines" in text(window.card.caption)
    assert text(window.card.words).startswith("no file")


@pytest.mark.parametrize("chosen", [True, False])
def test_button_asks_for_a_file(
    open_window: OpenWindow,
    classifier: GenreClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: bool,
) -> None:
    path = write_audio(tmp_path / "song.wav", tone(1))
    answer = str(path) if chosen else ""
    monkeypatch.setattr("tkinter.filedialog.askopenfilename", lambda **_: answer)
    window = open_window(lambda: classifier)
    window.winfo_children()[0].invoke()
    expected = "Listening ..." if chosen else "Choose"
    assert window.card.words.cget("text").startswith(expected)
