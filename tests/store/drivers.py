"""The four drivers behind one small synchronous face, so that each test is written once.

Called by the fixtures in conftest.py, and by tests that open a store of their own. A driver runs
verbs; `rows` looks at the tables past it, on a connection of its own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import apsw
import psycopg
from psycopg import sql

from tenure.kernel.ports import Clock, Verb
from tenure.store import migrate
from tenure.store.postgres import PostgresStore
from tenure.store.postgres_options import PostgresOptions
from tenure.store.postgres_sync import PostgresSyncStore
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_session import SqliteOptions
from tenure.store.sqlite_sync import SqliteSyncStore
from tenure.store.statements import Dialect

T = TypeVar("T")

DriverName = Literal["apsw", "apsw_sync", "asyncpg", "psycopg"]
DRIVER_NAMES: tuple[DriverName, ...] = get_args(DriverName)
# One driver for each database, for tests that are about the SQL and not about the driver.
SYNC_NAMES: tuple[DriverName, ...] = ("apsw_sync", "psycopg")

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000

# Whatever holds a reference comes before what it refers to.
TABLES = (
    *("task_event", "attempt", "task_body", "task"),
    *("queue", "worker", "leader"),
    *("schedule", "fire", "calendar", "mark"),
)


class FakeClock:
    """Time that stands still until the test moves it."""

    def __init__(self, now_us: int = START_US) -> None:
        self.time_us = now_us
        self.slept_us = 0
        # How much later it is each time somebody looks: for those who wait in a loop.
        self.tick_us = 0

    def now_us(self) -> int:
        return self.time_us

    def monotonic_us(self) -> int:
        self.slept_us += self.tick_us
        return self.slept_us

    async def sleep(self, us: int) -> None:
        self.slept_us += us

    def pass_s(self, seconds: float) -> None:
        """Move the time; a negative number moves it back."""
        self.time_us += round(seconds * SECOND_US)


class Driver(ABC):
    """One store, open, with the clock it was given."""

    name: DriverName
    dialect: Dialect
    clock: FakeClock

    @abstractmethod
    def run(self, verb: Verb[T]) -> T:
        """Run a verb."""

    @abstractmethod
    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Run a statement past the store, and return its rows."""

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table."""
        return {table: sorted(self.rows(f"SELECT * FROM {table}"), key=repr) for table in TABLES}

    def empty(self) -> None:
        """Delete every row, and set the clock to the start."""
        self.rows("; ".join(f"DELETE FROM {table}" for table in TABLES))
        self.clock.__init__()  # type: ignore[misc]  # to begin anew is what is meant


class _SqliteDriver(Driver):
    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.clock = clock
        self.path = path
        self._watcher = apsw.Connection(str(path))
        self._watcher.set_busy_timeout(5_000)
        self._watcher.pragma("synchronous", "OFF")
        self._watcher.pragma("cache_size", -65536)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self._watcher.execute(text).fetchall()

    def close(self) -> None:
        self._watcher.close()


class ApswDriver(_SqliteDriver):
    name: DriverName = "apsw"

    def __init__(self, path: Path, clock: FakeClock, *, real_clock: Clock | None = None) -> None:
        super().__init__(path, clock)
        self._runner = asyncio.Runner()
        self.store = SqliteStore(sqlite_options(path), real_clock or clock)

    def run(self, verb: Verb[T]) -> T:
        return self._runner.run(self.store.run(verb))

    def close(self) -> None:
        super().close()
        self._runner.run(self.store.close())
        self._runner.close()


class ApswSyncDriver(_SqliteDriver):
    name: DriverName = "apsw_sync"

    def __init__(self, path: Path, clock: FakeClock, *, real_clock: Clock | None = None) -> None:
        super().__init__(path, clock)
        self.store = SqliteSyncStore(sqlite_options(path), real_clock or clock)

    def run(self, verb: Verb[T]) -> T:
        return self.store.run(verb)

    def close(self) -> None:
        super().close()
        self.store.close()


class _PostgresDriver(Driver):
    dialect: Dialect = "postgres"

    def __init__(self, dsn: str, clock: FakeClock) -> None:
        self.clock = clock
        self.dsn = dsn
        self._watcher = psycopg.connect(dsn, autocommit=True)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        cursor = self._watcher.execute(sql.SQL(text))
        return cursor.fetchall() if cursor.description is not None else []

    def close(self) -> None:
        self._watcher.close()


class AsyncpgDriver(_PostgresDriver):
    name: DriverName = "asyncpg"

    def __init__(self, dsn: str, clock: FakeClock, *, uses_store_clock: bool = False) -> None:
        super().__init__(dsn, clock)
        self._runner = asyncio.Runner()
        self.store = PostgresStore(postgres_options(dsn), clock, uses_store_clock=uses_store_clock)
        self._runner.run(self.store.open())

    def run(self, verb: Verb[T]) -> T:
        return self._runner.run(self.store.run(verb))

    def close(self) -> None:
        super().close()
        self._runner.run(self.store.close())
        self._runner.close()


class PsycopgDriver(_PostgresDriver):
    name: DriverName = "psycopg"

    def __init__(self, dsn: str, clock: FakeClock, *, uses_store_clock: bool = False) -> None:
        super().__init__(dsn, clock)
        self.store = PostgresSyncStore(
            postgres_options(dsn), clock, uses_store_clock=uses_store_clock
        )

    def run(self, verb: Verb[T]) -> T:
        return self.store.run(verb)

    def close(self) -> None:
        super().close()
        self.store.close()


def sqlite_options(path: Path, *, busy_us: int = 5 * SECOND_US) -> SqliteOptions:
    """Return options for a file whose loss would not matter."""
    return SqliteOptions(path=path, durable=False, busy_us=busy_us, watch_us=10_000)


def postgres_options(
    dsn: str, *, prepare: bool = True, durable: bool = False, listen: bool = True
) -> PostgresOptions:
    """Return options for a database whose loss would not matter."""
    return PostgresOptions(
        url=dsn,
        durable=durable,
        pool_max=4,
        prepare=prepare,
        listen=listen,
        connect_s=10,
        probe_us=30 * SECOND_US,
        patience_us=10 * SECOND_US,
    )


def open_driver(name: DriverName, *, path: Path, dsn: str) -> Driver:
    """Open a store at the one of the two places that the driver is for, and make its tables."""
    clock = FakeClock()
    driver: Driver
    match name:
        case "apsw":
            driver = ApswDriver(path, clock)
        case "apsw_sync":
            driver = ApswSyncDriver(path, clock)
        case "asyncpg":
            driver = AsyncpgDriver(dsn, clock)
        case "psycopg":
            driver = PsycopgDriver(dsn, clock)
    driver.run(migrate.apply(migrate.migrations(driver.dialect)))
    return driver
