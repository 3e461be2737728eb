"""Command line of the measures of structure: `python -m tests.architecture [--repo FOLDER] [--names FIELD]`.

`structure` defines what is counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tests.architecture.structure import LONG_LINES, MEMBERS, SHORT_LINES, WHOLE, Product, measures, read_product

ROOT = Path(__file__).parents[2]


def table(product: Product) -> str:
    """Lay the measures out: a row each, with a column for each member and one for the whole."""
    columns = [*MEMBERS, WHOLE]
    measured = [measures(product, member) for member in columns]
    rows = [["", *columns]]
    rows += [[name, *(f"{one[name]:,.1f}".removesuffix(".0") for one in measured)] for name in measured[0]]
    wide = max(len(row[0]) for row in rows)
    return "\n".join(row[0].ljust(wide) + "".join(cell.rjust(10) for cell in row[1:]) for row in rows)


def _single(product: Product) -> Iterator[str]:
    for name, module in product.modules.items():
        if len(product.importers[name]) == 1:
            yield f"{module.path}: {module.lines} lines, imported by {next(iter(product.importers[name]))} only"


def _undocumented(product: Product) -> Iterator[str]:
    for module in product.modules.values():
        for one in product.public_functions(module):
            if one.undocumented:
                yield f"{module.path}:{one.line}: {one.name} does not document {', '.join(one.undocumented)}"


def _short(product: Product) -> Iterator[str]:
    for module in sorted(product.modules.values(), key=lambda one: one.lines):
        if module.lines < SHORT_LINES:
            yield f"{module.path}: {module.lines} lines"


def _long(product: Product) -> Iterator[str]:
    for module in sorted(product.modules.values(), key=lambda one: -one.lines):
        if module.lines > LONG_LINES:
            yield f"{module.path}: {module.lines} lines"


def _private(product: Product) -> Iterator[str]:
    for module in product.modules.values():
        for one in product.private_names(module):
            yield f"{module.path}:{one.line}: {one.name}"


NAMES: dict[str, Callable[[Product], Iterable[str]]] = {
    "single": _single,
    "circles": lambda product: map(", ".join, product.circles),
    "import-circles": lambda product: map(", ".join, product.import_circles),
    "undocumented": _undocumented,
    "short": _short,
    "long": _long,
    "private": _private,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or the names behind one of its rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.architecture", description="Measure the product's structure")
    parser.add_argument("--repo", type=Path, default=ROOT, metavar="FOLDER", help="root of a checkout (default: this)")
    parser.add_argument("--names", choices=NAMES, metavar="FIELD", help=f"list what is counted: {', '.join(NAMES)}")
    options = parser.parse_args(arguments)
    try:
        product = read_product(options.repo)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        parser.error(str(error))
    lines = NAMES[options.names](product) if options.names else [table(product)]
    for line in lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
