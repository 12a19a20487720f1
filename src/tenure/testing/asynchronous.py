"""The platform under test, for tests that are coroutines.

The platform lives in a thread of its own, with the event loop whose time it moves; the test's own
loop goes on as always. A handler therefore runs on another loop than the test, as it does with a
`Worker`, and can share no connections or events with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, Unpack

from tenure.kernel.errors import ConfigError
from tenure.sdk.client import AsyncClient, Client
from tenure.sdk.durations import Duration
from tenure.sdk.handle import AsyncHandle
from tenure.sdk.task import Enqueueable, Kind, Registry, registry as default_registry
from tenure.settings import Settings
from tenure.testing.clock import as_datetime
from tenure.testing.failures import Failure, failures_of
from tenure.testing.spans import Units, destination_us
from tenure.testing.stage import Plan, Stage
from tenure.testing.synchronous import START, plan

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def async_platform(
    *,
    registry: Registry = default_registry,
    now: datetime | str = START,
    settings: Settings | None = None,
    queues: Sequence[str] = (),
) -> AsyncPlatform:
    """Return a platform to be used in an `async with` block; see `platform`."""
    return AsyncPlatform(plan(registry=registry, now=now, settings=settings, queues=queues))


class AsyncPlatform:
    """A `Platform` for coroutines. Made by `async_platform`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._opened: Stage | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        """Open it; errors as in `Platform`."""
        if self._thread is not None:
            raise ConfigError("the platform is open already: one 'async with' is enough")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tenure-testing")
        try:
            self._opened = await self._hop(partial(Stage, self._plan, hop=self._hop))
        except BaseException:
            self._let_go()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut short what still runs, and remove the store."""
        stage, self._opened = self._stage, None
        try:
            await self._hop(stage.close)
        finally:
            self._let_go()

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return as_datetime(self._stage.clock.now_us())

    @property
    def client(self) -> AsyncClient:
        """The client, for the test and for handlers that are coroutines.

        When the test waits for a result with it, virtual time passes until there is one.
        """
        return self._stage.async_client

    @property
    def sync_client(self) -> Client:
        """The same for handlers that are plain functions; it waits for no results."""
        return self._stage.client

    async def enqueue(
        self, kind: Kind[P, R] | Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncHandle[R]:
        """Store a task; see `AsyncClient.enqueue`. It begins when the test lets it."""
        return await self.client.enqueue(kind, *args, **kwargs)

    async def travel(
        self,
        span: Duration | str | None = None,
        /,
        *,
        until: datetime | str | None = None,
        **units: Unpack[Units],
    ) -> None:
        """Let time pass; see `Platform.travel`."""
        stage = self._stage
        end_us = destination_us(stage.clock, span, until, units)
        await self._hop(partial(stage.travel, end_us))

    async def run_until_idle(self) -> None:
        """Run all that is due now and whatever comes of it; see `Platform.run_until_idle`."""
        await self._hop(self._stage.run_due)

    async def failures(self) -> list[Failure]:
        """Return the tasks that failed for good, oldest first."""
        return await self._hop(partial(failures_of, self._stage.client))

    def _hop(self, call: Callable[[], T]) -> Awaitable[T]:
        """Have something done in the platform's thread."""
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _let_go(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    @property
    def _stage(self) -> Stage:
        if self._opened is None:
            raise ConfigError("the platform is not open: use it inside of 'async with'")
        return self._opened
