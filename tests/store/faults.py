"""Plant a fault in a statement or in a migration, in memory, and open a store that has it.

Called by test_faults.py, which shows that for each guard in the SQL some test fails without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tenure.store import migrate, statements
from tenure.store.migrate import Migration
from tenure.store.statements import Dialect
from tests.store.drivers import ApswSyncDriver, Driver, FakeClock, PsycopgDriver

BOTH: tuple[Dialect, ...] = ("sqlite", "postgres")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One guard taken away, and the test that must then fail."""

    where: str
    old: dict[Dialect, str]
    new: dict[Dialect, str] = field(default_factory=dict)
    check: Callable[..., None]
    arguments: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in the list of tests."""
        text = " ".join(next(iter(self.old.values())).split())
        return f"{self.where}: {text[:60]}"

    def mutate(self, text: str, dialect: Dialect) -> str:
        """Return the text with the fault in it."""
        old = self.old[dialect]
        assert old in text, f"{old!r} is not in {self.where} of {dialect}"
        return text.replace(old, self.new.get(dialect, ""))


def without(
    where: str,
    old: str | dict[Dialect, str],
    new: str | dict[Dialect, str] = "",
    *,
    check: Callable[..., None],
    arguments: tuple[Any, ...] = (),
) -> Fault:
    """Return the fault of leaving *old* out, or of having *new* there instead."""
    olds = old if isinstance(old, dict) else dict.fromkeys(BOTH, old)
    news = new if isinstance(new, dict) else dict.fromkeys(olds, new)
    return Fault(where=where, old=olds, new=news, check=check, arguments=arguments)


def on_postgres(text: str) -> dict[Dialect, str]:
    """Return a text of PostgreSQL's statement, for a guard that SQLite does not need."""
    return {"postgres": text}


def each(sqlite: str, postgres: str) -> dict[Dialect, str]:
    """Return a text of a statement that differs between the dialects."""
    return {"sqlite": sqlite, "postgres": postgres}


@contextmanager
def statement_fault(fault: Fault, dialect: Dialect) -> Iterator[None]:
    """Let every store that is opened meanwhile have a faulty statement."""
    sound = statements._merged

    def merged(asked: Dialect) -> dict[str, str]:
        texts = dict(sound(asked))
        if asked == dialect:
            texts[fault.where] = fault.mutate(texts[fault.where], dialect)
        return texts

    with (
        patch.object(statements, "_merged", merged),
        patch.object(statements, "_compiled", statements._compiled.__wrapped__),
    ):
        yield


def faulty_migrations(fault: Fault, dialect: Dialect) -> list[Migration]:
    """Return the migrations with the fault in the one that is named in it."""
    return [
        replace(each, text=fault.mutate(each.text, dialect)) if each.name == fault.where else each
        for each in migrate.migrations(dialect)
    ]


def open_beside(driver: Driver) -> Driver:
    """Open another store on the tables of an open one."""
    if isinstance(driver, PsycopgDriver):
        return PsycopgDriver(driver.dsn, FakeClock())
    assert isinstance(driver, ApswSyncDriver)
    return ApswSyncDriver(driver.path, FakeClock())


def compiles(driver: Driver, name: str) -> bool:
    """Ask the database whether the statement is one; a fault must be in what it says."""
    compiled = statements.load(driver.dialect, store_clock=False)[name]
    if driver.dialect == "sqlite":
        return bool(driver.rows("EXPLAIN " + re.sub(r"\?\d+", "NULL", compiled.text)))
    driver.rows(f"PREPARE faulty AS {compiled.text}")
    driver.rows("DEALLOCATE faulty")
    return True


def open_new(dialect: Dialect, *, path: Path, dsn: str) -> Driver:
    """Open a store on an empty database."""
    return (
        ApswSyncDriver(path, FakeClock())
        if dialect == "sqlite"
        else PsycopgDriver(dsn, FakeClock())
    )
