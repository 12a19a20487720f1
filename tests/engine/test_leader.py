"""The office of the leader, and the two loops that only its holder works in."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.engine.pruner import Pruner
from tenure.engine.reaper import Reaper
from tenure.kernel.errors import StoreBusyError
from tenure.kernel.states import Event, State
from tenure.observe.events import (
    LeadershipChanged,
    LeasesExpired,
    TasksPruned,
    WorkersForgotten,
)
from tenure.store import claims, tasks, workers
from tests.engine.rig import Parts, Rig
from tests.store.builders import a_settlement, a_task, a_worker
from tests.store.drivers import SECOND_US

DAY_US = 86_400 * SECOND_US


async def leader(rig: Rig) -> Parts:
    """Return a worker that holds the office, and has told so."""
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()
    assert parts.elector.is_leader
    rig.events.clear()
    return parts


async def claimed(rig: Rig, count: int, **fields: Any) -> None:
    """Have a worker that will never be heard of again hold so many tasks."""
    await rig.insert(*(a_task(f"task-{number}", **fields) for number in range(1, count + 1)))
    assert count == len(await rig.claim(worker_id="dead"))


async def test_one_of_two_electors_is_the_leader(rig: Rig) -> None:
    first, second = (rig.parts(worker_id=name).elector for name in ("first", "second"))

    for _ in range(3):
        await first.tick()
        await second.tick()

    assert (True, False) == (first.is_leader, second.is_leader)
    assert [LeadershipChanged(worker_id="first", is_leader=True)] == rig.told(LeadershipChanged)


async def test_the_office_that_is_won_is_told_of_once(rig: Rig) -> None:
    elector = rig.parts(worker_id="first").elector
    told: list[bool] = []
    elector.when_won = lambda: told.append(elector.is_leader)

    for _ in range(3):
        await elector.tick()

    assert [True] == told


async def test_the_leader_stays_it_as_long_as_it_asks(rig: Rig) -> None:
    first, second = (rig.parts(worker_id=name).elector for name in ("first", "second"))

    for _ in range(10):
        rig.clock.pass_us(await first.tick())
        await second.tick()

    assert (True, False) == (first.is_leader, second.is_leader)


async def test_a_leader_that_is_gone_is_replaced_when_its_lease_is_over(rig: Rig) -> None:
    first, second = (rig.parts(worker_id=name).elector for name in ("first", "second"))
    await first.tick()

    rig.clock.pass_us(rig.settings.elector.lease_us)
    await second.tick()

    assert (False, True) == (first.is_leader, second.is_leader)


async def test_a_leader_that_hears_nothing_of_the_store_stops_being_it_by_itself(rig: Rig) -> None:
    elector = (await leader(rig)).elector
    rig.store.refuse("elect")
    with pytest.raises(StoreBusyError):
        await elector.tick()
    still = elector.is_leader

    rig.clock.pass_us(rig.settings.elector.lease_us)

    assert (True, False) == (still, elector.is_leader)


async def test_the_term_is_counted_from_before_the_question(rig: Rig) -> None:
    elector = rig.parts().elector
    rig.store.when_asked = lambda _: rig.clock.pass_us(SECOND_US)

    await elector.tick()
    rig.clock.pass_us(rig.settings.elector.lease_us - SECOND_US)

    assert not elector.is_leader


async def test_one_that_lost_the_office_says_so(rig: Rig) -> None:
    first = (await leader(rig)).elector
    rig.clock.pass_us(rig.settings.elector.lease_us)
    await rig.parts(worker_id="second").elector.tick()
    rig.events.clear()

    await first.tick()

    assert [LeadershipChanged(worker_id="leader", is_leader=False)] == rig.told(LeadershipChanged)


async def test_a_resigned_office_is_free_at_once(rig: Rig) -> None:
    first = (await leader(rig)).elector
    second = rig.parts(worker_id="second").elector

    await first.resign()
    await second.tick()

    assert (False, True) == (first.is_leader, second.is_leader)


async def test_resigning_without_the_office_takes_it_from_nobody(rig: Rig) -> None:
    first = (await leader(rig)).elector
    second = rig.parts(worker_id="second").elector

    await second.resign()
    await second.tick()

    assert (True, False) == (first.is_leader, second.is_leader)


async def reaper_now(rig: Rig) -> Reaper:
    """Return the reaper of a worker that has just become the leader."""
    return Reaper(rig.around, elector=(await leader(rig)).elector)


async def pruner_now(rig: Rig) -> Pruner:
    """Return the pruner of a worker that has just become the leader."""
    return Pruner(rig.around, elector=(await leader(rig)).elector)


async def test_leases_that_ran_out_are_taken_back_after_a_backoff(rig: Rig) -> None:
    await claimed(rig, 2, attempts_max=3)
    rig.clock.pass_us(rig.settings.worker.lease_us)
    reaper = await reaper_now(rig)

    wait_us = await reaper.tick()

    task = await rig.task()
    # Half of the backoff, because this chance always falls in the middle.
    due_us = rig.clock.now_us() + rig.settings.reaper.backoff_us // 2
    assert (State.PENDING, 1, 1, due_us) == (task.state, task.attempt, task.crashes, task.run_at_us)
    assert [LeasesExpired(task_ids=("task-1", "task-2"))] == rig.told(LeasesExpired)
    assert rig.settings.reaper.every_us == wait_us


async def test_leases_that_hold_are_left_alone(rig: Rig) -> None:
    await claimed(rig, 1)
    rig.clock.pass_us(rig.settings.worker.lease_us - 1)

    await (await reaper_now(rig)).tick()

    assert (State.RUNNING, []) == ((await rig.task()).state, rig.told(LeasesExpired))


async def test_a_task_whose_attempts_are_spent_fails_as_crashed(rig: Rig) -> None:
    await claimed(rig, 1, attempts_max=1)
    rig.clock.pass_us(rig.settings.worker.lease_us)

    await (await reaper_now(rig)).tick()

    task = await rig.task()
    assert (State.FAILED, "lease_expired") == (task.state, task.cause)


async def test_a_task_that_crashes_too_often_fails_though_it_has_attempts_left(rig: Rig) -> None:
    rig.set(reaper={"crashes_max": 2, "backoff_us": 0})
    await rig.insert(a_task(attempts_max=100))

    for _ in range(2):
        await rig.claim(worker_id="dead")
        rig.clock.pass_us(rig.settings.worker.lease_us)
        await (await reaper_now(rig)).tick()

    assert (State.FAILED, 2) == ((await rig.task()).state, (await rig.task()).crashes)


async def test_a_task_that_was_asked_to_cancel_is_cancelled_when_its_lease_runs_out(
    rig: Rig,
) -> None:
    await claimed(rig, 1, attempts_max=9)
    await rig.run(tasks.cancel("", (await rig.task()).id, force=False, reason=""))
    rig.clock.pass_us(rig.settings.worker.lease_us)

    await (await reaper_now(rig)).tick()

    assert State.CANCELLED is (await rig.task()).state
    assert [Event.CANCEL] == [attempt.event for attempt in await rig.attempts()]


async def test_a_full_batch_of_leases_is_followed_by_the_next_at_once(rig: Rig) -> None:
    rig.set(reaper={"batch": 2})
    await claimed(rig, 3, attempts_max=3)
    rig.clock.pass_us(rig.settings.worker.lease_us)
    reaper = await reaper_now(rig)

    waits_us = [await reaper.tick(), await reaper.tick()]

    assert [0, rig.settings.reaper.every_us] == waits_us
    assert [2, 1] == [len(event.task_ids) for event in rig.told(LeasesExpired)]


async def test_workers_that_were_not_seen_for_long_are_forgotten(rig: Rig) -> None:
    await rig.run(workers.register(a_worker("gone")))
    rig.clock.pass_us(rig.settings.reaper.worker_forget_us + 1)
    await rig.run(workers.register(a_worker("here")))

    await (await reaper_now(rig)).tick()

    assert ["here"] == [worker.id for worker in await rig.run(workers.listing())]
    assert [WorkersForgotten(worker_ids=("gone",))] == rig.told(WorkersForgotten)


async def test_who_is_not_the_leader_neither_reaps_nor_prunes(rig: Rig) -> None:
    elector = rig.parts().elector
    reaper, pruner = Reaper(rig.around, elector=elector), Pruner(rig.around, elector=elector)

    waits_us = [await reaper.tick(), await pruner.tick()]

    assert [rig.settings.reaper.every_us, rig.settings.pruner.every_us] == waits_us
    assert 0 == rig.store.asked.total()


async def test_two_leaders_for_a_moment_take_a_lease_back_once(rig: Rig) -> None:
    await claimed(rig, 1, attempts_max=3)
    rig.clock.pass_us(rig.settings.worker.lease_us)
    first, second = await reaper_now(rig), await reaper_now(rig)

    await first.tick()
    await second.tick()

    assert (1, 1) == ((await rig.task()).crashes, len(rig.told(LeasesExpired)))


async def end(rig: Rig, id: str, event: Event) -> None:
    """Bring a task to an end, now."""
    await rig.insert(a_task(id))
    (claim,) = await rig.claim()
    settlement = a_settlement(claim, event)
    await rig.run(claims.settle([settlement], worker_id=claim.worker_id, inline_bytes_max=99))


async def test_each_ended_state_has_its_own_retention(rig: Rig) -> None:
    rig.set(
        pruner={
            "keep_completed_us": 1 * DAY_US,
            "keep_failed_us": 3 * DAY_US,
            "keep_cancelled_us": 2 * DAY_US,
        }
    )
    ends = {"completed": Event.COMPLETE, "failed": Event.FAIL, "cancelled": Event.CANCEL}
    for id, event in ends.items():
        await end(rig, id, event)
    left: list[set[str]] = []

    for _ in range(3):
        rig.clock.pass_us(DAY_US)
        await (await pruner_now(rig)).tick()
        left.append({task.id for task in await rig.run(tasks.find("", limit=10))})

    assert [{"failed", "cancelled"}, {"failed"}, set()] == left


async def test_what_has_not_ended_is_never_pruned(rig: Rig) -> None:
    await rig.insert(a_task("pending"), a_task("running", queue="other"))
    await rig.claim(queue="other")
    rig.clock.pass_us(1_000 * DAY_US)

    await (await pruner_now(rig)).tick()

    assert ([], 2) == (rig.told(TasksPruned), len(await rig.run(tasks.find("", limit=10))))


async def test_a_full_bite_is_followed_by_the_next_at_once(rig: Rig) -> None:
    rig.set(pruner={"batch": 2})
    for number in range(3):
        await end(rig, f"task-{number}", Event.COMPLETE)
    rig.clock.pass_us(rig.settings.pruner.keep_completed_us)
    pruner = await pruner_now(rig)

    waits_us = [await pruner.tick(), await pruner.tick()]

    assert [0, rig.settings.pruner.every_us] == waits_us
    assert [2, 1] == [event.count for event in rig.told(TasksPruned)]
