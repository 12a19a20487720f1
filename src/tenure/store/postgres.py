"""PostgreSQL for the engine and for async users: a pool of asyncpg connections.

A verb of one statement goes out in one trip, without a transaction around it. PostgreSQL's
clock is the authority: `:now_us` stands in the statements as its clock, unless a test binds one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg

from tenure.kernel.errors import (
    ConflictError,
    InvalidError,
    SchemaError,
    StoreBusyError,
    StoreDownError,
    StoreError,
)
from tenure.kernel.ports import Batch, Clock, Mode, Rows, Script, Step, Verb
from tenure.setting_forms import mask_url
from tenure.store.postgres_notices import NoticeChannel, NoticeThrottle
from tenure.store.postgres_options import PostgresOptions
from tenure.store.postgres_pool import ConnectionPool
from tenure.store.postgres_steps import FAILED_TRANSACTION, texts
from tenure.store.statements import Compiled, load

T = TypeVar("T")

_BUSY = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    OSError,
)
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[StoreError], str], ...] = (
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError),
        SchemaError,
        "the database has not the tables this version needs; run 'tenure db migrate'",
    ),
    (
        (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError),
        StoreDownError,
        "the database does not let us write",
    ),
    (
        (asyncpg.DiskFullError, asyncpg.OutOfMemoryError),
        StoreDownError,
        "the database server is out of room",
    ),
    ((asyncpg.InFailedSQLTransactionError,), StoreError, FAILED_TRANSACTION),
    (_BUSY, StoreBusyError, "the database could not do it now"),
)


class PostgresStore:
    """The async side."""

    def __init__(
        self, options: PostgresOptions, clock: Clock, *, uses_store_clock: bool = True
    ) -> None:
        self.dialect = "postgres"
        self._options = options
        self._clock = clock
        self._statements = load("postgres", store_clock=uses_store_clock)
        self._pool = ConnectionPool(options, clock)
        self._throttle = NoticeThrottle(clock)
        self._channel = NoticeChannel(options, clock)
        self._late_notices: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect once, so that a wrong URL is told now and not at the first task.

        Raises:
            StoreDownError: the server cannot be reached, or refuses us.
        """
        try:
            async with self._pool.take():
                pass
        except (
            *(OSError, TimeoutError, ValueError),
            *(asyncpg.PostgresError, asyncpg.InterfaceError),
        ) as error:
            raise StoreDownError(
                f"cannot open {mask_url(self._options.url)}: {_sentence(error)}"
            ) from error

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb; see `kernel.ports.AsyncStore`."""
        try:
            async with self._pool.take() as connection:
                if verb.mode is not Mode.TRANSACTION:
                    return await self.feed(verb, connection)
                async with connection.transaction():
                    return await self.feed(verb, connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise translated(error) from error

    async def feed(self, verb: Verb[T], connection: Connection) -> T:
        """Run a verb's statements on a connection, in whatever transaction it is in."""
        steps = verb.steps
        asked = 0
        try:
            step = next(steps)
            while True:
                asked += 1
                assert asked == 1 or verb.mode is not Mode.SINGLE, f"{verb.name} is not single"
                step = steps.send(await self._execute(step, connection))
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Keep the channel of notices alive; what it hears is told as it comes."""
        return await self._channel.watch(tell)

    async def close(self) -> None:
        """Send the notices that were held back, and close all connections."""
        if self._late_notices:
            await asyncio.wait(self._late_notices)
        await self._channel.close()
        await self._pool.close()

    async def _execute(self, step: Step, connection: Connection) -> Rows:
        if isinstance(step, Script):
            await connection.execute(step.text)
            return ()
        compiled = self._statements[step.name]
        topic, rides = step.notice, False
        values: list[object] = []
        for name in compiled.names:
            if name == "notify":
                rides = topic is not None and self._throttle.allows(topic)
                values.append(topic if rides else None)
            elif name == "now_us":
                values.append(self._clock.now_us())
            elif isinstance(step, Batch) and name in step.columns:
                values.append(step.columns[name])
            else:
                values.append(step.params[name])
        # A record is a sequence in all but its declaration.
        records: Any = await connection.fetch(compiled.text, *values)
        rows: Rows = records
        if topic is None or rides:
            return rows
        if "notify" not in compiled.names:
            await connection.fetch(self._statements["send_notice"].text, topic)
        elif self._throttle.hold(topic):
            late = asyncio.get_running_loop().create_task(self._send_late(topic))
            self._late_notices.add(late)
            late.add_done_callback(self._late_notices.discard)
        return rows

    async def _send_late(self, topic: str) -> None:
        if not await self._throttle.follow(topic):
            return
        try:
            async with self._pool.take() as connection:
                await connection.fetch(self._statements["send_notice"].text, topic)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return  # Workers look by themselves every second; the tasks are stored.


Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def run_within(
    verb: Verb[T], connection: Connection, statements: dict[str, Compiled], clock: Clock
) -> T:
    """Run a verb on a borrowed connection, in its transaction; after an error nothing stands.

    Raises:
        InvalidError: the connection is closed, or was given back to its pool.
    """
    if _is_closed(connection):
        raise InvalidError(
            "the connection is closed: enqueue before it is given back or closed",
            field="connection",
        )
    try:
        if verb.mode is not Mode.TRANSACTION:
            return await _feed_borrowed(verb, connection, statements, clock)
        if not connection.is_in_transaction():
            async with connection.transaction():
                return await _feed_borrowed(verb, connection, statements, clock)
        # Not `connection.transaction()`: asyncpg refuses it where "BEGIN" was sent as text.
        await connection.execute("SAVEPOINT tenure")
        try:
            value = await _feed_borrowed(verb, connection, statements, clock)
        except BaseException:
            if not connection.is_closed():
                await connection.execute("ROLLBACK TO SAVEPOINT tenure")
            raise
        await connection.execute("RELEASE SAVEPOINT tenure")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise translated(error) from error
    return value


async def _feed_borrowed(
    verb: Verb[T], connection: Connection, statements: dict[str, Compiled], clock: Clock
) -> T:
    """Run a verb's statements; its notices are sent with them, and heard at the commit."""
    steps = verb.steps
    try:
        step = next(steps)
        while True:
            records: Any = ()
            for text, values in texts(step, statements, clock):
                records = await connection.fetch(text, *(values or ()))
            rows: Rows = records
            step = steps.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _is_closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # given back to its pool
        return True


def translated(error: BaseException) -> StoreError | ConflictError:
    """Return our error for one of the driver's or of the network's."""
    match error:
        case asyncpg.UniqueViolationError():
            return ConflictError(f"another transaction was first: {error}")
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            return StoreError(f"PostgreSQL cannot take a value: {error}")
    for causes, meaning, sentence in _MEANINGS:
        if isinstance(error, causes):
            return meaning(f"{sentence}: {_sentence(error)}")
    return StoreError(f"PostgreSQL refused a statement: {error}")


def _sentence(error: BaseException) -> str:
    # A timeout says nothing.
    return str(error) or type(error).__name__
