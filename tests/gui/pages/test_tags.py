"""Tags: shown first, then written, then taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genre_runtime.library.tags import read_genres, write_genres
from tests.gui.conftest import OpenWindow, drive, finished
from tests.gui.test_window import text
from tests.synthetic import tone, write_audio

pytest.importorskip("mutagen", reason="mutagen is missing")


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep journals out of the user's own folders."""
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "state"))


def rows(window: Any) -> list[tuple[str, ...]]:
    tree = window.tags.tree
    return [tuple(map(str, tree.item(item, "values")))[:4] for item in tree.get_children()]


def test_difference_is_shown_then_written_then_taken_back(open_window: OpenWindow, tmp_path: Path) -> None:
    plain = write_audio(tmp_path / "plain.flac", tone(2))
    tagged = write_audio(tmp_path / "tagged.flac", tone(2))
    write_genres(tagged, ["Polka"], journal=None)
    before = [path.read_bytes() for path in (plain, tagged)]
    window = open_window(file=tmp_path / "window.json")
    window.add([str(plain), str(tagged)])
    drive(window, finished(window.controller, 2))
    window.update()
    window.open_tags()
    drive(window, lambda: text(window.tags.message) == "1 file would change.")
    assert rows(window) == [("plain.flac", "", "tone", ""), ("tagged.flac", "Polka", "", "has a genre")]
    assert [path.read_bytes() for path in (plain, tagged)] == before, "looking changed a file"
    window.tags.mode.set("add to genres")
    window.tags.refresh()
    drive(window, lambda: text(window.tags.message) == "2 files would change.")
    assert text(window.tags.write) == "Write 2 files"
    window.tags.write.invoke()
    drive(window, lambda: text(window.tags.message) == "2 files written.")
    assert (read_genres(plain), read_genres(tagged)) == (("tone",), ("Polka", "tone"))
    window.close()

    again = open_window(file=tmp_path / "window.json", settings=window_settings(tmp_path))
    again.show_page("Tags")
    again.tags.undo.invoke()
    drive(again, lambda: text(again.tags.message) == "2 files restored byte for byte.")
    again.tags.undo.invoke()
    drive(again, lambda: text(again.tags.message).startswith("Nothing to undo"))
    assert [path.read_bytes() for path in (plain, tagged)] == before


def window_settings(tmp_path: Path) -> Any:
    from genre_gui.settings import load_settings

    settings, word = load_settings(tmp_path / "window.json")
    assert word is None
    return settings


def test_file_that_cannot_be_tagged_is_a_row_with_words(open_window: OpenWindow, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "song.flac", tone(1))
    window = open_window()
    window.add([str(path)])
    drive(window, finished(window.controller, 1))
    window.update()
    path.unlink()
    window.open_tags()
    drive(window, lambda: text(window.tags.message) == "Nothing would change.")
    assert rows(window)[0][3].startswith("No file at")
    assert window.tags.write.cget("state") == "disabled"


def test_nothing_to_take_back_is_said(open_window: OpenWindow) -> None:
    window = open_window()
    window.undo_tags()
    window.update()
    assert "nothing to undo" in text(window.banner.message)


def opened(open_window: OpenWindow, folder: Path, *names: str) -> tuple[Any, list[Path]]:
    """Return a window with the page Tags, which shows what would be written into new files."""
    paths = [write_audio(folder / name, tone(1)) for name in names]
    window = open_window()
    window.add(list(map(str, paths)))
    drive(window, finished(window.controller, len(paths)))
    window.update()
    window.open_tags()
    drive(window, lambda: len(rows(window)) == len(paths) and text(window.tags.write).startswith("Write "))
    return window, paths


