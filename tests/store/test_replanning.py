"""Planning anew: after the clock went back, a calendar changed, or a schedule turned out faulty."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.kernel.schedules.definition import Definition, RuleKind
from tenure.kernel.schedules.firing import decide
from tenure.kernel.schedules.model import Verdict
from tenure.kernel.schedules.policies import Drift, Missed, Overlap
from tenure.store import firing, schedules
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import (
    answered,
    change,
    fire,
    known,
    ledger,
    next_s,
    put,
    states,
)

FIRED = Verdict.FIRED


def test_the_next_due_is_told_with_the_time(store: Driver) -> None:
    nothing = store.run(firing.next_due())
    put(store, "a", start_us=START_US + 9)
    put(store, "b", start_us=START_US + 7)
    put(store, "c", start_us=START_US + 5, paused=True)
    put(store, "d", start_us=START_US + 3)
    change(store, "d", trouble="broken")

    assert ((None, START_US), (7, START_US)) == (nothing, store.run(firing.next_due()))


def test_how_far_the_clock_went_back_is_told_once(store: Driver) -> None:
    first = store.run(firing.note_time("m"))
    store.clock.pass_s(5)
    on = store.run(firing.note_time("m"))
    store.clock.pass_s(-8)
    back = store.run(firing.note_time("m"))

    assert (0, -5 * SECOND_US, 8 * SECOND_US) == (first, on, back)
    assert (0, 0) == (store.run(firing.note_time("m")), store.run(firing.note_time("n")))


def test_after_the_clock_went_back_nothing_fires_twice_and_firing_goes_on(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    for _ in range(3):
        fire(store)
        store.clock.pass_s(60)
    store.clock.pass_s(-150)
    assert (None, 1) == store.run(firing.replan(("", ""), limit=10))
    assert 60 == next_s(store)

    fires = []
    for _ in range(4):
        store.clock.pass_s(60)
        fires.append(fire(store).fired)

    assert [0, 0, 1, 1] == fires
    assert [(place * 60, FIRED) for place in range(5)] == ledger(store)


def test_an_instant_that_had_fired_before_cancels_nobody(store: Driver) -> None:
    put(store, overlap=Overlap.CANCEL_OLD)
    fire(store)
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)

    assert () == tuple(fire(store).to_cancel)


def test_who_waits_behind_an_instant_that_had_fired_before_begins_at_once(store: Driver) -> None:
    put(store, overlap=Overlap.QUEUE_ALL, missed=Missed.ALL)
    fire(store)
    store.rows("DELETE FROM task")
    change(store, cursor_us=START_US - 1, next_fire_at_us=START_US)
    store.clock.pass_s(60)

    fire(store)

    assert ["pending"] == states(store)


def test_a_changed_calendar_moves_what_was_planned(store: Driver) -> None:
    days = '{"dates": ["2023-11-15"]}'
    put(store, text="0 12 * * *", rule=RuleKind.CRON, exclude=())
    plain_s = next_s(store)
    store.run(schedules.put_calendar("", "days", "{}"))
    put(store, text="0 12 * * *", rule=RuleKind.CRON, exclude=("days",))
    store.run(schedules.put_calendar("", "days", days))

    replanned = store.run(firing.replan(("", ""), limit=10))

    assert (None, 1) == replanned
    assert plain_s is not None
    assert plain_s + 86_400 == next_s(store)
    assert (None, 0) == store.run(firing.replan(("", ""), limit=10))


def test_an_instant_that_a_calendar_took_out_meanwhile_does_not_fire(store: Driver) -> None:
    store.run(schedules.put_calendar("", "days", "{}"))
    put(store, exclude=("days",))
    store.run(schedules.put_calendar("", "days", '{"dates": ["2023-11-14"]}'))

    fired = fire(store)

    assert (1, 0, []) == (fired.seen, fired.fired, ledger(store))
    assert 6420 == next_s(store)


def test_schedules_are_planned_anew_a_page_at_a_time(store: Driver) -> None:
    for tenant, id in (("", "b"), ("one", "a"), ("", "a")):
        put(store, id, tenant=tenant, start_us=START_US)
        change(store, id, tenant=tenant, next_fire_at_us=START_US + 1)

    pages = [store.run(firing.replan(("", ""), limit=2))]
    assert pages[-1][0] is not None
    pages.append(store.run(firing.replan(pages[-1][0], limit=2)))

    assert [(("", "b"), 2), (None, 1)] == pages


def test_an_edit_outlives_a_plan_that_was_made_before_it(either: Driver) -> None:
    put(either)
    change(either, next_fire_at_us=START_US + 1)
    steps = firing.replan(("", ""), limit=9).steps
    rows = answered(either, next(steps))
    batch = steps.send(answered(either, steps.send(rows)))
    change(either, trouble="of somebody's making")

    assert [] == list(answered(either, batch))
    assert "faulty" == known(either).label


def test_what_is_paused_is_not_planned_anew(store: Driver) -> None:
    put(store)
    change(store, next_fire_at_us=START_US + 7)
    store.run(schedules.pause("", "s"))

    assert (None, 0) == store.run(firing.replan(("", ""), limit=2))


def test_what_was_steered_is_not_planned_anew(store: Driver) -> None:
    put(store)
    store.run(schedules.steer("", "s", START_US + 7))

    assert (None, 0) == store.run(firing.replan(("", ""), limit=2))


# Faulty ones.


def gone(rule: RuleKind = RuleKind.CRON, zone: str = "Mars/Olympus") -> Definition:
    return Definition(rule=rule, text="* * * * *", zone=zone)


def test_a_schedule_whose_zone_is_gone_is_set_aside_and_holds_up_nobody(store: Driver) -> None:
    put(store, "a")
    put(store, "b")
    change(store, "a", definition=gone())

    fired = fire(store)

    ((id, trouble),) = fired.faulty
    assert ("a", 1, 2) == (id, fired.fired, fired.seen)
    assert "Mars/Olympus" in trouble
    assert (trouble, "faulty") == (known(store, "a").trouble, known(store, "a").label)
    assert 0 == fire(store).seen


@pytest.mark.parametrize(
    "fault",
    [
        'policies = \'{"missed": "never"}\'',
        "policies = '{\"later\": 1}'",
        "policies = '['",
        "lane = 2, tags = '['",
    ],
)
def test_a_row_that_makes_no_sense_is_set_aside_and_holds_up_nobody(
    store: Driver, fault: str
) -> None:
    put(store, "a")
    put(store, "b")
    store.rows(f"UPDATE schedule SET {fault} WHERE id = 'a'")

    fired = fire(store)

    assert (1, ["a"]) == (fired.fired, [id for id, _ in fired.faulty])
    ((trouble,),) = store.rows("SELECT trouble FROM schedule WHERE id = 'a'")
    assert "schedule 'a' cannot be read" in trouble
    assert 0 == fire(store).seen
    assert (None, 0) == store.run(firing.replan(("", ""), limit=5))


def test_a_schedule_on_which_our_own_code_fails_holds_up_nobody(
    store: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a")
    put(store, "b")

    def failing(schedule: Any, *args: Any, **options: Any) -> Any:
        if schedule.id == "a":
            raise OverflowError("too far")
        return decide(schedule, *args, **options)

    monkeypatch.setattr(firing, "decide", failing)

    assert [("a", "OverflowError: too far")] == list(fire(store).faulty)
    assert 1 == known(store, "b").fired


def test_a_missing_calendar_makes_a_schedule_faulty_until_it_is_there_again(store: Driver) -> None:
    store.run(schedules.put_calendar("", "days", '{"dates": ["2024-01-01"]}'))
    put(store, exclude=("days",))
    store.run(schedules.delete_calendar("", "days"))
    assert ["s"] == [id for id, _ in fire(store).faulty]

    store.run(schedules.put_calendar("", "days", '{"dates": ["2024-01-01"]}'))
    replanned = store.run(firing.replan(("", ""), limit=10))

    assert (None, 1) == replanned
    assert (None, 1) == (known(store).trouble, fire(store).fired)


def test_an_unsound_calendar_counts_as_missing(store: Driver) -> None:
    store.run(schedules.put_calendar("", "days", '{"dates": ["2024-01-01"]}'))
    put(store, exclude=("days",))
    store.run(schedules.put_calendar("", "days", '{"moons": []}'))

    ((_, trouble),) = fire(store).faulty

    assert "there is no calendar 'days'" in trouble


@pytest.mark.parametrize("drift", ["rate", "delay"])
def test_an_edit_does_not_bring_back_what_fired_and_was_pruned(store: Driver, drift: str) -> None:
    """What an edit kept as due was taken for a wish, which no floor holds back."""
    put(store, overlap=Overlap.ALLOW)
    fire(store)
    store.clock.pass_s(100 * 86_400)
    store.run(firing.prune_fires(keep_us=90 * 86_400 * SECOND_US, limit=10))
    store.clock.pass_s(-100 * 86_400 - 30)
    store.run(firing.replan(("", ""), limit=10))
    due_s = next_s(store)
    store.clock.pass_s(40)

    put(store, text="2m", start_us=START_US, drift=Drift(drift))
    fire(store)

    assert 0 == due_s
    assert 1 == states(store).count("pending")
    assert [] == ledger(store)
