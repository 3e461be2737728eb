"""The language of the window: texts from its catalogue, numbers and percentages as the language writes them.

The catalogue is `locale/`: `genre_gui.pot` has every text of the source, which is English, and each language has a
translation. `python -m tests.gui.catalogue` extracts and compiles them.
"""

from __future__ import annotations

import ctypes
import gettext
import locale
import os
import re
import sys
from pathlib import Path
from typing import Any

DOMAIN = "genre_gui"
FOLDER = Path(__file__).parent / "locale"
SOURCE = "en"
LANGUAGES = {SOURCE: "English", "de": "Deutsch"}
"""Each by its own name."""

_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_SIGN = re.compile(r"(?<=\d)(?:[,.](?=\d)|%)")
_SIGNS = {SOURCE: (",", ".", "%"), "de": (".", ",", "\N{NO-BREAK SPACE}%")}
"""Between thousands, before decimals, after a percentage."""


class _Present:
    language = SOURCE
    texts = gettext.NullTranslations()


def choose_language(language: str) -> None:
    """Use a language for all texts from now on.

    Parameters
    ----------
    language : str
        A key of `LANGUAGES`, or `system` for that of the system.
    """
    code = system_language() if language == "system" else language
    _Present.language = code
    _Present.texts = (
        gettext.NullTranslations() if code == SOURCE else gettext.translation(DOMAIN, FOLDER, languages=[code])
    )


def present_language() -> str:
    """Return the language in use, a key of `LANGUAGES`."""
    return _Present.language


def use_texts(texts: gettext.NullTranslations) -> None:
    """Use another catalogue.

    Parameters
    ----------
    texts : gettext.NullTranslations
    """
    _Present.texts = texts


def system_language() -> str:
    """Return the language of the system if it is one of `LANGUAGES`, otherwise English."""
    for name in _wished():
        code = name.replace("-", "_").partition("_")[0].partition(".")[0].lower()
        if code in LANGUAGES:
            return code
        if code in ("c", "posix"):
            break
    return SOURCE


def _wished() -> list[str]:
    """Return names of languages, the preferred first."""
    named = next((value for name in _VARIABLES if (value := os.environ.get(name))), "")
    if named:
        return named.split(":")
    if sys.platform == "win32":
        return [locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")]
    return [locale.getlocale()[0] or ""]


def mark(text: str) -> str:
    """Return a text as it is; marks it for the catalogue, to be translated by `tr` when it is shown.

    Parameters
    ----------
    text : str
    """
    return text


def tr(text: str, /, **values: Any) -> str:
    """Return a text in the language of the window.

    Parameters
    ----------
    text : str
        In English, with the names of values in braces.
    **values : Any
        Whole numbers are written as in the language.
    """
    return _filled(_Present.texts.gettext(text) if text else "", values)


def plural(one: str, many: str, n: int, /, **values: Any) -> str:
    """Return a text about a number of things in the language of the window.

    Parameters
    ----------
    one, many : str
        In English, for one thing and for several; `{n}` is the number.
    n : int
    **values : Any
        As for `tr`.
    """
    return _filled(_Present.texts.ngettext(one, many, n), {"n": n, **values})


def _filled(text: str, values: dict[str, Any]) -> str:
    if not values:
        return text
    return text.format(**{name: number(value) if isinstance(value, int) else value for name, value in values.items()})


def number(value: float, digits: int = 0) -> str:
    """Return a number, such as `1,234.5`.

    Parameters
    ----------
    value : float
    digits : int
        Decimals.
    """
    return localised(f"{value:,.{digits}f}")


def percent(share: float, digits: int = 0) -> str:
    """Return a percentage, such as `12.3%`.

    Parameters
    ----------
    share : float
        1 for all.
    digits : int
        Decimals.
    """
    return localised(f"{share:,.{digits}%}")


def localised(figure: str) -> str:
    """Return numbers and percentages in English as the language of the window writes them.

    Parameters
    ----------
    figure : str
        Such as `12.3%` or `88% [80%, 95%]`.
    """
    signs = dict(zip(",.%", _SIGNS[_Present.language], strict=True))
    return _SIGN.sub(lambda sign: signs[sign[0]], figure)
