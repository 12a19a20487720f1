"""Bring the tables to the version this code needs, and tell whether they are.

Files `sql/<dialect>/migrations/NNNN_name.<phase>.sql` are the only truth about the tables.
A *before* migration cannot be seen by the previous release's code, so it is applied while
that still runs; an *after* migration can, and waits until no old process is left.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from tenure.kernel.errors import SchemaError
from tenure.kernel.ports import Script, Statement, Steps, read, transaction
from tenure.store.statements import Dialect

Phase = Literal["before", "after"]
MIGRATIONS_MAX = 10_000

_FILE = re.compile(r"(\d{4})_(\w+)\.(before|after)\.sql\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered change of the tables."""

    number: int
    name: str
    phase: Phase
    text: str

    @property
    def checksum(self) -> str:
        """What tells an edited file from the one that was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A migration as the database remembers it."""

    number: int
    name: str
    phase: str
    checksum: str
    applied_at_us: int


def migrations(dialect: Dialect) -> list[Migration]:
    """Return all migrations of a dialect, in order."""
    found: list[Migration] = []
    folder = resources.files("tenure.store") / "sql" / dialect / "migrations"
    for file in folder.iterdir():
        parts = _FILE.match(file.name)
        if parts is None:
            continue
        phase: Phase = "before" if parts[3] == "before" else "after"
        found.append(
            Migration(
                number=int(parts[1]),
                name=parts[2],
                phase=phase,
                text=file.read_text(encoding="utf-8"),
            )
        )
    found.sort(key=lambda migration: migration.number)
    return found


@read
def applied() -> Steps[list[Applied] | None]:
    """Return what has been applied, or None if the database has none of our tables.

    Raises:
        SchemaError: there are tables with our names that no migration of ours made.
    """
    tables = [row[0] for row in (yield Statement("own_tables", {}))]
    if not tables:
        return None
    if "migration" not in tables:
        raise SchemaError(
            f"the database has a table {tables[0]!r} that is not Tenure's: use another database, "
            "or another schema (for PostgreSQL: ?options=-csearch_path%3Dtenure)"
        )
    found = yield Statement("applied_migrations", {"limit": MIGRATIONS_MAX})
    return [
        Applied(number=row[0], name=row[1], phase=row[2], checksum=row[3], applied_at_us=row[4])
        for row in found
    ]


@transaction
def apply(wanted: Sequence[Migration]) -> Steps[list[Migration]]:
    """Apply what is not applied yet, under a lock. Return what was."""
    yield Statement("lock_schema", {})
    known = yield from applied()
    done = {each.number for each in known or ()}
    applied_now: list[Migration] = []
    for migration in wanted:
        if migration.number in done:
            continue
        yield Script(migration.text)
        yield Statement(
            "record_migration",
            {
                "number": migration.number,
                "name": migration.name,
                "phase": migration.phase,
                "checksum": migration.checksum,
            },
        )
        applied_now.append(migration)
    return applied_now


@read
def describe() -> Steps[list[str]]:
    """Return the tables, columns, indexes and constraints as lines of text, in order."""
    found = yield Statement("describe_schema", {})
    # Sorted here and not by the database, whose locale would have a say in it.
    return sorted(" ".join(str(row[0]).split()) for row in found)


def pending(
    known: Sequence[Applied] | None, available: Sequence[Migration], *, phase: Phase | None = None
) -> list[Migration]:
    """Return what is still to be applied, of one phase or of both."""
    done = {each.number for each in known or ()}
    return [
        migration
        for migration in available
        if migration.number not in done and phase in (None, migration.phase)
    ]


def refuse_mismatch(known: Sequence[Applied], available: Sequence[Migration]) -> None:
    """Check that this code can work with the tables as they are.

    Raises:
        SchemaError: they are too old, too new, or were made by other files than ours.
    """
    ours = {migration.number: migration for migration in available}
    for each in known:
        mine = ours.get(each.number)
        if mine is None and each.phase == "after":
            raise SchemaError(
                f"the tables are too new: migration {each.number:04} ({each.name}) is applied, "
                "and this version does not know it; upgrade Tenure here too"
            )
        if mine is not None and mine.checksum != each.checksum:
            raise SchemaError(
                f"migration {each.number:04} ({each.name}) was applied from another file than "
                "this version has: the database was made by another build; restore a backup, or "
                "run the version that made it"
            )
    missing = pending(known, available, phase="before")
    if missing:
        raise SchemaError(
            f"the tables are too old: {len(missing)} migration(s) from {missing[0].number:04} "
            f"({missing[0].name}) on are missing; run 'tenure db migrate'"
        )
