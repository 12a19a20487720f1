"""Verbs on a connection that is somebody else's, in the transaction that it is in.

Called by `sdk.within`. No driver is imported here: who passes a connection has imported its
driver, so it is looked up among the modules that are there. SQLAlchemy's connections and
sessions are only ways to a driver's connection.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, TypeVar

from tenure.kernel.errors import InvalidError
from tenure.kernel.ports import Clock, Verb
from tenure.store.place import Place, place
from tenure.store.statements import Compiled, load

T = TypeVar("T")

# A connection of whatever driver; it is asked what it is before anything else is asked of it.
Foreign = Any

_ALCHEMY_SYNC = (
    ("sqlalchemy.engine", "Connection"),
    ("sqlalchemy.orm", "Session"),
    ("sqlalchemy.orm", "scoped_session"),
)
_ALCHEMY_ASYNC = (
    ("sqlalchemy.ext.asyncio", "AsyncConnection"),
    ("sqlalchemy.ext.asyncio", "AsyncSession"),
    ("sqlalchemy.ext.asyncio", "async_scoped_session"),
)
_TWO_LIBRARIES = (
    "it is SQLite by another library than ours: two SQLite libraries in one process undo each "
    "other's locks on a file, which can lose what was written; open the file with apsw, or "
    "enqueue after the commit"
)
_FOR_COROUTINES = "it is for coroutines: use AsyncClient.within, or enqueue_on_async"
_FOR_FUNCTIONS = "it is for plain functions: use Client.within, or enqueue_on"


class Borrowed(Protocol):
    """Runs verbs on a borrowed connection."""

    def run(self, verb: Verb[T]) -> T:
        """Run one verb in the transaction; all of it or, after an error, nothing of it stands.

        Raises:
            InvalidError: the connection is closed, or of no use to us.
        """
        ...

    def place(self) -> Place:
        """Return where the connection leads; errors as in `run`."""
        ...


class AsyncBorrowed(Protocol):
    """Runs verbs on a borrowed connection, for coroutines."""

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb; see `Borrowed.run`."""
        ...

    async def place(self) -> Place:
        """Return where the connection leads; errors as in `Borrowed.run`."""
        ...


def borrow(connection: object, clock: Clock) -> Borrowed:
    """Return what runs verbs on a connection of psycopg, SQLAlchemy or apsw.

    Raises:
        InvalidError: it is of another kind.
    """
    if _is_one_of(connection, (("apsw", "Connection"),)):
        return _Apsw(connection, clock)
    if _is_one_of(connection, (("psycopg", "Connection"), *_ALCHEMY_SYNC)):
        return _Psycopg(connection, clock)
    raise _refused(connection, _why_not_sync(connection))


def borrow_async(connection: object, clock: Clock) -> AsyncBorrowed:
    """Return what runs verbs on a connection of asyncpg, psycopg or SQLAlchemy.

    Raises:
        InvalidError: it is of another kind.
    """
    if _is_asyncpg(connection) or _is_one_of(
        connection, (("psycopg", "AsyncConnection"), *_ALCHEMY_ASYNC)
    ):
        return _Async(connection, clock)
    raise _refused(connection, _why_not_async(connection))


