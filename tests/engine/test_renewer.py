"""Leases that are kept, lost or over; wishes, progress, and the worker's own sign of life."""

from __future__ import annotations

import asyncio

import pytest

from tenure.engine.renewer import BEAT_US, LOOK_US
from tenure.kernel.errors import StoreBusyError, StoreDownError, TenureError
from tenure.kernel.model import Worker
from tenure.kernel.states import State
from tenure.observe.events import LeaseLost, WorkerUnhealthy
from tenure.sdk.context import context
from tenure.store import claims, tasks, workers
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.builders import a_worker
from tests.store.drivers import SECOND_US


async def hold(rig: Rig, count: int = 1) -> Parts:
    """Return a worker with tasks that run until they are stopped."""

    @rig.registry.task
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    await rig.enqueue_many(work, count)
    parts = rig.parts()
    await rig.run(workers.register(a_worker()))
    await parts.claimer.tick()
    await settle_down()
    return parts


async def follow(parts: Parts, *, us: int) -> None:
    """Tick for so long as the renewer itself asks for it."""
    clock = parts.rig.clock
    until_us = clock.monotonic_us() + us
    while clock.monotonic_us() < until_us:
        wait_us = await parts.renewer.tick()
        await clock.sleep(min(wait_us, until_us - clock.monotonic_us()))


async def the_worker(rig: Rig) -> Worker | None:
    return next(iter(await rig.run(workers.listing())), None)


async def test_leases_are_renewed_after_a_third_of_their_time(rig: Rig) -> None:
    parts = await hold(rig, 2)

    await follow(parts, us=20 * SECOND_US)
    before = rig.store.asked["renew"]
    await parts.renewer.tick()

    assert (0, 1) == (before, rig.store.asked["renew"])
    task = await rig.task("task-2")
    assert rig.clock.now_us() + rig.settings.worker.lease_us == task.lease_expires_at_us


async def test_a_lease_that_is_renewed_holds_for_as_long_as_it_is_wanted(rig: Rig) -> None:
    parts = await hold(rig)

    await follow(parts, us=10 * rig.settings.worker.lease_us)

    assert ([], 1) == (rig.told(LeaseLost), len(parts.running))
    assert 1 == (await rig.task()).claim_no


async def test_what_is_being_settled_is_renewed_too(rig: Rig) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    run.is_settling = True

    await follow(parts, us=21 * SECOND_US)

    task = await rig.task()
    assert task.lease_expires_at_us is not None
    assert rig.clock.now_us() < task.lease_expires_at_us - 30 * SECOND_US


async def test_an_idle_worker_asks_nothing_but_to_be_remembered(rig: Rig) -> None:
    parts = rig.parts()
    await rig.run(workers.register(a_worker()))

    await follow(parts, us=BEAT_US + SECOND_US)

    assert {"beat": 1} == dict(rig.store.asked)


async def test_a_lease_that_another_holds_stops_the_run_and_is_told_once(rig: Rig) -> None:
    parts = await hold(rig, 2)
    await rig.expire()

    await follow(parts, us=25 * SECOND_US)

    assert ["task-1", "task-2"] == sorted(event.task_id for event in rig.told(LeaseLost))
    assert (0, True) == (len(parts.running), parts.settler.is_empty)


async def test_more_leases_than_a_batch_are_all_renewed(rig: Rig) -> None:
    rig.set(worker={"slots": 1_200}, claimer={"batch": 1_200})
    parts = await hold(rig, 1_001)

    await follow(parts, us=21 * SECOND_US)

    assert 3 == rig.store.asked["renew"]
    assert ([], 1_001) == (rig.told(LeaseLost), len(parts.running))


async def test_the_lease_is_counted_from_before_the_question(rig: Rig) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    await rig.clock.sleep(21 * SECOND_US)
    asked_us = rig.clock.monotonic_us()
    door = rig.store.hold_answer("renew")
    asyncio.get_running_loop().call_later(3, door.set)

    await parts.renewer.tick()

    assert asked_us + rig.settings.worker.lease_us == run.lease_ends_us


async def test_a_wish_to_cancel_is_seen_within_a_second(rig: Rig) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    await rig.run(tasks.cancel("", run.claim.id, force=False, reason=""))

    await follow(parts, us=SECOND_US)

    assert run.cancel_asked


async def test_a_cancel_by_force_is_seen_at_once_when_someone_tells(rig: Rig) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    await rig.run(tasks.cancel("", run.claim.id, force=True, reason=""))

    parts.renewer.look()
    await parts.renewer.tick()
    await settle_down()

    assert (0, True) == (len(parts.running), parts.settler.is_empty)
    assert State.CANCELLED is (await rig.task()).state


async def test_a_word_about_a_cancel_is_not_lost_when_the_store_refuses(rig: Rig) -> None:
    """The word was forgotten, and the run went on for up to a third of its lease."""
    parts = await hold(rig)
    rig.store.refuse("renew")
    parts.renewer.look()
    with pytest.raises(StoreBusyError):
        await parts.renewer.tick()

    await parts.renewer.tick()

    assert 2 == rig.store.asked["renew"]


async def test_a_word_about_a_cancel_costs_an_idle_worker_nothing(rig: Rig) -> None:
    parts = rig.parts()

    parts.renewer.look()
    await parts.renewer.tick()

    assert 0 == rig.store.asked["renew"]


