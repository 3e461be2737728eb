"""The built wheel's tests in environments that hold nothing else: `python -m tests.wheel`, or `invoke wheel`.

Builds the wheel of the runtime, and for each Python named makes an environment, installs the wheel and what the tests
import, newest versions of everything, and runs the runtime's tests there. Nothing of the repository but `tests/` can be
imported; the model is the wheel's own. One line a Python, and the exit status is 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
TESTED = ("tests/runtime", "tests/fuzz")
TOOLS = ("pytest", "hypothesis", "onnx")
NAMED = ("numpy", "onnxruntime", "soundfile", "soxr", "av", "mutagen")
"""Packages whose versions the report names."""


def build(folder: Path) -> Path:
    """Build the runtime's wheel into `folder`."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), "runtime"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("genre_runtime-*.whl")
    return wheel


def interpreter(name: str) -> str | None:
    """Return the program of a Python, also one that pyenv keeps, or None if it is not there or does not start."""
    version = name.removeprefix("python")
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    for program in (shutil.which(name), *map(str, kept)):
        if program and not subprocess.run([program, "-c", ""], capture_output=True).returncode:
            return program
    return None


def run(program: str, wheel: Path, folder: Path, pytest_options: list[str]) -> tuple[bool, str]:
    """Make an environment in `folder`, test there; returns whether all passed, and one line about it."""
    subprocess.run([program, "-m", "venv", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, f"{wheel}[cpu,library]", *TOOLS], check=True)
    named = (
        "import importlib.metadata as packages, platform; "
        f"print(platform.python_version(), *(f'{{name}} {{packages.version(name)}}' for name in {NAMED}), sep=', ')"
    )
    versions = subprocess.run([str(python), "-c", named], capture_output=True, text=True, check=True).stdout.strip()
    # Without the user's own packages and paths, or an environment would hold more than it says.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GENRE_"))}
    command = [str(python), "-s", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTED, *pytest_options]
    tested = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True)
    last = tested.stdout.strip().splitlines()[-1].strip("= ")
    if tested.returncode:
        print(tested.stdout, tested.stderr, sep="\n")
    return not tested.returncode, f"Python {versions}: {last}"


def main() -> int:
    """Test every Python named; return 1 if one failed or is not there."""
    parser = argparse.ArgumentParser(prog="python -m tests.wheel", description=__doc__)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="PYTHON", help="names or paths of programs")
    parser.add_argument("--select", default="", metavar="EXPRESSION", help="tests to run, as pytest -k takes it")
    options = parser.parse_args()
    all_passed = True
    with tempfile.TemporaryDirectory(prefix="genre-wheel-") as folder:
        wheel = build(Path(folder))
        for name in options.pythons:
            program = interpreter(name)
            if program is None:
                passed, line = False, f"{name}: not on this machine"
            else:
                selected = ["-k", options.select] if options.select else []
                passed, line = run(program, wheel, Path(folder, Path(name).name), selected)
            all_passed = all_passed and passed
            print(line, flush=True)
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main())
