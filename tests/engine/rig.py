"""One store and the workers' parts on it, with everything that moves in the test's hand.

Called by the fixtures in conftest.py. The store is a real one; nothing runs by itself: a test
calls the ticks, moves the clock and looks into the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from tenure.engine.claimer import Claimer
from tenure.engine.elector import Elector
from tenure.engine.executor import Executor
from tenure.engine.places import Places
from tenure.engine.processes import Processes
from tenure.engine.renewer import Renewer
from tenure.engine.running import Run, Running
from tenure.engine.scheduler import Scheduler
from tenure.engine.settler import Settler
from tenure.engine.surroundings import Surroundings
from tenure.engine.threads import Threads
from tenure.kernel.model import Attempt, Claim, NewTask, Task, TaskId
from tenure.kernel.ports import Clock, Verb
from tenure.kernel.states import Event
from tenure.observe.events import Bus, EngineEvent
from tenure.sdk.task import Kind, Registry
from tenure.service.program import Program, run_async
from tenure.settings import Settings
from tenure.store import claims, history, tasks
from tests.engine.trial_store import TrialStore
from tests.engine.virtual import VirtualClock, settle_down
from tests.store.builders import a_request, a_settlement, a_task, a_worker
from tests.store.drivers import SECOND_US

T = TypeVar("T")
E = TypeVar("E")

WORKER = "worker-1"
BATCHES_MAX = 200


class CountingIds:
    """Ids in order: id-1, id-2, and so on."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"id-{self.count}"


class HalfRng:
    """Chance that always falls in the middle."""

    def random(self) -> float:
        return 0.5


class Rig:
    """A store, a clock, a registry, and all that was told."""

    def __init__(
        self, clock: VirtualClock, store: TrialStore, *, time: Clock | None = None
    ) -> None:
        self.clock = clock
        self.store = store
        self.registry = Registry()
        self.settings = Settings()
        self.events: list[EngineEvent] = []
        self.ids = CountingIds()
        self._time: Clock = time or clock

    def set(self, **sections: Mapping[str, Any]) -> None:
        """Choose settings, before a part is made: ``rig.set(worker={"slots": 2})``."""
        assert "around" not in self.__dict__, "the parts have their settings already"
        changed = {
            name: replace(getattr(self.settings, name), **given) for name, given in sections.items()
        }
        self.settings = replace(self.settings, **changed)

    @cached_property
    def around(self) -> Surroundings:
        """What all parts work with."""
        bus = Bus()
        bus.subscribe(self.events.append)
        return Surroundings(
            store=self.store,
            registry=self.registry,
            settings=self.settings,
            clock=self._time,
            ids=self.ids,
            rng=HalfRng(),
            bus=bus,
        )

    def parts(self, *, worker_id: str = WORKER) -> Parts:
        """Return the parts of a worker."""
        return Parts(self, worker_id=worker_id)

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    async def run(self, verb: Verb[T]) -> T:
        """Run a verb past all that troubles the worker."""
        return await self.store.inner.run(verb)

    async def ask(self, program: Program[T]) -> T:
        """Run what a client asks for, past all that troubles the worker."""
        return await run_async(program, self.store.inner, self.clock)

    async def insert(self, *new: NewTask) -> None:
        """Store tasks as they are."""
        for task in new:
            assert await self.run(tasks.insert(task))

    async def enqueue(
        self, kind: Kind[..., Any], *args: Any, id: str = "task-1", **fields: Any
    ) -> None:
        """Store a task for a handler, as a client would."""
        settings = kind.settings
        given: dict[str, Any] = {
            "payload": kind.codec.encode(args, {}),
            "queue": settings.queue,
            "cost": settings.cost,
            "attempts_max": settings.retry.attempts_max,
            "timeout_us": settings.timeout_us,
        }
        await self.insert(a_task(id, kind=kind.name, **{**given, **fields}))

    async def enqueue_many(self, kind: Kind[..., Any], count: int, **fields: Any) -> None:
        """Store the tasks task-1, task-2, and so on, for a handler without arguments."""
        for number in range(1, count + 1):
            await self.enqueue(kind, id=f"task-{number}", **fields)

    async def task(self, id: str = "task-1") -> Task:
        """Return a task as the store has it."""
        task = await self.run(tasks.get("", TaskId(id)))
        assert task is not None
        return task

    async def attempts(self, id: str = "task-1") -> list[Attempt]:
        """Return the settled attempts of a task, oldest first."""
        found = await self.run(history.attempts("", TaskId(id), limit=100))
        return found[::-1]

    async def claim(self, **fields: Any) -> list[Claim]:
        """Claim what is due, past every claimer."""
        return await self.run(claims.claim(a_request(**fields)))

    async def expire(self) -> None:
        """Let every lease run out by the store's clock, and be taken back."""
        self.clock.time_us += self.settings.worker.lease_us + SECOND_US
        verb = claims.expire(lambda claim, _: a_settlement(claim, Event.EXPIRE), limit=1_000)
        await self.run(verb)


class Parts:
    """What a worker is made of, not running."""

    def __init__(self, rig: Rig, *, worker_id: str) -> None:
        around, settings = rig.around, rig.settings
        self.rig = rig
        self.worker_id = worker_id
        self.running = Running()
        self.processes = Processes(
            settings.worker.processes, error_bytes_max=settings.limits.error_bytes_max
        )
        self.places = Places(Threads(settings.worker.threads), self.processes)
        self.settler = Settler(around, running=self.running, worker_id=worker_id)
        self.executor = Executor(
            around, running=self.running, settler=self.settler, places=self.places
        )
        self.renewer = Renewer(
            around,
            executor=self.executor,
            running=self.running,
            worker=a_worker(worker_id, slots=settings.worker.slots),
        )
        self.elector = Elector(around, worker_id=worker_id)
        self.scheduler = Scheduler(around, elector=self.elector)
        self.claimer = self.claimer_of("default")

    def claimer_of(self, queue: str) -> Claimer:
        """Return a claimer into this executor."""
        return Claimer(
            queue,
            self.rig.around,
            executor=self.executor,
            running=self.running,
            worker_id=self.worker_id,
        )

    @property
    def runs(self) -> list[Run]:
        """What the worker holds."""
        return list(self.running)

    async def start(self) -> Run:
        """Claim the only task that is due and let it run as far as it gets without waiting."""
        await self.claimer.tick()
        await settle_down()
        (run,) = self.running
        return run

    async def write(self) -> None:
        """Let what can end end, and write all outcomes."""
        await settle_down()
        for _ in range(BATCHES_MAX):
            if self.settler.is_empty:
                return
            await self.settler.tick()
            await settle_down()
        raise AssertionError("the settler comes to no end")
