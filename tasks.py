"""Tasks of the project: `invoke --list` lists them, `invoke TASK --help` explains one.

They run in `.venv`, which `invoke setup` creates; only invoke has to be installed before.
"""

from __future__ import annotations

import hashlib
import os
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
OLDEST, NEWEST = (3, 11), (3, 14)
DEFAULT_DATA = os.environ.get("GENRE_DATA", "data")
TRAINING_HELP = {
    "config": "recipe: a TOML file or the name of a built-in one",
    "data": "data folder, or a CSV manifest",
    "output": "output folder",
    "change": "changed values of the recipe, such as 'training.epochs=5 training.batch_size=32'",
    "init": "weights to start from: a file, or a name",
}


@task(help={"ray": "install Ray, half a gigabyte, and run its tests (default: on Linux)"})
def setup(c: Context, ray: bool = sys.platform.startswith("linux")) -> None:
    """Create .venv with all members and the test tools, at the pinned versions."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Exit(f"Python {sys.version.split()[0]} found: expected 3.11 to 3.14")
    if not PYTHON.exists():
        print(f"creating {VENV}")
        venv.create(VENV, with_pip=True)
    extras = {"runtime": "[cpu,library,watch,ray]" if ray else "[cpu,library,watch]", "gui": "[drop,play]"}
    members = [word for member in MEMBERS for word in ("--editable", f"./{member}{extras.get(member, '')}")]
    pins = ("--constraint", "constraints.txt", "--requirement", "tests/requirements.txt")
    # Python compiles a module when it is first imported; compiling all of torch and Ray takes a minute.
    _run(PYTHON, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check", *pins, *members)
    _run(PYTHON, "-m", "tests.environment")
    STAMP.write_text(f"{_wanted()}\n{WITH_RAY if ray else WITHOUT_RAY}\n", encoding="utf-8")


@task(help={"subset": "small, medium or large", "data": "data folder", "keep_archives": "keep the zip files"})
def data(c: Context, subset: str = "medium", data: str = DEFAULT_DATA, keep_archives: bool = False) -> None:
    """Download FMA, the training data, and unpack it; an interrupted download is continued."""
    _member("genre-train", "data", "--subset", subset, "--data", data, *_flags(keep_archives=keep_archives))


@task(help={**TRAINING_HELP, "resume": "continue an interrupted run"})
def train(
    c: Context,
    config: str = "default",
    data: str = DEFAULT_DATA,
    output: str = "models",
    change: str = "",
    init: str = "",
    resume: bool = False,
) -> None:
    """Train a recipe; write best_model.pt and a report of the run."""
    changes = _recipe_changes(change, init)
    folders = ("--data", data, "--output", output)
    _member("genre-train", "train", "--config", config, *folders, *changes, *_flags(resume=resume))


@task(help={**TRAINING_HELP, "runs": "folder for the folds"})
def crossvalidate(
    c: Context,
    config: str = "default",
    data: str = DEFAULT_DATA,
    output: str = "models",
    runs: str = "runs",
    change: str = "",
    init: str = "",
) -> None:
    """Train a recipe on five folds for its figures, then on all clips; an interrupted run is continued."""
    checkpoints = [f"{runs}/fold{fold}/best_model.pt" for fold in range(5)]
    for fold, checkpoint in enumerate(checkpoints):
        if not Path(ROOT, checkpoint).is_file():
            folder = str(Path(checkpoint).parent)
            resume = Path(ROOT, folder, "run", "last.pt").is_file()
            train(c, config, data, folder, f"{change} data.fold={fold}", init, resume)
    more = _flags(resume=Path(ROOT, output, "run", "last.pt").is_file())
    changes = _recipe_changes(change, init)
    folders = ("--data", data, "--output", output)
    _member("genre-train", "refit", "--config", config, "--folds", *checkpoints, *folders, *changes, *more)


@task(help={"audio": "checkpoints of the audio branch", "picture": "checkpoints of the picture branch"})
def fuse(c: Context, audio: str, picture: str, data: str = DEFAULT_DATA, output: str = "models") -> None:
    """Join an audio branch and a picture branch into one model."""
    branches = ("--audio", *audio.split(), "--picture", *picture.split())
    _member("genre-train", "fuse", *branches, "--data", data, "--output", output)


@task(help={"checkpoint": "trained model", "data": "data folder (default: that of the training, if it is known)"})
def evaluate(c: Context, checkpoint: str = "models/best_model.pt", data: str = "") -> None:
    """Score a checkpoint on the split that it was trained with."""
    known = Path(ROOT, checkpoint).parent / "run" / "data_folder.txt"
    folder = data or ("" if known.is_file() else DEFAULT_DATA)
    _member("genre-train", "evaluate", "--checkpoint", checkpoint, *(["--data", folder] if folder else []))


@task(
    help={
        "checkpoint": "trained model",
        "data": "data folder: score its audio files, or measure variants on its clips",
        "output": "folder of the published model",
        "variants": "instead, make float16 and int8 variants of the published model and keep those that pass",
        "triton": "instead, write the published model into this folder as a model repository of NVIDIA Triton",
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
    """Write the ONNX graphs, the sidecar and the model card, if the parity gate passes."""
    instead = ["--variants"] if variants else ["--triton", triton] if triton else []
    scored = ["--data", data] if data else []
    _member("genre-export", "--checkpoint", checkpoint, "--output", output, *scored, *instead)


@task(help={"path": "audio file or folder"})
def classify(c: Context, path: str) -> None:
    """Classify a file or folder; `genre classify` has more options."""
    _member("genre", "classify", path)


@task(help={"port": "port to listen on"})
def api(c: Context, port: int = 8000) -> None:
    """Start the HTTP service on this machine."""
    _member("genre-api", "--port", str(port))


@task
def gui(c: Context) -> None:
    """Open the desktop window."""
    _member("genre-gui")


@task(help={"port": "port of the service (default: 8000, or a free port if it is taken)"})
def app(c: Context, port: int = 0) -> None:
    """Start the service and a desktop window that uses it; closing the window stops both."""
    _ready()
    command = [str(BIN / "genre-app"), *(["--port", str(port)] if port else [])]
    if os.name == "nt":
        _run(*command)
    else:  # replaces this process, so that a signal reaches the window, which stops the service
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606  # a fixed argument list


@task
def golden(c: Context) -> None:
    """Compute the golden values again; review the difference before you commit it."""
    _python("tests/golden/make.py")


@task
def parity(c: Context) -> None:
    """Measure the differences between the front ends and graphs of the shipped model: tests/parity/README.md."""
    _python("-m", "tests.parity")


@task(help={"pythons": "Python programs, separated by spaces"})
def wheel(c: Context, pythons: str = "python3.11 python3.12 python3.13 python3.14") -> None:
    """Build the wheel of the runtime and test it in environments that contain nothing else."""
    _python("-m", "tests.wheel", "--pythons", *pythons.split())


@task
def docs(c: Context) -> None:
    """Build the documentation site into site/: docs/build_site.py."""
    _python("docs/build_site.py")


@task
def standalone(c: Context) -> None:
    """Build a folder with window, command and model that needs no Python into build/standalone/: docs/window.md."""
    _python("gui/standalone/build.py")


@task(help={"version": "version to release (default: the stated one)", "write": "set it, and leave the files in dist/"})
def release(c: Context, version: str = "", write: bool = False) -> None:
    """Check changelog, versions, wheels and source archives of all members; without --write nothing is changed."""
    _python("-m", "tests.release", *(["--version", version] if version else []), *_flags(write=write))


@task(help={"only": "names of measurements", "quick": "a few small files", "write_docs": "update docs/speed.md"})
def bench(c: Context, only: str = "", quick: bool = False, write_docs: bool = False) -> None:
    """Measure speed and memory: tests/benchmarks/README.md."""
    named = ["--only", *only.split()] if only else []
    _python("-m", "tests.benchmarks", *named, *_flags(quick=quick, write_docs=write_docs))


@task(help={"soak": "a light load for a long time", "quick": "a short load", "write_docs": "update docs/speed.md"})
def bench_api(
    c: Context, soak: bool = False, minutes: float = 30, quick: bool = False, write_docs: bool = False
) -> None:
    """Load the HTTP service with wrk, and compare it with the package on the same files: docs/speed.md."""
    what = ["soak", "--minutes", str(minutes)] if soak else ["load"]
    _python("-m", "tests.benchmarks.api", *what, *_flags(quick=quick, write_docs=write_docs))


@task(help={"inputs": "number of damaged inputs", "seed": "seed of the damage"})
def fuzz(c: Context, inputs: int = 50_000, seed: int = 0) -> None:
    """Give damaged audio files and models to every entry point: tests/fuzz/README.md."""
    _python("-m", "tests.fuzz", "--inputs", str(inputs), "--seed", str(seed))


@task
def check(c: Context) -> None:
    """Run the linter, the type checker and the check of the imports between members."""
    _python("-m", "ruff", "check")
    _python("-m", "ruff", "format", "--check")
    _python("-m", "mypy")
    _run(BIN / "lint-imports", "--no-cache")


@task(pre=[check], help={"only": "expression that selects tests, as for pytest -k"})
def test(c: Context, only: str = "") -> None:
    """Set up if necessary, check, then run all tests, one file per process at a time."""
    number = str(min(4, (os.cpu_count() or 1) + 1))  # one more than cores: many tests wait
    processes = ("-n", number, "--dist", "loadfile", "--no-loadscope-reorder")
    _python("-m", "pytest", *processes, *(["-k", only] if only else []))


def _recipe_changes(change: str, init: str) -> list[str]:
    return [*(["--init", init] if init else []), *(["--set", *change.split()] if change else [])]


def _flags(**options: bool) -> list[str]:
    """Return the command-line flags of the options that are set."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value]


