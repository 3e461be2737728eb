"""The documents: links lead somewhere, and the README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "*/README.md", "training/EXPERIMENTS.md", "tests/*/README.md")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).as_posix().startswith(".")
)
MAX_README_WORDS = 900


def test_the_readme_is_short() -> None:
    assert len(_text("README.md").split()) <= MAX_README_WORDS


def test_the_readme_has_the_test_command() -> None:
    command = "pip install invoke && invoke test"
    assert f"```\n{command}\n```" in _text("README.md")
    ci = ROOT / ".ci" / "run"
    assert not ci.is_file() or ci.read_text(encoding="utf-8").splitlines()[-1] == command


def test_every_page_is_named_in_the_readme() -> None:
    links = {target.partition("#")[0] for target in _links("README.md")}
    assert {name for name in DOCUMENTS if name.startswith("docs/")} <= links


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_to_files_and_headings(name: str) -> None:
    for link in _links(name):
        place, _, anchor = link.partition("#")
        target = (ROOT / name).parent / place if place else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), link


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _links(name: str) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", _text(name), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_contributing_names_every_module() -> None:
    listed: set[str] = set()
    folder = ""
    for line in _text("CONTRIBUTING.md").splitlines():
        if line.startswith("#"):
            folder = line.removeprefix("### ") if re.fullmatch(r"### \w+/genre_\w+(/\w+)*", line) else ""
        elif folder and (row := re.match(r"\| `(\w+\.py)` \|", line)):
            listed.add(f"{folder}/{row[1]}")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("*/genre_*/**/*.py")
        if not path.name.startswith("__") and ".venv" not in path.parts
    }
    assert listed == found


def test_paths_in_contributing_exist() -> None:
    paths = re.findall(r"`((?:runtime|training|export|api|gui|tests)/[\w./]+)`", _text("CONTRIBUTING.md"))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_names_in_contributing_are_in_their_files() -> None:
    """A file is followed by names in parentheses, or a name by `in` or `of` and its file."""
    text = _text("CONTRIBUTING.md")
    after = re.findall(r"`(\w+/[\w/]+\.py)` \(([^)]+)\)", text)
    before = re.findall(r"`(\w+)` (?:in|of) `(\w+/[\w/]+\.py)`", text)
    pairs = [(path, name) for path, names in after for name in re.findall(r"`(\w+)`", names)]
    pairs += [(path, name) for name, path in before]
    assert len(pairs) > 20
    missing = [(path, name) for path, name in pairs if not re.search(rf"\b{name}\b", _text(path))]
    assert missing == []
