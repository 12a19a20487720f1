"""Open a store for a command that looks at it or changes a task in it.

Unlike a client, this never makes a database or its tables: a mistyped URL must not leave an
empty file behind and then report that there are no tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tenure.kernel.errors import SchemaError, StoreDownError
from tenure.kernel.ports import SyncStore
from tenure.service.clockwork import SystemClock
from tenure.service.program import Program, run_sync
from tenure.setting_forms import mask_url
from tenure.settings import Settings
from tenure.store import migrate
from tenure.store.open import dialect_of, open_sync, sqlite_options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reached:
    """An open store, and the clock to run programs by."""

    store: SyncStore
    clock: SystemClock

    def run(self, program: Program[T]) -> T:
        """Run a program of `tenure.service`."""
        return run_sync(program, self.store, self.clock)


@contextmanager
def reach(settings: Settings, *, needs_tables: bool = True) -> Iterator[Reached]:
    """Open the store, and close it at the end of the block.

    Raises:
        StoreDownError: it cannot be reached, or is a SQLite file that does not exist.
        SchemaError: it has no tables, or not those of this version, and *needs_tables*.
    """
    dialect = dialect_of(settings.url)
    if dialect == "sqlite" and not (path := sqlite_options(settings).path).exists():
        raise StoreDownError(
            f"there is no SQLite file {path}: check --url, or make it with 'tenure db migrate'"
        )
    clock = SystemClock()
    store = open_sync(settings, clock, check=False)
    try:
        if needs_tables:
            _refuse_without_tables(store.run(migrate.applied()), settings)
        yield Reached(store, clock)
    finally:
        store.close()


def _refuse_without_tables(known: list[migrate.Applied] | None, settings: Settings) -> None:
    if known is None:
        raise SchemaError(
            f"{mask_url(settings.url)} has no tables of Tenure's: check --url, or make them with "
            "'tenure db migrate'"
        )
    migrate.refuse_mismatch(known, migrate.migrations(dialect_of(settings.url)))
