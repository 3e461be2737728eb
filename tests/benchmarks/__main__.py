"""`python -m tests.benchmarks`: measure speed and memory of the runtime, side by side with what they are compared to.

Exit status: 0 everything was measured, met or not; 1 a measure failed; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.machine import available_cores, describe, pin

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.figures import Figure

SCHEMA_VERSION = 1
DEFAULT_CORES = 2
DEFAULT_OUTPUT = Path(".cache/benchmarks")
BUSY = 0.5
"""Load average from which on the figures are spoilt."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print the table, write the files, and return the exit status."""
    cores = min(DEFAULT_CORES, available_cores())
    # OpenBLAS counts cores when NumPy is imported, which everything below does.
    pin(cores)
    from tests.benchmarks.bench import FULL, QUICK, Bench

    options = _parser().parse_args(arguments)
    if options.write_docs and (options.quick or options.only):
        _parser().error("--write-docs needs a whole run: leave out --quick and --only")
    bench = Bench(QUICK if options.quick else FULL, cores, options.material)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(UTC).date().isoformat(),
        "quick": options.quick,
        "machine": describe(cores),
        "plan": asdict(bench.plan),
    }
    load = facts["machine"]["load_average"]
    if load is not None and load > BUSY:
        _say(f"the machine is busy (load average {load}): what is measured now is worth little")
    figures, failed, interrupted = _measure(bench, options.only)
    facts |= {"interrupted": interrupted, "failed": failed, "figures": [one.to_dict() for one in figures]}
    return _publish(facts, figures, options)


def _measure(bench: Bench, only: Sequence[str] | None) -> tuple[list[Figure], dict[str, str], bool]:
    """Take the measures; one that fails is named and the others go on."""
    from genre_runtime.errors import GenreError
    from tests.benchmarks.measures import MEASURES

    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name, measure in MEASURES.items():
        if only and name not in only:
            continue
        try:
            _say(f"measuring {name} ...")
            figures += measure(bench)
        except KeyboardInterrupt:
            _say(f"interrupted during {name}; what was measured before follows")
            return figures, failed, True
        except (GenreError, OSError) as error:
            failed[name] = str(error)
            _say(f"{name} was not measured: {error}")
    return figures, failed, False


def _publish(facts: dict[str, Any], figures: Sequence[Figure], options: argparse.Namespace) -> int:
    from genre_runtime.errors import GenreError
    from tests.benchmarks.table import DOCUMENT, markdown, terminal, write_readme

    if facts["quick"]:
        _say("a quick run shows that everything works; its figures mean nothing")
    print(terminal(figures))
    complete = not facts["interrupted"] and not facts["failed"]
    try:
        table = markdown(figures, facts["date"], facts["machine"])
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "results.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (options.output / "table.md").write_text(table + "\n", encoding="utf-8")
        _say(f"written: results.json and table.md in {options.output}")
        if options.write_docs and complete:
            write_readme(table)
            _say(f"written: the table in {DOCUMENT.name}")
    except (GenreError, OSError) as error:
        _say(str(error))
        return 1
    if options.write_docs and not complete:
        _say(f"{DOCUMENT.name} is left as it was: not everything was measured")
    return 130 if facts["interrupted"] else 1 if facts["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    from tests.benchmarks.material import DEFAULT_FOLDER
    from tests.benchmarks.measures import MEASURES, described

    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=f"Speed and memory of the runtime, on {DEFAULT_CORES} cores. Sides that are compared run in turn.",
        epilog=f"measures:\n{described()}\n\nCtrl-C prints what was measured until then.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help="take these measures alone")
    parser.add_argument("--quick", action="store_true", help="a few tiny files: does everything work?")
    parser.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, metavar="FOLDER", help="for results.json and table.md"
    )
    parser.add_argument(
        "--material", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="cache of sounds (default: %(default)s)"
    )
    parser.add_argument("--write-docs", action="store_true", help="replace the table in docs/speed.md")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
