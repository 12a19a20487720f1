"""Two sessions at once on PostgreSQL: a fire, the end of a run, an edit, and what is then true."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.kernel.errors import RevisionError
from tenure.kernel.model import Claim, TaskId
from tenure.kernel.ports import Verb
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Schedule
from tenure.kernel.schedules.policies import Drift, Overlap
from tenure.kernel.states import Event, State
from tenure.store import claims, firing, schedules, tasks
from tenure.store.claims import Settled
from tenure.store.firing import Fired
from tests.store.builders import INLINE_BYTES_MAX, a_request, a_settlement, claim_one, get
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import (
    LATE_US,
    a_wanted,
    change,
    fire,
    known,
    ledger,
    next_s,
    put,
    run_id,
    runs,
    states,
)
from tests.store.sessions import Waiting, WouldWaitError, interrupted, sessions


def fires(limit: int = 10) -> Verb[Fired]:
    return firing.fire_due(limit=limit, late_us=LATE_US, inline_bytes_max=INLINE_BYTES_MAX)


def settles(*settled: Claim, event: Event = Event.COMPLETE) -> Verb[list[Settled]]:
    return claims.settle(
        [a_settlement(claim, event, schedule_id=claim.schedule_id) for claim in settled],
        worker_id="worker-1",
        inline_bytes_max=INLINE_BYTES_MAX,
    )


def cancels(id: str) -> Verb[State]:
    return tasks.cancel("", TaskId(id), force=True, reason="")


def replans() -> Verb[object]:
    return firing.replan(("", ""), limit=10)


def a_run_with_another_due(store: Driver, **policies: Any) -> Claim:
    """A run is under way, and its schedule is due once more."""
    put(store, **policies)
    fire(store)
    claim = claim_one(store)
    store.clock.pass_s(60)
    return claim


# Two schedulers.


def test_two_schedulers_take_different_schedules_without_waiting(postgres_store: Driver) -> None:
    for place, id in enumerate("abc"):
        put(postgres_store, id, start_us=START_US + place)
    postgres_store.clock.pass_s(1)
    with sessions(postgres_store) as (one, two):
        first = one.run(fires(limit=2))
        second = two.run(fires(limit=2))
        one.commit()
        two.commit()

    assert (2, 1) == (first.fired, second.fired)
    assert [1, 1, 1] == [len(runs(postgres_store, id)) for id in "abc"]


def test_what_one_scheduler_has_fired_the_other_does_not(postgres_store: Driver) -> None:
    put(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        meanwhile = two.run_at_once(fires())
        one.commit()

        assert (0, 0) == (meanwhile.seen, two.run_at_once(fires()).seen)

    assert 1 == len(runs(postgres_store))


def test_a_fire_that_is_undone_is_done_by_the_next(postgres_store: Driver) -> None:
    put(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        one.rollback()

        assert 1 == two.run_at_once(fires()).fired

    assert 1 == len(runs(postgres_store))


def test_two_who_enter_one_instant_make_one_run(postgres_store: Driver) -> None:
    """However the lock of the schedule was lost: the ledger has the last word."""
    put(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        one.commit()
        change(postgres_store, cursor_us=START_US - 1, next_fire_at_us=START_US)

        assert 0 == two.run_at_once(fires()).fired

    assert 1 == len(runs(postgres_store))


# A fire and the end of a run.


@pytest.mark.parametrize("overlap", [Overlap.QUEUE_ONE, Overlap.QUEUE_ALL, Overlap.CANCEL_OLD])
@pytest.mark.parametrize("end", ["settle", "cancel"])
def test_an_end_that_waited_for_a_fire_wakes_what_it_made(
    postgres_store: Driver, overlap: Overlap, end: str
) -> None:
    claim = a_run_with_another_due(postgres_store, overlap=overlap)
    verb: Verb[object] = settles(claim) if end == "settle" else cancels(claim.id)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        waiting = Waiting(verb, two, holder=one)
        one.commit()
        waiting.answer()

    assert "pending" == states(postgres_store)[1]


def test_an_end_in_the_midst_of_a_fire_waits_for_it(postgres_store: Driver) -> None:
    claim = a_run_with_another_due(postgres_store, overlap=Overlap.QUEUE_ONE)
    with sessions(postgres_store, 1) as (one,), pytest.raises(WouldWaitError):
        # After the fire has read which runs are under way.
        postgres_store.run(interrupted(fires(), lambda: one.run_at_once(settles(claim)), after=2))


def test_a_fire_leaves_a_schedule_alone_while_a_run_of_it_ends(postgres_store: Driver) -> None:
    claim = a_run_with_another_due(postgres_store, overlap=Overlap.QUEUE_ONE)
    with sessions(postgres_store) as (one, two):
        one.run(settles(claim))
        meanwhile = two.run_at_once(fires())
        one.commit()
        afterwards = two.run_at_once(fires())

    assert (0, 1) == (meanwhile.seen, afterwards.fired)
    assert ["completed", "pending"] == states(postgres_store)


def test_an_end_that_waited_for_a_fire_releases_what_that_held(postgres_store: Driver) -> None:
    """The run of a person's had ended when the schedule began to wait for it, for ever."""
    put(postgres_store, drift=Drift.DELAY, start_us=START_US + 1)
    postgres_store.run(schedules.run_soon("", "s", note="", inline_bytes_max=9))
    claim = claim_one(postgres_store)
    postgres_store.clock.pass_s(1)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        waiting = Waiting(settles(claim), two, holder=one)
        one.commit()
        waiting.answer()

    assert (None, 61) == (known(postgres_store).held_by, next_s(postgres_store))


