"""The loop that fires schedules, tick by tick."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tenure.engine.scheduler import BACK_US, LOCKED_US, MARK_EVERY_US, REST_US, Scheduler
from tenure.kernel.errors import StoreBusyError
from tenure.kernel.model import Task
from tenure.kernel.ports import Statement, Steps, Verb, read
from tenure.kernel.schedules.model import Fire, Template, Verdict
from tenure.kernel.settle import Settlement
from tenure.kernel.states import Event, State
from tenure.observe.events import (
    ClockWentBack,
    ScheduleFaulty,
    SchedulesFired,
    SchedulesReplanned,
)
from tenure.sdk.when import When, cron, every
from tenure.service import calendars, schedules
from tenure.service.schedules import Wanted
from tenure.store import claims, firing
from tests.engine.rig import Parts, Rig
from tests.store.drivers import SECOND_US, START_US

MINUTE_S = 60
HOUR_S = 3_600
YEAR_S = 365 * 86_400
START = datetime.fromtimestamp(START_US // SECOND_US, UTC)
SOON = START + timedelta(seconds=30)
HOURS = START_US // (HOUR_S * SECOND_US)


async def leader(rig: Rig) -> Parts:
    """Return a worker that holds the office and has planned all anew."""
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()
    await parts.scheduler.tick()
    rig.events.clear()
    return parts


async def put(rig: Rig, when: When, id: str = "s", **fields: Any) -> None:
    """Store a schedule, or change it."""
    template = Template(**{"kind": "work", "payload": b"[]", **fields})
    wanted = Wanted(id=id, definition=when.definition, template=template)
    await rig.ask(schedules.ensure("", wanted, rig.settings))


async def runs(rig: Rig, id: str = "s") -> list[Task]:
    """Return the runs of a schedule, oldest first."""
    return (await rig.ask(schedules.runs("", id, rig.settings, limit=500)))[::-1]


async def fires(rig: Rig, id: str = "s") -> list[Fire]:
    """Return its ledger, oldest first."""
    return (await rig.ask(schedules.fires("", id, rig.settings, limit=500)))[::-1]


def seconds(entries: list[Fire], verdict: Verdict = Verdict.FIRED) -> list[int]:
    """Return the instants with a verdict, in seconds since the start."""
    return [
        (entry.instant_us - START_US) // SECOND_US for entry in entries if entry.verdict is verdict
    ]


async def work_for(rig: Rig, parts: Parts, for_s: float) -> list[int]:
    """Let the scheduler work for so long by true time; return how long it slept each time."""
    end_us = rig.clock.monotonic_us() + round(for_s * SECOND_US)
    waits: list[int] = []
    while rig.clock.monotonic_us() < end_us:
        await parts.elector.tick()
        waits.append(await parts.scheduler.tick())
        rig.clock.pass_us(min(max(waits[-1], 1), end_us - rig.clock.monotonic_us()))
    await parts.elector.tick()
    await parts.scheduler.tick()
    return waits


async def test_it_fires_when_an_instant_is_due_and_not_before(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m", start=SOON))
    rig.clock.pass_us(30 * SECOND_US - 1)
    await parts.elector.tick()
    await parts.scheduler.tick()
    early = await runs(rig)
    await parts.elector.tick()

    rig.clock.pass_us(1)
    await parts.scheduler.tick()

    assert [] == early
    assert [30] == seconds(await fires(rig))
    (run,) = await runs(rig)
    assert (START_US + 30 * SECOND_US, "work", b"[]") == (run.run_at_us, run.kind, run.payload)


async def test_it_sleeps_exactly_until_the_next_instant_or_for_its_longest_wait(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m", start=START + timedelta(seconds=12)))

    waits = await work_for(rig, parts, 12)

    every_us = rig.settings.scheduler.every_us
    assert [every_us, every_us, 12 * SECOND_US - 2 * every_us] == waits
    assert [12] == seconds(await fires(rig))


async def test_it_sleeps_for_its_longest_wait_when_there_is_nothing_to_come(rig: Rig) -> None:
    parts = await leader(rig)

    assert rig.settings.scheduler.every_us == await parts.scheduler.tick()


async def test_who_is_not_the_leader_fires_nothing(rig: Rig) -> None:
    await put(rig, every("1m"))
    scheduler = rig.parts(worker_id="another").scheduler

    wait_us = await scheduler.tick()

    assert rig.settings.scheduler.every_us == wait_us
    assert [] == await fires(rig)
    assert 0 == sum(rig.store.asked.values())


async def test_one_that_becomes_the_leader_plans_everything_anew(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m", start=START + timedelta(hours=2)))
    await put(rig, every("1m", start=START + timedelta(hours=3)), "later")
    await parts.elector.resign()
    await parts.scheduler.tick()
    misplace(rig, "next_fire_at_us = next_fire_at_us + 1")

    await parts.elector.tick()
    await parts.scheduler.tick()

    assert [SchedulesReplanned(replanned=2)] == rig.told(SchedulesReplanned)
    found = await rig.ask(schedules.find("", rig.settings))
    assert [3, 2] == [(each.next_fire_at_us or 0) // (HOUR_S * SECOND_US) - HOURS for each in found]


async def test_each_time_only_what_was_changed_this_time_is_counted(rig: Rig) -> None:
    await put(rig, every("1m", start=START + timedelta(hours=1)))
    parts = rig.parts(worker_id="leader")
    for _ in range(2):
        misplace(rig, "next_fire_at_us = next_fire_at_us + 1")
        await parts.elector.tick()
        await parts.scheduler.tick()
        await parts.elector.resign()
        await parts.scheduler.tick()

    assert [SchedulesReplanned(replanned=1)] * 2 == rig.told(SchedulesReplanned)


async def test_planning_anew_goes_page_by_page_without_a_rest(rig: Rig) -> None:
    rig.set(scheduler={"replan_batch": 2})
    for number in range(5):
        await put(rig, every("1m", start=START + timedelta(hours=1)), f"s{number}")
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()
    misplace(rig, "next_fire_at_us = next_fire_at_us + 1")

    waits = [await parts.scheduler.tick() for _ in range(3)]

    assert [0, 0, rig.settings.scheduler.every_us] == waits
    assert [SchedulesReplanned(replanned=5)] == rig.told(SchedulesReplanned)


@pytest.mark.parametrize("verb", ["replan", "sweep"])
async def test_planning_anew_that_fails_is_done_again(rig: Rig, verb: str) -> None:
    await put(rig, every("1m", start=START + timedelta(hours=1)))
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()
    misplace(rig, "next_fire_at_us = next_fire_at_us + 1")
    rig.store.refuse(verb)
    with pytest.raises(StoreBusyError):
        await parts.scheduler.tick()

    await parts.scheduler.tick()

    assert 2 == rig.store.asked[verb]
    assert [SchedulesReplanned(replanned=1)] == rig.told(SchedulesReplanned)


async def test_a_run_that_waits_for_nobody_is_found_by_planning_anew(rig: Rig) -> None:
    await put(rig, every("1m", drift="delay"))
    misplace(rig, "next_fire_at_us = NULL, held_by = 'gone'")
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()

    await parts.scheduler.tick()

    assert [SchedulesReplanned(replanned=1)] == rig.told(SchedulesReplanned)
    assert (await rig.ask(schedules.get("", "s", rig.settings))).held_by is None


@pytest.mark.parametrize(("count", "rest_us"), [(2, REST_US), (3, 0)])
async def test_after_a_full_batch_it_comes_again_at_once_and_else_after_a_rest(
    rig: Rig, count: int, rest_us: int
) -> None:
    rig.set(scheduler={"batch": 3})
    parts = await leader(rig)
    for number in range(count):
        await put(rig, every("1h"), f"s{number}")

    waits = [await parts.scheduler.tick() for _ in range(2)]

    assert [rest_us, rig.settings.scheduler.every_us] == waits
    assert [SchedulesFired(fired=count, missed=0, skipped=0, late_us=0)] == rig.told(SchedulesFired)


async def test_what_is_due_is_fired_while_there_is_much_to_plan_anew(rig: Rig) -> None:
    rig.set(scheduler={"replan_batch": 1})
    for number in range(3):
        await put(rig, every("1h"), f"s{number}")
    parts = rig.parts(worker_id="leader")
    await parts.elector.tick()

    wait_us = await parts.scheduler.tick()

    assert (0, 1) == (wait_us, rig.store.asked["replan"])
    assert [3] == [event.fired for event in rig.told(SchedulesFired)]


async def test_a_clock_that_was_ahead_while_fires_failed_is_seen_all_the_same(rig: Rig) -> None:
    """What fired at the wrong time, and was answered too late to be known, moved a cursor ahead."""
    parts = await leader(rig)
    await put(rig, every("1m", overlap="allow"))
    await parts.scheduler.tick()
    rig.clock.time_us += YEAR_S * SECOND_US
    rig.store.lose("fire_due")
    with pytest.raises(StoreBusyError):
        await parts.scheduler.tick()

    rig.clock.time_us -= YEAR_S * SECOND_US
    await work_for(rig, parts, 2 * MINUTE_S)

    assert [0, 60, 120] == seconds(await fires(rig))[:3]


async def test_more_than_a_batch_is_fired_longest_due_first(rig: Rig) -> None:
    rig.set(scheduler={"batch": 1})
    parts = await leader(rig)
    for number in (2, 1):
        await put(rig, every("1h", start=START + timedelta(seconds=number)), f"s{number}")
    rig.clock.pass_s(10)

    waits = [await parts.scheduler.tick() for _ in range(3)]

    assert [0, 0, rig.settings.scheduler.every_us] == waits
    late = [event.late_us // SECOND_US for event in rig.told(SchedulesFired)]
    assert [9, 8] == late


async def test_what_somebody_else_has_locked_is_not_looked_for_without_a_pause(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PostgreSQL a due schedule that somebody is changing is passed over."""
    parts = await leader(rig)
    await put(rig, every("1m"))
    monkeypatch.setattr(firing, "fire_due", lambda **_: nothing_due())

    assert LOCKED_US == await parts.scheduler.tick()


