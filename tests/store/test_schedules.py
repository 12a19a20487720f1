"""Schedules and calendars as their makers see them: put, change, pause, steer, delete, list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import apsw
import psycopg
import pytest

from tenure.kernel.errors import InvalidError, NotFoundError, RevisionError
from tenure.kernel.model import Lane
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.definition import RuleKind
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Change, Schedule
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.store import firing, schedules
from tests.store.builders import claim_one
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import (
    MINUTE_US,
    a_template,
    a_wanted,
    change,
    fire,
    known,
    next_s,
    put,
    runs,
)

CHOSEN: dict[str, Any] = {
    "gap": Gap.SKIP,
    "fold": Fold.BOTH,
    "missed": Missed.ALL,
    "missed_max": 7,
    "missed_within_us": 3600 * SECOND_US,
    "overlap": Overlap.QUEUE_ALL,
    "jitter_us": 5 * SECOND_US,
    "exclude": ("days",),
}


def test_what_was_put_is_what_there_is(store: Driver) -> None:
    store.run(schedules.put_calendar("one", "days", '{"dates": ["2023-12-25"]}'))
    wanted = a_wanted(
        text="30 9 * * *",
        rule=RuleKind.CRON,
        zone="Europe/Berlin",
        start_us=START_US + 1,
        end_us=START_US + 10**15,
        **CHOSEN,
        origin="app",
        carry=b"\x00state",
        template=a_template(
            kind="report",
            payload=b"\x00p",
            queue="mail",
            lane=Lane.HIGH,
            cost=2,
            attempts_max=3,
            timeout_us=4,
            tags=("x", "y"),
        ),
    )

    def make(_: Schedule | None, calendars: dict[str, Exclusion], now_us: int) -> Schedule:
        return edits.created("one", wanted, calendars, now_us)

    change = store.run(schedules.put("one", "s", ["days"], make))

    assert Change.CREATED is change
    first_us = 1_700_037_000_000_000  # 2023-11-15 09:30 in Berlin
    assert known(store, tenant="one") == Schedule(
        tenant="one",
        id="s",
        definition=wanted.definition,
        template=wanted.template,
        carry=b"\x00state",
        origin="app",
        paused_at_us=None,
        trouble=None,
        cursor_us=START_US - 1,
        steered_us=None,
        next_fire_at_us=first_us,
        last_fired_at_us=None,
        held_by=None,
        floor_us=0,
        fired=0,
        revision=1,
        created_at_us=START_US,
        updated_at_us=START_US,
    )
    assert Policies(**CHOSEN) == known(store, tenant="one").definition.policies
    assert None is store.run(schedules.get("", "s"))


def test_a_schedule_can_be_made_paused(store: Driver) -> None:
    put(store, paused=True)
    store.clock.pass_s(3600)

    assert (START_US, "paused") == (known(store).paused_at_us, known(store).label)
    assert 0 == fire(store).seen


def test_a_schedule_starts_when_it_was_made(store: Driver) -> None:
    put(store)

    assert START_US == known(store).definition.start_us


@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_refused_leaves_everything_as_it_was(store: Driver, is_new: bool) -> None:
    if not is_new:
        put(store)
    before = store.tables()

    with pytest.raises(InvalidError):
        put(store, text="30 9 31 2 *", rule=RuleKind.CRON)

    assert before == store.tables()


def test_what_is_unchanged_is_not_written(store: Driver) -> None:
    put(store)
    before = store.tables()
    store.clock.pass_s(1)

    assert Change.UNCHANGED is put(store)
    assert before == store.tables()


def test_an_edit_changes_what_was_asked_for_and_grows_the_revision(store: Driver) -> None:
    put(store, carry=b"state", origin="app")
    put(store, "t")
    fire(store)
    claim_one(store, limit=1)
    store.clock.pass_s(1)
    other = known(store, "t")

    change = put(store, text="5m", template=a_template(kind="other"), overlap=Overlap.ALLOW)

    schedule = known(store)
    assert Change.UPDATED is change
    assert ("5m", "other", "", 2) == (
        schedule.definition.text, schedule.template.kind, schedule.origin, schedule.revision,
    )  # fmt: skip
    assert (b"state", 1, START_US, START_US + SECOND_US) == (
        schedule.carry, schedule.fired, schedule.created_at_us, schedule.updated_at_us,
    )  # fmt: skip
    assert (START_US, 300) == (schedule.definition.start_us, next_s(store))
    assert other == known(store, "t")


@pytest.mark.parametrize("is_new", [True, False])
def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    either: Driver, is_new: bool
) -> None:
    put(either)
    before = either.tables()
    stale = replace(known(either), revision=7)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedules, "_found", lambda _: None if is_new else stale)
        with pytest.raises(RevisionError, match="schedule 's' was changed by somebody else"):
            put(either, text="5m")

    assert before == either.tables()


@pytest.mark.parametrize(
    ("fields", "turns", "gap_us"),
    [
        ({}, 0, None),
        ({"overlap": Overlap.ALLOW}, 0, None),
        ({"overlap": Overlap.QUEUE_ONE}, 1, None),
        ({"overlap": Overlap.QUEUE_ALL}, 1, None),
        ({"overlap": Overlap.CANCEL_OLD}, 1, None),
        ({"drift": Drift.DELAY}, 0, MINUTE_US),
    ],
    ids=str,
)
def test_the_columns_for_the_end_of_runs_are_kept_by_inserts_and_edits(
    either: Driver, fields: dict[str, Any], turns: int, gap_us: int | None
) -> None:
    put(either, **fields)
    put(either, "t", text="1h")

    put(either, "t", **fields)

    assert [(turns, gap_us)] * 2 == either.rows("SELECT turns, gap_us FROM schedule")


def test_a_delay_that_its_own_run_broke_is_stored_without_a_gap(either: Driver) -> None:
    """Its text is no interval any more; to read it as one made every settlement fail."""
    put(either, drift=Drift.DELAY)
    faulty = replace(known(either).definition, rule=RuleKind.CRON, text="* * * * *")

    change(either, definition=faulty, trouble="no interval")

    assert [(None,)] == either.rows("SELECT gap_us FROM schedule")
    either.run(firing.replan(("", ""), limit=9))
    assert "faulty" == known(either).label


# Pause and resume.


def test_a_paused_schedule_fires_nothing_and_remembers_since_when(store: Driver) -> None:
    put(store)
    put(store, "t")
    store.clock.pass_s(1)

    first = store.run(schedules.pause("", "s"))
    store.clock.pass_s(1)
    second = store.run(schedules.pause("", "s"))

    assert (True, False) == (first, second)
    assert (START_US + SECOND_US, 2) == (known(store).paused_at_us, known(store).revision)
    assert (1, 0, None) == (fire(store).fired, known(store).fired, known(store, "t").paused_at_us)


def resume(store: Driver, id: str = "s") -> bool:
    return store.run(schedules.resume("", id, edits.next_from_now))


def test_a_resumed_schedule_lets_go_what_came_due_meanwhile(store: Driver) -> None:
    for id in "st":
        put(store, id)
        store.run(schedules.pause("", id))
    store.clock.pass_s(150)

    assert resume(store)

    schedule = known(store)
    assert (None, START_US + 150 * SECOND_US, 180) == (
        schedule.paused_at_us, schedule.cursor_us, next_s(store),
    )  # fmt: skip
    assert (3, 0) == (schedule.revision, fire(store).seen)
    assert START_US == known(store, "t").paused_at_us


def test_the_instant_of_the_resumption_itself_is_let_go(store: Driver) -> None:
    put(store)
    store.run(schedules.pause("", "s"))
    store.clock.pass_s(60)

    resume(store)

    assert 120 == next_s(store)


def test_what_fires_already_is_not_resumed(store: Driver) -> None:
    put(store)
    before = store.tables()

    assert not resume(store)
    assert before == store.tables()


def test_resuming_clears_trouble_that_is_over(store: Driver) -> None:
    put(store)
    change(store, trouble="broken")

    assert resume(store)
    assert (None, "active") == (known(store).trouble, known(store).label)


def test_what_is_faulty_still_is_not_resumed(store: Driver) -> None:
    put(store)
    change(store, trouble="broken", definition=replace(known(store).definition, zone="Mars"))
    before = store.tables()

    with pytest.raises(InvalidError, match="Mars"):
        resume(store)

    assert before == store.tables()


def test_a_delay_that_is_no_interval_any_more_is_not_resumed(store: Driver) -> None:
    put(store, drift=Drift.DELAY)
    faulty = replace(known(store).definition, rule=RuleKind.CRON, text="* * * * *")
    change(store, definition=faulty, trouble="no interval")

    with pytest.raises(InvalidError, match="only an interval can"):
        resume(store)


def test_a_schedule_that_waits_for_the_end_of_a_run_does_so_after_a_pause(store: Driver) -> None:
    put(store, drift=Drift.DELAY)
    fire(store)
    store.run(schedules.pause("", "s"))

    assert resume(store)

    assert (runs(store)[0].id, None) == (known(store).held_by, next_s(store))


@pytest.mark.parametrize(("at_s", "wanted_s"), [(90, 90), (30, 60)])
def test_what_was_steered_into_the_future_outlives_a_pause(
    store: Driver, at_s: int, wanted_s: int
) -> None:
    put(store)
    fire(store)
    store.run(schedules.steer("", "s", START_US + at_s * SECOND_US))
    store.run(schedules.pause("", "s"))
    store.clock.pass_s(30)

    resume(store)

    assert wanted_s == next_s(store)
    assert (at_s == wanted_s) == (known(store).steered_us is not None)


def test_a_rule_that_has_come_to_its_end_is_resumed_to_nothing(store: Driver) -> None:
    put(store, end_us=START_US + 5)
    store.run(schedules.pause("", "s"))
    store.clock.pass_s(1)

    resume(store)

    assert (None, "ended") == (next_s(store), known(store).label)


@pytest.mark.parametrize("verb", ["pause", "resume", "run_soon", "set_carry"])
def test_an_unknown_schedule_is_named_in_the_error(either: Driver, verb: str) -> None:
    put(either, tenant="one")
    verbs = {
        "pause": schedules.pause("", "s"),
        "resume": schedules.resume("", "s", edits.next_from_now),
        "run_soon": schedules.run_soon("", "s", note="", inline_bytes_max=9),
        "set_carry": schedules.set_carry("", "s", b""),
    }
    before = either.tables()

    with pytest.raises(NotFoundError, match="there is no schedule 's'"):
        either.run(verbs[verb])

    assert before == either.tables()


@pytest.mark.parametrize("verb", ["steer", "delete"])
def test_another_tenants_schedule_is_left_alone(either: Driver, verb: str) -> None:
    put(either, tenant="one")
    verbs = {"steer": schedules.steer("", "s", START_US), "delete": schedules.delete("", "s")}
    before = either.tables()

    assert not either.run(verbs[verb])
    assert before == either.tables()


def test_steering_is_for_one_schedule_and_grows_its_revision(store: Driver) -> None:
    put(store)
    put(store, "t")
    put(store, tenant="one")
    others = (known(store, "t"), known(store, tenant="one"))

    store.run(schedules.steer("", "s", START_US + 5))

    schedule = known(store)
    assert (START_US + 5, START_US + 5, 2) == (
        schedule.steered_us, schedule.next_fire_at_us, schedule.revision,
    )  # fmt: skip
    assert others == (known(store, "t"), known(store, tenant="one"))


def test_a_schedule_that_waits_for_a_run_can_be_steered(store: Driver) -> None:
    put(store, drift=Drift.DELAY)
    fire(store)

    store.run(schedules.steer("", "s", START_US + 5))

    assert (None, START_US + 5) == (known(store).held_by, known(store).next_fire_at_us)


def test_a_deleted_schedule_leaves_its_runs_and_its_ledger(store: Driver) -> None:
    put(store)
    put(store, "t")
    fire(store)

    assert store.run(schedules.delete("", "s"))

    assert (None, 1) == (store.run(schedules.get("", "s")), len(runs(store)))
    assert 1 == len(store.run(schedules.fires("", "s", before_us=schedules.LAST_US, limit=9)))
    assert "t" == known(store, "t").id


# Lists.


def listing(store: Driver, **fields: Any) -> list[str]:
    asked = {"after_id": "", "origin": "", "kind": "", "limit": 9, **fields}
    return [each.id for each in store.run(schedules.listing("", **asked))]


def test_schedules_are_listed_by_id_a_page_at_a_time(store: Driver) -> None:
    for id in "cab":
        put(store, id)
    put(store, "z", tenant="one")

    first = listing(store, limit=2)

    assert (["a", "b"], ["c"]) == (first, listing(store, after_id=first[-1]))


@pytest.mark.parametrize(
    ("fields", "found"),
    [({"origin": "app"}, ["a"]), ({"kind": "other"}, ["b"]), ({}, ["a", "b"])],
    ids=str,
)
def test_a_list_is_of_what_fits_all_filters(
    store: Driver, fields: dict[str, str], found: list[str]
) -> None:
    put(store, "a", origin="app")
    put(store, "b", template=a_template(kind="other"))

    assert found == listing(store, **fields)


def test_runs_and_the_ledger_come_newest_first_a_page_at_a_time(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    put(store, "t", overlap=Overlap.ALLOW)
    put(store, tenant="one", overlap=Overlap.ALLOW)
    for _ in range(3):
        fire(store)
        store.clock.pass_s(60)

    newest = store.run(schedules.runs("", "s", before_id="\U0010ffff", limit=2))
    rest = store.run(schedules.runs("", "s", before_id=newest[-1].id, limit=9))
    last = store.run(schedules.fires("", "s", before_us=schedules.LAST_US, limit=2))
    others = store.run(schedules.fires("", "s", before_us=last[-1].instant_us, limit=9))

    assert [120, 60, 0] == [(run.run_at_us - START_US) // SECOND_US for run in newest + rest]
    assert [120, 60, 0] == [(entry.instant_us - START_US) // SECOND_US for entry in last + others]
    assert {"s"} == {entry.schedule_id for entry in last + others}


# Calendars.


def test_a_calendar_is_kept_and_replaced(store: Driver) -> None:
    store.run(schedules.put_calendar("", "days", '{"dates": ["2023-12-24"]}'))
    store.clock.pass_s(1)
    store.run(schedules.put_calendar("", "days", '{"dates": ["2023-12-25"]}'))

    found = store.run(schedules.calendar("", "days"))

    assert found is not None
    assert ("days", '{"dates": ["2023-12-25"]}', START_US + SECOND_US) == (
        found.name, found.document, found.updated_at_us,
    )  # fmt: skip
    assert '{"dates": ["2023-12-25"]}' == found.exclusion.text
    assert None is store.run(schedules.calendar("one", "days"))
    assert [(2,)] == store.rows("SELECT revision FROM calendar")


def test_calendars_are_listed_by_name_a_page_at_a_time(store: Driver) -> None:
    for tenant, name in (("", "b"), ("", "a"), ("one", "c"), ("", "d")):
        store.run(schedules.put_calendar(tenant, name, "{}"))

    first = store.run(schedules.calendars("", after_name="", limit=2))
    rest = store.run(schedules.calendars("", after_name="b", limit=2))

    assert (["a", "b"], ["d"]) == ([each.name for each in first], [each.name for each in rest])


def test_a_calendar_is_deleted_for_one_tenant(store: Driver) -> None:
    for tenant, name in (("", "a"), ("", "b"), ("one", "a")):
        store.run(schedules.put_calendar(tenant, name, "{}"))

    assert (True, False) == tuple(store.run(schedules.delete_calendar("", "a")) for _ in range(2))
    assert [("", "b"), ("one", "a")] == sorted(store.rows("SELECT tenant, name FROM calendar"))


# What the tables refuse.


def test_a_row_that_cannot_be_read_is_named_with_what_to_do(either: Driver) -> None:
    put(either)
    either.rows("UPDATE schedule SET policies = '{\"later\": 1}'")

    for verb in (schedules.get("", "s"), schedules.pause("", "s")):
        with pytest.raises(InvalidError, match=r"schedule 's' cannot be read.*delete it") as caught:
            either.run(verb)
        assert "schedule" == caught.value.field


@pytest.mark.parametrize(
    "wrong",
    [
        "rule = 'moon'",
        "lane = 4",
        "lane = -1",
        "cost = 0",
        "attempts_max = 0",
        "fired = -1",
        "turns = 2",
        "held_by = 'task'",
        "steered_us = 1",
    ],
)
def test_the_constraints_refuse_a_schedule_that_makes_no_sense(either: Driver, wrong: str) -> None:
    put(either)

    with pytest.raises((apsw.ConstraintError, psycopg.errors.CheckViolation)):
        either.rows(f"UPDATE schedule SET {wrong}")


@pytest.mark.parametrize(
    "wrong", ["verdict = 'lost', task_id = NULL", "task_id = NULL", "verdict = 'missed'"]
)
def test_the_constraints_refuse_an_entry_that_makes_no_sense(either: Driver, wrong: str) -> None:
    put(either)
    fire(either)

    with pytest.raises((apsw.ConstraintError, psycopg.errors.CheckViolation)):
        either.rows(f"UPDATE fire SET {wrong}")


@pytest.mark.parametrize("rule", RuleKind)
def test_the_constraints_know_every_kind_of_rule(either: Driver, rule: RuleKind) -> None:
    put(either)

    either.rows(f"UPDATE schedule SET rule = '{rule.value}'")

    assert [(rule.value,)] == either.rows("SELECT rule FROM schedule")


def test_tenants_share_neither_schedules_nor_instants(either: Driver) -> None:
    for tenant in ("", "one"):
        assert Change.CREATED is put(either, tenant=tenant)

    assert 2 == fire(either).fired
