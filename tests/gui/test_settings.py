"""Settings survive a restart; what is damaged is passed over with a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genre_gui.settings import Settings, load_settings, save_settings


def test_settings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "window.json"
    settings = Settings(theme="dark", device="cpu", size="1000x700", last_folder="/music", model="m.onnx")
    assert save_settings(path, settings) is None
    assert load_settings(path) == (settings, None)
    assert [file.name for file in path.parent.iterdir()] == ["window.json"]


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "window.json") == (Settings(), None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"theme": "pink"}',
        '{"size": "1x1"}',
        '{"size": "99999x99999"}',
        '{"device": 3}',
        '{"last_folder": null}',
        '{"model": "a\\u0000b"}',
        "[" * 100_000,
    ],
)
def test_damaged_settings_are_ignored_with_a_word(tmp_path: Path, text: str) -> None:
    path = tmp_path / "window.json"
    path.write_text(text)
    settings, word = load_settings(path)
    assert settings == Settings()
    assert word is not None
    assert "damaged" in word


def test_file_that_is_no_text_is_ignored_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert load_settings(path)[1] is not None
    assert load_settings(tmp_path)[1] is not None


def test_unknown_settings_of_a_later_version_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "window.json"
    path.write_text('{"theme": "dark", "volume": 11}')
    assert load_settings(path) == (replace(Settings(), theme="dark"), None)


def test_settings_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    word = save_settings(tmp_path / "file" / "window.json", Settings())
    assert word is not None
    assert "could not be saved" in word