class _Apsw:
    def __init__(self, connection: Foreign, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def run(self, verb: Verb[T]) -> T:
        from tenure.store.sqlite_session import run_within

        return run_within(verb, self._connection, self._clock)

    def place(self) -> Place:
        """Return which file it is, without a look into it.

        A transaction that has read is refused its first write if anyone else has written since,
        however patient its connection is. So what is read first must be what is written.
        """
        from tenure.store.sqlite_session import file_of

        return Place(database=file_of(self._connection), server="", table="task")


class _Psycopg:
    def __init__(self, connection: Foreign, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def run(self, verb: Verb[T]) -> T:
        from tenure.store.postgres_sync import run_within

        driver = self._driver_connection()
        if driver.closed:
            raise _closed()
        return run_within(verb, driver, _statements(), self._clock)

    def place(self) -> Place:
        return self.run(place())

    def _driver_connection(self) -> Foreign:
        """Return the connection of psycopg, in the transaction that its owner is in."""
        if not _is_one_of(self._connection, _ALCHEMY_SYNC):
            return self._connection
        connection = self._connection
        if not _is_one_of(connection, _ALCHEMY_SYNC[:1]):
            connection = connection.connection()  # a session's
        if connection.closed:
            raise _closed()
        driver = connection.connection.driver_connection
        if not _is_one_of(driver, (("psycopg", "Connection"),)):
            raise _refused(driver, _why_not_sync(driver))
        if driver.info.transaction_status == 0:  # idle
            # SQLAlchemy begins with what it sends itself, and ends only what it has begun.
            connection.exec_driver_sql(_statements()["show_place"].text)
        return driver


class _Async:
    def __init__(self, connection: Foreign, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def run(self, verb: Verb[T]) -> T:
        driver = await self._driver_connection()
        if _is_asyncpg(driver):
            from tenure.store.postgres import run_within

            return await run_within(verb, driver, _statements(), self._clock)
        from tenure.store.postgres_sync import run_within_async

        if driver.closed:
            raise _closed()
        return await run_within_async(verb, driver, _statements(), self._clock)

    async def place(self) -> Place:
        return await self.run(place())

    async def _driver_connection(self) -> Foreign:
        """Return the driver's connection, in the transaction that its owner is in."""
        if not _is_one_of(self._connection, _ALCHEMY_ASYNC):
            return self._connection
        connection = self._connection
        if not _is_one_of(connection, _ALCHEMY_ASYNC[:1]):
            connection = await connection.connection()  # a session's
        if connection.closed:
            raise _closed()
        driver = (await connection.get_raw_connection()).driver_connection
        if _is_asyncpg(driver):
            is_idle = not driver.is_in_transaction()
        elif _is_one_of(driver, (("psycopg", "AsyncConnection"),)):
            is_idle = driver.info.transaction_status == 0
        else:
            raise _refused(driver, _why_not_async(driver))
        if is_idle:
            # As above. Its transaction may be marked as begun, and not yet sent.
            await connection.exec_driver_sql(_statements()["show_place"].text)
        return driver


def _statements() -> dict[str, Compiled]:
    return load("postgres", store_clock=True)


def _is_asyncpg(connection: object) -> bool:
    return _is_one_of(
        connection, (("asyncpg", "Connection"), ("asyncpg.pool", "PoolConnectionProxy"))
    )


def _is_one_of(connection: object, types: tuple[tuple[str, str], ...]) -> bool:
    for module, name in types:
        known = getattr(sys.modules.get(module), name, None)
        if isinstance(known, type) and isinstance(connection, known):
            return True
    return False


def _why_not_sync(connection: object) -> str:
    if _is_foreign_sqlite(connection):
        return _TWO_LIBRARIES
    if _is_asyncpg(connection) or _is_one_of(
        connection, (("psycopg", "AsyncConnection"), *_ALCHEMY_ASYNC)
    ):
        return _FOR_COROUTINES
    return "use a connection of psycopg 3 or apsw, or one or a session of SQLAlchemy with psycopg 3"


def _why_not_async(connection: object) -> str:
    if _is_foreign_sqlite(connection):
        return _TWO_LIBRARIES
    if _is_one_of(connection, (("psycopg", "Connection"), ("apsw", "Connection"), *_ALCHEMY_SYNC)):
        return _FOR_FUNCTIONS
    return (
        "use a connection of asyncpg or psycopg 3, or one or a session of SQLAlchemy with "
        "asyncpg or psycopg 3"
    )


def _is_foreign_sqlite(connection: object) -> bool:
    return _is_one_of(connection, (("sqlite3", "Connection"), ("aiosqlite", "Connection")))


def _refused(connection: object, why: str) -> InvalidError:
    kind = type(connection)
    return InvalidError(
        f"cannot enqueue on a {kind.__module__}.{kind.__qualname__}: {why}", field="connection"
    )


def _closed() -> InvalidError:
    return InvalidError(
        "the connection is closed: enqueue before it is given back or closed", field="connection"
    )
