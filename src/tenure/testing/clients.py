"""The clients of a platform under test: the ordinary ones, but whoever waits lets time pass.

Made by `Stage`, which opens and closes what they work on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tenure.kernel.ports import AsyncStore, SyncStore
from tenure.kernel.states import ENDED
from tenure.sdk.client import AsyncClient, Client
from tenure.sdk.durations import Duration, duration_us
from tenure.sdk.enqueuer import Enqueuer
from tenure.sdk.within import SyncConnection, Within
from tenure.service.clockwork import Uuid7Ids
from tenure.service.program import Program
from tenure.settings import Settings
from tenure.store.borrowed import borrow
from tenure.testing.clock import VirtualClock

T = TypeVar("T")


class Owner(Protocol):
    """What stands behind the clients."""

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the platform's own event loop."""
        ...

    def wait_for_end(self, task_id: str, *, timeout_us: int | None) -> None:
        """Let virtual time pass until a task has ended or the time is over."""
        ...

    async def change(self) -> None:
        """Wait, on the platform's own loop, until something may have changed."""
        ...


class Hop(Protocol):
    """How a coroutine on another event loop has something done by the platform."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Return what *call* returns, where the platform lives."""
        ...


class VirtualClient(Client):
    """A client whose waits let virtual time pass. The platform closes it."""

    def __init__(
        self,
        owner: Owner,
        *,
        settings: Settings,
        store: SyncStore,
        clock: VirtualClock,
        ids: Uuid7Ids,
    ) -> None:
        super().__init__(settings=settings)
        # What it has opened by itself is on the system's clock.
        super().close()
        self._owner = owner
        self._virtual = clock
        self._clock = clock
        self._opened = store
        self._ids = ids

    def close(self) -> None:
        """Do nothing: the platform closes what is its own."""

    def result(self, task_id: str, *, timeout: Duration | None = None) -> bytes:
        """Let time pass until the task ends, and return its result; errors as in `Client.result`.

        Without *timeout* it gives up when nothing is left to happen, or after a year.
        """
        timeout_us = None if timeout is None else duration_us(timeout, field="timeout")
        self._owner.wait_for_end(task_id, timeout_us=timeout_us)
        return super().result(task_id, timeout=0)

    def within(self, connection: SyncConnection) -> Enqueuer:
        """Return what enqueues in the transaction of a connection; see `Client.within`."""
        return _VirtualWithin(self, connection, self._ids, self._virtual)


class VirtualAsyncClient(AsyncClient):
    """A client for coroutines, those of handlers and those of a test."""

    def __init__(
        self,
        owner: Owner,
        *,
        behind: VirtualClient,
        store: AsyncStore,
        clock: VirtualClock,
        ids: Uuid7Ids,
        hop: Hop,
    ) -> None:
        super().__init__(settings=behind.settings)
        self._owner = owner
        self._behind = behind
        self._hop = hop
        self._clock = clock
        self._opened = store
        self._ids = ids

    async def __aenter__(self) -> Self:
        """Return itself: the platform has opened it."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: the platform closes what is its own."""

    async def run(self, program: Program[T]) -> T:
        """Run any program of `tenure.service`."""
        if self._owner.is_here:
            return await super().run(program)
        return await self._hop(partial(self._behind.run, program))

    async def result(
        self,
        task_id: str,
        *,
        timeout: Duration | None = None,  # noqa: ASYNC109 - the same name as for plain callers
    ) -> bytes:
        """Let time pass until the task ends, and return its result; see `VirtualClient.result`.

        In a handler it waits as it would in a worker, and the test lets the time pass.
        """
        if not self._owner.is_here:
            return await self._hop(partial(self._behind.result, task_id, timeout=timeout))
        timeout_s = None if timeout is None else duration_us(timeout, field="timeout") / 1_000_000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (await self.get(task_id)).state not in ENDED:
                    await self._owner.change()
        return await super().result(task_id, timeout=0)


class _VirtualWithin(Within):
    def __init__(
        self, client: VirtualClient, connection: SyncConnection, ids: Uuid7Ids, clock: VirtualClock
    ) -> None:
        super().__init__(client, connection, ids)
        self._clock = clock
        self._borrowed = borrow(connection, clock)