async def say(rig: Rig, *words: float) -> Parts:
    """Return a worker whose one task has said how far it is."""

    @rig.registry.task
    async def work() -> None:
        for word in words:
            context().progress(word)
        await asyncio.get_running_loop().create_future()

    await rig.enqueue(work)
    parts = rig.parts()
    await rig.run(workers.register(a_worker()))
    await parts.start()
    return parts


async def test_progress_is_written_once_and_the_last_word_counts(rig: Rig) -> None:
    parts = await say(rig, 0.25, 0.5, 0.75)

    for _ in range(3):
        await parts.renewer.tick()

    assert b'{"fraction":0.75}' == (await rig.task()).progress
    assert 1 == rig.store.asked["report_progress"]


async def test_progress_that_the_store_refused_is_written_later(rig: Rig) -> None:
    """A handler that said its last word while the store was busy was never heard."""
    parts = await say(rig, 0.5)
    rig.store.refuse("report_progress")
    with pytest.raises(StoreBusyError):
        await parts.renewer.tick()

    await parts.renewer.tick()

    assert b'{"fraction":0.5}' == (await rig.task()).progress


async def test_a_word_said_while_the_one_before_is_written_is_not_lost(rig: Rig) -> None:
    parts = await say(rig, 0.5)
    (run,) = parts.runs
    rig.store.when_asked = lambda verb: run.progress(b"1") if "progress" in verb.name else None
    await parts.renewer.tick()
    rig.store.when_asked = None

    await parts.renewer.tick()

    assert b"1" == (await rig.task()).progress


async def unreachable(rig: Rig, parts: Parts, *, us: int) -> None:
    """Let the renewer run while the store is down."""
    rig.store.down = StoreDownError("gone")
    running = asyncio.get_running_loop().create_task(parts.renewer.run())
    await rig.clock.sleep(us)
    parts.renewer.stop()
    await running


async def test_runs_go_on_while_the_store_is_away_for_less_than_their_lease(rig: Rig) -> None:
    parts = await hold(rig)

    await unreachable(rig, parts, us=rig.settings.worker.lease_us - SECOND_US)

    assert ([], 1) == (rig.told(LeaseLost), len(parts.running))


async def test_runs_whose_lease_is_over_are_stopped_though_the_store_is_away(rig: Rig) -> None:
    """After some failures the loop slept for ten seconds, and another worker had begun."""
    parts = await hold(rig)

    await unreachable(rig, parts, us=rig.settings.worker.lease_us + LOOK_US)

    assert (["task-1"], 0) == ([event.task_id for event in rig.told(LeaseLost)], len(parts.running))


async def test_a_store_that_never_answers_does_not_keep_overdue_runs_alive(rig: Rig) -> None:
    parts = await hold(rig)
    rig.store.hold("renew")
    running = asyncio.get_running_loop().create_task(parts.renewer.run())

    await rig.clock.sleep(rig.settings.worker.lease_us + LOOK_US)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert (["task-1"], 0) == ([event.task_id for event in rig.told(LeaseLost)], len(parts.running))


async def test_what_is_being_settled_is_left_to_the_settler_when_its_lease_is_over(
    rig: Rig,
) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    run.is_settling = True

    await unreachable(rig, parts, us=2 * rig.settings.worker.lease_us)

    assert ([run], []) == (parts.runs, rig.told(LeaseLost))


async def test_the_worker_beats_every_ten_seconds(rig: Rig) -> None:
    parts = rig.parts()
    await rig.run(workers.register(a_worker()))

    await follow(parts, us=35 * SECOND_US)

    worker = await the_worker(rig)
    assert worker is not None
    assert 3 == rig.store.asked["beat"]
    assert rig.clock.now_us() - worker.seen_at_us <= BEAT_US


async def test_a_worker_that_was_forgotten_is_registered_again(rig: Rig) -> None:
    parts = rig.parts()
    assert await the_worker(rig) is None

    await follow(parts, us=BEAT_US + SECOND_US)

    worker = await the_worker(rig)
    assert worker is not None
    assert "worker-1" == worker.id


async def test_too_many_stuck_threads_are_told_once_until_they_are_fewer(rig: Rig) -> None:
    rig.set(worker={"stuck_slots_max": 1})
    parts = rig.parts()
    await rig.run(workers.register(a_worker()))

    for stuck in (2, 3, 1, 2):
        parts.executor.stuck = stuck
        await follow(parts, us=BEAT_US)
        await parts.renewer.tick()

    assert [2, 2] == [event.stuck for event in rig.told(WorkerUnhealthy)]
    worker = await the_worker(rig)
    assert worker is not None
    assert 2 == worker.stuck


async def test_a_refused_renewal_is_asked_for_again(rig: Rig) -> None:
    parts = await hold(rig)
    await rig.clock.sleep(20 * SECOND_US)
    rig.store.refuse("renew")
    with pytest.raises(TenureError):
        await parts.renewer.tick()

    await parts.renewer.tick()

    task = await rig.task()
    assert rig.clock.now_us() + rig.settings.worker.lease_us == task.lease_expires_at_us


async def test_renewing_is_fenced(rig: Rig) -> None:
    parts = await hold(rig)
    (run,) = parts.runs
    await rig.expire()
    rig.clock.pass_s(3600)
    await rig.claim(worker_id="other")

    held = await rig.run(claims.renew([run.claim.lease], lease_us=10**9))

    assert set() == held
