"""Enqueue in a transaction that is somebody else's, on his connection.

The task exists if the transaction commits, and never did if it is rolled back. Nothing is
committed here, and nothing is tried again: a transaction that failed is its owner's to repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol, TypeVar

from tenure.kernel.errors import InvalidError, SchemaError
from tenure.kernel.model import NO_TENANT
from tenure.sdk.enqueuer import AsyncEnqueuer, Enqueuer
from tenure.sdk.handle import Asked, AsyncAsked
from tenure.sdk.requests import new_task
from tenure.sdk.task import Call
from tenure.service import tasks
from tenure.service.clockwork import SystemClock, Uuid7Ids
from tenure.service.program import Program, run_async, run_sync
from tenure.setting_forms import mask_url
from tenure.settings import Settings
from tenure.store.borrowed import AsyncBorrowed, Borrowed, borrow, borrow_async
from tenure.store.place import Place, place

T = TypeVar("T")

DEFAULT_SETTINGS = Settings()


class SyncConnection(Protocol):
    """A connection of psycopg or apsw, or a connection or session of SQLAlchemy."""

    def close(self) -> None:
        """What tells it from those of coroutines; not called here."""
        ...


class AsyncConnection(Protocol):
    """A connection of asyncpg or psycopg, or a connection or session of SQLAlchemy."""

    def close(self) -> Awaitable[None]:
        """What tells it from those of plain functions; not called here."""
        ...


class SyncOwner(Asked, Protocol):
    """The client that answers for the handles."""

    settings: Settings
    tenant: str

    def run(self, program: Program[T]) -> T:
        """Run a program on the client's own store."""
        ...


class AsyncOwner(AsyncAsked, Protocol):
    """The client that answers for the handles, for coroutines."""

    settings: Settings
    tenant: str

    def run(self, program: Program[T]) -> Awaitable[T]:
        """Run a program on the client's own store."""
        ...


class Within(Enqueuer):
    """Stores tasks in a transaction of the caller's. Made by `Client.within`."""

    def __init__(self, client: SyncOwner, connection: SyncConnection, ids: Uuid7Ids) -> None:
        super().__init__(_at_once(client.settings), client.tenant, ids)
        self._client = client
        self._clock = SystemClock()
        self._borrowed: Borrowed = borrow(connection, self._clock)
        self._is_checked = False

    def run(self, program: Program[T]) -> T:
        """Run a program on the borrowed connection."""
        if not self._is_checked:
            here = self._borrowed.place()
            _refuse_without_tables(here)
            mine = self._client.run(_whereabouts())
            _refuse_elsewhere(here, mine, self.settings.url)
            self._is_checked = True
        return run_sync(program, self._borrowed, self._clock)

    @property
    def _asked(self) -> Asked:
        return self._client


class AsyncWithin(AsyncEnqueuer):
    """Stores tasks in a transaction of the caller's. Made by `AsyncClient.within`."""

    def __init__(self, client: AsyncOwner, connection: AsyncConnection, ids: Uuid7Ids) -> None:
        super().__init__(_at_once(client.settings), client.tenant, ids)
        self._client = client
        self._clock = SystemClock()
        self._borrowed: AsyncBorrowed = borrow_async(connection, self._clock)
        self._is_checked = False

    async def run(self, program: Program[T]) -> T:
        """Run a program on the borrowed connection."""
        if not self._is_checked:
            here = await self._borrowed.place()
            _refuse_without_tables(here)
            mine = await self._client.run(_whereabouts())
            _refuse_elsewhere(here, mine, self.settings.url)
            self._is_checked = True
        return await run_async(program, self._borrowed, self._clock)

    @property
    def _asked(self) -> AsyncAsked:
        return self._client


def enqueue_on(
    connection: SyncConnection,
    call: Call[object],
    *,
    tenant: str = NO_TENANT,
    settings: Settings = DEFAULT_SETTINGS,
) -> str:
    """Store a task in the transaction of *connection* and return its id; no client is needed.

    For web applications that only enqueue: ``enqueue_on(db.session, send_mail.call(order.id))``.
    Of *settings* only the limits count. Errors as in `Client.within` and `Enqueuer.enqueue`.
    """
    clock = SystemClock()
    borrowed = borrow(connection, clock)
    _refuse_without_tables(borrowed.place())
    return run_sync(_enqueue(call, tenant, settings), borrowed, clock)


async def enqueue_on_async(
    connection: AsyncConnection,
    call: Call[object],
    *,
    tenant: str = NO_TENANT,
    settings: Settings = DEFAULT_SETTINGS,
) -> str:
    """Store a task in the transaction of *connection*; as `enqueue_on`, for coroutines."""
    clock = SystemClock()
    borrowed = borrow_async(connection, clock)
    _refuse_without_tables(await borrowed.place())
    return await run_async(_enqueue(call, tenant, settings), borrowed, clock)


def _enqueue(call: Call[object], tenant: str, settings: Settings) -> Program[str]:
    task = new_task(call, tenant=tenant, ids=_IDS)
    return_existing = call.choices.return_existing
    return (yield from tasks.enqueue(task, _at_once(settings), return_existing=return_existing))


def _whereabouts() -> Program[Place]:
    mine: Place = yield place()
    return mine


def _at_once(settings: Settings) -> Settings:
    """Return the settings without patience: after an error the transaction is lost anyway."""
    return replace(settings, store=replace(settings.store, busy_us=0))


def _refuse_without_tables(here: Place) -> None:
    if here.table is None:
        raise SchemaError(
            f"the connection's database {here.database!r} has no table 'task' where the "
            "connection looks for it: run 'tenure db migrate' on it, or mend its search_path"
        )


def _refuse_elsewhere(here: Place, mine: Place, url: str) -> None:
    if here != mine:
        raise InvalidError(
            f"the connection is to {here.database!r}, which is not where this client keeps its "
            f"tasks ({mask_url(url)}): open a client with the URL of that database",
            field="connection",
        )


_IDS = Uuid7Ids()
