"""The catalogue of the window's texts: `python -m tests.gui.catalogue`.

Extracts all texts from the source into `genre_gui.pot`, adds them to the translation of each language, and compiles
the translations. Texts that are new are without a translation: fill them in, then run it again.
"""

from __future__ import annotations

import datetime
import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from genre_gui.language import DOMAIN, FOLDER, LANGUAGES, SOURCE

PACKAGE = FOLDER.parent
KEYWORDS: Mapping[str, tuple[int, ...] | None] = {"tr": None, "mark": None, "plural": (1, 2)}
NO_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CHANGING = re.compile(r'^"(POT-Creation-Date|PO-Revision-Date|Last-Translator|Generated-By|Report-Msgid).*\n', re.M)


def extracted() -> Catalog:
    """Return all texts of the source."""
    catalog = Catalog(project=DOMAIN, charset="utf-8")
    for _, _, message, _, context in extract_from_dir(PACKAGE, [("**.py", "python")], keywords=dict(KEYWORDS)):
        catalog.add(message, context=context)
    return catalog


def written(catalog: Catalog) -> str:
    """Return a catalogue as text, without times and places, which would change with every run."""
    file = io.BytesIO()
    write_po(file, catalog, width=118, no_location=True, sort_output=True, ignore_obsolete=True)
    text = re.sub(r"\A(#.*\n)*", "", file.getvalue().decode())
    return _CHANGING.sub("", text)


def compiled(catalog: Catalog) -> bytes:
    """Return a translation as `gettext` reads it."""
    file = io.BytesIO()
    same = read_po(io.BytesIO(written(catalog).encode()), catalog.locale)
    same.creation_date = same.revision_date = NO_TIME
    write_mo(file, same)
    return file.getvalue()


def translation(language: str) -> Catalog:
    """Return the translation into a language as it is in the repository."""
    path = _path(language, "po")
    if not path.exists():
        return Catalog(language, DOMAIN, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, language)


def pot_path() -> Path:
    """Return the file of all texts of the source."""
    return FOLDER / f"{DOMAIN}.pot"


def mo_path(language: str) -> Path:
    """Return the compiled translation into a language."""
    return _path(language, "mo")


def translated_languages() -> list[str]:
    """Return all languages but that of the source."""
    return [language for language in LANGUAGES if language != SOURCE]


def _path(language: str, suffix: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.{suffix}"


def main() -> int:
    """Extract, update and compile; return 1 if a text is without a translation."""
    template = extracted()
    FOLDER.mkdir(exist_ok=True)
    pot_path().write_text(written(template), encoding="utf-8")
    missing = 0
    for language in translated_languages():
        catalog = translation(language)
        catalog.update(template, no_fuzzy_matching=True)
        _path(language, "po").parent.mkdir(parents=True, exist_ok=True)
        _path(language, "po").write_text(written(catalog), encoding="utf-8")
        mo_path(language).write_bytes(compiled(catalog))
        for message in catalog:
            if message.id and not is_translated(message):
                missing += 1
                print(f"{_path(language, 'po')}: {message.id!r} has no translation", file=sys.stderr)
    return 1 if missing else 0


def is_translated(message: Message) -> bool:
    """Tell whether every form of a text has a translation."""
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


if __name__ == "__main__":
    sys.exit(main())
