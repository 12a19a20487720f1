"""What the end of a run does to its schedule: turns, what counts from ends, the state handed on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from tenure.kernel.model import Claim, TaskId
from tenure.kernel.schedules.model import Verdict
from tenure.kernel.schedules.policies import Drift, Overlap
from tenure.kernel.states import Event, State
from tenure.store import claims, firing, history, run_ends, schedules, tasks
from tests.store.builders import (
    a_task,
    claim_all,
    claim_one,
    get,
    insert,
    settle_all,
)
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import (
    MINUTE_US,
    a_template,
    answered,
    change,
    end,
    fire,
    known,
    ledger,
    next_s,
    of_run,
    put,
    run_id,
    run_soon,
    runs,
    states,
)

FIRED = Verdict.FIRED


def completes(store: Driver, claim: Claim) -> None:
    end(store, claim)


def fails(store: Driver, claim: Claim) -> None:
    end(store, claim, Event.FAIL)


def cancels_itself(store: Driver, claim: Claim) -> None:
    end(store, claim, Event.CANCEL)


def is_cancelled_by_force(store: Driver, claim: Claim) -> None:
    store.run(tasks.cancel("", claim.id, force=True, reason="enough"))


def snoozes_after_it_was_asked_to_cancel(store: Driver, claim: Claim) -> None:
    store.run(tasks.cancel("", claim.id, force=False, reason="enough"))
    end(store, claim, Event.SNOOZE)


def loses_its_worker(store: Driver, claim: Claim) -> None:
    store.clock.time_us = claim.lease_expires_at_us
    expired = store.run(claims.expire(lambda each, _: of_run(each, Event.EXHAUST), limit=9))
    assert [claim.id] == [each.id for each, _ in expired]


ENDS: list[Callable[[Driver, Claim], None]] = [
    completes,
    fails,
    cancels_itself,
    is_cancelled_by_force,
    snoozes_after_it_was_asked_to_cancel,
    loses_its_worker,
]
GOES_ON = [Event.RETRY, Event.SNOOZE, Event.RELEASE, Event.WAIT]


def held(store: Driver) -> Claim:
    """Make a schedule that counts from ends, and run it."""
    put(store, drift=Drift.DELAY)
    fire(store)
    return claim_one(store)


def in_turns(store: Driver, *, waiting: int = 1, overlap: Overlap = Overlap.QUEUE_ALL) -> Claim:
    """Make a schedule whose runs take turns, and run one while others wait."""
    put(store, overlap=overlap)
    fire(store)
    claim = claim_one(store)
    for _ in range(waiting):
        store.clock.pass_s(60)
        fire(store)
    store.clock.time_us = START_US + SECOND_US
    assert ["running", *["waiting"] * waiting] == states(store)
    return claim


# Turns.


@pytest.mark.parametrize("ends", ENDS)
def test_the_next_run_begins_when_the_one_before_ends(
    store: Driver, ends: Callable[[Driver, Claim], None]
) -> None:
    claim = in_turns(store, waiting=2)

    ends(store, claim)

    assert ["pending", "waiting"] == states(store)[1:]
    run = runs(store)[1]
    assert (None, START_US + MINUTE_US, 1) == (run.waiting_for, run.run_at_us, run.revision)
    (event, *_) = store.run(history.events("", run.id, limit=9))
    assert ("wake", "its turn has come") == (event.event, event.detail)
    store.clock.pass_s(60)
    assert [run.id] == [each.id for each in claim_all(store)]


def test_the_workers_of_its_queue_are_told_whose_turn_has_come(either: Driver) -> None:
    put(either, overlap=Overlap.QUEUE_ONE, template=a_template(queue="mail"))
    fire(either)
    claim = claim_one(either, queue="mail")
    either.clock.pass_s(60)
    fire(either)
    either.rows(f"DELETE FROM task WHERE id = '{claim.id}'")
    steps = run_ends.ended([run_ends.EndedRun("", "s", claim.id, None)])
    topics: list[str | None] = []
    with contextlib.suppress(StopIteration):
        step = next(steps)
        while True:
            topics.append(getattr(step, "notice", None))
            step = steps.send(answered(either, step))

    assert ["queue:mail"] == [topic for topic in topics if topic is not None]


@pytest.mark.parametrize("event", GOES_ON)
def test_nobodys_turn_comes_while_the_run_goes_on(store: Driver, event: Event) -> None:
    claim = in_turns(store)

    end(store, claim, event)

    assert "waiting" == states(store)[1]


def test_a_lease_that_ran_out_and_is_tried_again_keeps_its_turn(store: Driver) -> None:
    claim = in_turns(store)
    store.clock.time_us = claim.lease_expires_at_us

    store.run(claims.expire(lambda each, _: of_run(each, Event.EXPIRE), limit=9))

    assert ["pending", "waiting"] == states(store)


def test_turns_come_one_by_one_in_order_of_time(store: Driver) -> None:
    claim = in_turns(store, waiting=3)
    store.clock.pass_s(3600)
    order = [claim.id]
    for _ in range(3):
        end(store, claim)
        claim = claim_one(store)
        order.append(claim.id)

    assert [run_id(place * 60) for place in range(4)] == order


def test_the_end_of_one_that_waits_wakes_nobody_while_a_run_is_under_way(store: Driver) -> None:
    in_turns(store, waiting=2)

    store.run(tasks.cancel("", TaskId(run_id(60)), force=False, reason="no"))

    assert ["running", "cancelled", "waiting"] == states(store)


def test_a_cancelled_run_that_had_not_begun_gives_its_turn_on(store: Driver) -> None:
    put(store, overlap=Overlap.QUEUE_ONE)
    fire(store)
    store.clock.pass_s(60)
    fire(store)

    store.run(tasks.cancel("", TaskId(run_id()), force=False, reason="no"))

    assert ["cancelled", "pending"] == states(store)


def test_one_that_waits_for_something_else_is_under_way(store: Driver) -> None:
    put(store, overlap=Overlap.QUEUE_ONE)
    fire(store)
    end(store, claim_one(store), Event.WAIT, waiting_for="signal")
    store.clock.pass_s(60)
    fire(store)

    assert 0 == store.run(firing.sweep(limit=9))
    assert ["waiting", "waiting"] == states(store)


def test_each_schedule_and_tenant_has_turns_of_its_own(store: Driver) -> None:
    for tenant, id in (("", "s"), ("", "t"), ("one", "s")):
        put(store, id, tenant=tenant, overlap=Overlap.QUEUE_ONE)
    fire(store)
    all_claims = claim_all(store)
    store.clock.pass_s(60)
    fire(store)
    (claim,) = [each for each in all_claims if (each.tenant, each.schedule_id) == ("", "s")]

    end(store, claim)

    assert [["completed", "pending"], ["running", "waiting"]] == [states(store, id) for id in "st"]
    assert ["running", "waiting"] == [each.state.value for each in runs(store, tenant="one")]


def test_several_runs_that_end_together_wake_one_each(store: Driver) -> None:
    for id in "ab":
        put(store, id, overlap=Overlap.QUEUE_ALL)
    fire(store)
    claimed = claim_all(store)
    store.clock.pass_s(60)
    fire(store)

    settle_all(store, [of_run(claim, Event.COMPLETE) for claim in claimed])

    assert [["completed", "pending"]] * 2 == [states(store, id) for id in "ab"]


@pytest.mark.parametrize("how", ["deleted", "changed"])
def test_who_waits_begins_though_the_schedule_was_changed_meanwhile(
    store: Driver, how: str
) -> None:
    """Runs of a schedule that was deleted while they waited would have waited for ever."""
    claim = in_turns(store)
    if how == "deleted":
        store.run(schedules.delete("", "s"))
    else:
        put(store, overlap=Overlap.ALLOW)

    end(store, claim)

    assert ["completed", "pending"] == states(store)


def test_a_task_without_a_schedule_ends_alone(store: Driver) -> None:
    in_turns(store)
    insert(store, a_task())
    before = store.rows("SELECT * FROM schedule")

    end(store, claim_one(store))

    assert ["running", "waiting"] == states(store)
    assert before == store.rows("SELECT * FROM schedule")


# Counted from ends.


def test_what_counts_from_ends_has_no_next_while_a_run_is_under_way(store: Driver) -> None:
    held(store)
    schedule = known(store)
    store.clock.pass_s(3600)

    assert (run_id(), None, "running") == (
        schedule.held_by, schedule.next_fire_at_us, schedule.label,
    )  # fmt: skip
    assert 0 == fire(store).seen


@pytest.mark.parametrize("ends", ENDS)
def test_the_next_is_so_long_after_the_end(
    store: Driver, ends: Callable[[Driver, Claim], None]
) -> None:
    claim = held(store)
    store.clock.pass_s(7)

    ends(store, claim)

    schedule = known(store)
    assert (None, store.clock.time_us + MINUTE_US) == (schedule.held_by, schedule.next_fire_at_us)


@pytest.mark.parametrize("event", GOES_ON)
def test_a_run_that_goes_on_holds_its_schedule(store: Driver, event: Event) -> None:
    claim = held(store)

    end(store, claim, event)

    assert run_id() == known(store).held_by


def test_the_end_of_another_run_releases_nothing(store: Driver) -> None:
    held(store)
    put(store, "t", drift=Drift.DELAY)
    fire(store)
    end(store, claim_one(store))

    assert (run_id(), None) == (known(store).held_by, known(store, "t").held_by)


def test_the_end_of_an_older_run_releases_nothing(store: Driver) -> None:
    end(store, held(store))
    store.clock.pass_s(60)
    fire(store)
    store.run(tasks.revive("", TaskId(run_id())))

    store.run(tasks.cancel("", TaskId(run_id()), force=True, reason="no"))

    assert run_id(60) == known(store).held_by


@pytest.mark.parametrize(("end_s", "wanted_s"), [(67, 67), (66, None)])
def test_nothing_comes_after_the_end_of_the_schedule(
    store: Driver, end_s: int, wanted_s: int | None
) -> None:
    put(store, drift=Drift.DELAY, end_us=START_US + end_s * SECOND_US)
    fire(store)
    store.clock.pass_s(7)

    end(store, claim_one(store))

    assert wanted_s == next_s(store)
    assert ("ended" if wanted_s is None else "active") == known(store).label


def test_a_run_by_hand_is_waited_for(store: Driver) -> None:
    put(store, drift=Drift.DELAY, start_us=START_US + 10)
    asked = run_soon(store).entry
    store.clock.pass_s(1)
    fire(store)
    assert asked is not None
    assert asked.task_id == known(store).held_by

    end(store, claim_one(store))

    assert 61 == next_s(store)


def test_an_instant_that_had_fired_before_holds_nothing(store: Driver) -> None:
    put(store, drift=Drift.DELAY)
    fire(store)
    end(store, claim_one(store))
    change(store, next_fire_at_us=START_US)

    assert 0 == fire(store).fired
    assert (None, 60) == (known(store).held_by, next_s(store))


def test_what_counts_from_ends_goes_on_below_the_floor(store: Driver) -> None:
    """After a clock was set back by a year, it would have stood still for a year."""
    put(store, drift=Drift.DELAY)
    store.rows(f"UPDATE schedule SET floor_us = {START_US + 3600 * SECOND_US}")
    store.clock.time_us += 1

    # Its start is an instant that the rule names, and may have fired; the end of a run is none.
    first = fire(store).fired
    store.clock.pass_s(60)

    assert (0, 1) == (first, fire(store).fired)


def test_a_calendar_puts_off_what_counts_from_ends(store: Driver) -> None:
    days = '{"periods": ["2023-11-14T22:14:00Z/2023-11-14T22:20:00Z"]}'
    store.run(schedules.put_calendar("", "days", days))
    put(store, drift=Drift.DELAY, exclude=("days",))
    fire(store)
    end(store, claim_one(store))
    store.clock.pass_s(60)

    put_off = fire(store)

    assert (1, 0, 400) == (put_off.seen, put_off.fired, next_s(store))
    store.clock.pass_s(340)
    assert 1 == fire(store).fired
    assert [(0, FIRED), (400, FIRED)] == ledger(store)


@pytest.mark.parametrize(("end_s", "wanted_s"), [(400, 400), (399, None)])
def test_what_a_calendar_puts_off_past_the_end_does_not_come(
    store: Driver, end_s: int, wanted_s: int | None
) -> None:
    days = '{"periods": ["2023-11-14T22:14:00Z/2023-11-14T22:20:00Z"]}'
    store.run(schedules.put_calendar("", "days", days))
    put(store, drift=Drift.DELAY, exclude=("days",), end_us=START_US + end_s * SECOND_US)
    fire(store)
    end(store, claim_one(store))
    store.clock.pass_s(60)

    fire(store)

    assert wanted_s == next_s(store)


def test_a_calendar_does_not_put_off_what_somebody_steered_to(store: Driver) -> None:
    store.run(schedules.put_calendar("", "days", '{"dates": ["2023-11-15"]}'))
    put(store, drift=Drift.DELAY, exclude=("days",))
    store.clock.pass_s(7200)
    store.run(schedules.steer("", "s", START_US))

    assert 1 == fire(store).fired


def test_the_clock_that_went_back_brings_the_next_nearer(store: Driver) -> None:
    end(store, held(store))
    store.clock.pass_s(-3600)

    assert (None, 1) == store.run(firing.replan(("", ""), limit=9))

    assert -3540 == next_s(store)


def test_a_schedule_that_moved_since_it_was_looked_at_is_not_planned_anew(either: Driver) -> None:
    """The plan was made while the run held the schedule, and would have ended it for good."""
    claim = held(either)
    either.clock.pass_s(-5)
    steps = firing.replan(("", ""), limit=9).steps
    rows = answered(either, next(steps))
    batch = steps.send(answered(either, steps.send(rows)))
    end(either, claim)

    assert [] == list(answered(either, batch))
    assert 55 == next_s(either)


# The state that is handed on.


def test_a_completed_run_hands_its_state_to_the_next(store: Driver) -> None:
    put(store, "t", carry=b"0", paused=True)
    put(store, carry=b"0")
    fire(store)
    end(store, claim_one(store), carry=b"1")
    store.clock.pass_s(60)
    fire(store)

    assert (b"1", b"1") == (known(store).carry, runs(store)[1].carry)
    assert b"0" == known(store, "t").carry


@pytest.mark.parametrize("ends", [each for each in ENDS if each is not completes])
def test_a_run_that_does_not_complete_leaves_the_state_alone(
    store: Driver, ends: Callable[[Driver, Claim], None]
) -> None:
    put(store, carry=b"0")
    fire(store)

    ends(store, claim_one(store))

    assert b"0" == known(store).carry


def test_a_state_that_comes_with_a_failure_is_not_handed_on(store: Driver) -> None:
    put(store, carry=b"0")
    fire(store)

    end(store, claim_one(store), Event.FAIL, carry=b"1")

    assert b"0" == known(store).carry


def test_a_completed_run_that_says_nothing_leaves_the_state_alone(store: Driver) -> None:
    put(store, carry=b"0")
    fire(store)

    end(store, claim_one(store))

    assert b"0" == known(store).carry


def test_one_that_waited_for_its_turn_has_the_newest_state(store: Driver) -> None:
    claim = in_turns(store)

    end(store, claim, carry=b"new")

    assert b"new" == runs(store)[1].carry


def test_one_that_waited_keeps_its_state_if_the_schedule_is_gone(store: Driver) -> None:
    put(store, carry=b"0", overlap=Overlap.QUEUE_ONE)
    fire(store)
    claim = claim_one(store)
    store.clock.pass_s(60)
    fire(store)
    store.run(schedules.delete("", "s"))

    end(store, claim, carry=b"1")

    assert b"0" == runs(store)[1].carry


def test_of_two_runs_that_complete_together_the_later_has_the_last_word(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    for _ in range(2):
        fire(store)
        store.clock.pass_s(60)
    first, second = sorted(claim_all(store), key=lambda claim: claim.id)

    settle_all(
        store,
        [
            of_run(second, Event.COMPLETE, carry=b"second"),
            of_run(first, Event.COMPLETE, carry=b"first"),
        ],
    )

    assert b"second" == known(store).carry


def test_a_state_set_by_hand_reaches_runs_that_have_not_begun(store: Driver) -> None:
    put(store, carry=b"0", overlap=Overlap.ALLOW)
    fire(store)
    claim_one(store)
    store.clock.pass_s(60)
    fire(store)
    put(store, "t", carry=b"0")
    fire(store)

    store.run(schedules.set_carry("", "s", b"new"))

    assert [b"0", b"new"] == [run.carry for run in runs(store)]
    assert b"new" == known(store).carry
    assert (b"0", b"0") == (known(store, "t").carry, runs(store, "t")[0].carry)


# What is left over in stores that were mended by hand.


def test_a_hold_by_a_run_that_is_gone_is_swept_away(store: Driver) -> None:
    held(store)
    put(store, "t", drift=Drift.DELAY)
    fire(store)
    store.rows(f"DELETE FROM task WHERE id = '{run_id()}'")

    assert 1 == store.run(firing.sweep(limit=9))

    assert (None, 60) == (known(store).held_by, next_s(store))
    assert known(store, "t").held_by is not None
    assert 0 == store.run(firing.sweep(limit=9))


def test_a_hold_by_a_run_that_has_ended_is_swept_away(store: Driver) -> None:
    end(store, held(store))
    change(store, next_fire_at_us=None, held_by=run_id())

    assert (1, 60) == (store.run(firing.sweep(limit=9)), next_s(store))


def test_turns_that_nobody_gives_on_are_swept_on(store: Driver) -> None:
    in_turns(store, waiting=2)
    put(store, "t", overlap=Overlap.QUEUE_ONE)
    fire(store)
    store.rows(f"DELETE FROM task WHERE id = '{run_id()}'")

    assert 1 == store.run(firing.sweep(limit=9))

    assert ["pending", "waiting"] == states(store)
    assert 0 == store.run(firing.sweep(limit=9))


def test_a_sweep_takes_so_many_at_once(store: Driver) -> None:
    for id in "abc":
        put(store, id, drift=Drift.DELAY)
    fire(store)
    store.rows("DELETE FROM task")

    assert [2, 1] == [store.run(firing.sweep(limit=2)) for _ in range(2)]


# A run that says what comes next.


def test_a_run_steers_its_schedule_in_the_transaction_that_settles_it(store: Driver) -> None:
    claim = held(store)
    at_us = START_US + 500 * SECOND_US
    also = schedules.steered("", "s", claim.id, next_us=at_us, make=lambda *_: None)

    end(store, claim, also=also)

    assert (500, None) == (next_s(store), known(store).held_by)


@pytest.mark.parametrize("fault", ["gone", "unreadable"])
def test_a_run_is_settled_whatever_is_the_matter_with_its_schedule(
    store: Driver, fault: str
) -> None:
    put(store)
    fire(store)
    claim = claim_one(store)
    if fault == "gone":
        store.run(schedules.delete("", "s"))
    else:
        store.rows("UPDATE schedule SET policies = '['")
    also = schedules.steered("", "s", claim.id, next_us=START_US, make=lambda *_: None)

    end(store, claim, also=also)

    assert State.COMPLETED is get(store, claim.id).state
