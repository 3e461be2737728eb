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
    return [tuple(map(str, tree.item(item, "values"))) for item in tree.get_children()]


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
