"""What one queue's claimer takes, when it comes again, and what it does not lose."""

from __future__ import annotations

import asyncio

import pytest

from tenure.engine.claimer import DENIED_US, Claimer
from tenure.engine.lookout import Lookout
from tenure.engine.loop import SLEEP_MAX_US
from tenure.kernel.errors import StoreBusyError, StoreDownError
from tenure.kernel.states import Event, State
from tenure.observe.events import TasksClaimed
from tenure.sdk.context import context
from tenure.sdk.task import Kind
from tenure.store import queues, tasks
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.builders import a_task
from tests.store.drivers import SECOND_US

MINUTE_US = 60 * SECOND_US


def waiting_kind(rig: Rig) -> Kind[[], None]:
    """Return a handler that runs until it is stopped."""

    @rig.registry.task
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    return work


async def running_ids(rig: Rig) -> set[str]:
    found = await rig.run(tasks.find("", state=State.RUNNING, limit=100))
    return {task.id for task in found}


def free_slots(parts: Parts) -> int:
    slots = parts.executor.slots
    room = slots.promise(10_000)
    slots.keep_promise(room)
    return room


async def test_it_takes_no_more_than_there_is_room_for(rig: Rig) -> None:
    rig.set(worker={"slots": 3})
    await rig.enqueue_many(waiting_kind(rig), 5)
    parts = rig.parts()

    await parts.claimer.tick()

    assert {"task-1", "task-2", "task-3"} == await running_ids(rig)
    assert [TasksClaimed(queue="default", count=3)] == rig.told(TasksClaimed)


async def test_it_takes_no_more_cost_than_there_is_room_for(rig: Rig) -> None:
    rig.set(worker={"slots": 5})
    kind = waiting_kind(rig)
    for number, cost in enumerate((2, 2, 2), start=1):
        await rig.enqueue(kind, id=f"task-{number}", cost=cost)
    parts = rig.parts()

    await parts.claimer.tick()

    assert {"task-1", "task-2"} == await running_ids(rig)


async def test_a_task_that_costs_more_than_all_slots_runs_when_all_are_free(rig: Rig) -> None:
    rig.set(worker={"slots": 5})
    await rig.enqueue(waiting_kind(rig), cost=50)
    parts = rig.parts()

    await parts.claimer.tick()

    assert ({"task-1"}, 0) == (await running_ids(rig), free_slots(parts))


async def test_a_batch_bounds_one_claim_and_the_next_follows_at_once(rig: Rig) -> None:
    rig.set(claimer={"batch": 2})
    await rig.enqueue_many(waiting_kind(rig), 3)
    parts = rig.parts()

    wait_us = await parts.claimer.tick()

    assert (0, 2) == (wait_us, len(await running_ids(rig)))


async def test_it_claims_ahead_only_as_fast_as_attempts_end(rig: Rig) -> None:
    @rig.registry.task
    async def work(waits: bool) -> None:
        if waits:
            await asyncio.get_running_loop().create_future()

    rig.set(worker={"slots": 2})
    for number in range(1, 21):
        await rig.enqueue(work, number > 4, id=f"task-{number:02}")
    parts = rig.parts()
    held: list[int] = []

    for _ in range(4):
        await parts.claimer.tick()
        await parts.write()
        held.append(len(parts.running))

    # Two end, so two are claimed beyond the two slots; of these two end, and so on.
    assert [0, 2, 6, 6] == held


async def test_a_claim_under_way_holds_its_room(rig: Rig) -> None:
    rig.set(worker={"slots": 3})
    await rig.enqueue_many(waiting_kind(rig), 3)
    parts = rig.parts()
    other = parts.claimer_of("other")
    gate = rig.store.hold("claim")
    first = asyncio.get_running_loop().create_task(parts.claimer.tick())
    await settle_down()

    wait_us = await other.tick()
    gate.set()
    await first

    assert (rig.settings.claimer.poll_us, 1) == (wait_us, rig.store.asked["claim"])


async def test_a_claimer_that_found_no_room_is_hungry(rig: Rig) -> None:
    rig.set(worker={"slots": 1})
    await rig.enqueue_many(waiting_kind(rig), 2)
    parts = rig.parts()

    await parts.claimer.tick()
    await parts.claimer.tick()

    assert parts.claimer.is_hungry


async def test_a_claimer_with_room_to_spare_is_not_hungry(rig: Rig) -> None:
    parts = rig.parts()

    await parts.claimer.tick()

    assert not parts.claimer.is_hungry


async def test_room_that_a_claim_did_not_use_is_offered_to_the_others(rig: Rig) -> None:
    """Claimers that were woken together took turns of a second each."""
    parts = rig.parts()
    other = parts.claimer_of("other")
    told: list[bool] = []
    parts.executor.when_free = lambda: told.append(other.is_hungry)
    gate = rig.store.hold("claim")
    first = asyncio.get_running_loop().create_task(parts.claimer.tick())
    await settle_down()
    await other.tick()

    gate.set()
    await first

    assert [True] == told


