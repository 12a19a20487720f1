"""Measure Python files, and rank what was measured. Pure but for reading the one file.

Called by the handlers in census.py, and by nothing else of Tenure: this is the part that you
would replace by work of your own.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

# A package of two files says nothing about habits.
DEFINITIONS_MIN = 50

# What is odd in a file that is only read is not our business, and would litter the log.
warnings.filterwarnings("ignore", category=SyntaxWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning, message="invalid escape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """Where a function stands and how long it is."""

    file: str
    name: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one file came to. With a fault, it could not be parsed, and that is why."""

    file: str
    lines: int = 0
    functions: int = 0
    longest: Function | None = None
    definitions: int = 0  # the module, its classes and its functions
    documented: int = 0  # those of them that have a docstring
    imports: tuple[str, ...] = ()
    fault: str = ""

    @property
    def package(self) -> str:
        """The folder at the top that the file is in, or the module that it is."""
        return PurePosixPath(self.file).parts[0].removesuffix(".py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The files of one package together."""

    name: str
    files: int
    lines: int
    functions: int
    definitions: int
    documented: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The table at the end: sums, and the first few of each order."""

    files: int
    lines: int
    functions: int
    largest: list[Package]
    longest: list[Function]
    least_documented: list[Package]
    most_imported: list[tuple[str, int]]
    unreadable: list[tuple[str, str]]


def measure(root: Path, file: str) -> Measurement:
    """Return what *file* below *root* holds; one that cannot be parsed is not an error."""
    try:
        source = (root / file).read_bytes()
        lines = len(source.splitlines())
    except OSError as error:
        return Measurement(file=file, fault=f"{type(error).__name__}: {error.strerror}")
    try:
        tree = ast.parse(source, filename=file)
    # A wrong encoding is a SyntaxError too; the others are a null byte and very deep nesting.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Measurement(file=file, lines=lines, fault=f"{type(error).__name__}: {error}")
    nodes = list(_statements(tree))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    documentable = [tree, *functions, *(n for n in nodes if isinstance(n, ast.ClassDef))]
    lengths = [_function(file, node) for node in functions]
    return Measurement(
        file=file,
        lines=lines,
        functions=len(functions),
        longest=min(lengths, key=_by_length, default=None),
        definitions=len(documentable),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in documentable),
        imports=tuple(sorted({name for node in nodes for name in _imported(node)})),
    )


def rank(measurements: Iterable[Measurement], *, top: int = 8) -> Ranking:
    """Return the ranking, the same for whatever order the measurements come in."""
    found = sorted(measurements, key=lambda each: (each.package, each.file))
    packages = [
        _package(name, list(files)) for name, files in groupby(found, lambda each: each.package)
    ]
    told = [package for package in packages if package.definitions >= DEFINITIONS_MIN]
    imports = Counter(name for each in found for name in each.imports)
    return Ranking(
        files=len(found),
        lines=sum(each.lines for each in found),
        functions=sum(each.functions for each in found),
        largest=sorted(packages, key=lambda each: (-each.lines, each.name))[:top],
        longest=sorted((each.longest for each in found if each.longest), key=_by_length)[:top],
        least_documented=sorted(told, key=lambda p: (p.documented / p.definitions, p.name))[:top],
        most_imported=sorted(imports.items(), key=lambda entry: (-entry[1], entry[0]))[:top],
        unreadable=[(each.file, each.fault) for each in found if each.fault],
    )


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every statement at any depth. No expression holds one, so none is looked into."""
    found: list[ast.AST] = [tree]
    while found:
        node = found.pop()
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            found.extend(getattr(node, field, ()))


def _function(file: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return Function(file=file, name=node.name, line=node.lineno, lines=lines)


def _by_length(function: Function) -> tuple[int, str, int]:
    return (-function.lines, function.file, function.line)


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the packages that a statement imports; a relative import stays within its own."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name.partition(".")[0] for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module.partition(".")[0]


def _package(name: str, files: list[Measurement]) -> Package:
    return Package(
        name=name,
        files=len(files),
        lines=sum(each.lines for each in files),
        functions=sum(each.functions for each in files),
        definitions=sum(each.definitions for each in files),
        documented=sum(each.documented for each in files),
    )
