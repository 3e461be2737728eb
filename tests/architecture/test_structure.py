"""The structure of the product stays within limits, and the script that measures it counts right.

`python -m tests.architecture` prints all measures; with `--names` it lists what is counted.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.__main__ import NAMES, ROOT, main
from tests.architecture.structure import Product, documented_parameters, measures, read_product

LIMITS = {
    "modules": ("<=", 200),  # 130 before two branches, tags, teaching, watching, integrations, a client and languages
    "code lines": ("<=", 28_500),  # product lines would count parameter tables
    "longest module": ("<=", 500),
    "modules below 60 lines": ("<=", 8),
    "modules imported by one other": ("<=", 57),
    "circles": ("<=", 0),
    "import circles": ("<=", 0),
    "parameter tables, %": (">=", 99),
    "private names of others": ("<=", 0),
    "words of README.md": ("<=", 900),
}
LISTED_AS = {
    "longest module": "long",
    "modules below 60 lines": "short",
    "modules imported by one other": "single",
    "circles": "circles",
    "import circles": "import-circles",
    "parameter tables, %": "undocumented",
    "private names of others": "private",
}
COMPARISONS = {"<=": operator.le, ">=": operator.ge}

PACKAGE = {
    "runtime/shop/__init__.py": '"""Sells."""\n',
    "runtime/shop/stock.py": '''"""Goods."""

# a comment
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shop.till import Till


def count(till: Till, goods: str = """two

lines""") -> int:
    """Count goods.

    Parameters
    ----------
    till, goods : object
        Both at once.
    """
    return 1


def undocumented(goods: int, *, rest: int) -> int:
    """Say little.

    Parameters
    ----------
    goods : int
        A number, but rest : int is not a line of names.
    """

    def nested(value: int) -> int:
        return value

    return nested(goods)


def no_parameters() -> int:
    return 1


def _private(value: int) -> int:
    return value
''',
    "runtime/shop/till.py": '''from .stock import _private, count


class Till:
    def open(self, key: str, *keys: str, **more: str) -> None:
        """Open.

        Parameters
        ----------
        key : str
        *keys, **more : str
        """

    def close(self, key: str) -> None:
        """Close."""

    @property
    def total(self) -> int:
        return count(self, "")

    @total.setter
    def total(self, value: int) -> None: ...

    @staticmethod
    def add(price: int, **tax: int) -> None: ...

    @classmethod
    def make(cls) -> None: ...


class _Hidden:
    def open(self, key: str) -> None: ...
''',
    "runtime/shop/lazy.py": """def first() -> None:
    from shop import later

if later:
    def second(value: int) -> int: ...
