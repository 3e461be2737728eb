"""Build and check a release of all members: `python -m tests.release`, or `invoke release`.

Without `--write` nothing in the repository changes: the checks run on archives in a temporary folder. With `--write`
the version is set in every file that states it, the changelog gets a heading for it, and the archives are left in
`dist/`, with a bill of materials of what the wheels install. Nothing is uploaded or committed. The tools are installed
into a temporary environment, since only a release needs their forty packages.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MEMBERS = ("runtime", "training", "export", "api", "gui")
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
SBOM = "sbom.cdx.json"
TOOLS = ("twine", "check-wheel-contents", "cyclonedx-bom")
INSTALLED = {"runtime": "[cpu,library,watch]", "api": "[cpu]", "gui": "[cpu,drop,play,service]"}
"""Members in the bill of materials, with extras: those that serve users, at the pinned versions."""
COMMANDS = ("genre", "genre-api", "genre-gui", "genre-app")


class ReleaseError(Exception):
    """The repository cannot be released as it is."""


def project_version() -> str:
    """Return the version that all members state."""
    stated = {member: _one(r'^__version__ = "(.+)"$', _module(member)) for member in MEMBERS}
    if len(set(stated.values())) > 1:
        raise ReleaseError(f"the members state different versions: {stated}; expected one")
    return stated["runtime"]


def requirements_of_members(member: str) -> list[str]:
    """Return what a member requires of the others, without extras."""
    project = tomllib.loads(Path(ROOT, member, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.sub(r"\[.*?\]", "", one) for one in project["dependencies"] if one.startswith("genre-")]


def entries(changelog: str, version: str) -> str:
    """Return the entries of a version, or those below `Unreleased` if it has no heading yet."""
    heading = rf"{re.escape(version)} \(.*\)" if _has_heading(changelog, version) else "Unreleased"
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    text = found[1].strip() if found else ""
    if not re.search(r"^- ", text, re.MULTILINE):
        raise ReleaseError("CHANGELOG.md has no entries under '## Unreleased': expected what this release changes")
    return text


def set_version(new: str, day: str) -> dict[Path, str]:
    """Set the version in the members, in what they require of each other, in CITATION.cff and in the changelog.

    Parameters
    ----------
    new : str
        Version, such as 1.2.0.
    day : str
        Date of the release, as YYYY-MM-DD.

    Returns
    -------
    dict of Path to str
        Changed files, with the text that each had before.
    """
    old = re.escape(project_version())
    edits = [(_module(member), rf'^__version__ = "{old}"$', f'__version__ = "{new}"') for member in MEMBERS]
    edits += [(Path(ROOT, one, "pyproject.toml"), rf'("genre-[^"]*)=={old}"', rf'\g<1>=={new}"') for one in MEMBERS]
    edits += [(ROOT / "CITATION.cff", r"^version: .+$", f"version: {new}")]
    changelog = ROOT / "CHANGELOG.md"
    if not _has_heading(changelog.read_text(encoding="utf-8"), new):
        edits += [(changelog, r"^## Unreleased$", f"## Unreleased\n\n## {new} ({day})")]
    before: dict[Path, str] = {}
    for path, pattern, replacement in edits:
        text = path.read_text(encoding="utf-8")
        if (edited := re.sub(pattern, replacement, text, flags=re.MULTILINE)) != text:
            before[path] = text
            path.write_text(edited, encoding="utf-8", newline="\n")
    return before


def build(folder: Path) -> list[Path]:
    """Build the source archive of every member, and the wheel from it; return them all."""
    for member in MEMBERS:
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), member)
    return sorted(folder.iterdir())


def check(archives: Sequence[Path], version: str, tools: Path) -> None:
    """Check names, licences, metadata and contents of the archives with the tools of an environment."""
    expected = {f"genre_{one}-{version}{end}" for one in MEMBERS for end in (".tar.gz", "-py3-none-any.whl")}
    if {path.name for path in archives} != expected:
        raise ReleaseError(f"{sorted(path.name for path in archives)} built: expected {sorted(expected)}")
    _run(str(tools), "-m", "twine", "check", "--strict", *map(str, archives))
    for member in MEMBERS:
        wheel = _wheel(member, archives)
        with zipfile.ZipFile(wheel) as contents:
            licence = f"genre_{member}-{version}.dist-info/licenses/LICENSE"
            if licence not in contents.namelist():
                raise ReleaseError(f"{wheel.name} has no LICENSE: expected {licence}")
        _run(str(tools), "-m", "check_wheel_contents", "--config", f"{member}/pyproject.toml", str(wheel))


def write_sbom(path: Path, archives: Sequence[Path], folder: Path, tools: Path) -> None:
    """Install the wheels that serve users, start their commands, and write what is installed as CycloneDX JSON."""
    wheels = [f"{_wheel(member, archives)}{extras}" for member, extras in INSTALLED.items()]
    python = _environment(folder, "--constraint", "constraints.txt", *wheels)
    for command in COMMANDS:
        _run(str(python.parent / command), "--version")
    output = ("--output-reproducible", "--output-file", str(path))
    _run(str(tools), "-m", "cyclonedx_py", "environment", *output, str(python))
    bill = json.loads(path.read_text(encoding="utf-8"))
    for component in bill["components"]:  # the wheels were installed from a folder that is removed
        references = component.pop("externalReferences", [])
        component["externalReferences"] = [one for one in references if not one["url"].startswith("file:")]
    path.write_text(json.dumps(bill, indent=1), encoding="utf-8")


def write_models(folder: Path) -> None:
    """Copy the published models into a folder, with the index that `genre model` reads.

    The model that the wheel has is called `default`, a variant by its precision. The files keep their names, since a
    sidecar names its graphs; the index is uploaded beside them.

    Parameters
    ----------
    folder : Path
    """
    folder.mkdir()
    models = {}
    for sidecar in sorted((ROOT / "models").glob("best_model*.json")):
        content = sidecar.read_bytes()
        graphs = [graph["file"] for graph in json.loads(content)["graphs"].values()]
        for name in (sidecar.name, *graphs):
            shutil.copyfile(ROOT / "models" / name, folder / name)
        variant = sidecar.stem.removeprefix("best_model").removeprefix(".") or "default"
        models[variant] = {"sidecar": sidecar.name, "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "models.json").write_text(json.dumps({"models": models}, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the repository, build and check the archives; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__)
    parser.add_argument("--version", default="", help="version to release (default: the stated one)")
    parser.add_argument("--write", action="store_true", help="set the version and leave the archives in dist/")
    options = parser.parse_args(arguments)
    try:
        _release(options.version, options.write)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _release(wanted: str, write: bool) -> None:
    stated = project_version()
    version = wanted or stated
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"version {version!r} found: expected one such as 1.2.0 or 1.2.0rc1")
    listed = entries((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    print(
        f"version {version} (the members state {stated}), {listed.count(chr(10) + '- ') + 1} entries in the changelog"
    )
    before = set_version(version, datetime.date.today().isoformat()) if write else {}
    try:
        _build_and_check(version if write else stated, write)
    except BaseException:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8", newline="\n")
        raise
    for path in before:
        print(f"changed {path.relative_to(ROOT)}")
    if not write:
        print("dry run: nothing was changed; --write sets the version and leaves the files in dist/")


def _build_and_check(version: str, write: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="genre-release-") as folder:
        built = Path(folder, "dist")
        archives = build(built)
        tools = _environment(Path(folder, "tools"), *TOOLS)
        check(archives, version, tools)
        write_models(built / "models")
        write_sbom(built / SBOM, archives, Path(folder, "installed"), tools)
        for path in sorted(one for one in built.rglob("*") if one.is_file()):
            print(f"{path.stat().st_size:>10,} bytes  {path.name}")
        if write:
            shutil.rmtree(ROOT / "dist", ignore_errors=True)
            shutil.copytree(built, ROOT / "dist")


def _has_heading(changelog: str, version: str) -> bool:
    return re.search(rf"^## {re.escape(version)} \(", changelog, re.MULTILINE) is not None


def _module(member: str) -> Path:
    return Path(ROOT, member, f"genre_{member}", "__init__.py")


def _one(pattern: str, path: Path) -> str:
    found = re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    if len(found) != 1:
        raise ReleaseError(f"{path.relative_to(ROOT)} states {len(found)} versions: expected 1")
    return str(found[0])


def _wheel(member: str, archives: Sequence[Path]) -> Path:
    return next(path for path in archives if path.match(f"genre_{member}-*.whl"))


def _environment(folder: Path, *requirements: str) -> Path:
    """Create an environment with the requirements; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _run(str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *requirements)
    return python


def _run(*command: str) -> None:
    """Run a command, and show what it printed only if it fails."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        raise ReleaseError(f"{' '.join(command)} failed:\n{result.stdout}")


if __name__ == "__main__":
    sys.exit(main())
