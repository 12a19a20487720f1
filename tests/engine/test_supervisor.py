"""One whole worker: how it starts, how it stops, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from tenure.engine.supervisor import FAREWELL_US, LAST_WORD_US, Supervisor, queues_of
from tenure.kernel.errors import StoreDownError
from tenure.kernel.model import Worker
from tenure.kernel.states import Event, State
from tenure.observe.events import (
    EngineEvent,
    LeadershipChanged,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from tenure.sdk.task import Registry
from tenure.sdk.when import every
from tenure.store import workers
from tests.engine.rig import Rig
from tests.engine.virtual import settle_down
from tests.store.drivers import SECOND_US

# What a supervisor may need beyond its patience: looks at its runs, and turns of its loops.
SLACK_US = SECOND_US


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


@contextlib.asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[Supervisor]:
    """Run a worker, and see that it ends."""
    supervisor = Supervisor(rig.around)
    started = asyncio.Event()
    task = asyncio.get_running_loop().create_task(supervisor.run(when_started=started))
    await started.wait()
    await settle_down()
    try:
        yield supervisor
    finally:
        supervisor.ask_to_stop()
        await task


async def stop(rig: Rig, supervisor: Supervisor, *asks_s: float) -> int:
    """Ask a worker to stop, now and again later; return after how long it has stopped."""
    began_us = rig.clock.monotonic_us()
    loop = asyncio.get_running_loop()
    supervisor.ask_to_stop()
    for seconds in asks_s:
        loop.call_later(seconds, supervisor.ask_to_stop)
    while not rig.told(WorkerStopped):
        await rig.clock.sleep(1_000)
    return rig.clock.monotonic_us() - began_us


def kinds(events: Sequence[EngineEvent]) -> list[type[EngineEvent]]:
    return [type(event) for event in events]


async def listed(rig: Rig) -> list[Worker]:
    return await rig.run(workers.listing())


async def test_a_worker_is_registered_before_it_claims_and_gone_when_it_has_stopped(
    rig: Rig,
) -> None:
    order: list[str] = []
    rig.store.when_asked = lambda verb: order.append(verb.name)

    async with working(rig):
        (worker,) = await listed(rig)

    assert ("id-1", "register") == (worker.id, order[0])
    assert order.index("register") < order.index("claim")
    assert order.index("stop") < order.index("resign") < order.index("forget")
    assert [] == await listed(rig)


async def test_it_tells_what_it_is_and_that_it_ends(rig: Rig) -> None:
    rig.registry.task(name="work", queue="mail")(for_ever)

    async with working(rig):
        pass

    (started,) = rig.told(WorkerStarted)
    assert ("id-1", ("default", "mail"), 1, 100) == (
        started.worker_id,
        started.queues,
        started.kinds,
        started.slots,
    )
    told = [kind for kind in kinds(rig.events) if kind is not LeadershipChanged]
    assert [WorkerStarted, WorkerStopping, WorkerStopped] == told


async def test_the_queues_are_those_of_the_kinds_and_the_default() -> None:
    registry = Registry()
    for name in ("b", "a", "b"):
        registry.task(name=f"{name}-{len(registry)}", queue=name)(for_ever)

    assert ("a", "b", "default") == queues_of(registry)


async def test_its_loops_start_in_order_and_every_one_of_them_runs(rig: Rig) -> None:
    async with working(rig) as supervisor:
        names = [each.name for each in supervisor._loops]
        tasks = {task.get_name() for task in asyncio.all_tasks()}

    firm = ["listener", "settler", "renewer", "claimer default", "lookout"]
    assert [*firm, "elector", "scheduler", "reaper", "pruner"] == names
    assert set(names) <= tasks


async def test_schedules_begin_with_the_worker_and_not_at_the_schedulers_next_look(
    rig: Rig,
) -> None:
    """The scheduler looked before the election, and then slept for seconds."""
    begun_us: list[int] = []

    @rig.registry.task(schedule=every("1h"))
    async def work() -> None:
        begun_us.append(rig.clock.monotonic_us())

    async with working(rig):
        await rig.clock.sleep(SECOND_US)

    assert 1 == len(begun_us)
    assert begun_us[0] < SECOND_US // 10


async def test_a_worker_that_cannot_be_registered_does_not_start(rig: Rig) -> None:
    rig.store.down = StoreDownError("gone")
    supervisor = Supervisor(rig.around)

    with pytest.raises(StoreDownError):
        await supervisor.run()

    assert [] == rig.events
    assert 1 == len(asyncio.all_tasks())


async def test_tasks_run_from_claim_to_result(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> str:
        return "done"

    async with working(rig):
        await rig.enqueue_many(work, 3)
        await rig.clock.sleep(2 * SECOND_US)
        states = [(await rig.task(f"task-{number}")).state for number in (1, 2, 3)]

    assert [State.COMPLETED] * 3 == states


async def test_a_freed_slot_lets_the_next_begin_without_waiting_for_a_look(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> None:
        await rig.clock.sleep(1_000)

    rig.set(worker={"slots": 1}, settler={"linger_us": 0})
    await rig.enqueue_many(work, 20)

    async with working(rig):
        await rig.clock.sleep(100_000)
        last = await rig.task("task-20")

    assert State.COMPLETED is last.state


async def test_a_task_that_is_retried_soon_begins_when_it_is_due(rig: Rig) -> None:
    begun_us: list[int] = []

    @rig.registry.task
    async def work() -> None:
        begun_us.append(rig.clock.monotonic_us())
        raise ValueError

    rig.set(settler={"linger_us": 0})

    async with working(rig):
        await rig.clock.sleep(200_000)
        await rig.enqueue(work, attempts_max=2)
        await rig.clock.sleep(SECOND_US)

    # Half of the first wait of a second, because this chance always falls in the middle.
    assert [200_000, 700_000] == begun_us


async def test_a_drain_lets_what_runs_end_within_the_grace(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> None:
        await rig.clock.sleep(5 * SECOND_US)

    await rig.enqueue(work)
    async with working(rig) as supervisor:
        took_us = await stop(rig, supervisor)

    assert State.COMPLETED is (await rig.task()).state
    assert 5 * SECOND_US <= took_us < 5 * SECOND_US + SLACK_US
    assert [0] == [event.released for event in rig.told(WorkerStopped)]


async def test_a_drain_gives_back_at_once_what_has_not_begun(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    rig.set(worker={"slots": 1})
    await rig.enqueue(rig.registry.get("work"))
    async with working(rig) as supervisor:
        await rig.enqueue(rig.registry.get("work"), id="second")
        supervisor.executor.start(await rig.claim(worker_id="id-1"), lease_ends_us=10**12)

        supervisor.ask_to_stop()
        await rig.clock.sleep(100_000)
        second, first = await rig.task("second"), await rig.task()

    assert (State.PENDING, 0) == (second.state, second.attempt)
    assert State.RUNNING is first.state


async def test_a_drain_claims_nothing_more(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    async with working(rig) as supervisor:
        supervisor.ask_to_stop()
        await settle_down()
        await rig.enqueue(rig.registry.get("work"))
        for claimer in supervisor.claimers:
            claimer.wake()
        await rig.clock.sleep(2 * SECOND_US)

    assert 0 == (await rig.task()).claim_no


async def test_what_outlasts_the_grace_is_given_back_without_costing_an_attempt(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    await rig.enqueue(rig.registry.get("work"))
    async with working(rig) as supervisor:
        took_us = await stop(rig, supervisor)

    task = await rig.task()
    assert (State.PENDING, 0) == (task.state, task.attempt)
    assert [Event.RELEASE] == [attempt.event for attempt in await rig.attempts()]
    grace_us = rig.settings.worker.grace_us
    assert grace_us <= took_us < grace_us + SLACK_US
    assert [1] == [event.released for event in rig.told(WorkerStopped)]


async def test_a_second_ask_hurries(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    await rig.enqueue(rig.registry.get("work"))
    async with working(rig) as supervisor:
        took_us = await stop(rig, supervisor, 2)

    assert 2 * SECOND_US <= took_us < 2 * SECOND_US + SLACK_US
    assert State.PENDING is (await rig.task()).state


async def test_a_handler_that_does_not_let_itself_be_stopped_does_not_keep_the_worker(
    rig: Rig,
) -> None:
    """Nothing less than a third signal ended such a worker."""

    @rig.registry.task
    async def work() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await for_ever()

    rig.set(worker={"grace_us": 0})
    await rig.enqueue(work)
    async with working(rig) as supervisor:
        took_us = await stop(rig, supervisor)

    assert took_us < FAREWELL_US + LAST_WORD_US + SLACK_US
    assert (State.PENDING, 0) == ((await rig.task()).state, (await rig.task()).attempt)
    assert 1 == len(asyncio.all_tasks())


async def test_released_are_those_that_were_and_not_those_that_should_be(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    rig.set(worker={"grace_us": 0})
    await rig.enqueue(rig.registry.get("work"))
    async with working(rig) as supervisor:
        rig.store.down = StoreDownError("gone")
        await stop(rig, supervisor)

    assert [0] == [event.released for event in rig.told(WorkerStopped)]


@pytest.mark.parametrize("way", ["refuses", "never answers"])
async def test_the_farewell_is_bounded_though_the_store_is_away(rig: Rig, way: str) -> None:
    """Each last word waited by itself for a store that was not there, or did so for ever."""
    rig.registry.task(name="work")(for_ever)
    rig.set(worker={"grace_us": SECOND_US})
    await rig.enqueue(rig.registry.get("work"))
    async with working(rig) as supervisor:
        if way == "refuses":
            rig.store.down = StoreDownError("gone")
        else:
            for name in ("claim", "settle", "stop", "elect", "resign", "forget", "renew", "beat"):
                rig.store.hold(name)
            for claimer in supervisor.claimers:
                claimer.wake()
            await settle_down()
        took_us = await stop(rig, supervisor)

    patience_us = rig.settings.worker.grace_us + 4 * FAREWELL_US + LAST_WORD_US
    assert took_us < patience_us + SLACK_US


async def test_an_office_that_was_resigned_is_not_taken_again_on_the_way_out(rig: Rig) -> None:
    """The elector could ask once more between its resignation and its end."""
    async with working(rig) as supervisor:
        door = rig.store.hold_answer("resign")
        asyncio.get_running_loop().call_later(1, door.set)
        supervisor.elector.wake_in(SECOND_US // 2)
        supervisor.ask_to_stop()
        await rig.clock.sleep(2 * SECOND_US)

    assert await rig.run(workers.elect("leader", "next", lease_us=1))


async def test_a_worker_whose_run_is_cancelled_leaves_nothing_running(rig: Rig) -> None:
    rig.registry.task(name="work")(for_ever)
    await rig.enqueue(rig.registry.get("work"))
    supervisor = Supervisor(rig.around)
    task = asyncio.get_running_loop().create_task(supervisor.run())
    await rig.clock.sleep(1_000)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert (1, 0) == (len(asyncio.all_tasks()), len(supervisor.running))
