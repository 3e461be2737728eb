"""What the window remembers from one time to the next: a small JSON file in the platform's folder for settings."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from platformdirs import user_config_path

from genre_runtime.model.session import DEVICES
from genre_runtime.output_files import write_whole

THEMES = ("system", "light", "dark")
FILE_NAME = "window.json"
NOWHERE = "The settings cannot be kept: this user has no home folder; set HOME or XDG_CONFIG_HOME."
_GEOMETRY = re.compile(r"[1-9]\d{2,3}x[1-9]\d{2,3}")


@dataclass(frozen=True)
class Settings:
    """Attributes that are no text, or text that cannot be meant, make a file damaged.

    Attributes
    ----------
    theme : {"system", "light", "dark"}
    device : str
        One of the runtime's devices.
    size : str
        Width x height, before scaling.
    last_folder : str
        Where files were chosen last.
    model : str
        The model's file, empty for the shipped one.
    journal : str
        Where the tags written last are recorded, empty if none were.
    """

    theme: str = "system"
    device: str = "auto"
    size: str = "1120x740"
    last_folder: str = ""
    model: str = ""
    journal: str = ""

    def check(self) -> None:
        """Raise ValueError for a value that cannot be meant."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str) or "\0" in value:
                raise ValueError(f"{item.name} is {value!r}")
        if self.theme not in THEMES or self.device not in DEVICES or not _GEOMETRY.fullmatch(self.size):
            raise ValueError(f"theme {self.theme!r}, device {self.device!r}, size {self.size!r}")


def settings_path() -> Path | None:
    """Return where the settings are, or None for a user without a home folder, such as a container's."""
    try:
        folder = user_config_path("genre", appauthor=False, roaming=True)
    except RuntimeError:
        return None
    return folder / FILE_NAME if folder.is_absolute() else None


def load_settings(path: Path | None) -> tuple[Settings, str | None]:
    """Return the settings, and a sentence if there can be none or the file is damaged and was passed over."""
    if path is None:
        return Settings(), NOWHERE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings(), None
    except (OSError, ValueError) as error:
        return Settings(), f"The settings could not be read ({error}); the window begins as if it were new."
    try:
        values = json.loads(text)
        known = {item.name for item in fields(Settings)}
        settings = Settings(**{name: value for name, value in values.items() if name in known})
        settings.check()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Settings(), "The settings were damaged and are ignored; they will be written anew."
    return settings, None


def save_settings(path: Path | None, settings: Settings) -> str | None:
    """Write the settings whole or not at all; return a sentence if they could not be written."""
    if path is None:
        return NOWHERE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [json.dumps(asdict(settings), indent=2) + "\n"])
    except OSError as error:
        return f"The settings could not be saved: {error.strerror or error}."
    return None
