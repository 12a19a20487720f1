"""Calendar arithmetic: the check vectors of the specification, and the rule made of it."""

from __future__ import annotations

import calendar as months
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings, strategies as st

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules import calendar
from tenure.kernel.schedules.calendar import CalendarRule, parse_calendar
from tenure.kernel.schedules.delta import Delta, Reset, evaluate
from tenure.kernel.schedules.zones import Zone, zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LISBON, NEW_YORK = "Europe/Lisbon", "America/New_York"
DAY_US = 86_400_000_000


def us(text: str) -> int:
    """Return `2024-01-31T10:00Z` as microseconds."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def written(at_us: int | None) -> str:
    assert at_us is not None
    moment = EPOCH + timedelta(microseconds=at_us)
    return f"{moment:%Y-%m-%dT%H:%M}Z" if at_us % 60_000_000 == 0 else moment.isoformat()


def reference(
    delta: Delta, at_us: int, where: Zone, *, direction: int = 1, day: int | None = None
) -> int:
    """Evaluate by the letter of the specification, with datetime and zoneinfo alone."""
    at = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(where.name))
    if delta.years or delta.months or delta.days:
        number = at.year * 12 + at.month - 1
        number += direction * (delta.years * 12 + delta.months)
        year, month = number // 12, number % 12 + 1
        wanted = at.day
        if delta.years or delta.months:
            wanted = min(day or at.day, months.monthrange(year, month)[1])
        at = at.replace(year=year, month=month, day=wanted, fold=0)
        at += direction * timedelta(days=delta.days)
    instant = at.astimezone(UTC)
    instant += direction * timedelta(hours=delta.hours, minutes=delta.minutes)
    if delta.reset is None:
        return (instant - EPOCH) // timedelta(microseconds=1)
    if delta.hours or delta.minutes or not (delta.years or delta.months or delta.days):
        at = instant.astimezone(ZoneInfo(where.name))
    reset = delta.reset
    month = reset.month or at.month
    wanted = min(reset.day or at.day, months.monthrange(at.year, month)[1])
    hour = at.hour if reset.hour is None else reset.hour
    minute = at.minute if reset.minute is None else reset.minute
    at = at.replace(
        month=month, day=wanted, hour=hour % 24, minute=minute, second=0, microsecond=0, fold=0
    )
    at += timedelta(days=hour // 24)
    return (at.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("name", "start", "document", "results"),
    [
        pytest.param(
            LISBON,
            "2024-01-31T10:00Z",
            {"months": 1},
            "2024-02-29T10:00Z 2024-03-31T09:00Z 2024-04-30T09:00Z 2024-05-31T09:00Z "
            "2024-06-30T09:00Z",
            id="1: month ends",
        ),
        pytest.param(
            LISBON,
            "2024-02-29T12:00Z",
            {"years": 1},
            "2025-02-28T12:00Z 2026-02-28T12:00Z 2027-02-28T12:00Z 2028-02-29T12:00Z",
            id="3: leap days",
        ),
        pytest.param(
            LISBON,
            "2024-01-31T09:00Z",
            {"months": 1, "resetTo": {"day": 31, "hour": 9, "minute": 0}},
            "2024-02-29T09:00Z 2024-03-31T08:00Z 2024-04-30T08:00Z",
            id="the monthly example",
        ),
        pytest.param(
            NEW_YORK,
            "2024-03-08T07:30Z",
            {"days": 1},
            "2024-03-09T07:30Z 2024-03-10T07:30Z 2024-03-11T07:30Z",
            id="a time moved out of a gap stays moved",
        ),
        pytest.param(
            "UTC",
            "2024-01-15T00:00Z",
            {"days": 1, "resetTo": {"hour": 24, "minute": 0}},
            "2024-01-17T00:00Z 2024-01-19T00:00Z",
            id="hour 24 adds a day each time",
        ),
        pytest.param(
            NEW_YORK,
            "2024-11-03T04:00Z",
            {"hours": 1, "resetTo": {"minute": 0}},
            "2024-11-03T05:00Z 2024-11-03T07:00Z 2024-11-03T08:00Z",
            id="a reset that a clock change turns into standing still goes on",
        ),
    ],
)
def test_a_rule_goes_on_from_each_instant_to_the_next(
    name: str, start: str, document: Mapping[str, object], results: str
) -> None:
    rule = CalendarRule(parse_calendar(document), us(start), zone(name))

    found, at_us = [], rule.next_after(us(start) - 1)
    assert us(start) == at_us
    for _ in results.split():
        at_us = rule.next_after(at_us or 0)
        found.append(written(at_us))

    assert results.split() == found


def test_without_an_execution_day_the_end_of_the_month_drifts() -> None:
    at_us = us("2024-01-31T10:00Z")
    found = []
    for _ in range(3):
        at_us = evaluate(Delta(months=1), at_us, zone(LISBON))
        found.append(written(at_us))

    assert ["2024-02-29T10:00Z", "2024-03-29T10:00Z", "2024-04-29T09:00Z"] == found


@pytest.mark.parametrize(
    ("name", "start", "document", "direction", "result"),
    [
        (NEW_YORK, "2024-03-09T07:30Z", {"days": 1}, 1, "2024-03-10T07:30Z"),
        (NEW_YORK, "2024-03-09T08:00Z", {"days": 1}, 1, "2024-03-10T07:00Z"),
        (NEW_YORK, "2024-03-09T15:00Z", {"days": 1}, 1, "2024-03-10T14:00Z"),
        (NEW_YORK, "2024-03-09T15:00Z", {"hours": 24}, 1, "2024-03-10T15:00Z"),
        (NEW_YORK, "2024-11-02T05:30Z", {"days": 1}, 1, "2024-11-03T05:30Z"),
        (LISBON, "2024-05-29T16:07:01.403Z", {"days": 1, "resetTo": {"hour": 0, "minute": 0}}, 1,
         "2024-05-29T23:00Z"),
        (LISBON, "2024-03-31T09:00Z", {"days": 3, "resetTo": {"hour": 9, "minute": 0}}, -1,
         "2024-03-28T09:00Z"),
        (LISBON, "2024-03-31T09:00Z", {"months": 1, "resetTo": {"day": 31}}, 1,
         "2024-04-30T09:00Z"),
        (LISBON, "2024-07-10T09:15:30.250Z", {"resetTo": {"hour": 24, "minute": 0}}, 1,
         "2024-07-10T23:00Z"),
        (LISBON, "2024-07-10T09:15:30.250Z", {"minutes": 10}, 1,
         "2024-07-10T09:25:30.250000+00:00"),
        (LISBON, "2024-07-10T09:15:30.250Z",
         {"years": 1, "resetTo": {"month": 3, "day": 1, "hour": 8, "minute": 30}}, 1,
         "2025-03-01T08:30Z"),
        (LISBON, "2024-07-10T09:15:30.250Z", {"minutes": 5, "resetTo": {}}, 1,
         "2024-07-10T09:20Z"),
        (LISBON, "2024-03-31T09:00Z", {"months": 1}, -1, "2024-02-29T10:00Z"),
        ("UTC", "2024-01-31T10:00Z", {"resetTo": {"month": 2}}, 1, "2024-02-29T10:00Z"),
        ("Pacific/Apia", "2011-12-29T22:00Z", {"days": 1}, 1, "2011-12-30T22:00Z"),
        ("UTC", "2024-01-31T23:00Z", {"minutes": 5, "resetTo": {"hour": 0}}, 1,
         "2024-01-31T00:05Z"),
    ],
)  # fmt: skip
def test_a_delta_leads_where_the_specification_says(
    name: str, start: str, document: Mapping[str, object], direction: int, result: str
) -> None:
    found_us = evaluate(parse_calendar(document), us(start), zone(name), direction=direction)

    assert result == written(found_us)


ZONES = st.sampled_from(
    ["UTC", LISBON, NEW_YORK, "Australia/Lord_Howe", "America/Nuuk", "Africa/Casablanca",
     "Pacific/Apia", "America/Havana", "Asia/Kathmandu"]
).map(zone)  # fmt: skip
INSTANTS = st.integers(us("1985-01-01T00:00Z"), us("2040-01-01T00:00Z"))
# Nights of clock changes, where the errors live.
NIGHTS = st.builds(
    lambda day, minutes: us(day) + minutes * 60_000_000,
    st.sampled_from(["2024-03-08T00:00Z", "2024-03-30T00:00Z", "2024-11-02T00:00Z",
                     "2024-10-05T12:00Z", "2024-04-06T12:00Z", "2024-10-26T00:00Z"]),
    st.integers(0, 2_880),
)  # fmt: skip
RESETS = st.builds(
    Reset,
    month=st.none() | st.integers(1, 12),
    day=st.none() | st.integers(1, 31),
    hour=st.none() | st.integers(0, 24),
    minute=st.none() | st.integers(0, 59),
)


def rarely(high: int) -> st.SearchStrategy[int]:
    return st.just(0) | st.integers(0, high)


DELTAS = st.builds(
    Delta,
    years=rarely(3),
    months=rarely(20),
    days=rarely(50),
    hours=rarely(40),
    minutes=rarely(200),
    reset=st.none() | RESETS,
)
# Of one kind of amount, which is where leaps are taken.
SIMPLE = st.one_of(
    st.builds(Delta, years=rarely(2), months=rarely(14), reset=st.none() | RESETS),
    st.builds(Delta, days=rarely(14), reset=st.none() | RESETS),
    st.builds(Delta, hours=rarely(30), minutes=rarely(120), reset=st.none() | RESETS),
)


@settings(max_examples=400, deadline=None)
@given(
    delta=DELTAS,
    at_us=INSTANTS | NIGHTS,
    where=ZONES,
    direction=st.sampled_from([1, -1]),
    day=st.none() | st.integers(1, 31),
)
def test_a_delta_leads_where_datetime_does(
    delta: Delta, at_us: int, where: Zone, direction: int, day: int | None
) -> None:
    expected_us = reference(delta, at_us, where, direction=direction, day=day)

    found_us = evaluate(delta, at_us, where, direction=direction, execution_day=day)

    assert written(expected_us) == written(found_us)


def walk(rule: CalendarRule, steps: int) -> list[int]:
    """Apply the delta again and again, as the specification does, leaving out leaps."""
    at_us, day = rule.anchor_us, rule.execution_day
    found = [at_us]
    for _ in range(steps):
        at_us = evaluate(rule.delta, at_us, rule.zone, execution_day=day)
        found.append(at_us)
        if rule.delta.reset is not None and rule.delta.reset.day is not None:
            day = rule.delta.reset.day
    return found


@settings(max_examples=100, deadline=None)
@given(
    delta=SIMPLE | DELTAS,
    anchor_us=INSTANTS | NIGHTS,
    where=ZONES,
    day=st.none() | st.integers(1, 31),
    index=st.integers(0, 198),
)
def test_far_ahead_a_rule_is_where_step_by_step_evaluation_leads(
    delta: Delta, anchor_us: int, where: Zone, day: int | None, index: int
) -> None:
    try:
        rule = CalendarRule(delta, anchor_us, where, execution_day=day)
    except InvalidError:
        assume(False)
        return
    walked = walk(rule, 200)
    # Only where the clock is set back does the rule go on where the delta alone would not.
    assume(all(one < other for one, other in pairwise(walked)))

    assert walked[index + 1] == rule.next_after(walked[index])
    assert walked[index + 1] == rule.next_after(walked[index + 1] - 1)
    # And from what it remembers of this, back and ahead again.
    assert walked[index // 2 + 1] == rule.next_after(walked[index // 2])
    assert walked[200] == rule.next_after(walked[199], from_us=walked[index])


def test_a_step_that_a_clock_change_made_shorter_does_not_shorten_the_others() -> None:
    """In Havana the clock skips midnight; later midnights were taken for an hour earlier."""
    delta = Delta(years=0, months=0, days=2, hours=0, minutes=0, reset=Reset(hour=0))
    rule = CalendarRule(delta, 615_614_400_000_000, zone("America/Havana"))
    walked = walk(rule, 200)

    assert walked[200] == rule.next_after(walked[199], from_us=walked[0])
    assert walked[1:] == [rule.next_after(at_us) for at_us in walked[:-1]]


@settings(max_examples=60, deadline=None)
@given(delta=SIMPLE, anchor_us=NIGHTS, where=ZONES)
def test_a_rule_never_stands_still(delta: Delta, anchor_us: int, where: Zone) -> None:
    try:
        rule = CalendarRule(delta, anchor_us, where)
    except InvalidError:
        assume(False)
        return
    at_us = anchor_us
    for _ in range(50):
        next_us = rule.next_after(at_us)
        assert next_us is not None
        assert at_us < next_us
        at_us = next_us


@settings(max_examples=100, deadline=None)
@given(anchor_us=INSTANTS, number=st.integers(1, 13), index=st.integers(0, 200))
def test_a_monthly_rule_keeps_its_day_or_takes_the_last_of_the_month(
    anchor_us: int, number: int, index: int
) -> None:
    rule = CalendarRule(Delta(months=number), anchor_us, zone("UTC"))
    anchor = EPOCH + timedelta(microseconds=anchor_us)

    after_us = anchor_us + index * 31 * DAY_US
    found = EPOCH + timedelta(microseconds=rule.next_after(after_us) or 0)

    assert min(anchor.day, months.monthrange(found.year, found.month)[1]) == found.day
    passed = (found.year - anchor.year) * 12 + found.month - anchor.month
    assert 0 == passed % number
    assert after_us < us(found.isoformat())


def test_an_anchor_long_ago_costs_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three per year, where the table of the zone or its offset ends, and not one per instant."""
    monkeypatch.setattr(calendar, "STEPS_MAX", 160)
    start_us, after_us = us("1990-01-31T10:00Z"), us("2026-01-01T00:00Z")
    for delta in (Delta(months=1), Delta(days=1), Delta(hours=1, reset=Reset(minute=0))):
        rule = CalendarRule(delta, start_us, zone(LISBON))
        found_us = rule.next_after(after_us)
        assert found_us is not None
        assert after_us < found_us < after_us + 31 * DAY_US


