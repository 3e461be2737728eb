"""The texts of the window: all in the catalogue, all translated, all shown in the language that is chosen."""

from __future__ import annotations

import ast
import contextlib
import gettext
import re
import string
import tkinter
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genre_gui import language, phrases, text
from genre_gui.backends.base import LocalBackend, ModelRequest
from genre_gui.language import LANGUAGES, choose_language, number, percent, plural, tr
from genre_gui.settings import Settings
from genre_gui.widgets.controls import PAGES
from genre_runtime.errors import UnreadableAudioError
from tests.gui.conftest import OpenWindow, drive, finished
from tests.synthetic import TAGS, noise, tone, write_audio, write_model

PACKAGE = language.FOLDER.parent
ROOT = PACKAGE.parents[1]


class Marking(gettext.NullTranslations):
    """A language in which every text of the catalogue has brackets around it."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"⟦{one if n == 1 else many}⟧"


def test_the_system_s_language_is_used_or_english(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in (
        ("de_AT.UTF-8", "de"),
        ("fr:de:en", "de"),
        ("de-CH", "de"),
        ("C:de", "en"),
        ("C.UTF-8", "en"),
        ("ja_JP", "en"),
        ("DE", "de"),
    ):
        monkeypatch.setenv("LANGUAGE", value)
        assert language.system_language() == expected, value
    monkeypatch.delenv("LANGUAGE")
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    choose_language("system")
    assert language.present_language() == "de"
    assert tr("Settings") == "Einstellungen"


def test_numbers_percentages_and_plurals() -> None:
    assert (number(1234567), number(0.5, 2), percent(0.123, 1)) == ("1,234,567", "0.50", "12.3%")
    assert tr("{done} braces {stay}", done=1200, stay="{x}") == "1,200 braces {x}"
    assert tr("no {value}") == "no {value}"
    choose_language("de")
    assert (number(1234567), number(0.5, 2), percent(0.123, 1)) == ("1.234.567", "0,50", "12,3\N{NO-BREAK SPACE}%")
    forms = [plural("{n} file written.", "{n} files written.", n) for n in (0, 1, 2000)]
    assert forms == ["0 Dateien geschrieben.", "1 Datei geschrieben.", "2.000 Dateien geschrieben."]


def test_messages_of_the_runtime_are_translated_by_their_pattern() -> None:
    choose_language("de")
    for message, expected in (
        ("speech, not music", "Sprache, keine Musik"),
        (
            "the best genre reaches 37%, confident answers start at 65%",
            "das beste Genre erreicht 37\N{NO-BREAK SPACE}%, sichere Antworten beginnen bei 65\N{NO-BREAK SPACE}%",
        ),
        ("only 3.0 of 1,200.5 s could be read", "nur 3,0 von 1.200,5 s konnten gelesen werden"),
        ("has this genre; has these moods", "hat dieses Genre; hat diese Stimmungen"),
        ("judging 1,200 tracks by artists that were held out", "Beurteilung von 1.200 Titeln an"),
        ("no file at '/a/1,200 right.mp3': check the path", "keine Datei unter '/a/1,200 right.mp3': prüfen"),
        ("not an audio file but a PNG picture: expected MP3 or another", "keine Audiodatei, sondern ein PNG-Bild:"),
        ("something that has no pattern", "something that has no pattern"),
        ("right", "richtig"),
        ("0.88", "0,88"),
        (
            "the file holds only zeros: expected MP3, FLAC or another audio format",
            "die Datei enthält nur Nullen: erwartet wird MP3, FLAC oder ein anderes Audioformat",
        ),
        (
            "'/a/b' is not a state file, or its header is damaged: name another file, or, if this is a damaged state "
            "file, remove it to start again",
            "'/a/b' ist keine Zustandsdatei, oder ihr Kopf ist beschädigt: nennen Sie eine andere Datei, oder löschen",
        ),
        (
            "88% [80%, 95.5%] of 1,058 tracks, their artists held out",
            "88\N{NO-BREAK SPACE}% [80\N{NO-BREAK SPACE}%, 95,5\N{NO-BREAK SPACE}%] von 1.058 Titeln",
        ),
    ):
        assert phrases.translated(message).startswith(expected)
    assert (
        text.sentence(UnreadableAudioError("the file cannot be read: EIO"))
        == "Die Datei kann nicht gelesen werden: EIO"
    )


def test_folder_in_the_home_folder_is_shown_from_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert text.folder_name(tmp_path / "Music" / "a\nb") == str(Path("~", "Music", "a b"))
    assert text.folder_name(tmp_path) == "~"
    assert text.folder_name(tmp_path.parent) == str(tmp_path.parent)
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert text.folder_name(Path("/music")) == str(Path("/music"))


def test_patterns_are_words_of_the_runtime() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "runtime/genre_runtime").rglob("*.py"))
    words = set(re.findall(r"[\w']+", source + (PACKAGE / "workers/learning.py").read_text(encoding="utf-8")))
    for phrase in phrases.PHRASES:
        used = {word for piece, *_ in string.Formatter().parse(phrase) for word in re.findall(r"[\w']+", piece)}
        assert used <= words | {"80"}, f"the runtime never says {phrase!r}"


def test_catalogue_has_every_text_of_the_source_and_each_translation_is_complete() -> None:
    pytest.importorskip("babel", reason="babel is missing: pip install -r tests/requirements.txt")
    from tests.gui import catalogue

    template = catalogue.extracted()
    advice = "run `python -m tests.gui.catalogue`"
    assert catalogue.pot_path().read_text(encoding="utf-8") == catalogue.written(template), advice
    called = set(_texts_in_calls())
    known = {one for message in template for one in _forms(message.id)}
    assert called - known == set(), "Babel finds no text inside an f-string: call tr outside of it"
    for code in catalogue.translated_languages():
        translation = catalogue.translation(code)
        assert catalogue.mo_path(code).read_bytes() == catalogue.compiled(translation), advice
        assert {str(message.id) for message in translation} == {str(message.id) for message in template}, advice
        for message in translation:
            if not message.id:
                continue
            assert catalogue.is_translated(message), f"{message.id!r} has no translation into {code}"
            assert not message.fuzzy
            fields = {field for one in _forms(message.id) for field in _fields(one)}
            for form in _forms(message.string):
                assert set(_fields(form)) <= fields, f"{form!r} has other values than {message.id!r}"
                assert form[:1].isspace() == _forms(message.id)[0][:1].isspace()


def _forms(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _fields(message: str) -> list[str]:
    return [field for _, field, *_ in string.Formatter().parse(message) if field]


def _calls() -> Iterator[tuple[Path, str, ast.Call]]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield path, name, node


def _texts_in_calls() -> Iterator[str]:
    for _, name, call in _calls():
        if name in ("tr", "mark", "plural"):
            for argument in call.args[: 2 if name == "plural" else 1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


SHOWING = {
    "label": 1, "button": 1, "switch": 1, "Notice": 0, "show": 0, "_say": 0, "show_text": 0, "show_link": 0,
    "_show_message": 0, "heading": 0, "text": 2, "set_hint": 0, "title": 0,
}  # fmt: skip
"""Functions that show a text, and the place of the text in their arguments."""


def test_no_text_is_shown_that_is_not_in_the_catalogue() -> None:
    found = []
    for path, name, call in _calls():
        shown = [keyword.value for keyword in call.keywords if keyword.arg in ("text", "placeholder_text", "message")]
        place = SHOWING.get(name)
        shown += call.args[place : place + 1] if place is not None else []
        for value in shown:
            pieces = value.values if isinstance(value, ast.JoinedStr) else [value]
            words = [one.value for one in pieces if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if any(re.search(r"[^\W\d_]{2}", word) for word in words) and "genre-gui" not in words[0]:
                found.append(f"{path.name}:{call.lineno}: {words}")
    assert found == []


def test_wheel_contains_the_translations(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is missing: pip install -r tests/requirements.txt")
    from hatchling.builders.wheel import WheelBuilder

    if not (ROOT / "gui/pyproject.toml").is_file():
        pytest.skip("the source of the window is not here")
    (wheel,) = WheelBuilder(str(ROOT / "gui")).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    for code in set(LANGUAGES) - {language.SOURCE}:
        assert f"genre_gui/locale/{code}/LC_MESSAGES/{language.DOMAIN}.mo" in names


# What is shown as it is: names of files, genres, tags, devices and languages, figures and signs.
NOT_TEXT = re.compile(
    r"[^⟦]*(\.(wav|mp3|onnx)\b|/|noise|quiet|tone|house|happy|CPU|CUDA|genre-gui|English|Deutsch|F1)[^⟦]*"
    r"|[^\w⟦]*[\d.,:%+ ]*[^\w⟦]*"
)


def test_everything_that_is_visible_is_in_the_catalogue(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = write_model(tmp_path, tags=TAGS, threshold=0.95)
    monkeypatch.setattr("genre_gui.window.choose_language", lambda _: language.use_texts(Marking()))
    window = open_window(lambda _: LocalBackend.load(ModelRequest(model, "cpu")))
    (tmp_path / "words.mp3").write_text("no music")
    paths = [write_audio(tmp_path / "song.wav", tone(25)), write_audio(tmp_path / "noise.wav", noise(3))]
    seen = set(_visible(window))
    window.add([str(path) for path in (*paths, tmp_path / "words.mp3")])
    drive(window, finished(window.controller, 3))
    for item in window.tracks.table.tree.get_children():
        window.tracks.table.select(int(item))
        window.update()
        seen.update(_visible(window))
    for page in PAGES:
        window.show_page(page)
        window.update()
        seen.update(_visible(window))
    window.show_page("Tags")
    drive(window, lambda: "would change" in window.tags.message.cget("text"))
    seen.update(_visible(window))
    assert len(seen) > 100
    missing = sorted(one for one in seen if "⟦" not in one and not NOT_TEXT.fullmatch(one))
    assert not missing, missing


def _visible(widget: Any) -> Iterator[str]:
    """Yield every text that a widget and those in it show or offer."""
    for child in widget.winfo_children():
        if not child.winfo_ismapped():
            continue
        kind = child.winfo_class()
        if kind == "Treeview":
            for column in child["columns"]:
                yield str(child.heading(column, "text"))
            for item in child.get_children():
                yield from map(str, child.item(item, "values"))
        elif kind == "Canvas":
            texts = (child.itemcget(item, "text") for item in child.find_all() if child.type(item) == "text")
            yield from (one for one in texts if len(one) > 1)  # round corners are letters of a font
        elif kind == "Label":
            yield str(child.cget("text"))
        elif kind == "Entry":
            yield str(child.get())
        if hasattr(child, "cget"):
            with contextlib.suppress(ValueError, AttributeError, tkinter.TclError):  # it has no such option
                values = child.cget("values")
                yield from map(str, values if isinstance(values, list | tuple) else ())
        yield from _visible(child)


def test_language_is_chosen_in_the_settings_and_kept(open_window: OpenWindow) -> None:
    from genre_gui.window import Window

    window = open_window(settings=Settings(theme="light", language="en"))
    window.show_page("Settings")
    window.update()
    assert window.settings_page.menus["language"].get() == "English"
    window.settings_page.choose_text("language", "Deutsch")
    assert window.replaced
    again = Window(window.controller, window.settings)
    again.update()
    try:
        assert again.title() == "Musikgenres"
        assert again.tracks.table.tree.heading("state", "text").strip() == "Status"
        again.show_page("Settings")
        assert again.settings_page.menus["language"].get() == "Deutsch"
        assert again.settings_page.menus["text_size"].get() == "100\N{NO-BREAK SPACE}%"
    finally:
        again.close()
