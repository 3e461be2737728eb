"""Measures of the structure of a checkout: modules, lines, imports, circles, parameter tables and private names.

The source text is read, never imported, so that any checkout can be measured. The definitions:

- The product is every package directly inside a member's folder, such as `runtime/genre_runtime`.
- A module is a .py file with code. An `__init__.py` that holds only a docstring is not one, though its lines count.
- Code lines exclude blank lines, comments and strings that stand alone (docstrings).
- The import graph has an edge for each import of a module of the product, wherever it stands: at module level, under
  `TYPE_CHECKING` or inside a function. `from package import name` is an import of the module `package.name` if there
  is one, otherwise of `package`. A module does not import the packages that contain it merely by its own place, and
  names imported from a string (`import_module`) are not seen.
- A circle is a strongly connected component of more than one module. An import circle is one that remains when imports
  under `TYPE_CHECKING` and inside functions are left out.
- A public function is a function of a module or a method of a public class whose name does not begin with an underscore
  and that has at least one parameter besides `self` or `cls` whose name does not begin with an underscore. Excluded are
  nested functions, properties, overloads, and overrides: methods that a base class in the product also has, with a
  docstring of at most one line.
- A public function is documented if the numpydoc section `Parameters` or `Other Parameters` of its docstring names all
  parameters.
- A private name is one that begins with a single underscore and belongs to another top-level package that is not of the
  standard library: imported, an attribute of what is imported, or an attribute of `self` that only a base class of
  such a package can have set.
- The words of README.md are those of a member's own in the column of the member, and of the repository's in that of the
  whole.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.architecture.modules import Function, Module, definitions, last_name

MEMBERS = ("runtime", "training", "export", "api", "gui")
WHOLE = "whole"
SHORT_LINES = 60
LONG_LINES = 500

_NAMES_LINE = re.compile(r"\\?\*{0,2}\w+(\s*,\s*\\?\*{0,2}\w+)*\s*(:|$)")
_PARAMETER_SECTIONS = {"Parameters", "Other Parameters"}
_PROPERTY_DECORATORS = {"property", "cached_property", "setter", "getter", "deleter", "overload"}


@dataclass(frozen=True)
class PublicFunction:
    """A public function with parameters, and the parameters that its docstring does not name."""

    name: str
    line: int
    undocumented: tuple[str, ...]


@dataclass(frozen=True)
class PrivateName:
    """A private name of another package."""

    name: str
    line: int


class Product:
    """All modules of a checkout, with the graph of their imports.

    Parameters
    ----------
    files : sequence of Module
        All Python files, those without code included.
    readme_words : mapping of str to int, optional
        Words of README.md by member, and of the repository's for the whole.
    """

    def __init__(self, files: Sequence[Module], readme_words: Mapping[str, int] | None = None) -> None:
        self.files = list(files)
        self.readme_words = dict(readme_words or {})
        self.modules = {module.name: module for module in files if module.code_lines}
        self._named = {module.name: module for module in files}

    def imports(self, *, immediate: bool = False) -> dict[str, set[str]]:
        """Return which modules of the product each one imports.

        Parameters
        ----------
        immediate : bool
            Leave out imports under `TYPE_CHECKING` and inside functions.
        """
        graph: dict[str, set[str]] = {name: set() for name in self.modules}
        for name, module in self.modules.items():
            for one in module.imports:
                target = f"{one.target}.{one.name}" if f"{one.target}.{one.name}" in self._named else one.target
                if target in self.modules and target != name and (one.immediate or not immediate):
                    graph[name].add(target)
        return graph

    @cached_property
    def importers(self) -> dict[str, set[str]]:
        """The modules that import each module."""
        found: dict[str, set[str]] = {name: set() for name in self.modules}
        for name, targets in self.imports().items():
            for target in targets:
                found[target].add(name)
        return found

    @cached_property
    def circles(self) -> list[list[str]]:
        """Circles of imports of all kinds."""
        return circles(self.imports())

    @cached_property
    def import_circles(self) -> list[list[str]]:
        """Circles without imports under `TYPE_CHECKING` and inside functions."""
        return circles(self.imports(immediate=True))

    def public_functions(self, module: Module) -> Iterator[PublicFunction]:
        """Find the public functions and methods with parameters.

        Parameters
        ----------
        module : Module
            One of this product's.
        """
        for node in definitions(module.tree.body):
            if isinstance(node, Function):
                yield from _public(node, node.name, _parameters(node))
            elif not node.name.startswith("_"):
                inherited = {name for base in self._bases(module, node) for name in _methods(base[1])}
                for method in (one for one in node.body if isinstance(one, Function)):
                    if method.name in inherited and "\n" not in (ast.get_docstring(method) or ""):
                        continue
                    bound = "staticmethod" not in _decorators(method)
                    yield from _public(method, f"{node.name}.{method.name}", _parameters(method)[bound:])

    def private_names(self, module: Module) -> list[PrivateName]:
        """Find the private names of other packages that a module uses.

        Parameters
        ----------
        module : Module
            One of this product's.
        """
        own = module.name.split(".")[0]
        found = set()
        for one in module.imports:
            name = f"{one.target}.{one.name}" if one.name else one.target
            if _foreign(name, own) and any(map(_private, name.split("."))):
                found.add((name, one.line))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and _private(node.attr):
                source = self._origin(module, node.value)
                if source is not None and _foreign(source, own):
                    found.add((f"{source}.{node.attr}", node.lineno))
            elif isinstance(node, ast.ClassDef):
                found.update(self._private_of_bases(module, node))
        return sorted((PrivateName(name, line) for name, line in found), key=lambda one: (one.line, one.name))

    def _private_of_bases(self, module: Module, node: ast.ClassDef) -> Iterator[tuple[str, int]]:
        """Private attributes of `self` that neither the class nor a base class in the product sets."""
        family = [(module, node), *self._bases(module, node)]
        sources = [self._origin(one, base) for one, cls in family for base in cls.bases]
        packages = {name.split(".")[0] for name in self._named}
        foreign = [source for source in sources if source is not None and _foreign(source, *packages)]
        if not foreign:
            return
        own = {name for _, cls in family for name in _members(cls)}
        for one in ast.walk(node):
            if isinstance(one, ast.Attribute) and _private(one.attr) and one.attr not in own:
                this = isinstance(one.value, ast.Name) and one.value.id == "self"
                above = isinstance(one.value, ast.Call) and last_name(one.value.func) == "super"
                if this or above:
                    yield f"{foreign[0]}.{one.attr}", one.lineno

    def _origin(self, module: Module, node: ast.expr) -> str | None:
        """The dotted name of what an expression stands for, if it begins with an imported name."""
        if isinstance(node, ast.Name):
            return module.imported_names.get(node.id)
        if isinstance(node, ast.Attribute):
            above = self._origin(module, node.value)
            return above and f"{above}.{node.attr}"
        if isinstance(node, ast.Subscript):
            return self._origin(module, node.value)
        return None

    def _bases(self, module: Module, node: ast.ClassDef) -> list[tuple[Module, ast.ClassDef]]:
        """The base classes in the product, theirs included."""
        found: list[tuple[Module, ast.ClassDef]] = []
        waiting = [(module, node)]
        while waiting:
            here, cls = waiting.pop()
            for base in cls.bases:
                one = self._class(here, base)
                if one is not None and one not in found:
                    found.append(one)
                    waiting.append(one)
        return found

    def _class(self, module: Module, base: ast.expr) -> tuple[Module, ast.ClassDef] | None:
        base = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(base, ast.Name) and base.id in module.classes:
            return module, module.classes[base.id]
        origin = self._origin(module, base)
        seen = set()
        while origin is not None and origin not in seen:  # a package may export what another module defines
            seen.add(origin)
            home, _, name = origin.rpartition(".")
            if home not in self._named:
                return None
            if name in self._named[home].classes:
                return self._named[home], self._named[home].classes[name]
            origin = self._named[home].imported_names.get(name)
        return None


def read_product(repo: Path) -> Product:
    """Read all Python files of the product.

    Parameters
    ----------
    repo : Path
        Root of a checkout.

    Raises
    ------
    FileNotFoundError
        No member has a package.
    SyntaxError
        A file is not Python, or newer than the Python that measures.
    """
    files = []
    for member in MEMBERS:
        for package in sorted(path.parent for path in (repo / member).glob("*/__init__.py")):
            for path in sorted(package.rglob("*.py")):
                parts = path.relative_to(package.parent).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                files.append(Module(name, member, path.relative_to(repo), path.read_text(encoding="utf-8")))
    if not files:
        expected = ", ".join(f"{member}/PACKAGE/__init__.py" for member in MEMBERS)
        raise FileNotFoundError(f"{repo} holds no package of the product: expected at least one of {expected}")
    readmes = {member: _words(repo / member / "README.md") for member in MEMBERS}
    return Product(files, {**readmes, WHOLE: _words(repo / "README.md")})


def measures(product: Product, member: str = WHOLE) -> dict[str, float]:
    """Measure one member, or the whole product.

    Parameters
    ----------
    product : Product
        What `read_product` returns.
    member : str
        Folder of the member. A circle belongs to each member that has a module in it.

    Returns
    -------
    dict of str to float
        The rows of the table in their order.
    """
    files = [one for one in product.files if member in (WHOLE, one.member)]
    modules = [one for one in files if one.name in product.modules]
    lengths = [one.lines for one in modules]
    names = {one.name for one in modules}
    functions = [one for module in modules for one in product.public_functions(module)]
    lines = sum(one.lines for one in files)
    return {
        "modules": len(modules),
        "product lines": lines,
        "code lines": sum(one.code_lines for one in files),
        "modules per 1,000 lines": 1000 * len(modules) / max(lines, 1),
        "median module": median(lengths or [0]),
        "longest module": max(lengths, default=0),
        f"modules below {SHORT_LINES} lines": sum(length < SHORT_LINES for length in lengths),
        f"modules above {LONG_LINES} lines": sum(length > LONG_LINES for length in lengths),
        "modules imported by one other": sum(len(product.importers[name]) == 1 for name in names),
        "circles": sum(bool(names.intersection(circle)) for circle in product.circles),
        "import circles": sum(bool(names.intersection(circle)) for circle in product.import_circles),
        "public functions": len(functions),
        "parameter tables, %": 100 * sum(not one.undocumented for one in functions) / max(len(functions), 1),
        "private names of others": sum(len(product.private_names(one)) for one in modules),
        "words of README.md": product.readme_words.get(member, 0),
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Find the strongly connected components of more than one module (Tarjan 1972).

    Parameters
    ----------
    graph : mapping of str to set of str
        The modules that each module imports.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            start = stack.index(name)
            component = sorted(stack[start:])
            del stack[start:]
            if len(component) > 1:
                found.append(component)

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(found)


def documented_parameters(docstring: str) -> set[str]:
    """Return the names in the numpydoc sections of parameters, without asterisks.

    Parameters
    ----------
    docstring : str
        As it stands in the source; indentation is removed.
    """
    lines = inspect.cleandoc(docstring).splitlines()
    names: set[str] = set()
    section = ""
    for line, below in pairwise([*lines, ""]):
        if re.fullmatch(r"-{3,}\s*", below):
            section = line.strip()
        elif section in _PARAMETER_SECTIONS and _NAMES_LINE.match(line):
            names.update(re.findall(r"\w+", line.partition(":")[0]))
    return names


def _public(node: Function, name: str, parameters: Sequence[str]) -> Iterator[PublicFunction]:
    parameters = [parameter for parameter in parameters if not parameter.startswith("_")]
    if node.name.startswith("_") or not parameters or _PROPERTY_DECORATORS & _decorators(node):
        return
    named = documented_parameters(ast.get_docstring(node, clean=False) or "")
    yield PublicFunction(name, node.lineno, tuple(one for one in parameters if one not in named))


def _parameters(node: Function) -> list[str]:
    found = [*node.args.posonlyargs, *node.args.args, node.args.vararg, *node.args.kwonlyargs, node.args.kwarg]
    return [argument.arg for argument in found if argument is not None]


def _decorators(node: Function) -> set[str]:
    return {last_name(one.func if isinstance(one, ast.Call) else one) for one in node.decorator_list}


def _methods(node: ast.ClassDef) -> Iterator[str]:
    yield from (one.name for one in node.body if isinstance(one, Function))


def _members(node: ast.ClassDef) -> Iterator[str]:
    """Names that a class defines: methods, class variables, annotations and attributes set on `self`."""
    yield from _methods(node)
    for one in ast.walk(node):
        if isinstance(one, ast.Name | ast.Attribute) and isinstance(one.ctx, ast.Store):
            yield last_name(one)


def _foreign(name: str, *own: str) -> bool:
    top = name.split(".")[0]
    return top not in own and top not in sys.stdlib_module_names


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _words(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").split()) if path.exists() else 0
