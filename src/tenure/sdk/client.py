"""The two clients: the same requests for plain functions and for coroutines."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from tenure.config import load
from tenure.kernel.errors import StoreDownError
from tenure.kernel.model import NO_TENANT, QueueCounts, Task, Worker
from tenure.kernel.ports import AsyncStore, SyncStore
from tenure.kernel.states import State
from tenure.sdk.async_schedules import AsyncSchedules
from tenure.sdk.calendars import AsyncCalendars, Calendars
from tenure.sdk.durations import Duration, duration_us
from tenure.sdk.enqueuer import AsyncEnqueuer, Enqueuer
from tenure.sdk.handle import Asked, AsyncAsked
from tenure.sdk.schedules import Schedules
from tenure.sdk.within import AsyncConnection, AsyncWithin, SyncConnection, Within
from tenure.service import queues, tasks, workers
from tenure.service.clockwork import SystemClock, Uuid7Ids
from tenure.service.program import Program, run_async, run_sync
from tenure.service.tasks import TaskStory
from tenure.settings import Settings
from tenure.store.open import open_async, open_sync

T = TypeVar("T")


def settings_for(url: str | None, settings: Settings | None) -> Settings:
    """Return the given settings, or those of file and environment, with the given URL."""
    if settings is None:
        settings = load(options={"url": url}).settings
    elif url is not None:
        settings = replace(settings, url=url)
    return settings


class Client(Enqueuer):
    """Tenure for plain functions. Usable from any thread; close it, or use `with`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: Settings | None = None,
        tenant: str = NO_TENANT,
    ) -> None:
        """Open the store that *url* names, and make its tables if it has none.

        Without a URL it is that of `tenure.toml` or `TENURE_URL`, else `sqlite:///tenure.db`.

        Raises:
            ConfigError: the URL or a setting is wrong, or a package is missing.
            StoreDownError: the store cannot be opened.
            SchemaError: its tables are not of this version.
        """
        super().__init__(settings_for(url, settings), tenant, Uuid7Ids())
        self.schedules: Schedules = Schedules(self)
        self.calendars: Calendars = Calendars(self)
        self._clock = SystemClock()
        self._opened: SyncStore | None = open_sync(self.settings, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. To close twice does no harm."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def within(self, connection: SyncConnection) -> Enqueuer:
        """Return what enqueues in the transaction that a connection of yours is in.

        *connection* is one of psycopg, or one or a session of SQLAlchemy with psycopg, to the
        database of this client; or one of apsw to its file. The task exists once you commit,
        and never did if you roll back. On a connection in autocommit mode it exists at once.

        Raises:
            InvalidError: it is no such connection, or, when enqueueing, leads elsewhere.
        """
        return Within(self, connection, self._ids)

    def get(self, task_id: str) -> Task:
        """Return a task; NotFoundError if there is none."""
        return self.run(tasks.get(self.tenant, task_id, self.settings))

    def story(self, task_id: str) -> TaskStory:
        """Return a task with its attempts and what was done to it."""
        return self.run(tasks.story(self.tenant, task_id, self.settings))

    def find(
        self,
        *,
        state: str = "",
        queue: str = "",
        kind: str = "",
        before_id: str = "",
        limit: int = 50,
    ) -> list[Task]:
        """Return a page of tasks, newest first; the next page is before the id of the last."""
        return self.run(
            tasks.find(
                self.tenant,
                self.settings,
                state=state,
                queue=queue,
                kind=kind,
                before_id=before_id,
                limit=limit,
            )
        )

    def result(self, task_id: str, *, timeout: Duration | None = None) -> bytes:
        """Wait for the end of a task and return its result as JSON.

        Raises:
            TaskFailedError: it failed or was cancelled.
            WaitTimeoutError: it had not ended within *timeout* seconds; it goes on.
        """
        timeout_us = None if timeout is None else duration_us(timeout, field="timeout")
        return self.run(tasks.result(self.tenant, task_id, self.settings, timeout_us=timeout_us))

    def cancel(self, task_id: str, *, force: bool = False, reason: str = "") -> State:
        """Cancel a task and return its state.

        A running task is asked to stop: its handler sees `context().cancel_asked`, and is cut
        short when `worker.cancel_grace_s` is over. With *force* it is cancelled at once.

        Raises:
            NotFoundError: there is none by that id.
            TransitionError: it has completed or failed.
        """
        return self.run(tasks.cancel(self.tenant, task_id, force=force, reason=reason))

    def revive(self, task_id: str) -> None:
        """Put an ended task back to pending, due now, with one more attempt."""
        self.run(tasks.revive(self.tenant, task_id))

    def queues(self) -> list[QueueCounts]:
        """Return every queue with its switches and counts."""
        return self.run(queues.listing())

    def workers(self) -> list[Worker]:
        """Return the known workers."""
        return self.run(workers.listing())

    def run(self, program: Program[T]) -> T:
        """Run any program of `tenure.service`."""
        if self._opened is None:
            raise StoreDownError("the client is closed: open another one")
        return run_sync(program, self._opened, self._clock)

    @property
    def _asked(self) -> Asked:
        return self


class AsyncClient(AsyncEnqueuer):
    """Tenure for coroutines. Use it with `async with`, on one event loop."""

    def __init__(
        self,
        url: str | None = None,
        *,
        settings: Settings | None = None,
        tenant: str = NO_TENANT,
    ) -> None:
        """Take the URL and settings as `Client` does; the store is opened on entry."""
        super().__init__(settings_for(url, settings), tenant, Uuid7Ids())
        self.schedules: AsyncSchedules = AsyncSchedules(self)
        self.calendars: AsyncCalendars = AsyncCalendars(self)
        self._clock = SystemClock()
        self._opened: AsyncStore | None = None

    async def __aenter__(self) -> Self:
        """Open the store; errors as in `Client`."""
        if self._opened is not None:
            raise StoreDownError("the client is open already: one 'async with' is enough")
        self._opened = await open_async(self.settings, self._clock)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    @property
    def store(self) -> AsyncStore:
        """The open store.

        Raises:
            StoreDownError: it is not open.
        """
        if self._opened is None:
            raise StoreDownError("the client is not open: use it inside of 'async with'")
        return self._opened

    def within(self, connection: AsyncConnection) -> AsyncEnqueuer:
        """Return what enqueues in the transaction that a connection of yours is in.

        *connection* is one of asyncpg or psycopg, or one or a session of SQLAlchemy with either;
        the rest is as for `Client.within`.
        """
        return AsyncWithin(self, connection, self._ids)

    async def get(self, task_id: str) -> Task:
        """Return a task; NotFoundError if there is none."""
        return await self.run(tasks.get(self.tenant, task_id, self.settings))

    async def story(self, task_id: str) -> TaskStory:
        """Return a task with its attempts and what was done to it."""
        return await self.run(tasks.story(self.tenant, task_id, self.settings))

    async def find(
        self,
        *,
        state: str = "",
        queue: str = "",
        kind: str = "",
        before_id: str = "",
        limit: int = 50,
    ) -> list[Task]:
        """Return a page of tasks, newest first; the next page is before the id of the last."""
        return await self.run(
            tasks.find(
                self.tenant,
                self.settings,
                state=state,
                queue=queue,
                kind=kind,
                before_id=before_id,
                limit=limit,
            )
        )

    async def result(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the same name as for plain callers
    ) -> bytes:
        """Wait for the end of a task and return its result as JSON; see `Client.result`."""
        timeout_us = None if timeout is None else duration_us(timeout, field="timeout")
        return await self.run(
            tasks.result(self.tenant, task_id, self.settings, timeout_us=timeout_us)
        )

    async def cancel(self, task_id: str, *, force: bool = False, reason: str = "") -> State:
        """Cancel a task and return its state; see `Client.cancel`."""
        return await self.run(tasks.cancel(self.tenant, task_id, force=force, reason=reason))

    async def revive(self, task_id: str) -> None:
        """Put an ended task back to pending, due now, with one more attempt."""
        await self.run(tasks.revive(self.tenant, task_id))

    async def queues(self) -> list[QueueCounts]:
        """Return every queue with its switches and counts."""
        return await self.run(queues.listing())

    async def workers(self) -> list[Worker]:
        """Return the known workers."""
        return await self.run(workers.listing())

    async def run(self, program: Program[T]) -> T:
        """Run any program of `tenure.service`."""
        return await run_async(program, self.store, self._clock)

    @property
    def _asked(self) -> AsyncAsked:
        return self