def test_only_ticked_rows_are_written_and_corrected_ones_as_corrected(open_window: OpenWindow, tmp_path: Path) -> None:
    window, (first, second, third) = opened(open_window, tmp_path, "1.flac", "2.flac", "3.flac")
    page = window.tags
    items = page.tree.get_children()
    page.tree.event_generate("<Button-1>", x=10, y=page.tree.bbox(items[0], "ticked")[1] + 5)
    assert [page.tree.item(item, "values")[4] for item in items] == ["☐", "☑", "☑"]
    assert text(page.write) == "Write 2 files"
    page.correct(items[1], "genre", "Dub;  Ska ;")
    assert rows(window)[1] == ("2.flac", "", "Dub; Ska", "corrected")
    page.correct(items[2], "genre", "")
    assert text(page.write) == "Write 1 file"
    page.write.invoke()
    drive(window, lambda: text(page.message) == "1 file written.")
    assert [read_genres(path) for path in (first, second, third)] == [(), ("Dub", "Ska"), ()]


def test_a_cell_is_edited_by_mouse_or_keyboard(open_window: OpenWindow, tmp_path: Path) -> None:
    window, (path,) = opened(open_window, tmp_path, "1.flac")
    page = window.tags
    (item,) = page.tree.get_children()
    x, y, _, _ = page.tree.bbox(item, "genre")
    for _ in range(2):
        page.tree.event_generate("<Button-1>", x=x + 5, y=y + 5)
        page.tree.event_generate("<ButtonRelease-1>", x=x + 5, y=y + 5)
    assert page._editor.get() == "tone"
    page._editor.delete(0, "end")
    page._editor.insert(0, "Jazz\x07")
    page._editor.focus_force()
    window.update()
    page._editor.event_generate("<Return>")
    window.update()
    assert page._editor is None
    assert rows(window)[0][2] == "Jazz\N{REPLACEMENT CHARACTER}"
    page.tree.focus(item)
    page._edit(item, "genre")
    editor: Any = page._editor
    editor.insert("end", "more")
    page._close_editor()
    assert rows(window)[0][2] == "Jazz\N{REPLACEMENT CHARACTER}", "Escape leaves the cell alone"
    page.toggle((item,))
    assert page.write.cget("state") == "disabled"
    page.toggle((item,))
    assert page.write.cget("state") == "normal"
    assert read_genres(path) == ()


def test_own_names_are_written_and_a_damaged_file_of_names_is_said(
    open_window: OpenWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, (path,) = opened(open_window, tmp_path, "1.flac")
    page = window.tags
    names, wrong = tmp_path / "mine.txt", tmp_path / "wrong.txt"
    names.write_text("tone = Beeps\n")
    wrong.write_text("polka = Humppa\n")
    monkeypatch.setattr("genre_gui.widgets.dialogs.names_file", lambda *_: wrong)
    page.names.invoke()
    drive(window, lambda: "unknown labels polka" in text(window.banner.message))
    assert page.write.cget("state") == "disabled"
    page.names.invoke()
    drive(window, lambda: [row[2] for row in rows(window)] == ["tone"])
    monkeypatch.setattr("genre_gui.widgets.dialogs.names_file", lambda *_: names)
    page.names.invoke()
    drive(window, lambda: [row[2] for row in rows(window)] == ["Beeps"] and text(page.write) == "Write 1 file")
    page.write.invoke()
    drive(window, lambda: text(page.message) == "1 file written.")
    assert read_genres(path) == ("Beeps",)


def test_a_run_that_writes_nothing_keeps_the_last_undo(open_window: OpenWindow, tmp_path: Path) -> None:
    window, (path,) = opened(open_window, tmp_path, "1.flac")
    before = path.read_bytes()
    window.tags.write.invoke()
    drive(window, lambda: text(window.tags.message) == "1 file written.")
    journal = window.controller.tags.journal
    window.tags._write()
    drive(window, lambda: text(window.tags.message) == "0 files written.")
    assert window.controller.tags.journal == journal
    window.tags.undo.invoke()
    drive(window, lambda: text(window.tags.message) == "1 file restored byte for byte.")
    assert path.read_bytes() == before
