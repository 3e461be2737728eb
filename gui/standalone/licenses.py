"""The licence texts of everything in the standalone folder, found from the files that PyInstaller puts into it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

TEXT = re.compile(r"(licen[cs]e|copying|copyright|notice|third.?party|authors)[^/]*$", re.IGNORECASE)
NOT_TEXT = (".py", ".pyc", ".pyi", ".so", ".pyd")
BUILDER = "pyinstaller"
"""Its start program is a part of each executable."""

HEADING = """Licences of what this folder contains

The programs are free software under the MIT licence, as Music Genre Classification is. The folder also contains the
packages and libraries below, each under terms of its own. Some of them are under the GNU General Public License, such
as mutagen, and x264 and x265 in the FFmpeg libraries of PyAV: who hands the folder on does so under that licence, of
which mutagen's COPYING is a copy. PyAV's wheel has no texts of these libraries: https://github.com/PyAV-Org/pyav-ffmpeg
lists them, with the addresses of their sources, which have the texts.

"""


def collect(sources: Iterable[str | Path], folder: Path) -> list[str]:
    """Copy the licence texts of the packages and libraries that files come from, and write an index of them.

    Parameters
    ----------
    sources : iterable of path
        The files that are in the standalone folder, where they are on this machine.
    folder : Path
        Folder to write to; it is emptied first.

    Returns
    -------
    list of str
        Packages and libraries whose licence text was not found.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    used = {Path(source).resolve() for source in sources}
    lines, missing = [], []
    for package in sorted(distributions(), key=lambda one: one.name.lower()):
        files = {Path(str(package.locate_file(file))).resolve() for file in package.files or ()}
        if files & used or package.name.lower() == BUILDER:
            used -= files
            n_texts = _copy_texts(package, folder / f"{package.name}-{package.version}")
            lines.append(f"{package.name} {package.version}: {_stated(package)}")
            missing += [] if n_texts else [lines[-1]]
    lines.append(f"Python {sys.version.split()[0]}: PSF-2.0")
    missing += [] if _copy_python(folder / "Python") else [lines[-1]]
    home = Path(sys.base_prefix).resolve()
    foreign = sorted(path for path in used if path.is_file() and _is_library(path) and not path.is_relative_to(home))
    for path in foreign:
        found = _system_text(path)
        if found is None:
            missing.append(f"{path.name}, a library of the system")
        else:
            shutil.copyfile(found, folder / f"{path.name}.txt")
            lines.append(f"{path.name}: of the system, as the package {found.parent.name}")
    (folder / "README.txt").write_text(HEADING + "\n".join(lines) + "\n", encoding="utf-8")
    return missing


def _copy_texts(package: Distribution, target: Path) -> int:
    """Copy the licence texts of a package, in its metadata and beside its modules; returns their number."""
    n_texts = 0
    for file in package.files or ():
        path = Path(str(package.locate_file(file)))
        if TEXT.search(file.name) and file.suffix not in NOT_TEXT and path.is_file():
            inside = [part for part in file.parts if part != ".." and not part.endswith(".dist-info")]
            copy = target.joinpath(*(part for part in inside if part != "licenses"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            n_texts += 1
    return n_texts


def _stated(package: Distribution) -> str:
    """Return the licence in one line, as the metadata of a package states it."""
    classifiers = package.metadata.get_all("Classifier") or []
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    stated = package.metadata["License-Expression"] or ", ".join(named) or package.metadata["License"] or ""
    return stated.strip().partition("\n")[0] or "see its text"


def _copy_python(target: Path) -> bool:
    """Copy the licence of Python from where its installers put it."""
    for folder in (Path(sysconfig.get_path("stdlib")), Path(sys.base_prefix), Path("/usr/share/doc/python3")):
        for name in ("LICENSE.txt", "LICENSE", "copyright"):
            if (folder / name).is_file():
                target.mkdir()
                shutil.copyfile(folder / name, target / name)
                return True
    return False


def _is_library(path: Path) -> bool:
    return path.suffix in (".dll", ".dylib") or ".so" in path.name


def _system_text(library: Path) -> Path | None:
    """Return the licence text of a library of Debian or a system made from it."""
    if shutil.which("dpkg-query") is None:
        return None
    owner = subprocess.run(["dpkg-query", "-S", f"*/{library.name}"], capture_output=True, text=True).stdout
    text = Path("/usr/share/doc") / owner.partition(":")[0] / "copyright"
    return text.resolve() if text.is_file() and owner else None
