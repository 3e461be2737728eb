"""Settings, what is said of them, and the addresses that are safe to listen on."""

from __future__ import annotations

import json
import os
import re
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from genre_api import Settings
from genre_api.cli import is_loopback, warn_of_exposure
from genre_api.observability import log_config
from genre_api.settings import USED_ELSEWHERE, unknown_variables

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "service.md"


def test_table_of_the_document_has_every_setting() -> None:
    rows = re.findall(r"^\| `GENRE_(\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    documented = [f"{name.lower()} | {default.split(' (')[0]} | {meaning}" for name, default, meaning in rows]
    assert documented == [
        f"{name} | {_written(field.default)} | {field.description}" for name, field in Settings.model_fields.items()
    ]


def _written(default: object) -> str:
    if default in (None, ()):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_BODY_SECONDS", "2.5")
    monkeypatch.setenv("GENRE_AUDIO_ROOTS", os.pathsep.join(["/srv/a", "", "/srv/b"]))
    monkeypatch.setenv("GENRE_CORS_ORIGINS", "https://a.example, https://b.example,")
    monkeypatch.setenv("GENRE_MODEL", "")
    settings = Settings()
    assert settings.body_seconds == 2.5
    assert settings.audio_roots == ("/srv/a", "/srv/b")
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.model is None
    assert settings.n_workers >= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("WORKERS", "-1"),
        ("DEVICE", "tpu"),
        ("BODY_SECONDS", "nan"),
        ("BODY_SECONDS", "0"),
        ("MAX_BODY_BYTES", "0"),
        ("AUDIO_ROOTS", "music"),
        ("API_KEY", ""),
        ("API_KEY", "short"),
        ("API_KEY", "ü" * 9),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_impossible_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GENRE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRE_API_KEY", "correct horse")
    assert "horse" not in repr(Settings()) + str(Settings().model_dump())
    monkeypatch.setenv("GENRE_API_KEY", "hörse")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "hörse" not in "".join(traceback.format_exception(refused.value))


def test_typing_errors_are_noticed() -> None:
    assert unknown_variables(["GENRE_PORT", "GENRE_PROT", "PATH", "genre_host"]) == ["GENRE_PROT"]
    assert unknown_variables(["GENRE_DATA", "GENRE_DATE", "genre_data"]) == ["GENRE_DATE"]


def test_every_variable_that_the_project_names_is_known() -> None:
    patterns = ("*.py", "*.md", "*.toml", "*.bat", "*.sh", "Dockerfile*")
    folders = ("api", "docs", "export", "gui", "runtime", "tests", "training")
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    files += [path for folder in folders for pattern in patterns for path in (ROOT / folder).rglob(pattern)]
    misspelt_on_purpose = {Path(__file__), ROOT / "tests" / "api" / "test_cli.py"}
    named = {
        name
        for path in files
        if path not in misspelt_on_purpose
        for name in re.findall(r"\bGENRE_[A-Z][A-Z_]*\b", path.read_text(encoding="utf-8"))
    }
    assert {"GENRE_MODEL", *USED_ELSEWHERE} <= named
    assert unknown_variables(named) == []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("music.example", False),
    ],
)
def test_open_addresses_are_warned_of(host: str, loopback: bool, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_exposure(Settings(host=host))
    assert is_loopback(host) == loopback
    assert ("GENRE_API_KEY" in caplog.text) != loopback


def test_log_config_has_both_forms() -> None:
    assert "JsonFormatter" in str(log_config("json", "info"))
    assert "JsonFormatter" not in json.dumps(log_config("text", "info"))
