"""A worker inside of somebody's program: beside a script, a web server or a test."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tenure.engine.supervisor import Supervisor
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import ConfigError
from tenure.kernel.ports import AsyncStore
from tenure.observe.events import Bus
from tenure.observe.log import log_event
from tenure.sdk.client import AsyncClient, Client, settings_for
from tenure.sdk.task import Registry, registry as default_registry
from tenure.service.clockwork import SystemClock, SystemRng, Uuid7Ids
from tenure.settings import Settings
from tenure.store.open import open_async


class Worker:
    """Runs tasks for as long as its `with` block lasts, then drains.

    With `with` it works in a thread of its own, with `async with` on the running event loop.
    """

    def __init__(
        self,
        client: Client | AsyncClient | None = None,
        *,
        url: str | None = None,
        settings: Settings | None = None,
        queues: Sequence[str] = (),
        registry: Registry = default_registry,
    ) -> None:
        """Work on the store of *client*, or on that of *url* and *settings*.

        *queues* are those of the registry's kinds unless named.

        Raises:
            ConfigError: a kind's annotations cannot be resolved, or a setting is wrong.
        """
        self.bus: Bus = Bus()
        self.bus.subscribe(log_event)
        self._client = client
        self._settings = client.settings if client is not None else settings_for(url, settings)
        self._queues = queues
        self._registry = registry
        self._supervisor: Supervisor | None = None
        self._task: asyncio.Task[None] | None = None
        self._own_store: AsyncStore | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        for kind in registry:
            kind.codec  # noqa: B018 - made here, so that a bad annotation is told before work

    async def __aenter__(self) -> Self:
        """Start on this event loop.

        Raises:
            StoreError: the store cannot be opened, or the worker not be registered.
        """
        self._refuse_if_working()
        if isinstance(self._client, AsyncClient):
            store = self._client.store
        else:
            store = self._own_store = await open_async(self._settings, SystemClock())
        try:
            await self._start(store)
        except BaseException:
            await self._close_store()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drain: what runs may finish within `worker.grace_s`, the rest is given back."""
        assert self._supervisor is not None
        assert self._task is not None
        self._supervisor.ask_to_stop()
        try:
            await self._task
        finally:
            await self._close_store()

    def __enter__(self) -> Self:
        """Start in a thread; errors as with `async with`."""
        if isinstance(self._client, AsyncClient):
            raise ConfigError("a worker on an AsyncClient needs 'async with'")
        self._refuse_if_working()
        self._failure = None
        self._started.clear()
        self._thread = threading.Thread(target=self._serve, name="tenure-worker", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drain, and wait for the thread."""
        assert self._loop is not None
        assert self._supervisor is not None
        assert self._thread is not None
        with contextlib.suppress(RuntimeError):  # It has ended by itself, and its loop with it.
            self._loop.call_soon_threadsafe(self._supervisor.ask_to_stop)
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _refuse_if_working(self) -> None:
        if self._task is not None and not self._task.done():
            raise ConfigError("the worker works already: one 'with' is enough")

    async def _start(self, store: AsyncStore) -> None:
        """Return once the worker is registered, and raise what it raises before."""
        supervisor = self._supervisor = self._make(store)
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(supervisor.run(when_started=started))
        self._task.add_done_callback(lambda _: started.set())
        try:
            await started.wait()
            if self._task.done():
                await self._task
        except BaseException:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise

    def _serve(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that started us
            self._failure = error
        finally:
            self._started.set()

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self:
            assert self._task is not None
            self._started.set()
            await asyncio.shield(self._task)

    def _make(self, store: AsyncStore) -> Supervisor:
        around = Surroundings(
            store=store,
            registry=self._registry,
            settings=self._settings,
            clock=SystemClock(),
            ids=Uuid7Ids(),
            rng=SystemRng(),
            bus=self.bus,
        )
        return Supervisor(around, queues=self._queues)

    async def _close_store(self) -> None:
        if self._own_store is not None:
            await self._own_store.close()
            self._own_store = None