@pytest.mark.parametrize("error", [StoreBusyError("locked"), StoreDownError("gone")])
async def test_a_promise_is_kept_when_the_claim_fails(rig: Rig, error: Exception) -> None:
    parts = rig.parts()
    rig.store.refuse("claim", error)

    with pytest.raises(type(error)):
        await parts.claimer.tick()

    assert rig.settings.worker.slots == free_slots(parts)


async def test_a_promise_is_kept_when_the_claim_is_cancelled(rig: Rig) -> None:
    parts = rig.parts()
    rig.store.hold("claim")
    claiming = asyncio.get_running_loop().create_task(parts.claimer.tick())
    await settle_down()

    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)

    assert rig.settings.worker.slots == free_slots(parts)


async def test_it_sleeps_until_the_next_task_is_due(rig: Rig) -> None:
    kind = waiting_kind(rig)
    await rig.enqueue(kind, id="later", delay_us=MINUTE_US)
    await rig.enqueue(kind, id="soon", delay_us=300_000)

    assert 300_000 == await rig.parts().claimer.tick()


async def test_an_empty_queue_lets_it_sleep_as_long_as_any_loop(rig: Rig) -> None:
    assert SLEEP_MAX_US == await rig.parts().claimer.tick()


async def test_it_comes_again_at_once_if_more_is_due_than_it_found(rig: Rig) -> None:
    rig.set(worker={"slots": 4})
    kind = waiting_kind(rig)
    await rig.enqueue(kind, id="task-1", cost=1)
    await rig.enqueue(kind, id="task-2", cost=4)

    assert 0 == await rig.parts().claimer.tick()


async def test_a_paused_queue_gives_nothing_and_is_asked_at_the_regular_time(rig: Rig) -> None:
    await rig.enqueue_many(waiting_kind(rig), 2)
    await rig.run(queues.pause("default"))
    parts = rig.parts()

    wait_us = await parts.claimer.tick()

    assert (rig.settings.claimer.poll_us, 0) == (wait_us, len(parts.running))


async def test_a_resumed_queue_gives_again(rig: Rig) -> None:
    await rig.enqueue_many(waiting_kind(rig), 2)
    await rig.run(queues.pause("default"))
    parts = rig.parts()
    await parts.claimer.tick()

    await rig.run(queues.resume("default"))
    await parts.claimer.tick()

    assert 2 == len(parts.running)


async def test_a_limited_queue_is_claimed_within_its_limit_after_one_denial(rig: Rig) -> None:
    await rig.enqueue_many(waiting_kind(rig), 5)
    await rig.run(queues.limit("default", 2))
    parts = rig.parts()

    denied_us = await parts.claimer.tick()
    before = len(parts.running)
    await parts.claimer.tick()

    assert (DENIED_US, 0, 2) == (denied_us, before, len(parts.running))


async def test_a_full_limited_queue_is_asked_again_soon_and_gives_when_there_is_room(
    rig: Rig,
) -> None:
    ends: list[asyncio.Future[None]] = []

    @rig.registry.task
    async def work() -> None:
        ends.append(asyncio.get_running_loop().create_future())
        await ends[-1]

    await rig.enqueue_many(work, 2)
    await rig.run(queues.limit("default", 1))
    parts = rig.parts()
    await parts.claimer.tick()
    await parts.claimer.tick()
    full_us = await parts.claimer.tick()

    ends[0].set_result(None)
    await parts.write()
    await parts.claimer.tick()

    assert (DENIED_US, ["task-2"]) == (full_us, [run.claim.id for run in parts.running])


async def test_an_answer_that_was_lost_leaves_nothing_behind(rig: Rig) -> None:
    await rig.enqueue_many(waiting_kind(rig), 3)
    parts = rig.parts()
    rig.store.lose("claim")
    with pytest.raises(StoreBusyError):
        await parts.claimer.tick()
    lost = await running_ids(rig)

    await parts.claimer.tick()

    assert 3 == len(lost)
    assert [2] * 3 == [run.claim.claim_no for run in parts.running]
    assert [1] * 3 == [run.claim.attempt for run in parts.running]


async def test_a_lost_answer_costs_the_tasks_that_run_nothing(rig: Rig) -> None:
    kind = waiting_kind(rig)
    await rig.enqueue(kind, id="held")
    parts = rig.parts()
    await parts.claimer.tick()
    await rig.enqueue(kind, id="lost")
    rig.store.lose("claim")
    with pytest.raises(StoreBusyError):
        await parts.claimer.tick()

    await parts.claimer.tick()

    numbers = {run.claim.id: run.claim.claim_no for run in parts.running}
    assert {"held": 1, "lost": 2} == numbers


