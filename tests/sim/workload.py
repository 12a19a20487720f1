"""The one who asks for work: enqueues, cancels, revives, wakes, looks and waits, all at random.

Uses the programs of `tenure.service` and the requests of the SDK on a store of its own, and keeps
a list of what was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from tenure.kernel.errors import (
    ConflictError,
    DuplicateError,
    NotFoundError,
    StoreBusyError,
    TaskFailedError,
    TransitionError,
    WaitTimeoutError,
)
from tenure.kernel.model import NO_TENANT, TaskId
from tenure.kernel.states import ENDED, LIVE, State
from tenure.sdk.requests import batches, new_task
from tenure.sdk.task import Call
from tenure.service import bulk, queues, tasks
from tenure.service.program import Program, run_async
from tenure.store import tasks as verbs
from tests.sim.clocks import SECOND_US, SimClock
from tests.sim.ledger import TaskKey
from tests.sim.loop import HOST, Host
from tests.sim.menu import Menu
from tests.sim.planner import Planner
from tests.sim.store import SimStore

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")

WAITING_MAX = 60


# A no is an answer too.
HONEST = (
    *(StoreBusyError, NotFoundError, TransitionError, ConflictError),
    *(WaitTimeoutError, TaskFailedError, DuplicateError),
)


class Client:
    """The one who asks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.host = Host("client")
        self.acknowledged: set[TaskKey] = set()
        self.under_way: set[asyncio.Task[None]] = set()
        self.clock = SimClock(world.loop)
        self.menu = Menu(world)
        self.planner = Planner(world, self)
        self._context = copy_context()
        self._context.run(HOST.set, self.host)
        self.store = self._context.run(
            lambda: SimStore(world, self.host, world.path, can_die=False)
        )

    async def run(self, program: Program[T]) -> T:
        """Run a request to its end."""
        loop = self.world.loop
        task = loop.create_task(
            run_async(program, self.store, self.clock), context=self._context.copy()
        )
        return await task

    async def work(self) -> None:
        """Ask for one thing after another, without waiting for the answers."""
        world = self.world
        rng = world.rng
        deeds: list[tuple[Callable[[], Coroutine[Any, Any, None]], int]] = [
            (self.enqueue, 40),
            (self.enqueue_many, 8),
            (self.cancel, 14),
            (self.revive, 10),
            (self.begin_anew, 14),
            (self.wake, 10),
            (self.look, 4),
            (self.limit, 1),
        ]
        if world.plan.leap_us:
            deeds = []
        if world.plan.schedules:
            deeds.append((self.planner.act, 16))
        choices, weights = [deed for deed, _ in deeds], [weight for _, weight in deeds]
        while True:
            await asyncio.sleep(rng.expovariate(1.0) * world.plan.requests_every_us / SECOND_US)
            if len(self.under_way) < WAITING_MAX:
                (deed,) = rng.choices(choices, weights)
                self._begin(deed())

    def _begin(self, deed: Coroutine[Any, Any, object]) -> None:
        self.world.counts.requests += 1
        task = self.world.loop.create_task(self._expecting(deed))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _expecting(self, deed: Coroutine[Any, Any, object]) -> None:
        try:
            await deed
        except HONEST:
            pass
        # Whatever else there is must turn the run red, and not vanish in a background task.
        except Exception as error:  # noqa: BLE001 - becomes a violation
            self.world.blame(f"a request failed with {error!r}")

    # -- requests

    async def enqueue(self) -> None:
        """Store one task, perhaps under a unique key or an id of ours."""
        call, return_existing = self.menu.call()
        task = new_task(call, tenant=NO_TENANT, ids=self.world.ids)
        try:
            task_id = await self.run(
                tasks.enqueue(task, self.world.plan.settings, return_existing=return_existing)
            )
        except DuplicateError as error:
            if (NO_TENANT, task.id) in self.world.checker.tasks:
                self.world.blame(f"{task.id} was refused ({error}) and stored all the same")
            return
        self._acknowledge(task_id, like=task.unique_key)

    async def enqueue_many(self) -> None:
        """Store several tasks at once."""
        rng = self.world.rng
        alike, _ = self.menu.call()
        calls = [
            Call(alike.kind, alike.choices, self.menu.payload(alike.kind.name))
            if rng.random() < 0.8
            else self.menu.call()[0]
            for _ in range(rng.randint(2, 12))
        ]
        for batch in batches(calls, tenant=NO_TENANT, ids=self.world.ids, batch_max=8):
            stored = await self.run(bulk.enqueue_groups(batch.groups, self.world.plan.settings))
            for _, task_id in batch.in_order(stored):
                self._acknowledge(task_id)

    async def cancel(self) -> None:
        """Cancel any task, with force or without."""
        rng = self.world.rng
        task_id = self.menu.longest() if rng.random() < 0.4 else self.menu.any_task(LIVE)
        if rng.random() < 0.1:
            task_id = self.menu.any_task(ENDED)
        force = rng.random() < 0.3
        state = await self.run(tasks.cancel(NO_TENANT, task_id, force=force))
        if force and state is not State.CANCELLED:
            self.world.blame(f"{task_id} was cancelled by force and is {state}")

    def hasten(self) -> None:
        """Ask whatever has been running for longest to stop."""
        self._begin(self.run(tasks.cancel(NO_TENANT, self.menu.longest(), force=False)))

    async def revive(self) -> None:
        """Put an ended task back."""
        await self.run(tasks.revive(NO_TENANT, self.menu.any_task(ENDED)))

    async def begin_anew(self) -> None:
        """Cut a running task short and put it back at once, while its handler knows nothing."""
        running = self.menu.any_task({State.RUNNING})
        task_id = running if self.world.rng.random() < 0.5 else self.menu.longest()
        await self.run(tasks.cancel(NO_TENANT, task_id, force=True))
        await self.run(tasks.revive(NO_TENANT, task_id))

    async def wake(self, task_id: str = "") -> None:
        """Wake a task, or any that waits; there is no door for it yet, so this is the verb."""
        await self.run(_wake(task_id or self.menu.any_task({State.WAITING})))

    async def look(self) -> None:
        """Look at tasks and queues, or wait for a result."""
        settings = self.world.plan.settings
        chosen = self.world.rng.randrange(4)
        if chosen == 0:
            await self.run(queues.listing())
        elif chosen == 1:
            await self.run(tasks.find(NO_TENANT, settings, state="running", limit=5))
        elif chosen == 2:
            await self.run(tasks.story(NO_TENANT, self.menu.any_task(set(State)), settings))
        else:
            task_id = self.menu.any_task(LIVE)
            await self.run(tasks.result(NO_TENANT, task_id, settings, timeout_us=3 * SECOND_US))

    async def limit(self) -> None:
        """Give the narrow queue other slots."""
        slots = self.world.rng.choice([1, 2, 4, 7, None])
        await self.run(queues.limit("narrow", slots))

    def _acknowledge(self, task_id: str, *, like: str | None = None) -> None:
        key = (NO_TENANT, task_id)
        checker = self.world.checker
        self.world.note(self.host, f"has {task_id}")
        if key not in checker.tasks and key not in checker.pruned:
            self.world.blame(f"{task_id} was acknowledged and is not there (key {like})")
        self.acknowledged.add(key)


def _wake(task_id: str) -> Program[None]:
    yield verbs.wake(NO_TENANT, TaskId(task_id))
