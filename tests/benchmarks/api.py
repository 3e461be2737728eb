"""`python -m tests.benchmarks.api load|soak`: the HTTP service under load; needs wrk, and Linux for memory.

Exit status: 0 everything was measured, met or not; 1 something could not be; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.__main__ import DEFAULT_CORES, DEFAULT_OUTPUT
from tests.benchmarks.machine import available_cores, describe, pin


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the files, and return the exit status."""
    options = _parser().parse_args(arguments)
    cores = min(DEFAULT_CORES, available_cores())
    pin(cores)  # NumPy counts cores when it is imported, which everything below does
    from genre_runtime.errors import GenreError
    from tests.benchmarks.api_table import load_table, soak_table, write_table

    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    machine = {**describe(cores), "load_average": load_before}
    try:
        facts = _load(options, cores) if options.what == "load" else _soak(options, cores)
        table = load_table(facts, machine) if options.what == "load" else soak_table(facts, machine)
        print(table)
        options.output.mkdir(parents=True, exist_ok=True)
        plain = json.dumps({"machine": machine, **facts}, indent=2, default=asdict)
        (options.output / f"api_{options.what}.json").write_text(plain + "\n", encoding="utf-8")
        if options.write_docs:
            write_table(options.what, table)
    except KeyboardInterrupt:
        return 130
    except (GenreError, OSError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    return 0


def _load(options: argparse.Namespace, cores: int) -> dict[str, Any]:
    from tests.benchmarks.api_load import FULL, QUICK, against_the_package, levels
    from tests.benchmarks.material import Material

    plan, material = QUICK if options.quick else FULL, Material(options.material)
    return {
        "plan": plan,
        "compared": against_the_package(plan, cores, material),
        "levels": list(levels(plan, cores, material)),
    }


def _soak(options: argparse.Namespace, cores: int) -> dict[str, Any]:
    from tests.benchmarks.api_soak import soak
    from tests.benchmarks.material import Material

    seconds = 2 if options.quick else 30
    return {"soak": soak(60 * options.minutes, cores, Material(options.material), seconds)}


def _parser() -> argparse.ArgumentParser:
    from tests.benchmarks.material import DEFAULT_FOLDER

    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.api", description="The HTTP service under the load of wrk."
    )
    parser.add_argument("what", choices=("load", "soak"), help="rising load for minutes, or a light one for long")
    parser.add_argument("--minutes", type=float, default=30, help="length of the soak (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="tiny files, short: does everything work?")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="FOLDER", help="for the JSON file")
    parser.add_argument("--material", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="cache of sounds")
    parser.add_argument("--write-docs", action="store_true", help="replace the table in docs/speed.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
