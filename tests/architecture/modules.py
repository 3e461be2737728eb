"""A Python file of the product as text: its lines, imports and classes. It is read, never imported."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """What an import statement names, and whether it is imported when its module is.

    Parameters
    ----------
    target : str
        Dotted name of a module or package.
    name : str or None
        Imported from there; None for `import target`.
    line : int
        Line of the statement.
    immediate : bool
        False under `TYPE_CHECKING` and inside functions.
    """

    target: str
    name: str | None
    line: int
    immediate: bool


@dataclass
class Module:
    """A Python file of the product.

    Parameters
    ----------
    name : str
        Dotted name; of an `__init__.py` that of its package.
    member : str
        Folder of the member at the top of the repository.
    path : Path
        Relative to the repository.
    text : str
        Source of the file.
    """

    name: str
    member: str
    path: Path
    text: str
    tree: ast.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text, filename=str(self.path))

    @cached_property
    def lines(self) -> int:
        """Number of lines."""
        return len(self.text.splitlines())

    @cached_property
    def code_lines(self) -> int:
        """Number of lines without blank lines, comments and docstrings."""
        alone = [
            (node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ]
        used: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            first, last = token.start[0], token.end[0]
            docstring = token.type == tokenize.STRING and any(a <= first and last <= b for a, b in alone)
            if token.type not in _NOT_CODE and not docstring:
                used.update(range(first, last + 1))
        blank = {number for number, line in enumerate(self.text.splitlines(), 1) if not line.strip()}
        return len(used - blank)

    @cached_property
    def imports(self) -> list[Import]:
        """All imports, of this product or of others, with relative ones resolved."""
        return list(self._imports_in(self.tree, immediate=True))

    def _imports_in(self, parent: ast.AST, immediate: bool) -> Iterator[Import]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, None, node.lineno, immediate) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = self._source(node)
                yield from (Import(source, alias.name, node.lineno, immediate) for alias in node.names)
            elif isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
                yield from self._imports_in(ast.Module(node.body, []), immediate=False)
                yield from self._imports_in(ast.Module(node.orelse, []), immediate)
            else:
                yield from self._imports_in(node, immediate and not isinstance(node, Function | ast.Lambda))

    def _source(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        up = node.level - (self.path.name == "__init__.py")
        return ".".join([*package[: len(package) - up], *filter(None, [node.module])])

    @cached_property
    def imported_names(self) -> dict[str, str]:
        """What each name that an import binds stands for, as a dotted name."""
        bound: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    bound[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    bound[alias.asname or alias.name] = f"{self._source(node)}.{alias.name}"
        return bound

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Classes at module level."""
        return {node.name: node for node in definitions(self.tree.body) if isinstance(node, ast.ClassDef)}


def definitions(body: Sequence[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield functions and classes at module level, also those under an `if` or `try`.

    Parameters
    ----------
    body : sequence of ast.stmt
    """
    for node in body:
        if isinstance(node, Function | ast.ClassDef):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions([*node.body, *node.orelse])


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, empty for any other expression.

    Parameters
    ----------
    node : ast.expr
    """
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