def _member(command: str, *arguments: str) -> None:
    _ready()
    _run(BIN / command, *arguments)


def _python(*arguments: str) -> None:
    _ready()
    _run(PYTHON, *arguments)


def _ready() -> None:
    """Run `setup` if it has not been run or the pins have changed, with the same choice of Ray as before."""
    choice = _stamp()[1]  # empty the first time
    if not is_set_up():
        setup(Context(), **({"ray": choice == WITH_RAY} if choice in (WITH_RAY, WITHOUT_RAY) else {}))


def is_set_up() -> bool:
    """Return whether .venv is up to date."""
    return _stamp()[0] == _wanted()


def _stamp() -> tuple[str, str]:
    """Return the digest of the last `setup` and its choice of Ray; empty if there was none."""
    digest, _, choice = (STAMP.read_text(encoding="utf-8") if STAMP.is_file() else "").partition("\n")
    return digest, choice.strip()


def _wanted() -> str:
    """Return the digest of all files that `setup` installs from."""
    files = ["constraints.txt", "tests/requirements.txt", *(f"{member}/pyproject.toml" for member in MEMBERS)]
    return hashlib.sha256(b"".join((ROOT / file).read_bytes() for file in files)).hexdigest()


def _run(*command: str | Path) -> None:
    try:
        status = subprocess.run([str(part) for part in command], cwd=ROOT).returncode
    except KeyboardInterrupt:  # the command was interrupted too and has reported it
        status = 130
    if status:
        raise Exit(code=status)
