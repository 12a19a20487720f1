"""What a planted fault is, and the two ways to spoil a statement.

Called by `faults.py` and `faults_of_schedules.py`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.sim.world import Plant

Patch = Callable[[pytest.MonkeyPatch], None]
Edit = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong. `tells` is a part of the sentence that a run must turn red with."""

    name: str
    tells: str
    statements: dict[str, Edit] = field(default_factory=dict)
    schema: tuple[str, ...] = ()
    splits_verbs: bool = False
    patch: Patch | None = None
    # Where to look, if it is not everywhere: fields of the plan.
    emphasis: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def planted(self) -> Iterator[Plant]:
        """Put it in, for the length of a `with` block."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            if self.patch is not None:
                self.patch(monkeypatch)
            yield Plant(
                statements=self.statements,
                schema=self.schema,
                splits_verbs=self.splits_verbs,
                emphasis=self.emphasis,
            )


def instead(pattern: str, text: str) -> Edit:
    """Write something else for a part of a statement.

    In the pattern `?` stands for a parameter, which the text can name as in a regular expression.
    All of them must stay, for the driver counts them.
    """
    expression = re.escape(pattern).replace(r"\?", r"(\?\d+)")
    return lambda statement: re.sub(expression, text, statement)


def never(statement: str) -> str:
    """Let a statement find no row, or write none."""
    if statement.startswith("INSERT"):
        return re.sub(r"VALUES\s*\(([^()]*)\)", r"SELECT \1 WHERE 0 = 1", statement)
    return statement.replace("WHERE ", "WHERE 0 = 1 AND ", 1)