def test_a_rule_with_unequal_steps_is_followed_to_a_bound_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delta = Delta(days=1, hours=1)
    start_us = us("2020-01-01T00:00Z")
    known_us = CalendarRule(delta, start_us, zone("UTC")).next_after(us("2025-12-25T00:00Z"))
    monkeypatch.setattr(calendar, "STEPS_MAX", 100)
    rule = CalendarRule(delta, start_us, zone("UTC"))

    with pytest.raises(LimitError, match="begin at a later one"):
        rule.next_after(us("2026-01-01T00:00Z"))
    assert rule.next_after(us("2026-01-01T00:00Z"), from_us=known_us) is not None


def test_a_rule_goes_on_from_what_it_passed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "STEPS_MAX", 100)
    start_us = us("2020-01-01T00:00Z")
    rule = CalendarRule(Delta(days=1, hours=1), start_us, zone("UTC"))

    for days in range(0, 1_000, 50):
        found_us = rule.next_after(start_us + days * DAY_US)
        assert found_us is not None


def test_a_hint_from_before_or_beyond_changes_nothing() -> None:
    rule = CalendarRule(Delta(days=2), us("2026-01-01T00:00Z"), zone("UTC"))

    assert "2026-01-05T00:00Z" == written(
        rule.next_after(us("2026-01-03T00:00Z"), from_us=us("2026-01-07T00:00Z"))
    )
    assert "2026-01-05T00:00Z" == written(
        rule.next_after(us("2026-01-03T00:00Z"), from_us=us("2025-12-31T00:00Z"))
    )


