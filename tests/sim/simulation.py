"""Run one seed: trouble, then peace, then the reckoning.

`simulate(seed)` is all that the tests and the command line need. The same seed gives the same
run, to the last microsecond; `Outcome.fingerprint` tells.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import apsw

from tenure.kernel.states import ENDED, State
from tenure.service import queues
from tenure.service.program import Program
from tenure.store import claims, migrate
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_session import SqliteOptions
from tests.sim import audit, rest
from tests.sim.clocks import SECOND_US, SimClock
from tests.sim.fires import waits
from tests.sim.loop import DeadlockError, VirtualLoop
from tests.sim.nemesis import CLOCK_AHEAD_MAX_US, Nemesis
from tests.sim.plan import CLOCK_BACK_MAX_US, draw_plan
from tests.sim.workers import SimWorker
from tests.sim.workload import Client
from tests.sim.world import ANY_AGE_US, NOTHING_PLANTED, Counts, Plant, World

LOOK_S = 0.5
CALM_US = 6 * SECOND_US
# Once peace has come some task ends at least so often: the longest handler may be the only one,
# after a lease that a clock set back has made longer.
PROGRESS_US = 60 * SECOND_US + CLOCK_BACK_MAX_US + CLOCK_AHEAD_MAX_US
REST_US = 900 * SECOND_US
HANDS_AT_PEACE = 3
# How likely, at each look, that a handler which takes long is asked to stop.
HASTE = 0.15
UNWIND_TURNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one seed."""

    seed: int
    violations: tuple[str, ...]
    fingerprint: str
    virtual_us: int
    tasks: int
    fired: int
    changes: int
    counts: Counts

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"seed {self.seed}: {self.virtual_us / SECOND_US:.1f} virtual s, {self.tasks} tasks, "
            f"{self.fired} of schedules, "
            f"{counts.handler_runs} runs, {counts.workers} workers, {counts.deaths} deaths, "
            f"{counts.freezes} stalls, {counts.drains} drains, {counts.leases_lost} leases lost, "
            f"{counts.expired} expired, {counts.clock_steps} clock steps, "
            f"{self.changes} changes, trace {self.fingerprint}"
        )


def simulate(
    seed: int, *, plant: Plant = NOTHING_PLANTED, says: Callable[[str], None] | None = None
) -> Outcome:
    """Run one seed to its end."""
    with tempfile.TemporaryDirectory(dir=_fast_folder(), prefix="tenure-sim-") as folder:
        path = Path(folder) / "sim.db"
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        # The system would tell of writes at times of its own; here one has to look.
        no_word = mock.patch("tenure.store.sqlite_watch.watch_file", return_value=None)
        no_word.start()
        # What is collected when would depend on what ran before; and it is a fifth of the time.
        gc.disable()
        try:
            rng = random.Random(seed)
            plan = replace(draw_plan(seed, rng, path), **plant.emphasis)
            _make_tables(loop, path, plant)
            world = World(plan, rng, loop, path, plant)
            world.says = says
            with closing(world.watcher):
                _run(world)
        finally:
            gc.enable()
            no_word.stop()
            asyncio.set_event_loop(None)
            loop.close()
    return Outcome(
        seed=seed,
        violations=tuple(world.violations),
        fingerprint=world.fingerprint,
        virtual_us=loop.now_us,
        tasks=len(world.checker.tasks) + len(world.checker.pruned),
        fired=world.checker.fires.fired,
        changes=world.checker.checked,
        counts=world.counts,
    )