""",
    "runtime/shop/later.py": "import shop.later\nimport shop.lazy\n",
    "api/counter/__init__.py": "from .desk import Desk as Desk\n",
    "api/counter/desk.py": '''import os
import server.parts
from server import Server, _tools
from shop.till import Till


class Desk(Till):
    def close(self, key: str) -> None:
        """Close with a bell."""

    def ring(self, bell: str) -> None:
        os._exit(1)


class Place(Server):
    def __init__(self) -> None:
        self._mine = 1

    def serve(self) -> None:
        print(self._mine, self._theirs, self.public, server.parts._inner, self.__dict__)
''',
    "README.md": "Three plain words\n",
}


@pytest.fixture(scope="module")
def measured() -> Mapping[str, float]:
    return measures(read_product(ROOT))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def product(repo: Path) -> Product:
    return read_product(repo)


@pytest.mark.parametrize("measure", LIMITS)
def test_structure_is_within_its_limits(measured: Mapping[str, float], measure: str) -> None:
    relation, limit = LIMITS[measure]
    listed = f"; --names {LISTED_AS[measure]} lists them" if measure in LISTED_AS else ""
    assert COMPARISONS[relation](measured[measure], limit), (
        f"{measure}: found {measured[measure]:,g}, expected {relation} {limit:,}: "
        f"see `python -m tests.architecture`{listed}"
    )


def test_init_with_only_a_docstring_is_no_module(product: Product) -> None:
    assert set(product.modules) == {"shop.stock", "shop.till", "shop.lazy", "shop.later", "counter", "counter.desk"}
    assert measures(product)["product lines"] == sum(text.count("\n") for text in PACKAGE.values()) - 1  # README.md


def test_code_lines_have_no_docstrings_comments_or_blank_lines(product: Product) -> None:
    # 4 of imports, 3 of `count` with its text of two lines, 4, 2 and 2 of the other functions
    assert product.modules["shop.stock"].code_lines == 15
    assert product.modules["shop.later"].code_lines == 2


def test_circles_of_all_imports_and_of_immediate_ones(product: Product, repo: Path) -> None:
    assert product.circles == [["shop.later", "shop.lazy"], ["shop.stock", "shop.till"]]
    assert product.import_circles == []
    (repo / "runtime/shop/stock.py").write_text("from shop import till\n", encoding="utf-8")
    assert read_product(repo).import_circles == [["shop.stock", "shop.till"]]


def test_importers_are_counted_across_members(product: Product) -> None:
    assert product.importers["shop.till"] == {"shop.stock", "counter.desk"}
    assert measures(product)["modules imported by one other"] == 4  # all but that and `counter`
    assert measures(product, "api")["modules imported by one other"] == 1


def test_public_functions_and_their_tables(product: Product) -> None:
    found = {
        f"{name}.{one.name}": one.undocumented
        for name, module in product.modules.items()
        for one in product.public_functions(module)
    }
    assert found == {
        "shop.stock.count": (),
        "shop.stock.undocumented": ("rest",),
        "shop.lazy.second": ("value",),
        "shop.till.Till.open": (),
        "shop.till.Till.close": ("key",),
        "shop.till.Till.add": ("price", "tax"),
        "counter.desk.Desk.ring": ("bell",),
    }
    assert measures(product)["parameter tables, %"] == pytest.approx(200 / 7)


def test_private_names_of_other_packages(product: Product) -> None:
    assert product.private_names(product.modules["shop.till"]) == []
    names = [one.name for one in product.private_names(product.modules["counter.desk"])]
    assert names == ["server._tools", "server.Server._theirs", "server.parts._inner"]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Say.", set()),
        ("Say.\n\n    Parameters\n    ----------\n    a, *b : int\n        c : no name\n    d\n", {"a", "b", "d"}),
        ("Say.\n\nParameters\n----------\na : int\n\nReturns\n-------\nb : int\n", {"a"}),
        ("Say.\n\nOther Parameters\n----------------\na : int\n", {"a"}),
    ],
)
def test_parameters_sections(docstring: str, expected: set[str]) -> None:
    assert documented_parameters(docstring) == expected


def test_command_prints_a_column_for_each_member(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repo", str(repo)]) == 0
    rows = {line[:30].strip(): line[30:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows[""] == ["runtime", "training", "export", "api", "gui", "whole"]
    assert rows["modules"] == ["4", "0", "0", "2", "0", "6"]
    assert rows["words of README.md"] == ["0", "0", "0", "0", "0", "3"]


def test_command_lists_names(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = {}
    for field in NAMES:
        assert main(["--repo", str(repo), "--names", field]) == 0
        printed[field] = capsys.readouterr().out.splitlines()
    assert printed["circles"] == ["shop.later, shop.lazy", "shop.stock, shop.till"]
    path = Path("runtime/shop/stock.py")
    assert f"{path}: 45 lines, imported by shop.till only" in printed["single"]
    assert f"{path}:25: undocumented does not document rest" in printed["undocumented"]
    assert len(printed["short"]) == 6
    assert printed["import-circles"] == printed["long"] == []


@pytest.mark.parametrize("text", [None, "def"])
def test_command_says_what_it_cannot_measure(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "gui/window").mkdir(parents=True)
        (tmp_path / "gui/window/__init__.py").write_text(text)
    with pytest.raises(SystemExit):
        main(["--repo", str(tmp_path)])
    assert ("no package" if text is None else "__init__.py") in capsys.readouterr().err
