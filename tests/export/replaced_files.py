"""Which files of a folder are replaced, in which order."""

from __future__ import annotations

from pathlib import Path

import pytest


def in_order_of_replacement(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the names of the files that are replaced in `folder`."""
    replaced: list[str] = []
    replace = Path.replace

    def note(path: Path, target: Path) -> Path:
        if target.parent == folder:
            replaced.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", note)
    return replaced
