"""What stands behind a platform: a store in a file of its own, a worker, and clients to both.

Opened and closed by `Platform`. Everything that runs on the platform's event loop is started here,
and everything here shares one clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import ConfigError, WaitTimeoutError
from tenure.kernel.states import ENDED
from tenure.observe.events import Bus
from tenure.observe.log import log_event
from tenure.sdk.task import Registry
from tenure.setting_forms import DAY_US
from tenure.settings import (
    PrunerSettings,
    Settings,
    WorkerSettings,
)
from tenure.store.open import open_async, open_sync, sqlite_options
from tenure.testing.clients import Hop, VirtualAsyncClient, VirtualClient
from tenure.testing.clock import VirtualClock, VirtualIds, here, opened
from tenure.testing.inline import Aside, InlineRegistry
from tenure.testing.loop import VirtualLoop
from tenure.testing.stepped import NotedStore, SteppedWorker

# How far a wait without a bound may lead.
WAIT_MAX_US = 366 * DAY_US
KEEP_US = 3_650 * DAY_US
FOREVER_US = 36_500 * DAY_US
# A worker that does not die needs no short lease, and each renewal would be a moment of its own.
# What has ended is kept, so that the test can look at it.
DEFAULT_SETTINGS = Settings(
    worker=WorkerSettings(lease_us=DAY_US),
    pruner=PrunerSettings(
        keep_completed_us=KEEP_US, keep_failed_us=KEEP_US, keep_cancelled_us=KEEP_US
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a platform is opened with."""

    registry: Registry
    now_us: int
    settings: Settings
    queues: Sequence[str]


class HalfWay:
    """Chance that always falls in the middle, so that the same test waits the same."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return 0.5


class Stage:
    """An open platform, without its face. All but its handlers is used from one thread."""

    def __init__(self, plan: Plan, *, hop: Hop) -> None:
        """Open everything.

        Raises:
            ConfigError: an event loop is running here, or a kind's annotations are wrong.
        """
        _refuse_running_loop()
        for kind in plan.registry:
            kind.codec  # noqa: B018 - made here, so that a bad annotation is told before work
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="tenure-testing-"))
            self.settings: Settings = _settings(plan.settings, Path(folder) / "tenure.db")
            self.clock: VirtualClock = VirtualClock(plan.now_us)
            self._ids = VirtualIds(self.clock)
            self._aside = Aside()
            stack.callback(self._aside.close)
            sync_store = open_sync(self.settings, self.clock)
            stack.callback(sync_store.close)
            self._loop = VirtualLoop(self.clock, self._aside)
            self._runner = asyncio.Runner(loop_factory=lambda: self._loop)
            stack.callback(self._runner.close)
            self._store = self._runner.run(self._open_store())
            stack.callback(lambda: self._runner.run(self._store.close()))
            self._worker = self._runner.run(self._start(plan))
            stack.callback(lambda: self._runner.run(self._worker.close()))
            self.client: VirtualClient = VirtualClient(
                self, settings=self.settings, store=sync_store, clock=self.clock, ids=self._ids
            )
            self.async_client: VirtualAsyncClient = VirtualAsyncClient(
                self,
                behind=self.client,
                store=self._store,
                clock=self.clock,
                ids=self._ids,
                hop=hop,
            )
            self.clock.when_blocked = self._block
            opened.append(self.clock)
            stack.callback(opened.remove, self.clock)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Cut short what runs, and remove the store."""
        self._stack.close()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the platform's own event loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def travel(self, end_us: int) -> None:
        """Go to a moment, through all that come before it."""
        self._refuse_in_handler()
        self._runner.run(self._worker.arrive(end_us))

    def run_due(self) -> None:
        """Run all that is due now."""
        self._refuse_in_handler()
        self._runner.run(self._worker.run_due())

    def wait_for_end(self, task_id: str, *, timeout_us: int | None) -> None:
        """Let time pass until a task has ended, or the time is over.

        Raises:
            ConfigError: a handler waits, and all others with it.
            NotFoundError: there is none by that id.
            WaitTimeoutError: there is no timeout, and nothing will end it within a year.
        """
        self._refuse_in_handler()
        end_us = self.clock.now_us() + (WAIT_MAX_US if timeout_us is None else timeout_us)

        def has_ended() -> bool:
            return self.client.get(task_id).state in ENDED

        if self._runner.run(self._worker.travel(end_us, is_there=has_ended)):
            return
        if timeout_us is None:
            state = self.client.get(task_id).state
            raise WaitTimeoutError(
                f"task {task_id!r} is still {state.value}, and nothing that is known of will end "
                "it within a year: travel further, or look at what it waits for"
            )
        self._runner.run(self._worker.arrive(end_us))

    async def change(self) -> None:
        """Wait, on the platform's own loop, until something may have changed."""
        await self._worker.change()

    async def _open_store(self) -> NotedStore:
        path = sqlite_options(self.settings).path
        return NotedStore(await open_async(self.settings, self.clock), path)

    async def _start(self, plan: Plan) -> SteppedWorker:
        here.set(self.clock)
        bus = Bus()
        bus.subscribe(log_event)
        around = Surroundings(
            store=self._store,
            registry=InlineRegistry(plan.registry, self._aside),
            settings=self.settings,
            clock=self.clock,
            ids=self._ids,
            rng=HalfWay(),
            bus=bus,
        )
        worker = SteppedWorker(
            around, queues=plan.queues, clock=self.clock, loop=self._loop, store=self._store
        )
        await worker.start()
        return worker

    def _block(self, us: int) -> None:
        self.travel(self.clock.now_us() + us)

    def _refuse_in_handler(self) -> None:
        if self._loop.is_running():
            raise ConfigError(
                "a handler cannot travel, nor wait with a client of plain functions, because "
                "everything else waits for the handler: make it a coroutine, and wait with the "
                "async client"
            )
        _refuse_running_loop()


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "a platform for plain functions cannot be used while an event loop is running: use "
        "'async with tenure.testing.async_platform()'"
    )


def _settings(chosen: Settings, path: Path) -> Settings:
    """Return the settings with a place of their own, and without what only real time needs."""
    return replace(
        _unhurried(chosen),
        url=f"sqlite:///{path}",
        store=replace(chosen.store, durability="relaxed", migrate="auto"),
        # An outcome is written at the moment of its end, and the office never falls vacant.
        settler=replace(chosen.settler, linger_us=0),
        elector=replace(chosen.elector, lease_us=FOREVER_US),
    )


def _unhurried(chosen: Settings) -> Settings:
    """Return the settings with no regular turns: loops have one at every moment there is.

    A loop that comes so often at least, whatever it knows of, would else seem to know of nothing.
    """
    sections = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    regular = {
        name: replace(section, every_us=FOREVER_US)
        for name, section in sections.items()
        # Leases of what runs are renewed as they have to be.
        if hasattr(section, "every_us") and section is not chosen.renewer
    }
    return replace(chosen, **regular)
