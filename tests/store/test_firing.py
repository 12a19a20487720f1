"""Firing: what is due becomes tasks, once, as the policies say, and what comes next is planned."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.kernel.model import Lane, TaskId
from tenure.kernel.schedules.model import Verdict
from tenure.kernel.schedules.policies import Missed, Overlap
from tenure.kernel.states import State
from tenure.store import firing, history, schedules
from tests.store.builders import LARGE, claim_all, claim_one, get
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import (
    MINUTE_US,
    a_template,
    change,
    fire,
    known,
    ledger,
    next_s,
    put,
    run_id,
    run_soon,
    runs,
    states,
)

FIRED, MISSED, SKIPPED = Verdict.FIRED, Verdict.MISSED, Verdict.SKIPPED


def test_nothing_fires_where_nothing_is_due(store: Driver) -> None:
    put(store, start_us=START_US + 1)
    before = store.tables()

    fired = fire(store)

    assert firing.NOTHING_FIRED == fired
    assert before == store.tables()


def test_a_due_instant_becomes_the_task_that_was_asked_for(store: Driver) -> None:
    template = a_template(
        kind="report",
        payload=b'{"a":1}',
        queue="mail",
        lane=Lane.LOW,
        cost=3,
        attempts_max=4,
        timeout_us=9 * SECOND_US,
        tags=("a", "ä"),
    )
    put(store, tenant="one", template=template, carry=b"state")
    store.clock.pass_s(2)

    fired = fire(store)

    assert (1, 1, 0, 0, 2 * SECOND_US) == (
        fired.seen, fired.fired, fired.missed, fired.skipped, fired.late_us,
    )  # fmt: skip
    (run,) = runs(store, tenant="one")
    wanted = {
        "id": run_id(tenant="one"), "kind": "report", "payload": b'{"a":1}', "queue": "mail",
        "lane": 3, "cost": 3, "attempts_max": 4, "timeout_us": 9 * SECOND_US, "tags": ("a", "ä"),
        "carry": b"state", "schedule_id": "s", "state": State.PENDING, "run_at_us": START_US,
        "created_at_us": START_US + 2 * SECOND_US, "attempt": 0, "claim_no": 0, "crashes": 0,
        "waiting_for": None,
    }  # fmt: skip
    assert wanted == {name: getattr(run, name) for name in wanted}
    assert [run.id] == [claim.id for claim in claim_all(store, queue="mail")]
    schedule = known(store, tenant="one")
    assert (1, START_US + 2 * SECOND_US, START_US, START_US + MINUTE_US) == (
        schedule.fired, schedule.last_fired_at_us, schedule.cursor_us, schedule.next_fire_at_us,
    )  # fmt: skip
    assert [] == runs(store)


def test_an_instant_fires_when_it_is_due_and_not_a_microsecond_before(store: Driver) -> None:
    put(store, start_us=START_US + 5)
    store.clock.time_us += 4
    early = fire(store).fired
    store.clock.time_us += 1

    assert (0, 1) == (early, fire(store).fired)


def test_the_longest_due_fire_first_and_no_more_than_asked_for(store: Driver) -> None:
    for place, id in enumerate("cab"):
        put(store, id, start_us=START_US + 10 - place)
    store.clock.pass_s(1)

    fired = fire(store, limit=2)

    assert (2, SECOND_US - 8) == (fired.seen, fired.late_us)
    assert [1, 1, 0] == [known(store, id).fired for id in "bac"]


def test_a_second_scheduler_a_moment_later_finds_nothing(store: Driver) -> None:
    put(store)
    fire(store)
    before = store.tables()

    assert 0 == fire(store).seen
    assert before == store.tables()


@pytest.mark.parametrize(
    ("policies", "verdicts"),
    [
        ({}, [MISSED, MISSED, MISSED, FIRED]),
        ({"missed": Missed.NONE}, [MISSED, MISSED, MISSED, FIRED]),
        ({"missed": Missed.ALL, "overlap": Overlap.ALLOW}, [FIRED] * 4),
        (
            {"missed": Missed.ALL, "overlap": Overlap.ALLOW, "missed_max": 2},
            [MISSED] * 2 + [FIRED] * 2,
        ),
        ({"missed_within_us": 70 * SECOND_US}, [MISSED, MISSED, MISSED, FIRED]),
        (
            {"missed": Missed.ALL, "overlap": Overlap.ALLOW, "missed_within_us": 70 * SECOND_US},
            [MISSED, MISSED, FIRED, FIRED],
        ),
    ],
    ids=str,
)
def test_what_was_missed_is_made_up_for_as_the_policy_says(
    store: Driver, policies: dict[str, Any], verdicts: list[Verdict]
) -> None:
    put(store, **policies)
    store.clock.pass_s(3 * 60 + 5)

    fired = fire(store)

    assert list(zip((0, 60, 120, 180), verdicts, strict=True)) == ledger(store)
    assert (verdicts.count(FIRED), verdicts.count(MISSED)) == (fired.fired, fired.missed)
    assert verdicts.count(FIRED) == len(runs(store)) == known(store).fired
    assert 240 == next_s(store)


def test_with_none_made_up_what_is_late_does_not_run(store: Driver) -> None:
    put(store, text="1h", missed=Missed.NONE)
    store.clock.pass_s(61)

    fired = fire(store)

    assert (0, 1, None) == (fired.fired, fired.missed, known(store).last_fired_at_us)
    assert [(0, MISSED)] == ledger(store)
    assert 3600 == next_s(store)


@pytest.mark.parametrize(
    ("overlap", "verdict", "stand"),
    [
        (Overlap.SKIP, SKIPPED, ["running"]),
        (Overlap.ALLOW, FIRED, ["running", "pending"]),
        (Overlap.QUEUE_ONE, FIRED, ["running", "waiting"]),
        (Overlap.QUEUE_ALL, FIRED, ["running", "waiting"]),
        (Overlap.CANCEL_OLD, FIRED, ["running", "waiting"]),
    ],
)
def test_a_fire_while_a_run_is_under_way_is_as_the_policy_says(
    store: Driver, overlap: Overlap, verdict: Verdict, stand: list[str]
) -> None:
    put(store, overlap=overlap)
    fire(store)
    claim_one(store)
    store.clock.pass_s(60)

    fired = fire(store)

    assert [(0, FIRED), (60, verdict)] == ledger(store)
    assert stand == states(store)
    asked = [("", run_id())] if overlap is Overlap.CANCEL_OLD else []
    assert asked == list(fired.to_cancel)


def test_a_skipped_instant_says_whose_fault_it_is(store: Driver) -> None:
    put(store)
    fire(store)
    store.clock.pass_s(60)

    assert 1 == fire(store).skipped

    (entry, _) = store.run(schedules.fires("", "s", before_us=schedules.LAST_US, limit=9))
    assert (None, START_US + MINUTE_US, START_US + MINUTE_US) == (
        entry.task_id, entry.instant_us, entry.at_us,
    )  # fmt: skip
    assert run_id() in entry.note


@pytest.mark.parametrize(("overlap", "waiting"), [(Overlap.QUEUE_ONE, 1), (Overlap.QUEUE_ALL, 2)])
def test_one_or_all_wait_for_their_turn(store: Driver, overlap: Overlap, waiting: int) -> None:
    put(store, overlap=overlap)
    for _ in range(3):
        fire(store)
        store.clock.pass_s(60)

    assert ["pending", *["waiting"] * waiting] == states(store)
    assert {"turn"} == {task.waiting_for for task in runs(store)[1:]}


def test_a_run_of_another_tenant_or_schedule_is_nobodys_business(store: Driver) -> None:
    for tenant, id in (("one", "s"), ("", "t")):
        put(store, id, tenant=tenant)
    fire(store)
    put(store, start_us=START_US)

    assert 1 == fire(store).fired


def test_an_instant_that_has_an_entry_fires_no_second_time(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)
    before = (ledger(store), runs(store))

    fired = fire(store)

    assert (1, 0) == (fired.seen, fired.fired)
    assert before == (ledger(store), runs(store))
    assert (1, 60) == (known(store).fired, next_s(store))


def test_an_instant_whose_entry_was_lost_makes_no_second_run(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    before = runs(store)
    store.rows("DELETE FROM fire")
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)
    store.clock.pass_s(1)

    fire(store)

    assert before == runs(store)


def test_an_instant_whose_run_was_pruned_fires_no_second_time(store: Driver) -> None:
    put(store)
    fire(store)
    store.rows("DELETE FROM task")
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)

    assert 0 == fire(store).fired


def test_what_may_have_been_pruned_from_the_ledger_fires_no_more(store: Driver) -> None:
    put(store)
    fire(store)
    store.clock.pass_s(60)
    fire(store)
    assert 1 == store.run(firing.prune_fires(keep_us=MINUTE_US, limit=10))
    assert [(60, SKIPPED)] == ledger(store)
    store.rows("DELETE FROM task")
    store.clock.pass_s(-60)
    store.run(firing.replan(("", ""), limit=10))
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)

    assert 0 == fire(store).fired
    assert START_US == known(store).floor_us


def test_a_schedule_made_anew_under_an_old_id_goes_on_after_the_old_one(store: Driver) -> None:
    put(store)
    fire(store)
    store.run(schedules.delete("", "s"))
    store.rows("DELETE FROM task")

    put(store, start_us=START_US)

    assert (0, START_US) == (fire(store).fired, known(store).floor_us)
    store.clock.pass_s(60)
    assert 1 == fire(store).fired


def test_the_ledger_is_pruned_oldest_first_in_bites(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    for _ in range(3):
        fire(store)
        store.clock.pass_s(60)

    pruned = store.run(firing.prune_fires(keep_us=61 * SECOND_US, limit=1))
    assert [(60, FIRED), (120, FIRED)] == ledger(store)
    rest = store.run(firing.prune_fires(keep_us=120 * SECOND_US, limit=9))

    assert (1, 1) == (pruned, rest)
    assert [(120, FIRED)] == ledger(store)
    assert START_US + MINUTE_US == known(store).floor_us


def test_a_floor_is_raised_for_its_own_schedule(store: Driver) -> None:
    for tenant, id in (("", "s"), ("", "t"), ("one", "s")):
        put(store, id, tenant=tenant, start_us=START_US + (id + tenant != "s") * MINUTE_US)
    fire(store)

    assert 1 == store.run(firing.prune_fires(keep_us=0, limit=10))

    each = (known(store), known(store, "t"), known(store, tenant="one"))
    assert [START_US, 0, 0] == [schedule.floor_us for schedule in each]


def test_a_floor_is_never_lowered(store: Driver) -> None:
    put(store)
    fire(store)
    store.rows("UPDATE schedule SET floor_us = 2000000000000000")

    assert 1 == store.run(firing.prune_fires(keep_us=0, limit=10))

    assert 2_000_000_000_000_000 == known(store).floor_us


def test_a_large_payload_is_kept_aside(store: Driver) -> None:
    put(store, template=a_template(payload=LARGE))
    put(store, "t")

    fire(store)

    assert (None, LARGE) == (runs(store)[0].payload, get(store, run_id()).payload)
    assert [(run_id(), "payload")] == store.rows("SELECT task_id, part FROM task_body")


def test_a_payload_that_just_fits_stays_in_the_row(store: Driver) -> None:
    put(store, template=a_template(payload=LARGE[1:]))

    fire(store)

    assert LARGE[1:] == runs(store)[0].payload
    assert [] == store.rows("SELECT * FROM task_body")


def test_runs_of_several_queues_are_made_at_once(store: Driver) -> None:
    put(store, "a", template=a_template(queue="one"))
    put(store, "b", template=a_template(queue="two"))

    assert 2 == fire(store).fired
    assert ["one", "two"] == [runs(store, id)[0].queue for id in "ab"]


def test_a_jittered_run_is_due_later_and_its_instant_is_not(store: Driver) -> None:
    put(store, jitter_us=50 * SECOND_US)

    fire(store)

    (run,) = runs(store)
    assert 0 < run.run_at_us - START_US < 50 * SECOND_US
    assert [(0, FIRED)] == ledger(store)
    assert [] == claim_all(store)


# Steering.


def test_a_steered_instant_comes_in_place_of_the_rules_next(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    assert store.run(schedules.steer("", "s", START_US + 150 * SECOND_US))
    store.clock.pass_s(149)
    early = fire(store).fired
    store.clock.pass_s(1)

    fired = fire(store)

    assert (0, 1) == (early, fired.fired)
    assert [(0, FIRED), (150, FIRED)] == ledger(store)
    assert (None, 180) == (known(store).steered_us, next_s(store))


def test_a_steered_instant_that_was_missed_is_told_and_the_rules_own_after_it_fires(
    store: Driver,
) -> None:
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    store.run(schedules.steer("", "s", START_US + 30 * SECOND_US))
    store.clock.pass_s(65)

    fire(store)

    assert [(0, FIRED), (30, MISSED), (60, FIRED)] == ledger(store)


def test_a_time_that_has_passed_means_now(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    store.clock.pass_s(20)

    store.run(schedules.steer("", "s", START_US))

    assert 1 == fire(store).fired
    assert [(0, FIRED), (20, FIRED)] == ledger(store)
    assert 60 == next_s(store)


def test_steering_back_and_forth_makes_no_instant_fire_twice(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW, missed=Missed.ALL)
    for _ in range(2):
        fire(store)
        store.clock.pass_s(60)
    fire(store)
    change(store, steered_us=START_US + SECOND_US, next_fire_at_us=START_US + SECOND_US)

    fire(store)

    assert [(0, FIRED), (1, FIRED), (60, FIRED), (120, FIRED)] == ledger(store)
    assert START_US + 120 * SECOND_US == known(store).cursor_us


@pytest.mark.parametrize(("rule_begins_us", "fires"), [(START_US + 1, 1), (START_US, 0)])
def test_a_steered_instant_fires_below_the_floor_too_unless_the_rule_may_have_fired_it(
    store: Driver, rule_begins_us: int, fires: int
) -> None:
    """After a clock was set back by a year, nobody could have steered anything for a year."""
    put(store, start_us=rule_begins_us)
    store.rows(f"UPDATE schedule SET floor_us = {START_US + 1}")
    store.run(schedules.steer("", "s", START_US))

    assert fires == fire(store).fired


def test_a_schedule_that_is_not_there_cannot_be_steered(store: Driver) -> None:
    assert not store.run(schedules.steer("", "s", START_US))


# By hand.


def test_a_run_by_hand_leaves_the_rules_instants_as_they_are(store: Driver) -> None:
    put(store, start_us=START_US + MINUTE_US)

    asked = run_soon(store)

    assert asked.entry is not None
    assert (run_id(), FIRED) == (asked.entry.task_id, asked.entry.verdict)
    assert (["pending"], 60) == (states(store), next_s(store))
    (entry,) = store.run(schedules.fires("", "s", before_us=schedules.LAST_US, limit=9))
    assert ("asked for", run_id()) == (entry.note, entry.task_id)


def test_a_run_by_hand_keeps_to_the_policy_for_overlaps(store: Driver) -> None:
    put(store)
    fire(store)
    store.clock.pass_s(1)
    before = store.tables()

    asked = run_soon(store)

    assert asked.entry is not None
    assert SKIPPED is asked.entry.verdict
    assert before == store.tables()


def test_a_run_by_hand_waits_for_its_turn_and_cancels_if_the_policy_says_so(store: Driver) -> None:
    put(store, overlap=Overlap.CANCEL_OLD)
    fire(store)
    store.clock.pass_s(1)

    asked = run_soon(store)

    assert (["pending", "waiting"], [run_id()]) == (states(store), list(asked.to_cancel))


def test_two_runs_by_hand_in_one_microsecond_are_one(store: Driver) -> None:
    put(store, start_us=START_US + MINUTE_US, overlap=Overlap.ALLOW)
    run_soon(store)

    assert None is run_soon(store).entry
    assert 1 == len(runs(store))


def test_a_run_by_hand_is_made_below_the_floor_too(store: Driver) -> None:
    """After a clock was set back by a year, nobody could have run anything for a year."""
    put(store, start_us=START_US + MINUTE_US)
    store.rows(f"UPDATE schedule SET floor_us = {START_US + 1}")

    assert run_soon(store).entry is not None


def test_events_of_a_settled_steer_are_kept(store: Driver) -> None:
    put(store)
    fire(store)
    at_us = START_US + 5 * MINUTE_US

    told = store.run(
        schedules.steered("", "s", TaskId(run_id()), next_us=at_us, make=lambda *_: None)
    )

    assert told
    (entry,) = store.run(history.events("", TaskId(run_id()), limit=5))
    assert ("steer", "next run of s at 2023-11-14T22:18:20Z") == (entry.event, entry.detail)
    assert 300 == next_s(store)


def test_a_time_that_has_passed_when_a_run_asks_for_it_means_now(store: Driver) -> None:
    put(store)
    fire(store)
    store.clock.pass_s(9)

    store.run(schedules.steered("", "s", TaskId(run_id()), next_us=START_US, make=lambda *_: None))

    assert 9 == next_s(store)