def _fast_folder() -> str | None:
    """Return a folder in memory, where there is one."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


def _make_tables(loop: VirtualLoop, path: Path, plant: Plant) -> None:
    options = SqliteOptions(path=path, durable=False, busy_us=SECOND_US, watch_us=SECOND_US)
    store = SqliteStore(options, SimClock(loop))
    loop.run_until_complete(store.run(migrate.apply(migrate.migrations("sqlite"))))
    loop.run_until_complete(store.close())
    with closing(apsw.Connection(str(path))) as connection:
        audit.install(connection)
        for text in plant.schema:
            connection.execute(text)


def _run(world: World) -> None:
    loop = world.loop
    client = Client(world)
    nemesis = Nemesis(world, client)
    try:
        loop.run_until_complete(_live(world, client, nemesis))
    except DeadlockError as error:
        world.blame(f"the system stands still: {error}")
    for trouble in loop.troubles:
        world.blame(f"the event loop caught: {trouble}")
    _unwind(world, client)


async def _live(world: World, client: Client, nemesis: Nemesis) -> None:
    await client.run(queues.limit("narrow", world.plan.queue_slots))
    for number in range(world.plan.workers):
        nemesis.start_worker(knows_all=number == 0 or world.rng.random() < 0.7)
    await client.planner.begin()
    if world.violations:
        return
    await _have_trouble(world, client, nemesis)
    world.note("peace", "begins")
    world.is_troubled = False
    await _land(world, client, nemesis)
    # What was delayed may still be on its way for a while.
    world.calm_since_us = world.loop.now_us + 2 * world.plan.delay_us
    nemesis.mend(HANDS_AT_PEACE)
    await client.run(queues.resume("narrow"))
    await client.run(queues.limit("narrow", world.rng.choice([None, 6, 20])))
    # One drain that nothing disturbs, while there is work.
    after_s = 2 * world.plan.delay_us / SECOND_US + world.rng.uniform(0.1, 2.0)
    world.loop.call_later(after_s, nemesis.let_one_go)
    if world.plan.schedules:
        await _keep_time(world, client, nemesis)
    await _come_to_rest(world, client, nemesis)
    if world.violations:
        return
    rest.check_idle(world)
    rest.check_rest(world, client)
    await _drain(world)
    await _prune(world, client)
    rest.check_empty(world)


async def _have_trouble(world: World, client: Client, nemesis: Nemesis) -> None:
    world.is_troubled = True
    loop = world.loop
    blows = [
        loop.create_task(_reporting(world, each)) for each in [client.work(), *nemesis.blows()]
    ]
    while loop.now_us < world.plan.active_us and not world.violations:
        await asyncio.sleep(LOOK_S)
        _look(world)
    for blow in blows:
        blow.cancel()
    await asyncio.gather(*blows, return_exceptions=True)


async def _reporting(world: World, blow: Any) -> None:
    try:
        await blow
    # A mistake in the simulator itself must not end as a quiet background task.
    except Exception as error:  # noqa: BLE001 - becomes a violation
        world.blame(f"a blow failed with {error!r}")


async def _land(world: World, client: Client, nemesis: Nemesis) -> None:
    """Set a clock that has leapt right, with enough hands for what is due until then."""
    if world.ahead_us:
        nemesis.mend(HANDS_AT_PEACE)
        await client.planner.pause_all()
        await nemesis.leaper.land()


async def _keep_time(world: World, client: Client, nemesis: Nemesis) -> None:
    """Let the schedules go on undisturbed for a while, and then stop them."""
    await client.planner.resume_all()
    assert world.calm_since_us is not None
    from_us = world.calm_since_us + rest.RECOVERY_US
    while world.loop.now_us < from_us + CALM_US and not world.violations:
        await asyncio.sleep(LOOK_S)
        _look(world)
        nemesis.mend(HANDS_AT_PEACE)
        if world.loop.now_us > from_us:
            world.checker.fires.watch()
    await client.planner.pause_all()


async def _come_to_rest(world: World, client: Client, nemesis: Nemesis) -> None:
    began_us = progress_us = world.loop.now_us
    left = len(world.checker.tasks)
    while not world.violations:
        await asyncio.sleep(LOOK_S)
        _look(world)
        nemesis.mend(HANDS_AT_PEACE)
        restless = [row for row in world.checker.tasks.values() if row.state not in ENDED]
        if len(restless) < left:
            left, progress_us = len(restless), world.loop.now_us
        if not (restless or client.under_way or world.ledger.open):
            break
        if world.rng.random() < HASTE:
            client.hasten()
        for row in restless:
            if row.state == State.WAITING and not waits(row):
                await client.wake(row.id)
        now_us = world.loop.now_us
        if now_us - began_us > REST_US or now_us - progress_us > PROGRESS_US:
            world.blame(
                f"no rest: {restless[:5]}, {len(client.under_way)} requests, "
                f"{list(world.ledger.open.values())[:5]}"
            )
    # The last answers are still on their way to the settlers.
    await asyncio.sleep(3.0)
    _look(world)


def _look(world: World) -> None:
    rest.watch_runs(world)
    rest.watch_idleness(world)
    for worker in world.workers:
        _check_end(world, worker)


def _check_end(world: World, worker: SimWorker) -> None:
    """A worker that was asked to stop is gone after its grace and its farewell."""
    if not worker.is_draining or not worker.is_up or worker.host.is_frozen:
        return
    since_us = world.loop.now_us - worker.was_asked_us - worker.host.frozen_us
    if since_us > world.plan.settings.worker.grace_us + DRAIN_US:
        world.blame(f"{worker.host} was asked to stop {since_us / SECOND_US:.1f} s ago")


# Farewell, and a few verbs each of which may be delayed or wait for a lock.
DRAIN_US = 40 * SECOND_US


async def _drain(world: World) -> None:
    up = [worker for worker in world.workers if worker.is_up]
    for worker in up:
        worker.ask_to_stop()
    ends = [worker.ran for worker in up if worker.ran is not None]
    if ends:
        await asyncio.wait(ends, timeout=30.0)
    for worker in up:
        if worker.is_up:
            world.blame(f"{worker.host} does not stop though it has nothing to do")
    known = world.watcher.execute("SELECT id FROM worker").fetchall()
    for worker in up:
        if (worker.worker_id,) in known:
            world.blame(f"{worker.host} has drained and is still registered")


async def _prune(world: World, client: Client) -> None:
    world.prunes_all = True
    for state in sorted(ENDED):
        while await client.run(_prune_once(state)):
            pass


def _prune_once(state: State) -> Program[int]:
    pruned: int = yield claims.prune(state, keep_us=ANY_AGE_US, limit=50)
    return pruned


def _unwind(world: World, client: Client) -> None:
    """Let every coroutine end, those of the dead too, without anything being noted any more."""
    world.ledger.is_closed = True
    world.is_over = True
    stores = [client.store, *(worker.store for worker in world.workers)]
    for store in stores:
        store.is_gone = True
        if not store.host.is_dead:
            store.host.die()
        store.host.exhume()
    for _ in range(UNWIND_TURNS):
        left = asyncio.all_tasks(world.loop)
        if not left:
            return
        for task in left:
            task.cancel()
        world.loop.run_until_complete(asyncio.wait(left, timeout=1.0))
    raise AssertionError(f"coroutines are left: {asyncio.all_tasks(world.loop)}")
