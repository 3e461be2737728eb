"""The window as people use it, by keys and buttons, over the tiny model."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_gui.backends.base import Backend, LocalBackend, ModelRequest
from genre_gui.settings import Settings, load_settings
from genre_gui.tracks import State
from genre_runtime import ExcerptPrediction
from genre_runtime.errors import DeviceUnavailableError, ModelNotFoundError
from tests.gui.conftest import OpenWindow, drive, finished, named, states
from tests.gui.fake_backend import FakeBackend, prediction
from tests.gui.test_controller import Gate
from tests.patience import PATIENCE_SECONDS
from tests.synthetic import RATE, TAGS, cut_short, noise, tone, write_audio, write_model

LONG_NAME = "a_name_without_any_gap_" * 10 + "the_end.wav"


def text(label: Any) -> str:
    """What a label shows; nothing if it is hidden."""
    return str(label.cget("text")) if label.winfo_ismapped() else ""


def press(window: Any, key: str, widget: Any = None) -> None:
    """Press a key where the table, or another widget, has the focus."""
    widget = widget or window.tracks.table.tree
    widget.focus_force()
    drive(window, lambda: str(window.tk.call("focus")) == str(widget))
    widget.event_generate(key)
    window.update()


def row(window: Any, number: int) -> list[str]:
    """What the table shows of a track."""
    return [str(value).strip() for value in window.tracks.table.tree.item(str(number), "values")]


def add(window: Any, *paths: Path) -> None:
    """Add files and wait until all are done."""
    count = len(window.controller.tracks) + len(paths)
    window.add([str(path) for path in paths])
    drive(window, finished(window.controller, count))
    window.update()


def test_empty_window_says_what_to_do(open_window: OpenWindow) -> None:
    window = open_window()
    assert "Ctrl+O" in text(window.tracks.table.hint)
    assert text(window.tracks.detail.name) == "No track selected"
    assert text(window.banner.message) == ""


def test_rows_and_detail_show_real_files(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    silence = write_audio(tmp_path / "silence.wav", np.zeros(RATE, np.float32))
    broken = tmp_path / "notes.mp3"
    broken.write_text("These are words and no music.")
    children = window.winfo_children()
    add(window, write_audio(tmp_path / "song.wav", tone(35)), silence, broken)
    assert row(window, 0)[:2] == ["song.wav", "tone"]
    assert row(window, 0)[3:5] == ["0:35", "done"]
    assert row(window, 1)[1:3] == ["silence", ""]
    assert row(window, 1)[4] == "not sure"
    assert row(window, 2)[1].startswith("Not an audio file")
    assert window.winfo_children() == children, "something besides the window has opened"
    detail = window.tracks.detail
    assert text(detail.name) == "song.wav", "the first of all is chosen"
    assert text(detail.answer) == "tone"
    assert "0:35  ·  3 excerpts  ·  CPU" in text(detail.place)
    assert [label for label, _ in detail.bars.rows] == ["tone", "noise", "quiet"]
    drive(window, lambda: window.controller.spectrograms(0) is not None)
    drive(window, lambda: any(detail.spectrogram.type(item) == "image" for item in detail.spectrogram.find_all()))
    window.tracks.table.select(1)
    drive(window, lambda: text(detail.answer) == "silence")
    assert text(detail.message) == "The track is silent."
    window.tracks.table.select(2)
    drive(window, lambda: text(detail.message).startswith("Not an audio file"))
    assert not detail.bars.winfo_ismapped()


def test_rows_and_detail_show_tags_answer_set_and_speech(open_window: OpenWindow, tmp_path: Path) -> None:
    model = write_model(tmp_path, tags=TAGS, threshold=0.95)
    window = open_window(lambda _: LocalBackend.load(ModelRequest(model, "cpu")))
    talk = write_audio(tmp_path / "talk.wav", noise(3))
    add(window, write_audio(tmp_path / "song.wav", tone(3)), talk)
    assert row(window, 0)[1] == "tone"
    assert row(window, 1)[1:3] == ["speech", ""]
    detail = window.tracks.detail
    assert text(detail.tags) == "house  ·  happy"
    assert text(detail.message).endswith("\nPerhaps tone or noise.")
    window.tracks.table.select(1)
    drive(window, lambda: text(detail.answer) == "speech")
    assert text(detail.message) == "Speech, not music."
    assert not detail.bars.winfo_ismapped(), "speech has no genres"
    assert not detail.tags.winfo_ismapped()


def test_the_card_says_how_much_of_a_file_was_readable(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    add(window, cut_short(write_audio(tmp_path / "part.wav", tone(30)), share=0.1))
    words = text(window.tracks.detail.message)
    assert words.startswith("Sure: ")
    assert words.endswith("\nOnly 3.0 of 30.0 s could be read.")


def test_drop_adds_files_with_any_name(open_window: OpenWindow, tmp_path: Path) -> None:
    pytest.importorskip("tkinterdnd2", reason="tkinterdnd2 is missing")
    window = open_window()
    script = str(window.tk.call("bind", str(window), "<<Drop:DND_Files>>"))
    assert script.endswith(" %D")
    paths = [write_audio(tmp_path / name, noise(1)) for name in ("two words.wav", "br{ace.wav")]
    window.tk.call("set", "dropped", tuple(map(str, paths)))
    assert window.tk.eval(f"{script.split()[0]} $dropped") == "copy"
    drive(window, finished(window.controller, 2))
    assert {track.path for track in window.controller.tracks.values()} == set(paths)


def test_without_the_library_for_dropping_the_window_works(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tkinterdnd2.TkinterDnD", None)
    window = open_window()
    assert text(window.tracks.table.hint) == "Press Ctrl+O to add music."
    assert text(window.banner.message) == ""
    add(window, write_audio(tmp_path / "song.wav", tone(1)))


def test_keys_add_find_filter_and_remove(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = [write_audio(tmp_path / name, tone(1)) for name in ("one.wav", "two.wav", "three.wav")]
    monkeypatch.setattr("tkinter.filedialog.askopenfilenames", lambda **_: tuple(map(str, paths)))
    window = open_window()
    press(window, "<Control-o>")
    drive(window, finished(window.controller, 3))
    table = window.tracks.table
    press(window, "<Control-f>")
    assert window.focus_get() == window.tracks.filter._entry
    window.tracks.filter.insert(0, "two")
    press(window, "<KeyRelease-o>", window.tracks.filter._entry)
    assert table.shown() == [1]
    press(window, "<Escape>", window.tracks.filter._entry)
    assert table.shown() == [0, 1, 2]
    table.select(1)
    press(window, "<Delete>")
    assert table.shown() == [0, 2]
    assert table.selected() == [2], "the next one is chosen"
    press(window, "<Control-a>")
    press(window, "<Delete>")
    assert window.controller.tracks == {}
    assert "Ctrl+O" in text(table.hint)


def test_return_shows_the_track_of_the_keyboard(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    add(window, *(write_audio(tmp_path / f"{name}.wav", tone(1)) for name in "ab"))
    press(window, "<Down>")
    press(window, "<Return>")
    assert text(window.tracks.detail.name) == "b.wav"


def test_tab_reaches_buttons_that_space_presses(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("genre_gui.widgets.dialogs.audio_files", lambda *_: asked.append("files"))
    monkeypatch.setattr("genre_gui.widgets.dialogs.audio_folder", lambda *_: asked.append("folder"))
    window = open_window()
    window.header._pages.tk.call("focus", "-force", str(window.header._pages))
    window.update()
    for _ in range(12):
        widget = window.focus_get()
        widget.event_generate("<space>")
        window.update()
        if asked == ["files", "folder"]:
            break  # a button behind them may open another page, depending on whether the model is loaded
        widget.tk_focusNext().focus_set()
        window.tk.call("focus", str(widget.tk_focusNext()))
        window.update()
    assert asked == ["files", "folder"]


def test_headings_sort(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    add(window, write_audio(tmp_path / "b.wav", tone(2)), write_audio(tmp_path / "a.wav", noise(1)))
    table = window.tracks.table
    orders = []
    for _ in range(3):
        window.tk.call(table.tree.heading("file", "command"))
        orders.append(table.shown())
    assert orders == [[1, 0], [0, 1], [0, 1]]
    window.tk.call(table.tree.heading("duration", "command"))
    assert table.shown() == [1, 0]
    add(window, write_audio(tmp_path / "c.wav", tone(1)))
    drive(window, lambda: table.shown()[-1] == 0)


def test_escape_cancels_and_retry_goes_on(open_window: OpenWindow, tmp_path: Path) -> None:
    gate = Gate()
    window = open_window(lambda _: FakeBackend(gate), jobs=1)
    window.add([str(tmp_path / f"{name}.wav") for name in "abcd"])
    drive(window, lambda: State.ANALYSING in states(window.controller))
    press(window, "<Escape>")
    assert states(window.controller) == [State.CANCELLED] * 4
    assert row(window, 3)[4] == "cancelled"
    gate.opened.set()
    press(window, "<Control-a>")
    press(window, "<Control-r>")
    drive(window, finished(window.controller, 4))
    window.update()
    drive(window, lambda: row(window, 3)[4] == "done")


def test_close_while_busy_does_not_wait(open_window: OpenWindow, tmp_path: Path) -> None:
    gate = Gate()
    window = open_window(lambda _: FakeBackend(gate), file=tmp_path / "window.json")
    window.add([str(tmp_path / f"{name}.wav") for name in "abcdef"])
    drive(window, lambda: State.ANALYSING in states(window.controller))
    window.tk.call(window.protocol("WM_DELETE_WINDOW"))  # what the close button of the frame calls
    assert not gate.opened.is_set()
    assert json.loads((tmp_path / "window.json").read_text())["last_folder"] == str(tmp_path)


def test_close_while_the_model_loads(open_window: OpenWindow) -> None:
    released, begun, loaded = threading.Event(), threading.Event(), threading.Event()

    def load(_: ModelRequest) -> Backend:
        begun.set()
        released.wait(PATIENCE_SECONDS)
        loaded.set()
        raise ModelNotFoundError("best_model.onnx", "")

    window = open_window(load)
    drive(window, begun.is_set)
    assert "loading" in text(window.header.model)
    window.tk.call(window.protocol("WM_DELETE_WINDOW"))
    assert not loaded.is_set()
    released.set()


def test_hostile_names_leave_the_layout_alone(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    size = (window.winfo_width(), window.winfo_height())
    hostile = "two\nlines ü 音.wav" if sys.platform == "win32" else os.fsdecode(b"two\nlines \xff \x1b[31m.wav")
    names = [LONG_NAME, "l" * 251 + ".wav", hostile, "{unbalanced $brace [exit].wav", "%s %d -option.wav", " .wav"]
    missing = [tmp_path / name for name in names]
    missing.append(Path(*["no folder"] * 40))
    if sys.platform != "win32":
        missing[1] = write_audio(missing[1], tone(1))
    add(window, *missing)
    for number in range(len(missing)):
        window.tracks.table.select(number)
        window.update()
        assert "\n" not in row(window, number)[0]
        assert "\n" not in text(window.tracks.detail.name)
        assert (window.winfo_width(), window.winfo_height()) == size
        assert window.winfo_reqwidth() <= size[0]
    assert row(window, 3)[0] == "{unbalanced $brace [exit].wav"
    assert row(window, 2)[0].startswith("two lines ")


def test_model_that_does_not_load_is_said_and_another_one_helps(
    open_window: OpenWindow, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_text("no model")
    window = open_window(LocalBackend.load, Settings(theme="light", device="cpu", model=str(wrong)))
    drive(window, lambda: "sidecar" in text(window.banner.message))
    window.add([str(write_audio(tmp_path / "song.wav", tone(1)))])
    drive(window, lambda: len(window.controller.tracks) == 1)
    drive(window, lambda: "waiting for a model" in text(window.tracks.message))
    monkeypatch.setattr("tkinter.filedialog.askopenfilename", lambda **_: str(model_path))
    window.banner.answers[0].invoke()
    drive(window, finished(window.controller, 1))
    assert text(window.header.model) == "best_model.onnx on CPU"
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model_path.read_bytes()[:-9])
    damaged.with_suffix(".json").write_text(model_path.with_suffix(".json").read_text())
    monkeypatch.setattr("tkinter.filedialog.askopenfilename", lambda **_: str(damaged))
    window.ask_model()
    drive(window, lambda: "best_model.onnx stays in use" in text(window.banner.message))
    assert "sha256" in text(window.banner.message)


def test_device_that_cannot_be_had_asks_before_the_cpu_works(open_window: OpenWindow, tmp_path: Path) -> None:
    def load(request: ModelRequest) -> Backend:
        if request.device == "cuda":
            raise DeviceUnavailableError("cuda", ("auto", "cpu"), "this ONNX Runtime was not built for it")
        return FakeBackend()

    window = open_window(load, Settings(theme="light", device="cuda"))
    drive(window, lambda: "Use the CPU instead" in text(window.banner.message))
    assert "was not built for it" in text(window.banner.message)
    window.add([str(tmp_path / "a.wav")])
    drive(window, lambda: "waiting for a device" in text(window.tracks.message) and window.controller.tracks)
    assert states(window.controller) == [State.WAITING]
    window.banner.answers[0].invoke()
    drive(window, finished(window.controller, 1))
    assert window.header.device.get() == "CPU"
    assert text(window.banner.message) == ""


def test_model_page_shows_the_sidecar(open_window: OpenWindow) -> None:
    window = open_window()
    drive(window, lambda: window.controller.backend is not None)
    window.show_page("Model")
    window.update()
    assert [number.cget("text") for number, _ in window.model.numbers] == ["70.0%", "", "85.0%", "0.700", "3"]
    assert "noise, quiet, tone" in window.model.facts.cget("text")
    window.controller.probe_devices()
    drive(window, lambda: "CPU: works" in window.model.devices.cget("text"))
    press(window, "<Escape>", window)
    assert window.tracks.winfo_ismapped()


def test_theme_changes_while_open_and_is_kept(open_window: OpenWindow, tmp_path: Path) -> None:
    file = tmp_path / "window.json"
    window = open_window(file=file)
    light = window.tracks.detail.bars.cget("background")
    window.choose("theme", "dark")
    window.update()
    assert window.tracks.detail.bars.cget("background") != light
    window.geometry("1000x720")
    drive(window, lambda: window.winfo_width() == 1000)
    window.close()
    kept = json.loads(file.read_text())
    assert (kept["theme"], kept["size"]) == ("dark", "1000x720")


def test_fault_of_the_program_offers_a_report(open_window: OpenWindow) -> None:
    window = open_window()
    try:
        raise ZeroDivisionError("a surprise")
    except ZeroDivisionError as error:
        window._report(type(error), error, error.__traceback__)
    window.update()
    assert "ZeroDivisionError: a surprise" in text(window.banner.message)
    window.banner.answers[0].invoke()
    report = window.clipboard_get()
    assert "Traceback" in report
    assert "genre-gui" in report
    assert "test_window.py" in report


def test_export_writes_what_is_shown(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    window = open_window()
    add(window, *(write_audio(tmp_path / name, tone(1)) for name in ("keep.wav", "leave.wav")))
    window.tracks.table.filter("keep")
    monkeypatch.setattr("tkinter.filedialog.asksaveasfilename", lambda **_: str(tmp_path / "out.csv"))
    press(window, "<Control-e>")
    drive(window, lambda: "1 result written" in text(window.banner.message))
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) == 2
    assert "keep.wav" in lines[1]


def test_files_added_one_after_the_other_keep_their_order(open_window: OpenWindow, tmp_path: Path) -> None:
    gate = Gate()
    window = open_window(lambda _: FakeBackend(gate))
    for name in "abc":
        window.add([str(tmp_path / f"{name}.wav")])
        time.sleep(0.05)  # found, but not polled: all three come in the same tick
    drive(window, lambda: len(window.controller.tracks) == 3)
    window.update()
    assert window.tracks.table.shown() == [0, 1, 2]
    gate.opened.set()


def test_removed_while_chosen_leaves_nothing_behind(open_window: OpenWindow, tmp_path: Path) -> None:
    window = open_window()
    add(window, write_audio(tmp_path / "song.wav", tone(1)))
    assert named(window.controller, "song.wav").state == State.DONE
    window.tracks.clear()
    window.update()
    assert text(window.tracks.detail.name) == "No track selected"
    add(window, tmp_path / "song.wav")
    assert row(window, 1)[0] == "song.wav"


def test_no_other_thread_collects_what_a_window_leaves(open_window: OpenWindow) -> None:
    import tkinter.font

    window = open_window()
    collected_in: list[str] = []

    class Font(tkinter.font.Font):
        def __del__(self) -> None:
            collected_in.append(threading.current_thread().name)

    font = Font(window)
    font.itself = font  # type: ignore[attr-defined]  # reachable by nothing but the collector
    del font

    kept: list[list[int]] = []  # what is freed at once does not make a collection due

    def allocate() -> None:
        kept.extend([number] for number in range(200_000))

    thread = threading.Thread(target=allocate, name="genre-gui-test")
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert collected_in == []
    drive(window, lambda: collected_in != [])
    assert collected_in == [threading.current_thread().name]


def test_columns_are_chosen_and_widths_kept(open_window: OpenWindow, tmp_path: Path) -> None:
    mutagen = pytest.importorskip("mutagen", reason="mutagen is missing")
    song = mutagen.File(write_audio(tmp_path / "1.flac", tone(1)))
    song.update({"artist": ["An artist of a name that is so long that no column can hold it"], "album": ["First"]})
    song.save()
    window = open_window(file=tmp_path / "window.json")
    add(window, tmp_path / "1.flac")
    table = window.tracks.table
    drive(window, lambda: row(window, 0)[5].startswith("An artist"))
    window.update()
    drawn = [str(value) for value in window.tk.call(table.tree, "item", "0", "-values")]
    assert drawn[5].endswith("…")
    assert drawn[0] == "1.flac"
    x = next(x for x in range(0, 800, 10) if table.tree.column(table.tree.identify_column(x), "id") == "artist")
    y = next(y for y in range(0, 100, 5) if table.tree.identify_row(y) == "0")
    assert table.tree._text_at(x, y) == row(window, 0)[5], "the tooltip has the whole text"
    table.toggle_column("album")
    table.toggle_column("file")
    table.tree.column("title", width=table.tree.column("title", "width") + 60)
    table.tree.event_generate("<ButtonRelease-1>", x=1, y=900)
    window.update()
    widths = {name: table.tree.column(name, "width") for name in table.tree.cget("displaycolumns")}
    assert "album" in widths
    assert "file" not in widths
    window.close()
    settings, _ = load_settings(tmp_path / "window.json")
    again = open_window(settings=settings).tracks.table.tree
    found = {name: again.column(name, "width") for name in again.cget("displaycolumns")}
    assert found.keys() == widths.keys()
    assert all(abs(found[name] - widths[name]) <= 2 for name in found)


def test_heading_that_is_cut_has_an_ellipsis_and_a_tooltip(open_window: OpenWindow) -> None:
    window = open_window(settings=Settings(theme="light", widths="confidence=60"))
    tree = window.tracks.table.tree
    drive(window, lambda: str(window.tk.call(tree, "heading", "confidence", "-text")).endswith("…"))
    assert tree.heading("confidence", "text") == "Confidence"
    assert window.tk.call(tree, "heading", "duration", "-text") == "Length"
    places = {tree.column(tree.identify_column(x), "id"): x for x in range(4, tree.winfo_width() - 4, 4)}
    assert tree._text_at(places["confidence"], 8) == "Confidence"
    assert tree._text_at(places["duration"], 8) == ""


def test_columns_and_smallest_size_grow_with_the_text(open_window: OpenWindow) -> None:
    window = open_window(settings=Settings(theme="light", text_size="110", size="500x400"))
    assert window.tracks.table.tree.column("duration", "width") == round(64 * 1.1)
    assert window.tracks.table.widths == ""
    assert (window.winfo_width(), window.winfo_height()) == (1012, 748)


def test_names_of_overlapping_excerpts_are_not_cut(open_window: OpenWindow) -> None:
    import customtkinter

    from genre_gui.widgets.charts import Timeline

    window = open_window()
    top = customtkinter.CTkToplevel(window)
    top.grid_columnconfigure(0, weight=1)
    top.geometry("330x120")
    chart: Any = Timeline(top)
    chart.grid(sticky="ew")
    chances = {"tone": 0.9, "noise": 0.1}
    excerpts = tuple(ExcerptPrediction(start, start + 10.0, chances) for start in (0.0, 6.0))
    chart.show(replace(prediction(Path("a.wav"), seconds=16.0), excerpts=excerpts), ("noise", "tone"))
    window.update()
    texts = [item for item in chart.find_all() if chart.type(item) == "text"]
    first, second = (chart.bbox(item) for item in texts if "%" in chart.itemcget(item, "text"))
    assert first[2] < chart.winfo_width() * 6 / 16 < second[0]


def test_size_is_chosen_in_a_new_window_with_the_same_tracks(open_window: OpenWindow, tmp_path: Path) -> None:
    from genre_gui.window import Window

    window = open_window(settings=Settings(theme="light", scale="100", size="1000x700"))
    add(window, write_audio(tmp_path / "song.wav", tone(1)))
    small = window.tracks.table.tree.winfo_width(), window.header.device.winfo_height()
    window.choose("scale", "150")
    assert window.replaced
    again = Window(window.controller, window.settings)
    again.update()
    assert row(again, 0)[:2] == ["song.wav", "tone"]
    assert text(again.header.model).endswith("on CPU")
    assert again.header.device.winfo_height() == pytest.approx(small[1] * 1.5, abs=2)
    assert again.settings.size == "1000x700"
    assert again.settings_page.menus["scale"].get() == "150%"
    again.choose("scale", "100")
    assert again.settings.scale == "100"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Windows and macOS scale by themselves")
@pytest.mark.parametrize(
    ("dpi", "scale"), [(96, 1.0), (120, 1.25), (144, 1.5), (192, 2.0), (1000, 4.0), (110, 1.25), (40, 1.0)]
)
def test_scale_follows_the_resource_of_the_desktop(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, dpi: float, scale: float
) -> None:
    from genre_gui.widgets import theme

    window = open_window()
    monkeypatch.setattr(theme, "_xft_dpi", lambda _: dpi)
    assert theme.screen_scale(window) == scale


@pytest.mark.parametrize("key", ["<Control-q>", "<Control-w>"])
@pytest.mark.skipif(sys.platform == "darwin", reason="there it is the Command key")
def test_keys_close_the_window(open_window: OpenWindow, tmp_path: Path, key: str) -> None:
    window = open_window(file=tmp_path / "window.json")
    window.focus_force()
    window.event_generate(key)
    assert (tmp_path / "window.json").exists()


@pytest.mark.parametrize("columns", ["", "nonsense", "file file", "state"])
def test_damaged_columns_of_the_settings_are_ignored(open_window: OpenWindow, columns: str) -> None:
    settings = Settings(theme="light", columns=columns, widths="file=0 artist=99999999 x title=-3 album=٣")
    tree = open_window(settings=settings).tracks.table.tree
    assert tree.cget("displaycolumns") in (("file",), ("state",))
    assert min(tree.column(name, "width") for name in tree.cget("columns")) >= 48


@pytest.mark.parametrize("size", ["920x680", "1120x740", "1280x900"])
def test_no_column_is_cut_off(open_window: OpenWindow, tmp_path: Path, size: str) -> None:
    window = open_window(settings=Settings(theme="light", size=size))
    add(window, *(write_audio(tmp_path / f"{number}.wav", tone(1)) for number in range(40)))
    tree = window.tracks.table.tree
    for column in ("genre", "confidence", "file"):
        window.tracks.table.sort(column)
        window.update()
        assert sum(tree.column(name, "width") for name in tree.cget("displaycolumns")) <= tree.winfo_width()


def test_mouse_cancels_tries_again_and_clears(open_window: OpenWindow, tmp_path: Path) -> None:
    gate = Gate()
    window = open_window(lambda _: FakeBackend(gate), jobs=1)
    window.add([str(tmp_path / f"{name}.wav") for name in "abc"])
    drive(window, lambda: State.ANALYSING in states(window.controller))
    click(window, "Cancel")
    assert states(window.controller) == [State.CANCELLED] * 3
    gate.opened.set()
    click(window, "Try again")
    drive(window, lambda: State.DONE in states(window.controller))
    click(window, "Clear")
    assert window.controller.tracks == {}
    assert text(window.tracks.detail.name) == "No track selected"


def click(window: Any, words: str) -> None:
    """Press the mouse on the button that says something, and let it go."""
    import customtkinter

    waiting = [window]
    while waiting:
        widget = waiting.pop()
        waiting += widget.winfo_children()
        if isinstance(widget, customtkinter.CTkButton) and widget.cget("text") == words:
            break
    else:
        pytest.fail(f"no button says {words}")
    for event in ("<Enter>", "<Button-1>", "<ButtonRelease-1>"):
        widget._canvas.event_generate(event, x=widget.winfo_width() // 2, y=widget.winfo_height() // 2)
    window.update()


def test_rows_of_the_last_window_are_shown_before_there_is_a_model(
    open_window: OpenWindow,  # for its screen
    tmp_path: Path,
) -> None:
    from genre_gui.controller import Controller
    from genre_gui.tracks import Track
    from genre_gui.window import Window
    from genre_gui.workers.queue import write_queue

    song, gone = Track(0, write_audio(tmp_path / "song.wav", tone(1))), Track(1, tmp_path / "gone.wav")
    for track in (song, gone):
        track.finish(prediction(track.path))
    assert write_queue(tmp_path / "queue.jsonl", [song, gone]) is None
    controller = Controller(lambda _: FakeBackend(), queue=tmp_path / "queue.jsonl")
    window = Window(controller, Settings(theme="light"))
    try:
        window.controller.backend = None
        drive(window, lambda: len(window.tracks.table.shown()) == 2)
        window.update()
        assert text(window.tracks.detail.answer) == "tone"
        assert row(window, 0)[1:3] == ["tone", "90%"]
        assert row(window, 1)[4] == "file is gone"
        drive(window, lambda: window.controller.backend is not None)
        window.update()
        assert row(window, 0)[1:3] == ["tone", "90%"]
        window.tracks.clear()
        assert window.tracks.table.shown() == []
        window.banner.answers[0].invoke()
        assert window.tracks.table.shown() == [0, 1]
    finally:
        window.close()
