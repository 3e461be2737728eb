"""The project's verbs: `invoke --list` shows them, `invoke VERB --help` explains one.

Every verb runs inside `.venv`, which `invoke setup` makes; only invoke itself is needed to begin with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

ROOT = Path(__file__).parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "setup-complete"
WITH_RAY, WITHOUT_RAY = "with Ray", "without Ray"
MEMBERS = ("runtime", "training", "export", "api", "gui")
OLDEST, NEWEST = (3, 11), (3, 13)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DEFAULT_DATA = os.environ.get("GENRE_DATA", "data")


@task(help={"ray": "with Ray, half a gigabyte, so that its tests run too (default: on Linux)"})
def setup(c: Context, ray: bool = sys.platform.startswith("linux")) -> None:
    """Create .venv with every member and the test tools, at the pinned versions."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Exit(f"Python {sys.version.split()[0]} found: expected 3.11 to 3.13")
    if not PYTHON.exists():
        print(f"creating {VENV}")
        venv.create(VENV, with_pip=True)
    members = [argument for member in MEMBERS for argument in ("--editable", f"./{member}{_extra(member, ray)}")]
    pins = ("--constraint", "constraints.txt", "--requirement", "tests/requirements.txt")
    _run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *pins, *members)
    _repair_torchaudio()
    _install_system_packages()
    STAMP.write_text(f"{_wanted()}\n{WITH_RAY if ray else WITHOUT_RAY}\n", encoding="utf-8")


@task(help={"subset": "small, medium or large", "data": "data folder", "keep_archives": "keep the zip files"})
def data(c: Context, subset: str = "medium", data: str = DEFAULT_DATA, keep_archives: bool = False) -> None:
    """Download FMA, the data set to train on, and unpack it; run again, it goes on where it stopped."""
    _member("genre-train", "data", "--subset", subset, "--data", data, *(["--keep-archives"] if keep_archives else []))


@task(
    help={
        "config": "recipe: a TOML file or the name of one",
        "data": "data folder, or a CSV manifest",
        "output": "folder to write to",
        "change": "values of the recipe to change, such as 'data.fold=1 training.epochs=5'",
        "resume": "go on with an interrupted run",
    }
)
def train(
    c: Context,
    config: str = "default",
    data: str = DEFAULT_DATA,
    output: str = "models",
    change: str = "",
    resume: bool = False,
) -> None:
    """Train a recipe; writes best_model.pt and a folder with the run's report."""
    changes = ["--set", *change.split()] if change else []
    going_on = ["--resume"] if resume else []
    _member("genre-train", "train", "--config", config, "--data", data, "--output", output, *changes, *going_on)


@task(help={"config": "recipe", "data": "data folder", "output": "folder to write to", "runs": "folder for the folds"})
def crossvalidate(
    c: Context, config: str = "default", data: str = DEFAULT_DATA, output: str = "models", runs: str = "runs"
) -> None:
    """Train a recipe on five folds, then on everything; the figures are the folds'. Goes on where it stopped."""
    checkpoints = [f"{runs}/fold{fold}/best_model.pt" for fold in range(5)]
    for fold, checkpoint in enumerate(checkpoints):
        if not Path(ROOT, checkpoint).is_file():
            folder = str(Path(checkpoint).parent)
            resume = Path(ROOT, folder, "run", "last.pt").is_file()
            train(c, config, data, folder, f"data.fold={fold}", resume)
    going_on = ["--resume"] if Path(ROOT, output, "run", "last.pt").is_file() else []
    folders = ("--data", data, "--output", output)
    _member("genre-train", "refit", "--config", config, "--folds", *checkpoints, *folders, *going_on)


@task(help={"checkpoint": "what to score", "data": "data folder"})
def evaluate(c: Context, checkpoint: str = "models/best_model.pt", data: str = DEFAULT_DATA) -> None:
    """Score a checkpoint on the split it was trained with."""
    _member("genre-train", "evaluate", "--checkpoint", checkpoint, "--data", data)


