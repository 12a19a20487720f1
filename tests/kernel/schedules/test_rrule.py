"""Recurrence rules: the standard's own examples, dateutil as an oracle, and what is refused."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random  # noqa: TID251 - only as the type of what Hypothesis gives

import pytest
from hypothesis import given, settings, strategies as st

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules import recurrence
from tenure.kernel.schedules.rrule import RRule, parse_rrule
from tenure.kernel.schedules.rrule_days import Days
from tenure.kernel.schedules.zones import zone
from tests.kernel.schedules.agree_rrule import (
    actual,
    dates,
    expected,
    fires,
    local_s,
    moment_of,
    random_case,
    second,
)

START = "19970902T090000"
# From RFC 5545, section 3.8.5.3: the rule, its start if not START, and its first times.
EXAMPLES = [
    ("FREQ=DAILY;COUNT=10", START, dates(1997, *(f"09-{day:02}" for day in range(2, 12)))),
    (
        "FREQ=DAILY;INTERVAL=2",
        START,
        dates(1997, "09-02", "09-04", "09-06", "09-08", "09-10", "09-12", "09-14"),
    ),
    (
        "FREQ=DAILY;INTERVAL=10;COUNT=5",
        START,
        dates(1997, "09-02", "09-12", "09-22", "10-02", "10-12"),
    ),
    (
        "FREQ=WEEKLY;COUNT=10",
        START,
        dates(1997, "09-02", "09-09", "09-16", "09-23", "09-30", "10-07", "10-14", "10-21")
        + dates(1997, "10-28", "11-04"),
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;WKST=SU",
        START,
        dates(1997, "09-02", "09-16", "09-30", "10-14", "10-28", "11-11", "11-25", "12-09")
        + dates(1997, "12-23")
        + dates(1998, "01-06", "01-20", "02-03"),
    ),
    (
        "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
        START,
        dates(1997, "09-02", "09-04", "09-09", "09-11", "09-16", "09-18", "09-23", "09-25")
        + dates(1997, "09-30", "10-02"),
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        "19970901T090000",
        dates(1997, "09-01", "09-03", "09-05", "09-15", "09-17", "09-19", "09-29", "10-01")
        + dates(1997, "10-03", "10-13", "10-15", "10-17", "10-27", "10-29", "10-31", "11-10")
        + dates(1997, "11-12", "11-14", "11-24", "11-26", "11-28", "12-08", "12-10", "12-12")
        + dates(1997, "12-22"),
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        START,
        dates(1997, "09-02", "09-04", "09-16", "09-18", "09-30", "10-02", "10-14", "10-16"),
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "19970905T090000",
        dates(1997, "09-05", "10-03", "11-07", "12-05")
        + dates(1998, "01-02", "02-06", "03-06", "04-03", "05-01", "06-05"),
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "19970907T090000",
        dates(1997, "09-07", "09-28", "11-02", "11-30")
        + dates(1998, "01-04", "01-25", "03-01", "03-29", "05-03", "05-31"),
    ),
    (
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        "19970922T090000",
        dates(1997, "09-22", "10-20", "11-17", "12-22") + dates(1998, "01-19", "02-16"),
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "19970928T090000",
        dates(1997, "09-28", "10-29", "11-28", "12-29") + dates(1998, "01-29", "02-26"),
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        START,
        dates(1997, "09-02", "09-15", "10-02", "10-15", "11-02", "11-15", "12-02", "12-15")
        + dates(1998, "01-02", "01-15"),
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        "19970930T090000",
        dates(1997, "09-30", "10-01", "10-31", "11-01", "11-30", "12-01", "12-31")
        + dates(1998, "01-01", "01-31", "02-01"),
    ),
    (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "19970910T090000",
        dates(1997, "09-10", "09-11", "09-12", "09-13", "09-14", "09-15")
        + dates(1999, "03-10", "03-11", "03-12", "03-13"),
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU",
        START,
        dates(1997, "09-02", "09-09", "09-16", "09-23", "09-30", "11-04", "11-11", "11-18")
        + dates(1997, "11-25")
        + dates(1998, "01-06"),
    ),
    (
        "FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
        "19970610T090000",
        [f"{year}-{day} 09:00" for year in range(1997, 2002) for day in ("06-10", "07-10")],
    ),
    (
        "FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
        "19970310T090000",
        dates(1997, "03-10")
        + dates(1999, "01-10", "02-10", "03-10")
        + dates(2001, "01-10", "02-10", "03-10")
        + dates(2003, "01-10", "02-10", "03-10"),
    ),
    (
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "19970101T090000",
        dates(1997, "01-01", "04-10", "07-19")
        + dates(2000, "01-01", "04-09", "07-18")
        + dates(2003, "01-01", "04-10", "07-19")
        + dates(2006, "01-01"),
    ),
    (
        "FREQ=YEARLY;BYDAY=20MO",
        "19970519T090000",
        [*dates(1997, "05-19"), *dates(1998, "05-18"), *dates(1999, "05-17")],
    ),
    (
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "19970512T090000",
        [*dates(1997, "05-12"), *dates(1998, "05-11"), *dates(1999, "05-17")],
    ),
    (
        "FREQ=YEARLY;BYMONTH=3;BYDAY=TH",
        "19970313T090000",
        dates(1997, "03-13", "03-20", "03-27") + dates(1998, "03-05", "03-12", "03-19", "03-26"),
    ),
    (
        "FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
        "19970605T090000",
        dates(1997, "06-05", "06-12", "06-19", "06-26", "07-03", "07-10", "07-17", "07-24")
        + dates(1997, "07-31", "08-07", "08-14", "08-21", "08-28")
        + dates(1998, "06-04"),
    ),
    (
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        START,
        dates(1998, "02-13", "03-13", "11-13") + dates(1999, "08-13") + dates(2000, "10-13"),
    ),
    (
        "FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
        "19970913T090000",
        dates(1997, "09-13", "10-11", "11-08", "12-13") + dates(1998, "01-10", "02-07", "03-07"),
    ),
    (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "19961105T090000",
        [*dates(1996, "11-05"), *dates(2000, "11-07"), *dates(2004, "11-02")],
    ),
    (
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
        "19970904T090000",
        dates(1997, "09-04", "10-07", "11-06"),
    ),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "19970929T090000",
        dates(1997, "09-29", "10-30", "11-27", "12-30") + dates(1998, "01-29", "02-26", "03-30"),
    ),
    (
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000",
        START,
        ["1997-09-02 09:00", "1997-09-02 12:00", "1997-09-02 15:00"],
    ),
    (
        "FREQ=MINUTELY;INTERVAL=15;COUNT=6",
        START,
        [f"1997-09-02 {time}" for time in ("09:00 09:15 09:30 09:45 10:00 10:15".split())],
    ),
    (
        "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
        START,
        [f"1997-09-02 {time}" for time in ("09:00 10:30 12:00 13:30".split())],
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
        "19970805T090000",
        dates(1997, "08-05", "08-10", "08-19", "08-24"),
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
        "19970805T090000",
        dates(1997, "08-05", "08-17", "08-19", "08-31"),
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        "20070115T090000",
        dates(2007, "01-15", "01-30", "02-15", "03-15", "03-30"),
    ),
]


@pytest.mark.parametrize(("text", "start", "times"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_an_example_of_the_standard_fires_as_the_standard_says(
    text: str, start: str, times: list[str]
) -> None:
    rule = parse_rrule(f"DTSTART:{start}\nRRULE:{text}", zone=zone("UTC"))
    is_bounded = "COUNT" in text or "UNTIL" in text

    assert times == fires(rule, len(times) + is_bounded)


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
    ],
)
def test_twenty_minutes_apart_in_office_hours_can_be_said_in_two_ways(text: str) -> None:
    times = fires(parse_rrule(f"DTSTART:{START}\nRRULE:{text}"), 26)

    assert "1997-09-02 16:40" == times[23]
    assert dates(1997, "09-03")[0] == times[24]


def test_an_until_in_utc_of_the_standard_ends_in_december() -> None:
    text = "FREQ=DAILY;UNTIL=19971224T000000Z"
    rule = parse_rrule(f"DTSTART;TZID=America/New_York:{START}\nRRULE:{text}")
    ended = parse_rrule(rule.text, zone=zone("America/New_York"))

    assert second("1997-12-24T00:00") == rule.until_utc_s
    assert "America/New_York" == rule.tzid
    assert ended.until_utc_s is None
    assert "1997-12-23 09:00" == fires(ended, 999)[-1]


@settings(max_examples=250, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_random_rules_fire_as_dateutil_has_them(random: Random) -> None:
    """What it cannot be asked: see the tests of its known deviations below."""
    text, start = random_case(random)

    assert expected(text, start) == actual(text, start)


@settings(max_examples=150, deadline=None)
@given(random=st.randoms(use_true_random=False), share=st.floats(0, 1))
def test_the_next_time_does_not_depend_on_where_one_came_from(random: Random, share: float) -> None:
    text, start = random_case(random)
    try:
        rule = parse_rrule(text, start_local_s=local_s(start))
    except InvalidError:
        return
    walked = [second(each) for each in fires_in_seconds(rule, 30)]

    asked_s = walked[0] + int((walked[-1] - walked[0]) * share)

    assert next(each for each in walked if each >= asked_s) == rule.at_or_after(asked_s)


def fires_in_seconds(rule: RRule, number: int) -> list[str]:
    found: list[str] = []
    at_s = rule.at_or_after(rule.start_s)
    while at_s is not None and len(found) < number:
        found.append(moment_of(at_s).isoformat())
        at_s = rule.at_or_after(at_s + 1)
    return found


@pytest.mark.parametrize(
    ("text", "start", "times"),
    [
        pytest.param(
            "FREQ=YEARLY;BYWEEKNO=20",
            "20260101T090000",
            dates(2026, "05-14") + dates(2027, "05-20"),
            id="BYWEEKNO alone means the weekday of DTSTART, not the whole week",
        ),
        pytest.param(
            "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=TH",
            "20150102T090000",
            dates(2020, "01-02"),
            id="a week counted from the end of 53 can be the first",
        ),
        pytest.param(
            "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=MO",
            "20150102T090000",
            dates(2019, "12-30") + dates(2025, "12-29"),
            id="and begin in the year before",
        ),
        pytest.param(
            "FREQ=YEARLY;INTERVAL=2;BYWEEKNO=52;BYDAY=SU",
            "20371201T090000",
            dates(2037, "12-27") + dates(2039, "01-02") + dates(2041, "12-29"),
            id="the last week of the year before has the number of that year",
        ),
        pytest.param(
            "FREQ=MONTHLY;BYDAY=MO,1TU",
            "20260101T090000",
            dates(2026, "01-05", "01-06", "01-12", "01-19", "01-26", "02-02", "02-03"),
            id="plain and numbered weekdays together are joined, not intersected",
        ),
        pytest.param(
            "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1",
            "20260107T090000",
            dates(2026, "01-12", "01-19"),
            id="the set of the first week begins with the week, not with DTSTART",
        ),
    ],
)
def test_where_dateutil_deviates_the_standard_holds(
    text: str, start: str, times: list[str]
) -> None:
    rule = parse_rrule(f"DTSTART:{start}\nRRULE:{text}")

    assert times == fires(rule, len(times))


@pytest.mark.parametrize(
    ("text", "start", "times"),
    [
        pytest.param(
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR",
            "20150101T090000",
            [*dates(2016, "01-01"), *dates(2021, "01-01"), *dates(2027, "01-01")],
            id="years with 53 weeks",
        ),
        pytest.param(
            "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;WKST=SU",
            "20150101T090000",
            [*dates(2015, "01-05"), *dates(2016, "01-04"), *dates(2017, "01-02")],
            id="weeks that begin on Sunday",
        ),
        pytest.param(
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
            "18900101T090000",
            [*dates(1892, "02-29"), *dates(1896, "02-29"), *dates(1904, "02-29")],
            id="leap days leave out 1900",
        ),
        pytest.param(
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
            "20000101T090000",
            [*dates(2016, "02-29"), *dates(2044, "02-29")],
            id="leap days on a Monday are 28 years apart",
        ),
        pytest.param(
            "FREQ=YEARLY;BYYEARDAY=-1,366",
            "20230101T090000",
            [*dates(2023, "12-31"), *dates(2024, "12-31"), *dates(2025, "12-31")],
            id="the last day of a leap year counts once",
        ),
        pytest.param(
            "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1",
            "20260101T090000",
            dates(2026, "01-01", "12-31") + dates(2027, "01-01", "12-31"),
            id="first and last working day of the year",
        ),
        pytest.param(
            "FREQ=DAILY;BYHOUR=8,20;BYMINUTE=0,30;BYSETPOS=-1,2",
            "20260101T000000",
            ["2026-01-01 08:30", "2026-01-01 20:30", "2026-01-02 08:30"],
            id="places among the times of a day",
        ),
        pytest.param(
            "FREQ=HOURLY;BYMINUTE=0,10,20;BYSETPOS=-1",
            "20260101T071500",
            ["2026-01-01 07:20", "2026-01-01 08:20"],
            id="places among the minutes of an hour",
        ),
        pytest.param(
            "FREQ=MINUTELY;BYMONTH=1",
            "20260131T235900",
            ["2026-01-31 23:59", "2027-01-01 00:00", "2027-01-01 00:01"],
            id="minutes of one month",
        ),
        pytest.param(
            "FREQ=HOURLY;INTERVAL=25;BYDAY=MO",
            "20260105T000000",
            ["2026-01-05 00:00", "2026-01-12 07:00", "2026-01-19 14:00"],
            id="hours keep their phase over days that are left out",
        ),
        pytest.param(
            "FREQ=MONTHLY;INTERVAL=3",
            "20251130T090000",
            [*dates(2025, "11-30"), *dates(2026, "05-30", "08-30", "11-30")],
            id="a month without the day is left out",
        ),
        pytest.param(
            "FREQ=DAILY;UNTIL=20260103",
            "20260102T090000",
            dates(2026, "01-02", "01-03"),
            id="an UNTIL that is a date includes the day",
        ),
        pytest.param(
            "FREQ=SECONDLY;INTERVAL=1;COUNT=2;BYSECOND=60",
            "20260101T090000",
            ["2026-01-01 09:00", "2026-01-01 09:01"],
            id="a leap second is the one before",
        ),
        pytest.param(
            "FREQ=WEEKLY;COUNT=100000",
            "20260101T090000",
            ["2026-01-01 09:00", "2026-01-08 09:00"],
            id="a large count costs nothing",
        ),
    ],
)
def test_a_rule_at_an_edge_fires_as_it_says(text: str, start: str, times: list[str]) -> None:
    assert times == fires(parse_rrule(f"DTSTART:{start}\nRRULE:{text}"), len(times))


def test_weeks_have_the_numbers_of_the_iso_calendar() -> None:
    rules = [Days(weeks=(number,)) for number in (1, 2, 52, 53)]
    for year in range(1990, 2092):
        for day in range((date(year + 1, 1, 1) - date(year, 1, 1)).days):
            week = (date(year, 1, 1) + timedelta(days=day)).isocalendar().week
            found = {rule.weeks[0] for rule in rules if rule.mask(year) >> day & 1}
            assert found == {week} & {1, 2, 52, 53}


def test_a_search_that_takes_too_many_steps_ends_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day and a minute at a time, a minute earlier comes round after 1,440 days."""
    text = "DTSTART:20260101T083000\nRRULE:FREQ=MINUTELY;INTERVAL=1441;BYHOUR=8;BYMINUTE=29"
    rule = parse_rrule(text)
    assert "2029-12-11 08:29" == fires(rule, 1)[0]

    monkeypatch.setattr(recurrence, "STEPS_MAX", 100)

    with pytest.raises(LimitError, match="INTERVAL=1441 and the times of day"):
        rule.at_or_after(rule.start_s)
    with pytest.raises(InvalidError, match="too seldom to be found"):
        parse_rrule(text)
