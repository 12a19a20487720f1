"""Definitions and their plans: what is refused, with which words, and when a schedule fires."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules import definition as definitions
from tenure.kernel.schedules.definition import (
    RULE_CHARS_MAX,
    Definition,
    RuleKind,
    checked_plan,
    exclusions_of,
    parse_instant,
    plan_for,
    readable,
)
from tenure.kernel.schedules.exclusions import Exclusion, parse_exclusion
from tenure.kernel.schedules.policies import Drift, Overlap, Policies
from tenure.kernel.schedules.wallclock import Fold

SECOND_US = 1_000_000
HOUR_US, DAY_US = 3_600 * SECOND_US, 86_400 * SECOND_US
NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00Z
MARCH_US = 1_774_742_400_000_000  # 2026-03-29T00:00Z, an hour before Berlin's clocks go forward
OCTOBER_US = 1_792_879_200_000_000  # 2026-10-25T00:00 in Berlin, the night they go back


def a_definition(text: str = "1h", rule: RuleKind = RuleKind.INTERVAL, **fields: Any) -> Definition:
    return Definition(rule=rule, text=text, **fields)


def cron(text: str, **fields: Any) -> Definition:
    return a_definition(text, RuleKind.CRON, **fields)


def rrule(text: str, **fields: Any) -> Definition:
    return a_definition(text, RuleKind.RRULE, **fields)


def once(text: str, **fields: Any) -> Definition:
    return a_definition(text, RuleKind.ONCE, **fields)


def exclusion(*dates: str, **document: object) -> Exclusion:
    return parse_exclusion({"dates": list(dates), **document})


def taken(definition: Definition, count: int = 3, *, now_us: int = NOW_US) -> list[str]:
    """Return the first fires, as they are written."""
    plan, at_us = checked_plan(definition, (), now_us=now_us)
    found: list[str] = []
    following: int | None = at_us
    while following is not None and len(found) < count:
        found.append(readable(following))
        following = plan.next_after(following)
    return found


# What is refused.

EVERYTHING = {"rules": ["FREQ=DAILY"]}
REFUSED: list[tuple[Definition, str, str]] = [
    (a_definition(zone="Mars/Olympus"), "zone", "'Mars/Olympus'"),
    (a_definition(start_us=NOW_US, end_us=NOW_US - 1), "end", "is before the start 2026-01-01"),
    (a_definition(start_us=-1), "start", "start is -1"),
    (a_definition(end_us=2**62), "end", "end is"),
    (a_definition(end_us=NOW_US - 1), "rule", "has passed: the interval rule '1h' would never"),
    (cron("0 9 31 2 *"), "", "31"),
    (rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "", "30"),
    (once("2025-12-31T23:59:59Z"), "rule", "has no instant after 2026-01-01T00:00:00Z"),
    (once("2026-01-02"), "at", "'2026-01-02' has no offset from UTC"),
    (once("soon"), "at", "at 'soon' is not a time: write it as"),
    (
        once("2026-05-01T00:00:00Z", end_us=NOW_US + 1),
        "rule",
        "would first fire at 2026-05-01T00:00:00Z, after its end 2026-01-01T00:00:00.000001Z",
    ),
    (a_definition("soon"), "", 'Invalid interval "soon"'),
    (cron("61 * * * *"), "", "61"),
    (rrule("FREQ=SOMETIMES"), "", "SOMETIMES"),
    (a_definition("{}", RuleKind.CALENDAR), "", ""),
    (cron("0 9 * * *", policies=Policies(drift=Drift.DELAY)), "drift", "only an interval can"),
    (rrule("FREQ=DAILY", policies=Policies(drift=Drift.DELAY)), "drift", "of kind 'rrule'"),
    (a_definition("x" * (RULE_CHARS_MAX + 1)), "rule", "20,001 characters; at most 20,000"),
    (
        a_definition(policies=Policies(jitter_us=HOUR_US)),
        "jitter",
        "a jitter of 3600 s is not shorter than the 3600 s between the fires",
    ),
    (
        cron("0,1 9 * * *", policies=Policies(jitter_us=60 * SECOND_US)),
        "jitter",
        "2026-01-01T09:00:00Z and 2026-01-01T09:01:00Z: make it shorter",
    ),
]


@pytest.mark.parametrize(("definition", "field", "said"), REFUSED, ids=lambda each: str(each)[:50])
def test_what_can_never_be_right_is_refused_with_what_is_wrong(
    definition: Definition, field: str, said: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        checked_plan(definition, (), now_us=NOW_US)

    assert said in str(caught.value)
    assert caught.value.field
    assert field in ("", caught.value.field)


def test_calendars_that_exclude_everything_are_named() -> None:
    policies = Policies(exclude=("weekdays", "weekends"))
    week = (
        parse_exclusion({"rules": ["FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"]}),
        parse_exclusion({"rules": ["FREQ=WEEKLY;BYDAY=SA,SU"]}),
    )

    with pytest.raises(InvalidError, match="the calendars weekdays, weekends exclude all"):
        checked_plan(cron("0 9 * * *", policies=policies), week, now_us=NOW_US)


def test_an_end_before_the_first_day_that_is_not_excluded_is_told() -> None:
    definition = cron("0 9 * * *", policies=Policies(exclude=("days",)), end_us=NOW_US + 3 * DAY_US)

    with pytest.raises(InvalidError, match="the calendars days exclude all of its instants"):
        checked_plan(definition, (exclusion("2026-01-01/2026-01-09"),), now_us=NOW_US)


def test_an_unknown_calendar_is_named_with_what_to_do() -> None:
    policies = Policies(exclude=("known", "unknown"))

    with pytest.raises(InvalidError, match="no calendar 'unknown': make it first") as caught:
        exclusions_of(policies, {"known": exclusion("2026-01-01")})

    assert "exclude" == caught.value.field


def test_calendars_come_in_the_order_in_which_they_are_named() -> None:
    known = {"a": exclusion("2026-01-01"), "b": exclusion("2026-01-02"), "c": exclusion()}

    found = exclusions_of(Policies(exclude=("b", "a")), known)

    assert (known["b"], known["a"]) == found


# What is taken, at the very bounds.


@pytest.mark.parametrize(
    "definition",
    [
        a_definition(start_us=NOW_US, end_us=NOW_US),
        a_definition(end_us=NOW_US),
        once("2026-01-01T00:00:00Z"),
        a_definition(policies=Policies(jitter_us=HOUR_US - 1)),
        once("2026-05-01T00:00:00Z", policies=Policies(jitter_us=DAY_US)),
        a_definition(policies=Policies(drift=Drift.DELAY)),
    ],
    ids=lambda each: str(each)[:70],
)
def test_what_is_just_right_is_taken(definition: Definition) -> None:
    assert checked_plan(definition, (), now_us=NOW_US)[1] >= NOW_US


def test_a_rule_may_be_as_long_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "RULE_CHARS_MAX", 3)

    a_definition("10h").check()
    with pytest.raises(InvalidError, match="the rule has 4 characters; at most 3"):
        a_definition("100h").check()


def test_a_schedule_fires_from_its_start_to_its_end_both_included() -> None:
    definition = a_definition(start_us=NOW_US + HOUR_US, end_us=NOW_US + 3 * HOUR_US)

    wanted = ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]
    assert wanted == taken(definition, 9)


def test_without_a_start_it_starts_now_and_the_present_counts() -> None:
    plan, first_us = checked_plan(a_definition("90s"), (), now_us=NOW_US + 7)

    assert (NOW_US + 7, NOW_US + 7) == (plan.definition.start_us, first_us)
    assert NOW_US + 7 + 90 * SECOND_US == plan.next_after(first_us)


def test_a_start_long_ago_counts_from_there_and_fires_from_now_on() -> None:
    definition = a_definition("7m", start_us=NOW_US - 10 * 365 * DAY_US)

    _, first_us = checked_plan(definition, (), now_us=NOW_US)

    assert 0 <= first_us - NOW_US < 7 * 60 * SECOND_US
    assert 0 == (first_us - NOW_US + 10 * 365 * DAY_US) % (7 * 60 * SECOND_US)


def test_a_zone_says_what_a_time_of_the_clock_means() -> None:
    assert ["2026-01-01T08:30:00Z"] == taken(cron("30 9 * * *", zone="Europe/Berlin"), 1)
    assert ["2026-01-01T09:30:00Z"] == taken(cron("30 9 * * *"), 1)


def test_an_hour_shown_twice_is_two_hours_to_a_dense_rule_and_one_to_others() -> None:
    dense = cron("30 * * * *", zone="Europe/Berlin")
    daily = cron("30 2 * * *", zone="Europe/Berlin")
    now_us = OCTOBER_US

    hours = taken(dense, 4, now_us=now_us)
    first = taken(daily, 2, now_us=now_us)
    second = taken(replace(daily, policies=Policies(fold=Fold.SECOND)), 1, now_us=now_us)

    assert [f"T{hour}:30:00Z" for hour in ("22", "23", "00", "01")] == [at[10:] for at in hours]
    assert ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"] == first
    assert ["2026-10-25T01:30:00Z"] == second


def test_a_skipped_hour_is_shifted() -> None:
    daily = cron("30 2 * * *", zone="Europe/Berlin")

    assert ["2026-03-29T01:30:00Z"] == taken(daily, 1, now_us=MARCH_US)


def test_excluded_days_are_stepped_over_wherever_they_are() -> None:
    definition = cron("0 9 * * *", policies=Policies(exclude=("a", "b")))
    calendars = (exclusion("2026-01-01/2026-01-02"), exclusion("2026-01-03"))

    plan, first_us = checked_plan(definition, calendars, now_us=NOW_US)

    assert "2026-01-04T09:00:00Z" == readable(first_us)
    assert [True, False] == [plan.excluded(NOW_US), plan.excluded(first_us)]
    assert NOW_US + 2 * DAY_US <= plan.allowed_from(NOW_US)


def test_the_latest_is_looked_for_no_further_back_than_asked() -> None:
    plan = plan_for(a_definition(start_us=NOW_US))

    at_us = NOW_US + 5 * HOUR_US - 1
    assert NOW_US + 4 * HOUR_US == plan.latest(at_us, floor_us=NOW_US)
    assert NOW_US + 4 * HOUR_US == plan.latest(at_us, floor_us=NOW_US + 4 * HOUR_US)
    assert None is plan.latest(at_us, floor_us=NOW_US + 4 * HOUR_US + 1)


# Sameness, and times as they are written.


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({}, True),
        ({"start_us": NOW_US}, True),
        ({"start_us": NOW_US + 1}, False),
        ({"start_us": None}, True),
        ({"text": "2h"}, False),
        ({"zone": "Europe/Berlin"}, False),
        ({"end_us": NOW_US}, False),
        ({"policies": Policies(overlap=Overlap.ALLOW)}, False),
    ],
    ids=str,
)
def test_a_start_that_is_not_said_is_as_the_other_has_it(
    fields: dict[str, Any], is_same: bool
) -> None:
    one = a_definition(start_us=NOW_US)
    other = replace(one, **fields)

    assert (is_same, is_same) == (one.is_same(other), other.is_same(one))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-01T09:00:00+01:00", "2026-03-01T08:00:00Z"),
        ("2026-03-01T09:00:00.5Z", "2026-03-01T09:00:00.500000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_read_with_its_offset_and_written_in_utc(text: str, written: str) -> None:
    assert written == readable(parse_instant(text, field="at"))


def test_a_time_before_1970_is_refused() -> None:
    with pytest.raises(InvalidError, match="at is -1000000; it must be from 0"):
        parse_instant("1969-12-31T23:59:59Z", field="at")
