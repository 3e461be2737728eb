"""constraints.txt pins what is installed: every distribution, and none that nobody needs."""

from __future__ import annotations

import re
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMBERS = {"genre-runtime", "genre-training", "genre-export", "genre-api", "genre-gui"}
NOT_PINNED = {"pip", "setuptools", "wheel"}


def canonical(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_installed_version_is_the_pinned_one() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    pinned = {canonical(name): version for name, version in pinned.items()}
    # Of this environment alone: Ray puts a folder of its own, with distributions in it, on the path of who imports it.
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    installed = {canonical(one.name): one.version.split("+")[0] for one in distributions(path=folders)}
    assert installed, f"nothing is installed in {folders}"
    ours = {name: version for name, version in installed.items() if name not in MEMBERS | NOT_PINNED}
    assert {name: version for name, version in ours.items() if pinned.get(name) != version} == {}