def test_runs_that_nobody_minds_end_without_waiting_for_a_fire(postgres_store: Driver) -> None:
    claim = a_run_with_another_due(postgres_store, overlap=Overlap.ALLOW)
    with sessions(postgres_store) as (one, two):
        one.run(fires())
        two.run_at_once(settles(claim))
        one.commit()

    assert ["completed", "pending"] == states(postgres_store)


def test_two_ends_at_once_wake_one_run(postgres_store: Driver) -> None:
    claim = a_run_with_another_due(postgres_store, overlap=Overlap.QUEUE_ALL)
    fire(postgres_store)
    postgres_store.clock.pass_s(60)
    fire(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(settles(claim))
        waiting = Waiting(cancels(run_id(60)), two, holder=one)
        one.commit()
        waiting.answer()

    assert ["completed", "cancelled", "pending"] == states(postgres_store)


def test_the_turn_of_a_run_that_is_being_cancelled_is_not_waited_for(
    postgres_store: Driver,
) -> None:
    """Who ends a run holds its schedule, so to wait for a task would be to wait in a circle."""
    claim = a_run_with_another_due(postgres_store, overlap=Overlap.QUEUE_ALL)
    fire(postgres_store)
    with sessions(postgres_store) as (one, two):
        slip_in = interrupted(cancels(run_id(60)), lambda: two.run_at_once(settles(claim)), after=1)
        one.run_at_once(slip_in)

    assert ["completed", "cancelled"] == states(postgres_store)


def test_schedules_are_locked_in_one_order_however_runs_end(postgres_store: Driver) -> None:
    for id in "ab":
        put(postgres_store, id, overlap=Overlap.QUEUE_ONE)
    fire(postgres_store)
    first, second = postgres_store.run(claims.claim(a_request()))
    ends_with_b = settles(second, first)
    with sessions(postgres_store, 3) as (one, two, three):
        one.run(schedules.pause("", "a"))
        waiting = Waiting(ends_with_b, two, holder=one)
        three.run(schedules.pause("", "b"))
        three.rollback()
        one.rollback()
        waiting.answer()

    assert ["completed"] == states(postgres_store, "a")


# Edits, states and plans.


def test_a_fire_leaves_a_schedule_alone_that_is_being_edited(postgres_store: Driver) -> None:
    put(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(schedules.pause("", "s"))

        assert 0 == two.run_at_once(fires()).seen


def test_nobody_fires_between_the_look_and_the_write_of_an_edit(postgres_store: Driver) -> None:
    put(postgres_store)
    verb = schedules.put("", "s", (), lambda there_is, *_: there_is)
    with sessions(postgres_store, 1) as (one,):
        slipped: list[Fired] = []
        slip_in = interrupted(verb, lambda: slipped.append(one.run_at_once(fires())), after=1)
        postgres_store.run(slip_in)

    assert [0] == [fired.seen for fired in slipped]


def test_a_state_set_by_hand_does_not_wait_for_a_run_that_is_ending(
    postgres_store: Driver,
) -> None:
    """To set a state locks the schedule and then its runs; to end a run, the other way about."""
    put(postgres_store, overlap=Overlap.QUEUE_ONE)
    fire(postgres_store)
    with sessions(postgres_store) as (one, two):
        slip_in = interrupted(
            cancels(run_id()),
            lambda: two.run_at_once(schedules.set_carry("", "s", b"new")),
            after=1,
        )
        one.run_at_once(slip_in)

    assert (b"new", State.CANCELLED) == (
        known(postgres_store).carry, get(postgres_store, run_id()).state,
    )  # fmt: skip


def test_a_plan_made_before_a_fire_is_not_written_after_it(postgres_store: Driver) -> None:
    put(postgres_store)
    change(postgres_store, next_fire_at_us=START_US, cursor_us=START_US + 9 * SECOND_US)
    with sessions(postgres_store, 1) as (one,):
        postgres_store.run(interrupted(replans(), lambda: one.run_at_once(fires()), after=2))

    assert (60, 1) == (next_s(postgres_store), len(ledger(postgres_store)))


def test_two_pruners_of_the_ledger_take_different_entries_without_waiting(
    postgres_store: Driver,
) -> None:
    for id in "ab":
        put(postgres_store, id)
    fire(postgres_store)
    with sessions(postgres_store) as (one, two):
        assert 1 == one.run(firing.prune_fires(keep_us=0, limit=1))
        assert 1 == two.run(firing.prune_fires(keep_us=0, limit=1))
        one.commit()
        two.commit()

    assert [] == postgres_store.rows("SELECT * FROM fire")


def test_two_who_make_one_schedule_at_once_make_one(postgres_store: Driver) -> None:
    def make(_: Schedule | None, calendars: dict[str, Exclusion], now_us: int) -> Schedule:
        return edits.created("", a_wanted(), calendars, now_us)

    with sessions(postgres_store) as (one, two):
        one.run(schedules.put("", "s", (), make))
        waiting = Waiting(schedules.put("", "s", (), make), two, holder=one)
        one.commit()
        with pytest.raises(RevisionError, match="was changed by somebody else just now"):
            waiting.answer()

    assert 1 == known(postgres_store).revision
