"""Build the standalone folder, which needs no Python, into `build/standalone/genre`: `invoke standalone`.

PyInstaller builds for the system that it runs on. It is installed into `.cache/standalone` together with the wheels of
runtime and window, apart from `.venv`: what only developers and tests need cannot come into the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "standalone"
OUTPUT = ROOT / "build" / "standalone"
TOOLS = ("pyinstaller==6.22.3", "pyinstaller-hooks-contrib==2026.9")
MEMBERS = {"runtime": "[cpu,library,watch]", "gui": "[drop,play]"}
SUFFIX = ".exe" if os.name == "nt" else ""


class StandaloneError(Exception):
    """The folder cannot be built here."""


def build(output: Path) -> Path:
    """Build the folder, and start its command once.

    Parameters
    ----------
    output : Path
        Folder to put it into; an earlier one there is replaced.

    Returns
    -------
    Path
        The folder, `genre`, with the programs `genre` and `genre-gui`.

    Raises
    ------
    StandaloneError
    """
    try:
        import tkinter  # noqa: F401
    except ImportError as error:
        raise StandaloneError(
            f"Python has no Tk ({error}): the window needs it; on Linux install python3-tk"
        ) from error
    python = _environment()
    with tempfile.TemporaryDirectory(prefix="genre-standalone-") as work:
        places = ("--distpath", str(output), "--workpath", work)
        _run(str(python), "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", *places, str(HERE / "genre.spec"))
    folder = output / "genre"
    _run(str(folder / f"genre{SUFFIX}"), "--version")
    return folder


def _environment() -> Path:
    """Create an environment with PyInstaller, or take the one of an earlier build; returns its Python.

    The members are installed again each time, since their code may have changed.
    """
    python = CACHE / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = CACHE / "complete"
    sources = [ROOT / "constraints.txt", Path(__file__), *(ROOT / member / "pyproject.toml" for member in MEMBERS)]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest() + f"\n{sys.version}"
    complete = stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted
    with tempfile.TemporaryDirectory(prefix="genre-wheels-") as wheels:
        for member in MEMBERS:
            _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, member)
        members = [f"{next(Path(wheels).glob(f'genre_{member}-*.whl'))}{extras}" for member, extras in MEMBERS.items()]
        if complete:
            options = ["--no-deps", "--force-reinstall"]
        else:
            shutil.rmtree(CACHE, ignore_errors=True)
            venv.create(CACHE, with_pip=True)
            options = ["--constraint", "constraints.txt", *TOOLS]
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, *members)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _run(*command: str) -> None:
    """Run a command without the user's own packages, and show what it printed only if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if result.returncode:
        raise StandaloneError(f"{' '.join(command)} failed:\n{result.stdout}")
    if "PyInstaller" in command and result.stdout:
        print(result.stdout, end="")  # its warnings


def main() -> int:
    """Build and name what was built; return the exit status."""
    parser = argparse.ArgumentParser(prog="invoke standalone", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to put the folder `genre` into")
    try:
        folder = build(parser.parse_args().output.absolute())
    except StandaloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    n_megabytes = sum(path.stat().st_size for path in files) / 1e6
    print(f"{folder}: {len(files)} files, {n_megabytes:.0f} MB; start genre-gui{SUFFIX} or genre{SUFFIX} in it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
