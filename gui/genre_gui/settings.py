"""Settings of the window, kept in a JSON file in the platform's folder for settings."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from platformdirs import user_config_path, user_state_path

from genre_gui.language import LANGUAGES, mark, tr
from genre_runtime import DEVICES, write_whole

THEMES = ("system", "light", "dark")
SCALES = ("auto", "100", "125", "150", "200")
TEXT_SIZES = ("90", "100", "110", "125", "150")
FILE_NAME = "window.json"
QUEUE_NAME, STATE_NAME = "window-queue.jsonl", "window.state"
NO_FOLDER = mark("The settings cannot be saved: this user has no home folder. Set HOME or XDG_CONFIG_HOME.")
_GEOMETRY = re.compile(r"[1-9]\d{2,3}x[1-9]\d{2,3}")


@dataclass(frozen=True)
class Settings:
    """Settings; all are text.

    Attributes
    ----------
    theme : {"system", "light", "dark"}
    device : str
        One of the runtime's devices.
    scale : {"auto", "100", "125", "150", "200"}
        Size of everything, per cent; `auto` for that of the screen.
    text_size : {"90", "100", "110", "125", "150"}
        Size of text and of the rows and buttons that hold it, per cent.
    language : str
        A key of `LANGUAGES`, or `system`.
    size : str
        Width x height, before scaling.
    last_folder : str
        Folder of the files added last.
    model : str
        File of the model; empty for the shipped one.
    head : str
        File of the user's own genres; empty for the genres of the model.
    journal : str
        Journal of the tags written last; empty if there is none.
    columns : str
        Names of the columns that the table of tracks shows.
    widths : str
        `name=pixels`, before scaling, of the columns whose width is not the default.
    """

    theme: str = "system"
    device: str = "auto"
    scale: str = "auto"
    text_size: str = "100"
    language: str = "system"
    size: str = "1120x740"
    last_folder: str = ""
    model: str = ""
    head: str = ""
    journal: str = ""
    columns: str = "file artist title genre confidence duration state"
    widths: str = ""

    def check(self) -> None:
        """Raise ValueError for an invalid value."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str) or "\0" in value:
                raise ValueError(f"{item.name} is {value!r}")
        if self.theme not in THEMES or self.device not in DEVICES or not _GEOMETRY.fullmatch(self.size):
            raise ValueError(f"theme {self.theme!r}, device {self.device!r}, size {self.size!r}")
        if self.scale not in SCALES:
            raise ValueError(f"scale {self.scale!r}")
        if self.text_size not in TEXT_SIZES or self.language not in ("system", *LANGUAGES):
            raise ValueError(f"text_size {self.text_size!r}, language {self.language!r}")


def settings_path() -> Path | None:
    """Return the file of the settings, or None for a user without a home folder, for example in a container."""
    try:
        folder = user_config_path("genre", appauthor=False, roaming=True)
    except RuntimeError:
        return None
    return folder / FILE_NAME if folder.is_absolute() else None


def state_path(name: str) -> Path | None:
    """Return a file in the platform's folder for the state of programs; None for a user without a home folder.

    Parameters
    ----------
    name : str
    """
    try:
        folder = user_state_path("genre", appauthor=False)
    except RuntimeError:
        return None
    return folder / name if folder.is_absolute() else None


def load_settings(path: Path | None) -> tuple[Settings, str | None]:
    """Return the settings, and a warning if the file is damaged or there is no folder for it.

    Parameters
    ----------
    path : Path or None
    """
    if path is None:
        return Settings(), tr(NO_FOLDER)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings(), None
    except (OSError, ValueError) as error:
        return Settings(), tr("The settings could not be read ({error}), so the defaults are used.", error=str(error))
    try:
        values = json.loads(text)
        known = {item.name for item in fields(Settings)}
        settings = Settings(**{name: value for name, value in values.items() if name in known})
        settings.check()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Settings(), tr("The settings file was damaged, so the defaults are used.")
    return settings, None


def save_settings(path: Path | None, settings: Settings) -> str | None:
    """Write the settings, completely or not at all; return a warning if that failed.

    Parameters
    ----------
    path : Path or None
    settings : Settings
    """
    if path is None:
        return tr(NO_FOLDER)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [json.dumps(asdict(settings), indent=2) + "\n"])
    except OSError as error:
        return tr("The settings could not be saved: {error}.", error=error.strerror or str(error))
    return None
