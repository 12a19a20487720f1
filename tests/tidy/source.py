"""Read the Python files that the rules look at.

Called by the rules and by their tests. A rule takes one `Source` and yields a `Finding` for
each place that breaks it, so it can be tried on a text of three lines.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "bench", "examples", "docs")


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence}"


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the root and uses slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def comments(self) -> list[tuple[int, str]]:
        """Every comment with its line."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return [
            (token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT
        ]

    @cached_property
    def docstrings(self) -> list[ast.Constant]:
        """Every docstring, as its node."""
        owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        firsts = [
            node.body[0] for node in ast.walk(self.tree) if isinstance(node, owners) and node.body
        ]
        return [
            first.value
            for first in firsts
            if isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ]

    @property
    def is_product(self) -> bool:
        """Is it part of what is shipped?"""
        return self.path.startswith("src/")

    def finding(self, line: int, sentence: str) -> Finding:
        """Return a finding in this file."""
        return Finding(self.path, line, sentence)


Rule = Callable[[Source], Iterator[Finding]]


def read_sources(root: Path) -> list[Source]:
    """Return every Python file of the project, in order of path."""
    paths = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in paths
    ]