@task(
    help={
        "checkpoint": "what to export",
        "data": "data folder to score audio files of, or to measure variants on",
        "output": "target folder",
        "variants": "instead, measure float16 and int8 variants of what was exported and keep those that pay",
        "triton": "instead, write what was exported as an NVIDIA Triton model repository into this folder",
    }
)
def export(
    c: Context,
    checkpoint: str = "models/best_model.pt",
    data: str = "",
    output: str = "models",
    variants: bool = False,
    triton: str = "",
) -> None:
    """Write the ONNX graphs, the sidecar and the model card, behind the parity gate."""
    instead = ["--variants"] if variants else ["--triton", triton] if triton else []
    scored = ["--data", data] if data else []
    _member("genre-export", "--checkpoint", checkpoint, "--output", output, *scored, *instead)


@task(help={"path": "audio file or folder"})
def classify(c: Context, path: str) -> None:
    """Classify a file or folder: `genre classify` does more."""
    _member("genre", "classify", path)


@task(help={"port": "port to listen on"})
def api(c: Context, port: int = 8000) -> None:
    """Serve the model on this machine."""
    _member("genre-api", "--port", str(port))


@task
def gui(c: Context) -> None:
    """Open the desktop window."""
    _member("genre-gui")


@task(help={"port": "the only port of the service; by default 8000, or a free one if that is taken"})
def app(c: Context, port: int = 0) -> None:
    """Start the service and open the desktop window on it; closing the window ends both."""
    _ready()
    command = [str(BIN / "genre-app"), *(["--port", str(port)] if port else [])]
    if os.name == "nt":
        _run(*command)
    else:  # in the place of this process, so that whoever ends it ends the window, and with it the service
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606  # a fixed argument list


@task
def golden(c: Context) -> None:
    """Make the golden values again; review the difference before committing it."""
    _ready()
    _run(PYTHON, "tests/golden/make.py")


@task
def parity(c: Context) -> None:
    """Measure the shipped model's front ends and graphs against each other: tests/parity/README.md."""
    _ready()
    _run(PYTHON, "-m", "tests.parity")


@task(help={"pythons": "names of programs, space between them"})
def wheel(c: Context, pythons: str = "python3.11 python3.12 python3.13") -> None:
    """Build the runtime's wheel and run its tests in new environments that hold nothing else."""
    _ready()
    _run(PYTHON, "-m", "tests.wheel", "--pythons", *pythons.split())


@task(
    help={
        "only": "names of measures, space between them",
        "quick": "a few small files",
        "write_docs": "replace the table in docs/speed.md",
    }
)
def bench(c: Context, only: str = "", quick: bool = False, write_docs: bool = False) -> None:
    """Measure speed and memory against the targets: tests/benchmarks/README.md."""
    named = ["--only", *only.split()] if only else []
    flags = [*(["--quick"] if quick else []), *(["--write-docs"] if write_docs else [])]
    _ready()
    _run(PYTHON, "-m", "tests.benchmarks", *named, *flags)


@task(
    help={
        "soak": "instead, a light load for long",
        "minutes": "length of the soak",
        "quick": "tiny files, short",
        "write_docs": "replace the table in docs/speed.md",
    }
)
def bench_api(
    c: Context, soak: bool = False, minutes: float = 30, quick: bool = False, write_docs: bool = False
) -> None:
    """Load the HTTP service with wrk, beside the package on the same files: docs/speed.md."""
    flags = [*(["--quick"] if quick else []), *(["--write-docs"] if write_docs else [])]
    what = ["soak", "--minutes", str(minutes)] if soak else ["load"]
    _ready()
    _run(PYTHON, "-m", "tests.benchmarks.api", *what, *flags)


@task(help={"inputs": "mutated files to try", "seed": "another seed, other mutants"})
def fuzz(c: Context, inputs: int = 50_000, seed: int = 0) -> None:
    """Hand mutated audio files and models to every entry point: tests/fuzz/README.md."""
    _ready()
    _run(PYTHON, "-m", "tests.fuzz", "--inputs", str(inputs), "--seed", str(seed))