async def test_news_of_a_schedule_ends_its_sleep(rig: Rig) -> None:
    parts = await leader(rig)

    wait_us = await parts.scheduler.tick()
    await put(rig, every("1m"))
    parts.scheduler.wake()

    assert (rig.settings.scheduler.every_us, True) == (wait_us, parts.scheduler._is_woken)


async def test_two_schedulers_fire_every_instant_once(rig: Rig) -> None:
    parts = await leader(rig)
    other = Scheduler(rig.around, elector=parts.elector)
    await put(rig, every("1s", overlap="allow"))

    for _ in range(20):
        await other.tick()
        await parts.scheduler.tick()
        rig.clock.pass_s(0.5)

    assert [*range(10)] == seconds(await fires(rig))
    assert 10 == len(await runs(rig))


async def test_an_answer_that_is_lost_fires_nothing_twice(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m"))
    rig.store.lose("fire_due")
    with pytest.raises(StoreBusyError):
        await parts.scheduler.tick()

    await parts.scheduler.tick()

    assert 1 == len(await runs(rig))


@pytest.mark.parametrize("back_s", [MINUTE_S, HOUR_S])
async def test_a_clock_set_back_fires_nothing_twice_and_goes_on_afterwards(
    rig: Rig, back_s: int
) -> None:
    parts = await leader(rig)
    await put(rig, every("1m", overlap="allow"))
    await work_for(rig, parts, 10 * MINUTE_S)
    rig.events.clear()

    rig.clock.time_us -= back_s * SECOND_US
    await work_for(rig, parts, back_s + 5 * MINUTE_S)

    assert [*range(0, 15 * MINUTE_S + 1, MINUTE_S)] == seconds(await fires(rig))
    assert 16 == len({run.id for run in await runs(rig)})
    (event,) = rig.told(ClockWentBack)
    assert 0 <= back_s * SECOND_US - event.back_us <= MARK_EVERY_US


@pytest.mark.parametrize("wrong_s", [HOUR_S, YEAR_S])
async def test_a_clock_that_was_ahead_for_a_moment_floods_nobody_and_loses_nobody(
    rig: Rig, wrong_s: int
) -> None:
    parts = await leader(rig)
    await put(rig, every("1h", start=START + timedelta(seconds=1), overlap="allow"))
    await put(rig, cron("*/10 * * * *", zone="Europe/Berlin", overlap="allow"), "berlin")
    await work_for(rig, parts, HOUR_S)

    rig.clock.time_us += wrong_s * SECOND_US
    await parts.scheduler.tick()
    ahead = len(await runs(rig)) + len(await runs(rig, "berlin"))
    rig.clock.time_us -= wrong_s * SECOND_US
    await work_for(rig, parts, 4 * HOUR_S)

    assert 1 + 6 + 2 == ahead
    told = [event.back_us for event in rig.told(ClockWentBack)]
    assert [wrong_s * SECOND_US] == told
    for id, step_s, count in (("s", HOUR_S, 5), ("berlin", HOUR_S // 6, 30)):
        entries = await fires(rig, id)
        soon = [
            each.instant_us for each in entries if each.instant_us < START_US + YEAR_S * 500_000
        ]
        assert count == len(soon)
        assert {step_s * SECOND_US} == {later - sooner for sooner, later in pairwise(soon)}


async def test_a_year_that_nobody_was_there_is_made_up_as_the_policy_says(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1s"), "latest")
    await put(rig, every("1s", missed="none"), "none")
    await put(rig, every("1s", missed="all", missed_max=7, overlap="allow"), "all")

    rig.clock.pass_s(YEAR_S + 0.5)
    await parts.elector.tick()
    await parts.scheduler.tick()

    made = {id: len(await runs(rig, id)) for id in ("latest", "none", "all")}
    assert {"latest": 1, "none": 1, "all": 7} == made
    assert 3 * 100 == rig.told(SchedulesFired)[0].missed


async def test_a_clock_set_back_while_nobody_worked_is_seen_all_the_same(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m", overlap="allow"))
    await work_for(rig, parts, 5 * MINUTE_S)
    rig.clock.time_us -= 2 * MINUTE_S * SECOND_US
    rig.events.clear()

    await rig.parts(worker_id="leader").scheduler.tick()
    new = rig.parts(worker_id="leader")
    await new.elector.tick()
    await new.scheduler.tick()

    assert 1 == len(rig.told(ClockWentBack))


@pytest.mark.parametrize(("back_us", "told"), [(BACK_US, 0), (BACK_US + 1, 1)])
async def test_a_clock_that_is_set_back_by_little_is_waited_for(
    rig: Rig, back_us: int, told: int
) -> None:
    parts = await leader(rig)
    await parts.scheduler.tick()

    rig.clock.time_us -= back_us
    waits = [await parts.scheduler.tick() for _ in range(3)]

    assert told == len(rig.told(ClockWentBack))
    assert (0 if told else rig.settings.scheduler.every_us) == waits[0]
    assert [rig.settings.scheduler.every_us] * 2 == waits[1:]


@pytest.mark.parametrize("asleep_us", [0, MARK_EVERY_US])
async def test_a_clock_set_back_is_told_of_once(rig: Rig, asleep_us: int) -> None:
    parts = await leader(rig)
    await parts.scheduler.tick()

    rig.clock.pass_us(asleep_us)
    rig.clock.time_us -= MINUTE_S * SECOND_US
    await work_for(rig, parts, 2 * MARK_EVERY_US // SECOND_US)

    back_us = MINUTE_S * SECOND_US - asleep_us
    assert [ClockWentBack(back_us=back_us)] == rig.told(ClockWentBack)


async def test_the_time_is_noted_now_and_then_and_not_at_every_turn(rig: Rig) -> None:
    parts = await leader(rig)
    await work_for(rig, parts, 10 * MARK_EVERY_US // SECOND_US)

    assert 10 <= rig.store.asked["note_time"] <= 12


async def test_a_schedule_that_cannot_be_planned_is_set_aside_told_and_holds_up_nobody(
    rig: Rig,
) -> None:
    parts = await leader(rig)
    await rig.ask(calendars.put("", "holidays", {"dates": ["2026-01-01"]}, rig.settings))
    await put(rig, every("1m", exclude=["holidays"]), "broken")
    await put(rig, every("1m"), "sound")
    change(rig, "DELETE FROM calendar")

    await parts.scheduler.tick()

    (event,) = rig.told(ScheduleFaulty)
    assert "broken" == event.schedule_id
    assert "there is no calendar 'holidays'" in event.trouble
    assert "faulty" == (await rig.ask(schedules.get("", "broken", rig.settings))).label
    assert ([], 1) == (await runs(rig, "broken"), len(await runs(rig, "sound")))


async def test_one_that_was_set_aside_is_told_of_once(rig: Rig) -> None:
    parts = await leader(rig)
    await rig.ask(calendars.put("", "holidays", {"dates": ["2026-01-01"]}, rig.settings))
    await put(rig, every("1m", exclude=["holidays"]))
    change(rig, "DELETE FROM calendar")

    await work_for(rig, parts, 3 * MINUTE_S)

    assert 1 == len(rig.told(ScheduleFaulty))


async def old_and_new(rig: Rig) -> tuple[Parts, Task]:
    """Return a leader with a run under way that must make way for the next, which is due."""
    parts = await leader(rig)
    await put(rig, every("1m", overlap="cancel_old"))
    await parts.scheduler.tick()
    (old,) = await rig.claim()
    rig.clock.pass_s(MINUTE_S)
    await parts.elector.tick()
    rig.events.clear()
    return parts, await rig.task(old.id)


async def test_a_run_is_asked_to_make_way_for_the_newer_one(rig: Rig) -> None:
    parts, old = await old_and_new(rig)

    await parts.scheduler.tick()

    assert (await rig.task(old.id)).cancel_asked_at_us is not None
    newer = (await runs(rig))[-1]
    assert (State.WAITING, "turn") == (newer.state, newer.waiting_for)


async def test_all_that_must_make_way_are_asked(rig: Rig) -> None:
    parts = await leader(rig)
    for id in ("a", "b"):
        await put(rig, every("1m", overlap="cancel_old"), id)
    await parts.scheduler.tick()
    claimed = await rig.claim()
    rig.clock.pass_s(MINUTE_S)
    await parts.elector.tick()

    await parts.scheduler.tick()

    asked = [(await rig.task(claim.id)).cancel_asked_at_us is not None for claim in claimed]
    assert [True, True] == asked


async def test_one_that_could_not_be_asked_to_make_way_is_asked_later(rig: Rig) -> None:
    parts, old = await old_and_new(rig)
    rig.store.refuse("cancel")
    with pytest.raises(StoreBusyError):
        await parts.scheduler.tick()
    first = (await rig.task(old.id)).cancel_asked_at_us

    await parts.scheduler.tick()

    assert first is None
    assert (await rig.task(old.id)).cancel_asked_at_us is not None
    assert 1 == len(rig.told(SchedulesFired))


async def test_one_that_has_ended_before_it_could_be_asked_hinders_nobody(rig: Rig) -> None:
    parts, old = await old_and_new(rig)
    rig.store.refuse("cancel")
    with pytest.raises(StoreBusyError):
        await parts.scheduler.tick()
    await rig.run(complete(old))

    wait_us = await parts.scheduler.tick()

    assert rig.settings.scheduler.every_us == wait_us
    assert State.PENDING is (await runs(rig))[-1].state


async def test_what_it_did_is_told_in_numbers(rig: Rig) -> None:
    parts = await leader(rig)
    await put(rig, every("1m"), "fires")
    await parts.scheduler.tick()
    rig.clock.pass_s(3 * MINUTE_S + 4)
    await put(rig, every("1m"), "fires too")
    await parts.elector.tick()
    rig.events.clear()

    await parts.scheduler.tick()
    await parts.scheduler.tick()

    fired = SchedulesFired(fired=1, missed=2, skipped=1, late_us=(2 * MINUTE_S + 4) * SECOND_US)
    assert [fired] == rig.events


def complete(task: Task) -> Verb[object]:
    """Settle the first claim of a task."""
    settlement = Settlement(
        tenant="",
        task_id=task.id,
        claim_no=1,
        attempt=1,
        started_at_us=START_US,
        event=Event.COMPLETE,
        schedule_id="s",
    )
    return claims.settle([settlement], worker_id="worker-1", inline_bytes_max=64)


@read
def nothing_due() -> Steps[firing.Fired]:
    """As `fire_due`, when another has locked everything."""
    yield Statement("clock", {})
    return firing.NOTHING_FIRED


def misplace(rig: Rig, assignments: str) -> None:
    """Spoil all schedules past the store."""
    change(rig, f"UPDATE schedule SET {assignments}")


def change(rig: Rig, statement: str) -> None:
    """Run a statement past the store."""
    rig.store.inner._session.connection.execute(statement)