async def test_all_of_a_lost_answer_is_given_back_however_much_runs_besides(rig: Rig) -> None:
    """Only as many claims as one batch were looked at, and those known of could fill it."""
    kind = waiting_kind(rig)
    rig.set(claimer={"batch": 3})
    await rig.enqueue_many(kind, 6)
    parts = rig.parts()
    for _ in range(2):
        await parts.claimer.tick()
    for number in (7, 8, 9):
        await rig.enqueue(kind, id=f"task-{number}")
    rig.store.lose("claim")
    with pytest.raises(StoreBusyError):
        await parts.claimer.tick()

    await parts.claimer.close()

    assert {f"task-{number}" for number in range(1, 7)} == await running_ids(rig)


async def test_a_claim_whose_payloads_did_not_come_is_given_back(rig: Rig) -> None:
    kind = waiting_kind(rig)
    payload = kind.codec.encode((), {})
    large = a_task("large", kind=kind.name, payload=payload)
    assert await rig.run(tasks.insert_with_bodies(large))
    parts = rig.parts()
    rig.store.refuse("fill_bodies")
    with pytest.raises(StoreBusyError):
        await parts.claimer.tick()

    await parts.claimer.tick()

    assert [(2, payload)] == [(run.claim.claim_no, run.claim.payload) for run in parts.running]


async def test_what_a_cancelled_claim_took_is_given_back_on_closing(rig: Rig) -> None:
    await rig.enqueue_many(waiting_kind(rig), 2)
    parts = rig.parts()
    rig.store.hold_answer("claim")
    claiming = asyncio.get_running_loop().create_task(parts.claimer.tick())
    await settle_down()
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    taken = await running_ids(rig)

    await parts.claimer.close()

    assert (2, set()) == (len(taken), await running_ids(rig))
    assert [Event.RELEASE] == [attempt.event for attempt in await rig.attempts()]
    assert 0 == (await rig.task()).attempt


async def test_closing_after_quiet_claims_asks_the_store_nothing(rig: Rig) -> None:
    parts = rig.parts()
    await parts.claimer.tick()

    await parts.claimer.close()

    assert 0 == rig.store.asked["claims_of_worker"]


async def test_closing_without_a_store_leaves_it_to_the_leases(rig: Rig) -> None:
    parts = rig.parts()
    rig.store.lose("claim")
    with pytest.raises(StoreBusyError):
        await parts.claimer.tick()
    rig.store.down = StoreDownError("gone")

    await parts.claimer.close()

    assert 1 == rig.store.asked["claims_of_worker"]


async def test_too_many_stuck_threads_stop_it(rig: Rig) -> None:
    rig.set(worker={"stuck_slots_max": 2})
    await rig.enqueue_many(waiting_kind(rig), 1)
    parts = rig.parts()
    parts.executor.stuck = 3

    wait_us = await parts.claimer.tick()
    before = len(parts.running)
    parts.executor.stuck = 2
    await parts.claimer.tick()

    assert (rig.settings.claimer.poll_us, 0, 1) == (wait_us, before, len(parts.running))


async def test_a_backlog_of_outcomes_stops_it_until_they_are_written(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> str:
        return context().task_id

    rig.set(settler={"backlog_max": 2})
    await rig.enqueue_many(work, 2)
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()
    await rig.enqueue(work, id="task-3")

    await parts.claimer.tick()
    hungry, before = parts.claimer.is_hungry, rig.store.asked["claim"]
    await parts.write()
    await parts.claimer.tick()

    assert (True, 1, 2) == (hungry, before, rig.store.asked["claim"])


async def test_the_lookout_wakes_whose_work_is_due_and_nobody_else(rig: Rig) -> None:
    kind = waiting_kind(rig)
    parts = rig.parts()
    claimers: dict[str, Claimer] = {
        name: parts.claimer_of(name) for name in ("due", "soon", "later", "empty")
    }
    await rig.enqueue(kind, id="due", queue="due")
    await rig.enqueue(kind, id="soon", queue="soon", delay_us=rig.settings.claimer.poll_us - 1)
    await rig.enqueue(kind, id="later", queue="later", delay_us=MINUTE_US)
    lookout = Lookout(rig.around, claimers=list(claimers.values()))

    wait_us = await lookout.tick()
    now = [name for name, claimer in claimers.items() if claimer._is_woken]
    await rig.clock.sleep(wait_us)
    then = [name for name, claimer in claimers.items() if claimer._is_woken]

    assert (["due"], ["due", "soon"]) == (now, then)
    assert (rig.settings.claimer.poll_us, 1) == (wait_us, rig.store.asked["next_dues"])
