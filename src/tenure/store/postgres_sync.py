"""PostgreSQL for synchronous users: psycopg, and verbs on connections that are not ours."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tenure.kernel.errors import (
    ConflictError,
    SchemaError,
    StoreBusyError,
    StoreDownError,
    StoreError,
)
from tenure.kernel.ports import Clock, Mode, Rows, Verb
from tenure.setting_forms import mask_url
from tenure.store.postgres_options import PostgresOptions
from tenure.store.postgres_steps import FAILED_TRANSACTION, texts
from tenure.store.statements import Compiled, load

T = TypeVar("T")

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]


_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[StoreError], str], ...] = (
    (
        (errors.UndefinedTable, errors.UndefinedColumn),
        SchemaError,
        "the database has not the tables this version needs; run 'tenure db migrate'",
    ),
    (
        (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction),
        StoreDownError,
        "the database does not let us write",
    ),
    (
        (errors.DiskFull, errors.OutOfMemory),
        StoreDownError,
        "the database server is out of room",
    ),
    ((errors.InFailedSqlTransaction,), StoreError, FAILED_TRANSACTION),
    # What is left of these: connection, deadlock, lock, shutdown, serialization.
    ((psycopg.OperationalError,), StoreBusyError, "the database could not do it now"),
)


class PostgresSyncStore:
    """The sync side: a small set of connections, usable from any thread."""

    def __init__(
        self, options: PostgresOptions, clock: Clock, *, uses_store_clock: bool = True
    ) -> None:
        self.dialect = "postgres"
        self._options = options
        self._clock = clock
        self._statements = load("postgres", store_clock=uses_store_clock)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(options.pool_max)
        self._idle.append(self._connect())
        _stores.add(self)

    def run(self, verb: Verb[T]) -> T:
        """Run one verb; see `kernel.ports.SyncStore`."""
        try:
            with self._connection() as connection:
                if verb.mode is not Mode.TRANSACTION:
                    return feed(verb, connection, self._statements, self._clock)
                with connection.transaction():
                    return feed(verb, connection, self._statements, self._clock)
        except psycopg.Error as error:
            raise translated(error) from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def begin_anew(self) -> None:
        """Forget the connections after a fork: they are the parent's, and so is their end.

        To close one here would tell the server that the parent has gone.
        """
        _parents.extend(self._idle)
        self._idle = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._options.pool_max)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._places:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or connection.closed or connection.broken:
                connection = self._connect()
            try:
                yield connection
            finally:
                if connection.closed or connection.broken:
                    connection.close()
                else:
                    with self._lock:
                        self._idle.append(connection)

    def _connect(self) -> Connection:
        options = self._options
        try:
            return psycopg.connect(
                _conninfo(options),
                autocommit=True,
                prepare_threshold=2 if options.prepare else None,
            )
        except psycopg.Error as error:
            raise StoreDownError(f"cannot open {mask_url(options.url)}: {error}") from error


_stores: weakref.WeakSet[PostgresSyncStore] = weakref.WeakSet()
# Connections of the process that we were forked from, kept because to drop one is to close it.
_parents: list[Connection] = []


def _begin_anew() -> None:
    for store in list(_stores):
        store.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


def _conninfo(options: PostgresOptions) -> str:
    """Return the URL with what we ask for added to what it asks for itself."""
    timeout_s = max(2, int(options.connect_s))
    settings = options.server_settings
    if not settings:
        return make_conninfo(options.url, connect_timeout=timeout_s)
    name = settings.pop("application_name")
    given = conninfo_to_dict(options.url).get("options")
    switches = [f"-c {key}={value}" for key, value in settings.items()]
    return make_conninfo(
        options.url,
        connect_timeout=timeout_s,
        application_name=name,
        options=" ".join([str(given), *switches] if given else switches),
    )


def feed(verb: Verb[T], connection: Connection, statements: dict[str, Compiled], clock: Clock) -> T:
    """Run a verb's statements on a connection, in whatever transaction it is in."""
    steps = verb.steps
    asked = 0
    try:
        step = next(steps)
        # A borrowed connection may make its rows as it likes; we read them by position.
        with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
            while True:
                asked += 1
                assert asked == 1 or verb.mode is not Mode.SINGLE, f"{verb.name} is not single"
                for text, values in texts(step, statements, clock):
                    cursor.execute(text, values)
                step = steps.send(_rows(cursor))
    except StopIteration as stop:
        value: T = stop.value
        return value


async def feed_async(
    verb: Verb[T], connection: AsyncConnection, statements: dict[str, Compiled], clock: Clock
) -> T:
    """As `feed`, on an async connection of psycopg."""
    steps = verb.steps
    try:
        step = next(steps)
        async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
            while True:
                rows: Rows = ()
                for text, values in texts(step, statements, clock):
                    await cursor.execute(text, values)
                if cursor.description is not None:
                    rows = await cursor.fetchall()
                step = steps.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value


def run_within(
    verb: Verb[T], connection: Connection, statements: dict[str, Compiled], clock: Clock
) -> T:
    """Run a verb on a borrowed connection, in its transaction; after an error nothing stands."""
    try:
        if verb.mode is not Mode.TRANSACTION:
            return feed(verb, connection, statements, clock)
        if _is_outside(connection):
            with connection.transaction():
                return feed(verb, connection, statements, clock)
        # Not `connection.transaction()`: where psycopg is to begin by itself, that would commit.
        connection.execute("SAVEPOINT tenure")
        try:
            value = feed(verb, connection, statements, clock)
        except BaseException:
            if not connection.broken:
                connection.execute("ROLLBACK TO SAVEPOINT tenure")
            raise
        connection.execute("RELEASE SAVEPOINT tenure")
    except psycopg.Error as error:
        raise translated(error) from error
    return value


async def run_within_async(
    verb: Verb[T], connection: AsyncConnection, statements: dict[str, Compiled], clock: Clock
) -> T:
    """As `run_within`, on an async connection of psycopg."""
    try:
        if verb.mode is not Mode.TRANSACTION:
            return await feed_async(verb, connection, statements, clock)
        if _is_outside(connection):
            async with connection.transaction():
                return await feed_async(verb, connection, statements, clock)
        await connection.execute("SAVEPOINT tenure")
        try:
            value = await feed_async(verb, connection, statements, clock)
        except BaseException:
            if not connection.broken:
                await connection.execute("ROLLBACK TO SAVEPOINT tenure")
            raise
        await connection.execute("RELEASE SAVEPOINT tenure")
    except psycopg.Error as error:
        raise translated(error) from error
    return value


def _is_outside(connection: Connection | AsyncConnection) -> bool:
    """Return whether every statement is a transaction of its own."""
    return connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE


def _rows(cursor: psycopg.RawCursor[Any]) -> Rows:
    return cursor.fetchall() if cursor.description is not None else ()


def translated(error: psycopg.Error) -> StoreError | ConflictError:
    """Return our error for one of the driver's."""
    if isinstance(error, errors.UniqueViolation):
        return ConflictError(f"another transaction was first: {error}")
    for causes, meaning, sentence in _MEANINGS:
        if isinstance(error, causes):
            return meaning(f"{sentence}: {error}")
    return StoreError(f"PostgreSQL refused a statement: {error}")
