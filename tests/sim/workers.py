"""Real supervisors, each on a simulated host of its own, and what is watched about them."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.engine.supervisor import Supervisor
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import StoreBusyError
from tenure.kernel.states import State
from tenure.observe.events import (
    AttemptsSettled,
    Bus,
    EngineEvent,
    LeaseLost,
    LeasesExpired,
    TickFailed,
)
from tests.sim.clocks import SECOND_US, SimClock
from tests.sim.handlers import ACTING, COMMON_KINDS, EVERY_KIND
from tests.sim.ledger import ClaimKey
from tests.sim.loop import HOST, Host
from tests.sim.store import SimStore

if TYPE_CHECKING:
    from tests.sim.world import World

QUEUES = ("default", "narrow")


class Usurper:
    """Takes itself for the leader."""

    is_leader = True


class SimWorker:
    """One worker: its host, its clocks, its store and its supervisor."""

    def __init__(self, world: World, name: str, *, knows_all: bool) -> None:
        rng = world.rng
        self.world = world
        self.host = Host(name)
        self.knows_all = knows_all
        self.is_draining = False
        self.was_asked_us = 0
        self.lost: set[ClaimKey] = set()
        self.ran: asyncio.Task[None] | None = None
        self.clock = SimClock(
            world.loop,
            wall_offset_us=rng.randint(-7_200, 7_200) * SECOND_US,
            monotonic_offset_us=rng.randint(0, 10**6) * SECOND_US,
            ppm=rng.choice([0, 0, rng.randint(-20_000, 20_000)]),
        )
        self._context = copy_context()
        self._context.run(HOST.set, self.host)
        self._context.run(ACTING.set, self)
        self._context.run(self._build)

    @property
    def is_up(self) -> bool:
        """Whether it is there at all."""
        return not self.host.is_dead and self.ran is not None and not self.ran.done()

    def has_room(self, cost: int) -> bool:
        """Return whether it could begin a task of this cost."""
        slots = self.supervisor.executor.slots
        free = slots.total - slots._taken - slots._promised
        return self.is_up and not self.is_draining and free >= min(cost, slots.total)

    def check_accounts(self) -> None:
        """What it thinks it holds is what it does hold."""
        held = sum(run.cost for run in self.supervisor.running if not run.is_settling)
        taken = self.supervisor.executor.slots._taken
        if held != taken:
            self.world.blame(f"{self.host} holds {held} and counts {taken}")

    def _promise(self, wanted: int) -> int:
        """Set room aside for a claim, and see that there was so much."""
        slots = self.supervisor.executor.slots
        promised = type(slots).promise(slots, wanted)
        room = slots.total + slots._pace.ahead()
        if promised and slots._taken + slots._promised > room:
            self.world.blame(f"{self.host} takes {slots._taken + slots._promised} of {room}")
        return promised

    def start(self) -> None:
        """Run until asked to stop."""
        self.ran = self.world.loop.create_task(self.supervisor.run(), context=self._context)
        self.ran.add_done_callback(self._ended)

    def thaw(self) -> None:
        """Wake it up, if it sleeps."""
        if self.host.is_frozen and not self.host.is_dead:
            self.world.note(self.host, "thaws")
            self.host.thaw(self.world.loop.now_us)

    def ask_to_stop(self) -> None:
        """As a signal does: the first drains, the second hurries."""
        if not self.is_draining:
            self.was_asked_us = self.world.loop.now_us
        self.is_draining = True
        self._context.copy().run(self.supervisor.ask_to_stop)

    def _build(self) -> None:
        world = self.world
        self.store = SimStore(world, self.host, self._path(), can_die=True)
        bus = Bus()
        bus.subscribe(self._watch)
        around = Surroundings(
            store=self.store,
            registry=EVERY_KIND if self.knows_all else COMMON_KINDS,
            settings=world.plan.settings,
            clock=self.clock,
            ids=world.ids,
            rng=world.rng,
            bus=bus,
        )
        self.supervisor = Supervisor(around, queues=QUEUES)
        if world.plan.usurpers and world.rng.random() < world.plan.usurpers:
            scheduler: Any = self.supervisor.scheduler
            scheduler._elector = Usurper()
        promising: Any = self.supervisor.executor.slots
        promising.promise = self._promise
        self.worker_id = self.store.worker_id = self.supervisor.worker.id
        self.host.when_dead.append(self._died)

    def _path(self) -> Path:
        """Return the file under the name that the worker's process has for it.

        Stores with the same name hear one another's notices; others see the file change only.
        """
        path = self.world.path
        if self.world.rng.random() < self.world.plan.shares_process:
            return path
        return path.parent / self.host.name / ".." / path.name

    def _died(self) -> None:
        if self.world.is_over:
            return
        self.world.counts.deaths += 1
        self.world.ledger.bury(self.host)
        self.world.note(self.host, "is dead")

    def _ended(self, ran: asyncio.Task[None]) -> None:
        if ran.cancelled() or self.store.is_gone:
            return
        error = ran.exception()
        self.world.note(self.host, f"has ended: {type(error).__name__ if error else 'drained'}")
        if isinstance(error, StoreBusyError):
            return
        if error is not None:
            self.world.blame(f"{self.host} ended with {error!r}")
        elif self.world.ledger.load(self.host):
            self.world.blame(f"{self.host} has ended and left handlers running")
        elif self.world.is_calm_since(self.was_asked_us):
            self._check_farewell()

    def _check_farewell(self) -> None:
        """Undisturbed, it gives back or finishes whatever it has claimed."""
        for row in self.world.checker.running(self.worker_id):
            claim = (row.tenant, row.id, row.claim_no)
            if self.world.is_calm_since(self.world.checker.claimed_us[claim]):
                self.world.blame(f"{self.host} has drained and left claims: {row}")

    def _watch(self, event: EngineEvent) -> None:
        if self.store.is_gone:
            return
        match event:
            case TickFailed():
                if not isinstance(event.error, StoreBusyError):
                    self.world.blame(f"{event.loop} of {self.host} failed: {event.error!r}")
            case LeaseLost():
                self.world.counts.leases_lost += 1
                self.lost.add(("", event.task_id, event.claim_no))
            case LeasesExpired():
                self.world.counts.expired += len(event.task_ids)
            case AttemptsSettled():
                self._check_settled()
            case _:
                pass
        self.world.note(self.host, f"tells {type(event).__name__}")

    def _check_settled(self) -> None:
        """What ended here and is not written is still held, until it is."""
        held = {run.key for run in self.supervisor.running}
        for row in self.world.checker.running(self.worker_id):
            key = (row.tenant, row.id, row.claim_no)
            run = self.world.ledger.runs.get(key)
            has_ended = run is not None and run.ended_us is not None
            if has_ended and key not in held and key not in self.lost:
                self.world.blame(f"{key} counts as settled by {self.host} and is not written")
            assert row.state == State.RUNNING
