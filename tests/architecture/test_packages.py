"""The members as packages: one version, the project's licence, and metadata that an index needs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests import release
from tests.release import MEMBERS, project_version, requirements_of_members

ROOT = Path(__file__).parents[2]


def _project(member: str) -> dict[str, Any]:
    project = tomllib.loads((ROOT / member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(project, dict)
    return project


def test_every_place_states_the_same_version() -> None:
    stated = project_version()
    assert {version(f"genre-{member}") for member in MEMBERS} == {stated}
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [stated]


@pytest.mark.parametrize("member", MEMBERS)
def test_members_require_each_other_in_the_same_version(member: str) -> None:
    stated = project_version()
    required = {"runtime": [], "export": ["genre-runtime", "genre-training"]}.get(member, ["genre-runtime"])
    assert requirements_of_members(member) == [f"{name}=={stated}" for name in required]


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_has_licence_readme_and_description(member: str) -> None:
    project = _project(member)
    assert (ROOT / member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "LICENSE" in project.get("license-files", ["LICENSE"])  # the default of hatchling
    readme = (ROOT / member / project["readme"]).read_text(encoding="utf-8")
    assert readme.startswith(f"# {project['name']}\n")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link] == []
    assert all(project[key] for key in ("description", "keywords", "authors"))
    assert "Typing :: Typed" in project["classifiers"]


@pytest.mark.parametrize("member", MEMBERS)
def test_classifiers_name_the_versions_of_python_that_setup_accepts(member: str) -> None:
    import tasks

    (major, oldest), (_, newest) = tasks.OLDEST, tasks.NEWEST
    named = [one for one in _project(member)["classifiers"] if one.startswith("Programming Language :: Python :: 3.")]
    assert named == [f"Programming Language :: Python :: {major}.{minor}" for minor in range(oldest, newest + 1)]


def test_the_runtime_and_the_service_have_the_licences_of_what_they_contain() -> None:
    assert "genre_runtime/THIRD_PARTY.md" in _project("runtime")["license-files"]
    assert "genre_api/swagger_ui/NOTICE" in _project("api")["license-files"]


def test_a_release_sets_every_place_and_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CITATION.cff", "CHANGELOG.md"]
    names += [f"{one}/{name}" for one in MEMBERS for name in ("pyproject.toml", f"genre_{one}/__init__.py")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(release, "ROOT", tmp_path)
    before = release.set_version("7.8.9rc1", "2030-01-02")
    assert {path.relative_to(tmp_path).as_posix() for path in before} == set(names) - {"runtime/pyproject.toml"}
    assert release.project_version() == "7.8.9rc1"
    assert release.requirements_of_members("gui") == ["genre-runtime==7.8.9rc1"]
    changelog = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## Unreleased\n\n## 7.8.9rc1 (2030-01-02)\n" in changelog
    assert release.entries(changelog, "7.8.9rc1").startswith("### Added")
    assert release.set_version("7.8.9rc1", "2030-01-03") == {}
    with pytest.raises(release.ReleaseError, match="no entries under '## Unreleased'"):
        release.entries(changelog, "8.0.0")
    assert all((ROOT / path.relative_to(tmp_path)).read_text(encoding="utf-8") == text for path, text in before.items())


def test_a_failed_release_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "stated"
    place.write_text("new", encoding="utf-8")

    def fail(version: str, write: bool) -> None:
        raise release.ReleaseError("twine found a mistake")

    monkeypatch.setattr(release, "set_version", lambda new, day: {place: "old"})
    monkeypatch.setattr(release, "entries", lambda text, version: "- an entry")
    monkeypatch.setattr(release, "_build_and_check", fail)
    assert release.main(["--write", "--version", "1.2.0"]) == 1
    assert place.read_text(encoding="utf-8") == "old"
    assert capsys.readouterr().err == "error: twine found a mistake\n"


def test_members_that_state_different_versions_are_not_released(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, member in enumerate(MEMBERS):
        (tmp_path / member).mkdir()
        (tmp_path / member / "__init__.py").write_text(f'__version__ = "0.{number}.0"\n', encoding="utf-8")
    monkeypatch.setattr(release, "_module", lambda member: tmp_path / member / "__init__.py")
    with pytest.raises(release.ReleaseError, match=r"different versions.*0\.4\.0"):
        release.project_version()
    assert release.main([]) == 1


@pytest.mark.parametrize("version", ["1.2", "v1.2.0", "1.2.0-rc1", "next"])
def test_a_version_has_three_numbers(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["--version", version]) == 1
    assert f"version '{version}' found: expected one such as 1.2.0" in capsys.readouterr().err
