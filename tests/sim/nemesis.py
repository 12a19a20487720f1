"""What befalls the system from outside: deaths, stalls, clock steps, locks, comings and goings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import apsw

from tenure.kernel.errors import StoreBusyError
from tenure.kernel.states import ENDED
from tenure.service import queues
from tests.sim.clocks import SECOND_US
from tests.sim.plan import CLOCK_BACK_MAX_US
from tests.sim.workers import SimWorker

if TYPE_CHECKING:
    from tests.sim.workload import Client
    from tests.sim.world import World

UP_MAX = 6
LEAP_EVERY_US = 3 * SECOND_US
# How long to wait for what is due at a wrong time, so that it is not left there.
LANDING_LOOKS = 2_000
CLOCK_AHEAD_MAX_US = 30 * SECOND_US


class Nemesis:
    """Strikes at random until told to stop, and then mends what it can."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self.client = client
        self._store_offset_us = 0
        self._names = 0
        self.leaper = Leaper(world, client)

    def blows(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on at the same time."""
        plan = self.world.plan
        table: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (plan.kill_every_us, self._kill),
            (plan.freeze_every_us, self._freeze),
            (plan.clock_every_us, self._step_clock),
            (plan.lock_every_us, self._lock),
            (plan.turnover_every_us, self._turn_over),
            (plan.pause_every_us, self._pause),
            (LEAP_EVERY_US if plan.leap_us else 0, self.leaper.leap),
        ]
        return [self._again_and_again(every_us, blow) for every_us, blow in table if every_us] + [
            self._keep_one_up()
        ]

    def start_worker(self, *, knows_all: bool) -> SimWorker:
        """Add a worker."""
        self._names += 1
        name = f"w{self._names}"
        (self.world.path.parent / name).mkdir(exist_ok=True)
        worker = SimWorker(self.world, name, knows_all=knows_all)
        self.world.workers.append(worker)
        self.world.counts.workers += 1
        self.world.note(worker.host, "starts")
        worker.start()
        return worker

    def mend(self, hands: int) -> None:
        """Wake every sleeper, and see that so many workers can do all the work."""
        for worker in self.world.workers:
            worker.thaw()
        while sum(worker.knows_all for worker in self._up(draining=False)) < hands:
            self.start_worker(knows_all=True)

    def let_one_go(self) -> None:
        """Ask a worker to stop, which will be replaced."""
        worker = self._one()
        if worker is not None and not worker.is_draining:
            self.world.note(worker.host, "is asked to stop in peace")
            worker.ask_to_stop()

    def _up(self, *, draining: bool) -> list[SimWorker]:
        return [
            worker
            for worker in self.world.workers
            if worker.is_up and (draining or not worker.is_draining)
        ]

    def _one(self) -> SimWorker | None:
        up = [worker for worker in self._up(draining=True) if not worker.host.is_frozen]
        return self.world.rng.choice(up) if up else None

    async def _again_and_again(self, every_us: int, blow: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self.world.rng.expovariate(1.0) * every_us / SECOND_US)
            await blow()

    async def _keep_one_up(self) -> None:
        rng = self.world.rng
        while True:
            await asyncio.sleep(rng.uniform(0.1, 2.0))
            if not self._up(draining=False):
                self.start_worker(knows_all=rng.random() < 0.7)

    async def _kill(self) -> None:
        worker = self._one()
        if worker is not None:
            worker.host.die()

    async def _freeze(self) -> None:
        worker = self._one()
        if worker is None:
            return
        rng = self.world.rng
        self.world.counts.freezes += 1
        self.world.note(worker.host, "freezes")
        worker.host.freeze(self.world.loop.now_us)
        for_us = rng.uniform(0.3, 1.5) * self.world.plan.freeze_us
        self.world.loop.call_later(for_us / SECOND_US, worker.thaw)

    async def _step_clock(self) -> None:
        rng = self.world.rng
        self.world.counts.clock_steps += 1
        worker = self._one()
        if worker is not None and rng.random() < 0.5:
            worker.clock.step_wall(rng.randint(-3_600, 3_600) * SECOND_US)
            worker.clock.step_monotonic(rng.choice([0, rng.randint(0, 2 * SECOND_US)]))
            self.world.note(worker.host, "has another time")
            return
        wanted_us = self._store_offset_us + rng.randint(-8 * SECOND_US, 8 * SECOND_US)
        offset_us = max(-CLOCK_BACK_MAX_US, min(wanted_us, CLOCK_AHEAD_MAX_US))
        self.world.store_clock.step_wall(offset_us - self._store_offset_us)
        self._store_offset_us = offset_us
        self.world.note("store", f"has another time: {offset_us / SECOND_US:+.6f}")

    async def _lock(self) -> None:
        connection = apsw.Connection(str(self.world.path))
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.world.note("store", "is locked by a stranger")
            await asyncio.sleep(self.world.rng.uniform(0.001, 3.0))
            self.world.note("store", "is free again")
        finally:
            connection.close(True)

    async def _turn_over(self) -> None:
        rng = self.world.rng
        if rng.random() < 0.5:
            if len(self._up(draining=True)) < UP_MAX:
                self.start_worker(knows_all=rng.random() < 0.7)
            return
        worker = self._one()
        if worker is None:
            return
        self.world.counts.drains += 1
        self.world.note(worker.host, "is asked to stop")
        worker.ask_to_stop()
        if rng.random() < 0.4:
            self.world.loop.call_later(rng.uniform(0, 2), worker.ask_to_stop)

    async def _pause(self) -> None:
        try:
            await self.client.run(queues.pause("narrow"))
            await asyncio.sleep(self.world.rng.uniform(0.2, 5.0))
            await self.client.run(queues.resume("narrow"))
        except StoreBusyError:
            return  # It may stay paused until the end, when all queues are opened.


class Leaper:
    """Sets the store's clock wrong by much, and right again."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self._client = client

    async def leap(self) -> None:
        """Set the store's clock wrong by an hour or a year, and right again after a while."""
        rng = self.world.rng
        # What is asked for at a wrong time counts from it, and only a scheduler that looks before
        # the clock is right again can tell.
        if self._client.under_way:
            await asyncio.wait(self._client.under_way)
        self._move(rng.choice([-1, 1]) * self.world.plan.leap_us)
        await asyncio.sleep(rng.uniform(0.05, 4.0))
        await self.land(may_fail=True)

    async def land(self, *, may_fail: bool = False) -> None:
        """Set the clock right, once nothing is left that is due by the wrong time only."""
        world = self.world
        if not world.ahead_us:
            return
        for _ in range(LANDING_LOOKS):
            true_us = world.store_clock.now_us() - world.ahead_us
            rows = world.checker.tasks.values()
            if all(row.state in ENDED or row.run_at_us <= true_us for row in rows):
                break
            await asyncio.sleep(0.01)
        else:
            if not may_fail:
                world.blame("what was made by a wrong clock does not end")
            return
        self._move(0)

    def _move(self, ahead_us: int) -> None:
        if ahead_us != self.world.ahead_us:
            self.world.counts.clock_steps += 1
            self.world.store_clock.step_wall(ahead_us - self.world.ahead_us)
            self.world.ahead_us = ahead_us
            self.world.note("store", f"leaps to {ahead_us / SECOND_US:+.0f}")
