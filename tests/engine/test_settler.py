"""Outcomes on their way into the store: together, again and again, and never lost."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.engine.settler import IDLE_US
from tenure.kernel.errors import SchemaError, StoreBusyError, StoreDownError, StoreError
from tenure.kernel.outcome import Completed, Outcome, Snoozed
from tenure.kernel.states import Event, State
from tenure.observe.events import AttemptFailed, AttemptsSettled, LeaseLost
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.builders import a_task

NAMED = pytest.mark.parametrize(
    "error",
    [StoreBusyError("locked"), StoreDownError("gone"), SchemaError("being migrated")],
    ids=lambda error: type(error).__name__,
)


async def end_tasks(rig: Rig, count: int, **settler: int) -> Parts:
    """Return a worker with so many ended tasks whose outcomes are not written."""

    @rig.registry.task
    async def work() -> str:
        return "done"

    rig.set(settler={"linger_us": 0, **settler})
    await rig.enqueue_many(work, count)
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()
    return parts


async def end_with(rig: Rig, *outcomes: Outcome | BaseException) -> Parts:
    """Return a worker with tasks that came to these outcomes, in order; nothing is written."""
    given = list(outcomes)

    @rig.registry.task
    async def work() -> Any:
        outcome = given.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    rig.set(settler={"linger_us": 0})
    await rig.enqueue_many(work, len(outcomes))
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()
    return parts


async def states(rig: Rig, count: int) -> list[State]:
    return [(await rig.task(f"task-{number}")).state for number in range(1, count + 1)]


async def test_all_that_has_ended_is_written_by_one_verb(rig: Rig) -> None:
    parts = await end_tasks(rig, 20)

    await parts.settler.tick()

    assert 1 == rig.store.asked["settle"]
    assert [State.COMPLETED] * 20 == await states(rig, 20)
    assert [AttemptsSettled(count=20)] == rig.told(AttemptsSettled)


async def test_a_batch_is_bounded_and_the_rest_follows_at_once(rig: Rig) -> None:
    parts = await end_tasks(rig, 5, batch=2)

    waits_us = [await parts.settler.tick() for _ in range(3)]

    assert [0, 0, IDLE_US] == waits_us
    assert [2, 2, 1] == [event.count for event in rig.told(AttemptsSettled)]


async def test_it_sleeps_while_there_is_nothing_to_write(rig: Rig) -> None:
    assert IDLE_US == await rig.parts().settler.tick()
    assert 0 == rig.store.asked["settle"]


async def test_it_lingers_once_for_others_that_still_run(rig: Rig) -> None:
    @rig.registry.task
    async def work(waits: bool) -> None:
        if waits:
            await rig.clock.sleep(1_000_000)

    rig.set(settler={"linger_us": 2_000})
    await rig.enqueue(work, True, id="slow")
    await rig.enqueue(work, False, id="fast")
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()

    first_us = await parts.settler.tick()
    lingered = rig.store.asked["settle"]
    await parts.settler.tick()

    assert (2_000, 0, 1) == (first_us, lingered, rig.store.asked["settle"])


async def test_it_does_not_linger_for_nobody(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> None: ...

    rig.set(settler={"linger_us": 2_000})
    await rig.enqueue(work)
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()

    await parts.settler.tick()

    assert State.COMPLETED is (await rig.task()).state


async def test_a_full_batch_does_not_linger(rig: Rig) -> None:
    parts = await end_tasks(rig, 3, linger_us=2_000, batch=2)

    await parts.settler.tick()

    assert 2 == rig.told(AttemptsSettled)[0].count


async def test_the_first_outcome_wakes_it(rig: Rig) -> None:
    parts = rig.parts()

    @rig.registry.task
    async def work() -> None: ...

    await rig.enqueue(work)
    parts.settler._is_woken = False
    await parts.claimer.tick()
    await settle_down()

    assert parts.settler._is_woken


@NAMED
async def test_it_keeps_what_the_store_refused_and_tries_again(rig: Rig, error: StoreError) -> None:
    parts = await end_tasks(rig, 3)
    rig.store.refuse("settle", error, times=2)

    for _ in range(2):
        with pytest.raises(type(error)):
            await parts.settler.tick()
    await parts.settler.tick()

    assert [State.COMPLETED] * 3 == await states(rig, 3)
    assert [3] == [event.count for event in rig.told(AttemptsSettled)]


async def test_what_was_written_though_its_answer_was_lost_is_not_written_twice(rig: Rig) -> None:
    parts = await end_tasks(rig, 2)
    rig.store.lose("settle")

    with pytest.raises(StoreBusyError):
        await parts.settler.tick()
    await parts.settler.tick()

    assert [1, 1] == [len(await rig.attempts(f"task-{number}")) for number in (1, 2)]
    assert ([2], []) == ([event.count for event in rig.told(AttemptsSettled)], rig.told(LeaseLost))


async def test_a_task_counts_as_done_only_after_the_commit(rig: Rig) -> None:
    parts = await end_tasks(rig, 1)
    rig.store.refuse("settle")

    with pytest.raises(StoreBusyError):
        await parts.settler.tick()
    held = len(parts.running), parts.settler.is_empty
    await parts.settler.tick()

    assert (1, False) == held
    assert (0, True) == (len(parts.running), parts.settler.is_empty)


async def test_a_lease_that_was_lost_is_told_and_does_not_count_as_settled(rig: Rig) -> None:
    """The event once counted the lost ones as written, and so did every graph made of it."""
    parts = await end_tasks(rig, 2)
    await rig.expire()

    await parts.settler.tick()

    assert ["task-1", "task-2"] == [event.task_id for event in rig.told(LeaseLost)]
    assert [] == rig.told(AttemptsSettled)
    assert 0 == len(parts.running)
    assert [State.PENDING] * 2 == await states(rig, 2)


async def test_an_error_is_told_with_what_comes_of_it(rig: Rig) -> None:
    parts = await end_with(rig, ValueError("no"))

    await parts.settler.tick()

    (event,) = rig.told(AttemptFailed)
    assert ("task-1", "work", 1, 5) == (
        event.task_id,
        event.kind,
        event.attempt,
        event.attempts_max,
    )
    assert (Event.RETRY, "ValueError", "no") == (event.move, event.error.type, event.error.message)
    assert 0 < event.delay_us


async def test_it_is_full_at_its_bound_and_not_before(rig: Rig) -> None:
    parts = await end_tasks(rig, 2, backlog_max=3)
    before = parts.settler.is_full

    await rig.insert(a_task("task-3", kind="work"))
    await parts.claimer.tick()
    await settle_down()

    assert (False, True) == (before, parts.settler.is_full)


async def test_whoever_waits_for_room_is_told_once_it_is_written(rig: Rig) -> None:
    parts = await end_tasks(rig, 1)
    told: list[int] = []
    parts.settler.when_written = lambda: told.append(len(parts.running))

    await parts.settler.tick()

    assert [0] == told


async def test_a_claimer_is_told_when_a_task_will_be_due_again(rig: Rig) -> None:
    parts = await end_with(rig, Snoozed(delay_us=7_000_000), Completed())
    told: list[tuple[str, int]] = []
    parts.settler.when_back = lambda queue, delay_us: told.append((queue, delay_us))

    await parts.write()

    assert [("default", 7_000_000)] == told