@task
def check(c: Context) -> None:
    """Lint, types and the arrows between members."""
    _ready()
    _run(PYTHON, "-m", "ruff", "check")
    _run(PYTHON, "-m", "ruff", "format", "--check")
    _run(PYTHON, "-m", "mypy")
    _run(BIN / "lint-imports", "--no-cache")


@task(pre=[check], help={"only": "an expression that chooses tests, as pytest -k takes it"})
def test(c: Context, only: str = "") -> None:
    """Set up if needed, check, then run every test."""
    _run(PYTHON, "-m", "pytest", *(["-k", only] if only else []))


def _member(command: str, *arguments: str) -> None:
    _ready()
    _run(BIN / command, *arguments)


def _ready() -> None:
    """Set up first if that was never done, or the pins have changed since: with Ray or without, as it was chosen."""
    if is_set_up():
        return
    choice = _stamp()[1]
    if choice in (WITH_RAY, WITHOUT_RAY):
        setup(Context(), ray=choice == WITH_RAY)
    else:  # the first time, or the last one was by an older version of this file
        setup(Context())


def is_set_up() -> bool:
    """Tell whether .venv is what `setup` would make now."""
    return _stamp()[0] == _wanted()


def _stamp() -> tuple[str, str]:
    """Return what the last `setup` installed from, and its choice of Ray; empty where there was none."""
    digest, _, choice = (STAMP.read_text(encoding="utf-8") if STAMP.is_file() else "").partition("\n")
    return digest, choice.strip()


def _wanted() -> str:
    """Digest of everything `setup` installs from."""
    files = ["constraints.txt", "tests/requirements.txt", *(f"{member}/pyproject.toml" for member in MEMBERS)]
    return hashlib.sha256(b"".join((ROOT / file).read_bytes() for file in files)).hexdigest()


def _extra(member: str, ray: bool) -> str:
    if member == "runtime":
        return "[cpu,library,ray]" if ray else "[cpu,library]"
    return "[drop,play]" if member == "gui" else ""


def _run(*command: str | Path) -> None:
    try:
        status = subprocess.run([str(part) for part in command], cwd=ROOT).returncode
    except KeyboardInterrupt:  # the command was interrupted as well and has said what it had to say
        status = 130
    if status:
        raise Exit(code=status)


def _repair_torchaudio() -> None:
    """Let torchaudio's Python part work beside a CPU build of torch.

    Its wheel carries an extension compiled against CUDA, which fails to load there; without the folder
    torchaudio takes the extension for not available, and nothing used here needs it.
    """
    probe = (
        "import torch, importlib.util, pathlib\n"
        "try:\n"
        "    import torchaudio\n"
        "except OSError:\n"
        "    spec = importlib.util.find_spec('torchaudio')\n"
        "    print(pathlib.Path(spec.origin).parent / 'lib' if torch.version.cuda is None else '')\n"
    )
    result = subprocess.run([str(PYTHON), "-c", probe], capture_output=True, text=True, check=True)
    extension = Path(result.stdout.strip() or os.devnull)
    if extension.is_dir() and extension.is_relative_to(VENV):
        shutil.rmtree(extension)
        print(f"torch is a CPU build: removed torchaudio's CUDA extension, {extension.relative_to(ROOT)}")


def _install_system_packages() -> None:
    """Install what the tests of the window and of the page need on Linux, if allowed; else say what lacks."""
    if not sys.platform.startswith("linux"):
        return
    packages = [] if shutil.which("Xvfb") else ["xvfb"]
    if not any(map(shutil.which, BROWSERS)):
        packages.append("chromium")
    if not shutil.which("curl"):
        packages.append("curl")
    if subprocess.run([str(PYTHON), "-c", "import tkinter"], capture_output=True).returncode:
        packages.append("python3-tk")
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(packages)} with apt-get")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet)
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
        # One by one: a system that lacks one of them, as some lack Chromium, still gets the others.
        packages = [name for name in packages if subprocess.run([*install, name], env=quiet).returncode]
    if packages:
        print(f"some tests of the window or the page will be skipped: install {' and '.join(packages)} to run them")