def test_a_rule_ends_with_the_year_9999() -> None:
    rule = CalendarRule(Delta(years=1), us("9997-06-01T00:00Z"), zone("UTC"))

    assert "9999-06-01T00:00Z" == written(rule.next_after(us("9998-06-01T00:00Z")))
    assert rule.next_after(us("9999-06-01T00:00Z")) is None
    # Without walking there.
    daily = CalendarRule(Delta(days=1, hours=1), us("2026-01-01T00:00Z"), zone(LISBON))
    assert daily.next_after(us("9999-12-31T23:59:59Z")) is None
    with pytest.raises(InvalidError, match="out of the years 1 to 9999"):
        evaluate(Delta(years=1), us("9999-06-01T00:00Z"), zone("UTC"))
    with pytest.raises(InvalidError, match="out of the years 1 to 9999"):
        evaluate(Delta(years=900, reset=Reset(day=1)), us("0801-06-01T00:00Z"), zone("UTC"),
                 direction=-1)  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        '{"months": 1, "resetTo": {"day": 31, "hour": 0}}',
        '{"years": 1, "months": 2, "days": 3, "hours": 4, "minutes": 5}',
        '{"minutes": 90, "resetTo": {"month": 2, "day": 1, "hour": 24, "minute": 59}}',
        '{"days": 1, "resetTo": {}}',
        "{}",
    ],
)
def test_a_delta_has_one_text_that_reads_back_to_it(document: str) -> None:
    delta = parse_calendar(document)

    assert document == delta.text
    assert delta == parse_calendar(delta.text)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ('{"month": 1}', "the key 'month', which is unknown; did you mean 'months'?"),
        ('{"days": 1, "resetTo": {"hours": 1}}', "resetTo has the key 'hours', which is unknown"),
        ('{"weeks": 1}', "the key 'weeks'"),
        ('{"days": -1}', "days is -1; it must be from 0 to 366,000"),
        ('{"years": 1001}', "years is 1001; it must be from 0 to 1,000"),
        ('{"days": 1.5}', "days is 1.5; it must be a whole number"),
        ('{"days": true}', "days is True; it must be a whole number"),
        ('{"days": "1"}', "days is '1'"),
        ('{"days": 1, "resetTo": null}', "resetTo is None; it must be an object"),
        ('{"days": 1, "resetTo": {"month": 0}}', "resetTo.month is 0; it must be from 1 to 12"),
        ('{"days": 1, "resetTo": {"month": 13}}', "resetTo.month is 13"),
        ('{"days": 1, "resetTo": {"day": 32}}', "resetTo.day is 32"),
        ('{"days": 1, "resetTo": {"day": 0}}', "resetTo.day is 0"),
        ('{"days": 1, "resetTo": {"hour": 25}}', "resetTo.hour is 25"),
        ('{"days": 1, "resetTo": {"minute": 60}}', "resetTo.minute is 60"),
        ("monthly", "is not JSON"),
        ("[1]", "must be an object"),
        ("[" * 501, "501 characters"),
    ],
)
def test_a_document_that_is_no_delta_is_refused(document: str, sentence: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_calendar(document)

    assert sentence in str(caught.value)
    assert "calendar" == caught.value.field


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "adds nothing"),
        ({"resetTo": {"hour": 24}}, "adds nothing"),
        ({"months": 1, "resetTo": {"month": 3}}, "stands still"),
        ({"days": 30, "resetTo": {"day": 1}}, "stands still"),
        ({"days": 365, "resetTo": {"month": 1, "day": 1}}, "stands still"),
        ({"hours": 23, "resetTo": {"hour": 0, "minute": 0}}, "stands still"),
        ({"minutes": 59, "resetTo": {"minute": 0}}, "stands still"),
    ],
)
def test_a_delta_that_never_moves_on_makes_no_rule(
    document: Mapping[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidError, match=sentence):
        CalendarRule(parse_calendar(document), us("2026-01-01T00:00Z"), zone("UTC"))


@pytest.mark.parametrize(
    "document",
    [
        {"months": 12, "resetTo": {"month": 3}},
        {"days": 31, "resetTo": {"day": 1}},
        {"days": 366, "resetTo": {"month": 1, "day": 1}},
        {"hours": 24, "resetTo": {"hour": 0, "minute": 0}},
        {"minutes": 60, "resetTo": {"minute": 0}},
        {"days": 1, "resetTo": {"hour": 0}},
    ],
)
def test_a_delta_that_just_passes_its_reset_makes_a_rule(document: Mapping[str, object]) -> None:
    rule = CalendarRule(parse_calendar(document), us("2026-01-01T00:00Z"), zone("UTC"))

    assert rule.next_after(us("2026-01-01T00:00Z")) is not None
