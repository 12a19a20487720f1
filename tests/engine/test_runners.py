"""How attempts share tasks of the event loop, and slots."""

from __future__ import annotations

import asyncio

from tenure.engine.runners import RUNNER_TURN_US
from tenure.kernel.states import State
from tenure.sdk.context import context
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.drivers import SECOND_US


def me() -> int:
    """Return which task of the event loop this is."""
    return id(asyncio.current_task())


async def run_all(rig: Rig) -> Parts:
    """Start whatever is due."""
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down()
    return parts


async def test_attempts_that_never_wait_share_one_task(rig: Rig) -> None:
    tasks: list[int] = []

    @rig.registry.task
    async def work() -> None:
        tasks.append(me())

    await rig.enqueue_many(work, 20)

    await run_all(rig)

    assert (20, 1) == (len(tasks), len(set(tasks)))


async def test_attempts_that_wait_have_a_task_of_their_own(rig: Rig) -> None:
    tasks: dict[str, set[int]] = {}

    @rig.registry.task
    async def work() -> None:
        for _ in range(3):
            tasks.setdefault(context().task_id, set()).add(me())
            await rig.clock.sleep(1)

    await rig.enqueue_many(work, 5)

    await run_all(rig)
    await rig.clock.sleep(SECOND_US)

    assert [1] * 5 == [len(each) for each in tasks.values()]
    assert 5 == len(set.union(*tasks.values()))


async def test_one_that_waits_does_not_hold_up_the_others(rig: Rig) -> None:
    ended: list[str] = []

    @rig.registry.task
    async def work(waits: bool) -> None:
        if waits:
            await rig.clock.sleep(SECOND_US)
        ended.append(context().task_id)

    for number, waits in enumerate((False, True, False, True, False)):
        await rig.enqueue(work, waits, id=f"task-{number}")

    await run_all(rig)

    assert ["task-0", "task-2", "task-4"] == ended


async def test_never_more_run_at_once_than_there_are_slots(rig: Rig) -> None:
    running: set[str] = set()
    most: list[int] = []

    @rig.registry.task
    async def work() -> None:
        running.add(context().task_id)
        most.append(len(running))
        await rig.clock.sleep(SECOND_US)
        running.discard(context().task_id)

    rig.set(worker={"slots": 3})
    await rig.enqueue_many(work, 10)

    parts = await run_all(rig)
    await rig.clock.sleep(10 * SECOND_US)
    await parts.write()

    assert (3, 10) == (max(most), len(most))


async def test_costs_count_against_the_slots_and_one_over_all_runs_alone(rig: Rig) -> None:
    running: dict[str, int] = {}
    most: list[int] = []

    @rig.registry.task
    async def work(cost: int) -> None:
        running[context().task_id] = cost
        most.append(sum(running.values()))
        await rig.clock.sleep(SECOND_US)
        del running[context().task_id]

    rig.set(worker={"slots": 4})
    for number, cost in enumerate((2, 2, 3, 1, 9, 1)):
        await rig.enqueue(work, min(cost, 4), id=f"task-{number}", cost=cost)

    parts = await run_all(rig)
    await rig.clock.sleep(10 * SECOND_US)
    await parts.write()

    assert [2, 4, 3, 4, 4, 1] == most


async def test_a_runner_lets_others_have_the_loop_after_its_turn(rig: Rig) -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()

    @rig.registry.task
    async def work() -> None:
        order.append("attempt")
        rig.clock.pass_us(RUNNER_TURN_US // 2 + 1)

    await rig.enqueue_many(work, 4)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    loop.call_soon(order.append, "other")
    await settle_down()

    assert ["attempt", "attempt", "other", "attempt", "attempt"] == order


async def test_short_attempts_stay_together_within_a_turn(rig: Rig) -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()

    @rig.registry.task
    async def work() -> None:
        order.append("attempt")

    await rig.enqueue_many(work, 4)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    loop.call_soon(order.append, "other")
    await settle_down()

    assert ["attempt"] * 4 + ["other"] == order


async def test_a_handler_that_cancels_its_own_task_and_returns_hits_no_other(rig: Rig) -> None:
    """The cancellation waited in the shared task for the next attempt that would wait."""

    @rig.registry.task
    async def work(cancels: bool) -> str:
        if cancels:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        else:
            await rig.clock.sleep(1)
        return "done"

    await rig.enqueue(work, True, id="task-1")
    await rig.enqueue(work, False, id="task-2")

    parts = await run_all(rig)
    await rig.clock.sleep(SECOND_US)
    await parts.write()

    states = [(await rig.task(id)).state for id in ("task-1", "task-2")]
    assert [State.COMPLETED] * 2 == states


async def test_freed_slots_are_told_to_whoever_waits_for_them(rig: Rig) -> None:
    freed: list[int] = []

    @rig.registry.task
    async def work() -> None:
        await rig.clock.sleep(1)

    await rig.enqueue_many(work, 3)
    parts = rig.parts()
    parts.executor.when_free = lambda: freed.append(1)

    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down()
    before = len(freed)
    await rig.clock.sleep(10)

    assert (0, 3) == (before, len(freed))
