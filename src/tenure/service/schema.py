"""What can be asked about the tables: their version, what is pending, and drift.

Drift is found by making the tables anew from the migrations, in a place that is thrown away:
a SQLite database in memory, or the temporary schema of a transaction that is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tenure.kernel.errors import SchemaError
from tenure.kernel.ports import Clock, Steps, SyncStore, Verb, transaction
from tenure.service.program import Program
from tenure.settings import Settings
from tenure.store import migrate
from tenure.store.migrate import Applied, Migration
from tenure.store.open import dialect_of, postgres_options, sqlite_options
from tenure.store.statements import Dialect

# The table that a line of a description is about, in the words of each database.
_TABLE_OF_LINE = (
    re.compile(r"(?:column|constraint) (\w+)\."),
    re.compile(r"(?:index|trigger) \S+ .*? ON (?:ONLY )?\"?(\w+)"),
    re.compile(r"(?:table|view) (\w+)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """How the tables of a database stand to the migrations of this version.

    `known` is None for a database without our tables. `unknown` were applied by another
    version; `edited` were applied from a file that differs from ours.
    """

    known: list[Applied] | None
    pending: list[Migration]
    unknown: list[Applied]
    edited: list[Applied]

    @property
    def number(self) -> int | None:
        """The number of the newest migration that is applied, if one is."""
        return max((each.number for each in self.known or ()), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How the tables differ from what their migrations make, as lines of description."""

    missing: list[str]
    extra: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra)


def state(dialect: Dialect) -> Program[SchemaState]:
    """Return how the tables stand.

    Raises:
        SchemaError: a table of our name is not ours.
    """
    known: list[Applied] | None = yield migrate.applied()
    available = migrate.migrations(dialect)
    ours = {each.number: each for each in available}
    return SchemaState(
        known=known,
        pending=migrate.pending(known, available),
        unknown=[each for each in known or () if each.number not in ours],
        edited=[
            each
            for each in known or ()
            if each.number in ours and ours[each.number].checksum != each.checksum
        ],
    )


def apply(wanted: Sequence[Migration]) -> Program[list[Migration]]:
    """Apply migrations that are not applied yet, under a lock. Return those that were."""
    applied_now: list[Migration] = yield migrate.apply(wanted)
    return applied_now


def description() -> Program[list[str]]:
    """Return the tables of the database as lines of text."""
    lines: list[str] = yield migrate.describe()
    return lines


def expected_description(settings: Settings, known: Sequence[Applied], clock: Clock) -> list[str]:
    """Return the lines that the applied migrations make of an empty database.

    Raises:
        StoreError: there is no place to make them: a standby, for one, has no temporary tables.
    """
    done = {each.number for each in known}
    wanted = [each for each in migrate.migrations(dialect_of(settings.url)) if each.number in done]
    store = _scratch(settings, clock)
    try:
        store.run(_describe_and_undo(wanted))
    except _UndoneError as undone:
        return undone.lines
    finally:
        store.close()
    raise SchemaError("the migrations could not be tried out")


def compare(actual: Sequence[str], expected: Sequence[str]) -> Drift:
    """Return the differences, leaving out tables that are not ours."""
    ours = {_table(line) for line in expected}
    ours_now = {line for line in actual if _table(line) in ours}
    return Drift(missing=sorted(set(expected) - ours_now), extra=sorted(ours_now - set(expected)))


class _UndoneError(Exception):
    """Carries the lines out of a transaction that must not be written."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("undone on purpose")
        self.lines = lines


def _describe_and_undo(wanted: Sequence[Migration]) -> Verb[None]:
    @transaction
    def verb() -> Steps[None]:
        yield from migrate.apply(wanted)
        raise _UndoneError((yield from migrate.describe()))

    return verb()


def _scratch(settings: Settings, clock: Clock) -> SyncStore:
    if dialect_of(settings.url) == "sqlite":
        from tenure.store.sqlite_sync import SqliteSyncStore

        return SqliteSyncStore(
            replace(sqlite_options(settings), path=Path(":memory:"), durable=False), clock
        )
    from tenure.store.postgres_sync import PostgresSyncStore

    # With nothing else on the path, every table lands in the connection's temporary schema.
    options = postgres_options(settings)
    mark = "&" if "?" in options.url else "?"
    url = f"{options.url}{mark}options=-csearch_path%3Dpg_temp"
    return PostgresSyncStore(replace(options, url=url), clock)


def _table(line: str) -> str:
    for pattern in _TABLE_OF_LINE:
        found = pattern.match(line)
        if found is not None:
            return found[1]
    return line
