"""What files give, cost and take: `python -m tests.fuzz.cases FOLDER` prints a table in Markdown.

Each file is classified by the `genre` command that belongs to this Python and, in a process of its own, through the
package. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.01
"""Memory is looked at so often."""

PACKAGE = """
import json, os, sys
from genre_runtime import GenreClassifier
from genre_runtime.errors import GenreError
classifier = GenreClassifier.load(os.environ["GENRE_MODEL"], device="cpu")
try:
    answer = classifier.classify_file(sys.argv[1]).to_dict()
except GenreError as error:
    answer = {"error": {"message": str(error)}}
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Cost:
    """What a process printed, the most memory of it and its children at one look, and the time; None: it hung."""

    answer: dict[str, Any] | None
    peak_bytes: int
    seconds: float


def measure(command: list[str | Path], patience: float) -> Cost:
    """Run a command that prints a JSON object; it is killed with all that it started when patience is at an end."""
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, sum(_resident(one) for one in _family(process.pid)))
        if time.monotonic() - began > patience:
            os.killpg(process.pid, 9)
            process.wait()
            return Cost(None, peak, time.monotonic() - began)
        time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    answer: dict[str, Any] = json.loads(lines[0]) if lines else {"error": {"message": f"status {process.returncode}"}}
    return Cost(answer, peak, seconds)


def _family(process: int) -> list[int]:
    found = [process]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _resident(process: int) -> int:
    with suppress(OSError, StopIteration), open(f"/proc/{process}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
    return 0


def _seconds(cost: Cost) -> str:
    duration = (cost.answer or {}).get("duration_seconds")
    return "" if duration is None else f"{duration:.1f}"


def words(cost: Cost) -> str:
    """Say what the answer is: a genre and what is remarked about it, or an error."""
    if cost.answer is None:
        return "**none: it hangs**"
    if "error" in cost.answer:
        return f"error: {cost.answer['error']['message'].replace('|', '/')}"
    answer = cost.answer
    said = f"{answer['label']} {answer['confidence']:.0%}"
    announced = answer.get("announced_seconds")
    claim = "" if announced is None else f"of {announced:.1f} s announced"
    return "; ".join(part for part in (said, answer["reason"], claim) if part)


def row(path: Path, folder: Path, patience: float) -> str:
    """Measure a file and return its row."""
    genre = Path(sys.executable).with_name("genre")
    command = measure([genre, "classify", path, "--format", "jsonl"], patience)
    package = measure([sys.executable, "-c", PACKAGE, path], patience)
    same = words(command) == words(package) and _seconds(command) == _seconds(package)
    cells = (
        f"`{path.relative_to(folder)}`",
        _seconds(command),
        f"{command.peak_bytes / 1e6:.0f} / {package.peak_bytes / 1e6:.0f}",
        f"{command.seconds:.1f} / {package.seconds:.1f}",
        words(command) if same else f"{words(command)} (package: {words(package)}, {_seconds(package)} s)",
    )
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for a file, default %(default)g")
    parser.add_argument("--model", type=Path, help="graph of the model, default the one of this checkout")
    options = parser.parse_args(arguments)
    model = options.model or Path(__file__).parents[2] / "models" / "best_model.onnx"
    os.environ["GENRE_MODEL"] = os.environ.get("GENRE_MODEL", str(model.absolute()))
    print("| file | seconds analysed | peak MB, command / package | wall s, command / package | answer |")
    print("|---|---|---|---|---|")
    for path in sorted(options.folder.rglob("*")):
        if path.is_file() and path.suffix not in (".md", ".txt"):
            print(row(path, options.folder, options.patience), flush=True)


if __name__ == "__main__":
    main()
