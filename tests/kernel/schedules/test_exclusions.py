"""Holiday calendars: which days and times they take out, and where the time after them begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.exclusions import NEVER_US, Exclusion, parse_exclusion
from tenure.kernel.schedules.zones import zone
from tests.kernel.schedules.agree_rrule import moment_of, second

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def allowed(exclusion: Exclusion, at: str, name: str) -> str:
    """Return where the time that is not excluded begins, in UTC to the minute."""
    found = EPOCH + timedelta(microseconds=exclusion.allowed_from(us(at), zone(name)))
    return f"{found:%Y-%m-%dT%H:%MZ}"


def test_dates_and_ranges_are_whole_days() -> None:
    exclusion = parse_exclusion({"dates": ["2026-12-25", "2026-12-28/2027-01-02"]})

    for text, is_excluded in [
        ("2026-12-24T23:59:59", False),
        ("2026-12-25T00:00:00", True),
        ("2026-12-25T23:59:59", True),
        ("2026-12-26T00:00:00", False),
        ("2026-12-27T23:59:59", False),
        ("2026-12-28T00:00:00", True),
        ("2027-01-02T23:59:59", True),
        ("2027-01-03T00:00:00", False),
    ]:
        assert is_excluded == exclusion.excludes(second(text)), text


@pytest.mark.parametrize(
    ("rule", "excluded", "free"),
    [
        ("FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1", ["2026-05-01T13:00", "1971-05-01"], ["2026-05-02"]),
        ("FREQ=WEEKLY;BYDAY=SA,SU", ["2026-01-03", "2026-01-04T23:59:59"], ["2026-01-05"]),
        ("DTSTART:20260101T090000\nRRULE:FREQ=DAILY;COUNT=1", ["2026-01-01T00:00"], ["2026-01-02"]),
        (
            {"rule": "DTSTART:20260101T090000\nRRULE:FREQ=YEARLY", "days": 3},
            ["2026-01-01T00:00", "2026-01-03T23:59:59", "2027-01-02"],
            ["2025-12-31T23:59:59", "2026-01-04"],
        ),
        (
            {"rule": "DTSTART:20260101T220000\nRRULE:FREQ=DAILY", "seconds": 3 * 3600},
            ["2026-01-01T22:00", "2026-01-02T00:59:59"],
            ["2026-01-01T21:59:59", "2026-01-02T01:00"],
        ),
    ],
)
def test_a_rule_takes_out_its_days_or_its_hours(
    rule: object, excluded: list[str], free: list[str]
) -> None:
    exclusion = parse_exclusion({"rules": [rule]})

    assert excluded == [each for each in excluded + free if exclusion.excludes(second(each))]


def test_long_stretches_are_skipped_to_their_ends() -> None:
    exclusion = parse_exclusion(
        {
            "dates": ["2026-01-01/2099-12-31", "2100-01-04"],
            "rules": ["FREQ=WEEKLY;BYDAY=SA,SU", {"rule": "FREQ=DAILY", "seconds": 3600}],
        }
    )

    # 1 January 2100 is a Friday, and the hour after midnight is out as well.
    found_s = exclusion.next_allowed_day(second("2026-01-01T12:00"))
    assert found_s is not None
    assert "2100-01-01T01:00:00" == moment_of(found_s).isoformat()
    found_s = exclusion.next_allowed_day(second("2100-01-02"))
    assert found_s is not None
    assert "2100-01-05T01:00:00" == moment_of(found_s).isoformat()
    assert found_s + 7 == exclusion.next_allowed_day(found_s + 7)


def test_a_calendar_that_excludes_every_day_is_taken_to_do_so_for_ever() -> None:
    exclusion = parse_exclusion({"rules": ["FREQ=DAILY"]})

    assert exclusion.next_allowed_day(second("2026-01-01")) is None
    assert NEVER_US == exclusion.allowed_from(us("2026-01-01T00:00Z"), zone("UTC"))


def test_an_empty_calendar_excludes_nothing() -> None:
    exclusion = parse_exclusion({})

    assert "{}" == exclusion.text
    assert not exclusion.excludes(0)
    assert 7 == exclusion.allowed_from(7, zone("UTC"))


@pytest.mark.parametrize(
    ("at", "name", "result"),
    [
        ("2026-12-24T22:59Z", BERLIN, "2026-12-24T22:59Z"),
        ("2026-12-24T23:00Z", BERLIN, "2026-12-25T23:00Z"),
        ("2026-12-24T23:00Z", "UTC", "2026-12-24T23:00Z"),
        ("2026-12-25T23:30Z", "America/New_York", "2026-12-26T05:00Z"),
    ],
)
def test_days_are_those_of_the_zone_of_the_schedule(at: str, name: str, result: str) -> None:
    assert result == allowed(parse_exclusion({"dates": ["2026-12-25"]}), at, name)


def test_a_period_is_the_same_everywhere() -> None:
    exclusion = parse_exclusion(
        {
            "periods": [
                "2026-12-24T18:00:00Z/2026-12-24T20:00:00Z",
                "2026-12-24T20:00:00+01:00/2026-12-24T22:00:00+01:00",
            ]
        }
    )

    assert ((us("2026-12-24T18:00Z"), us("2026-12-24T21:00Z")),) == exclusion.periods
    for name in (BERLIN, "UTC"):
        assert "2026-12-24T17:59Z" == allowed(exclusion, "2026-12-24T17:59Z", name)
        assert "2026-12-24T21:00Z" == allowed(exclusion, "2026-12-24T18:00Z", name)
        assert "2026-12-24T21:00Z" == allowed(exclusion, "2026-12-24T20:59Z", name)
        assert "2026-12-24T21:00Z" == allowed(exclusion, "2026-12-24T21:00Z", name)


def test_a_window_with_a_zone_is_on_the_wall_clock_of_that_zone() -> None:
    text = "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY"
    exclusion = parse_exclusion({"rules": [{"rule": text, "seconds": 3600}]})

    assert "2026-02-01T09:00Z" == allowed(exclusion, "2026-02-01T08:00Z", "Asia/Kathmandu")
    assert "2026-07-01T08:00Z" == allowed(exclusion, "2026-07-01T07:30Z", "UTC")
    assert "2026-07-01T08:00Z" == allowed(exclusion, "2026-07-01T08:00Z", "UTC")
    assert not exclusion.excludes(second("2026-07-01T09:30"))


def test_the_way_out_of_a_window_leads_ahead_in_an_hour_that_comes_twice() -> None:
    """In its second showing the end of the window had been shown an hour before."""
    text = "DTSTART:20261025T021500\nRDATE:20261025T021500"
    exclusion = parse_exclusion({"rules": [{"rule": text, "seconds": 1800}]})

    assert "2026-10-25T00:45Z" == allowed(exclusion, "2026-10-25T00:20Z", BERLIN)
    assert "2026-10-25T01:45Z" == allowed(exclusion, "2026-10-25T01:20Z", BERLIN)


@settings(max_examples=100, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), max_size=8),
    weekday=st.sampled_from(["MO", "SA", "SU"]),
    minutes=st.integers(0, 60 * 24 * 60),
    name=st.sampled_from(["UTC", BERLIN, "America/Havana"]),
)
def test_nothing_is_excluded_where_the_way_out_leads_and_all_before_it(
    days: list[tuple[int, int]], weekday: str, minutes: int, name: str
) -> None:
    first = date(2026, 3, 1)
    ranges = [
        f"{first + timedelta(days=start)}/{first + timedelta(days=start + length)}"
        for start, length in days
    ]
    exclusion = parse_exclusion({"dates": ranges, "rules": [f"FREQ=WEEKLY;BYDAY={weekday}"]})
    at_us, where = us("2026-03-01T00:00Z") + minutes * 60_000_000, zone(name)
    spans = {(first + timedelta(days=start + each)) for start, length in days
             for each in range(length + 1)}  # fmt: skip

    def is_out(instant_us: int) -> bool:
        day = moment_of(where.local_s(instant_us // 1_000_000)).date()
        return day in spans or ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()] == weekday

    end_us = exclusion.allowed_from(at_us, where)

    assert not is_out(end_us)
    assert all(is_out(each) for each in range(at_us, end_us, HOUR_US))
    assert is_out(at_us) == exclusion.excludes(where.local_s(at_us // 1_000_000))


DOCUMENT = {
    "dates": ["2026-12-25", "2026-12-28/2027-01-02"],
    "rules": [
        "DTSTART:19700101T000000\nRRULE:FREQ=WEEKLY;BYDAY=SU",
        {"rule": "DTSTART:20260101T090000\nRRULE:FREQ=YEARLY", "days": 3},
        {"rule": "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY", "seconds": 60},
    ],
    "periods": ["2026-12-24T18:00:00Z/2026-12-24T20:00:00Z"],
}


def test_a_calendar_has_one_text_that_reads_back_to_it() -> None:
    exclusion = parse_exclusion(DOCUMENT)

    assert DOCUMENT == json.loads(exclusion.text)
    assert exclusion == parse_exclusion(json.loads(exclusion.text))
    assert hash(exclusion) == hash(parse_exclusion(DOCUMENT))
    assert exclusion != parse_exclusion({"dates": ["2026-12-25"]})


def test_what_is_said_twice_or_touches_is_said_once() -> None:
    exclusion = parse_exclusion(
        {
            "dates": ["2026-01-03", "2026-01-01/2026-01-02", "2026-01-01", "2026-01-05"],
            "rules": ["FREQ=WEEKLY;BYDAY=SU", "RRULE:BYDAY=SU;FREQ=WEEKLY"],
        }
    )

    assert ["2026-01-01/2026-01-03", "2026-01-05"] == json.loads(exclusion.text)["dates"]
    assert 1 == len(exclusion.day_rules)


def test_as_many_entries_and_rules_as_are_allowed_are_taken() -> None:
    assert parse_exclusion({"dates": ["2026-01-01"] * 10_000}).excludes(second("2026-01-01"))
    assert parse_exclusion({"rules": ["FREQ=DAILY"] * 500}).excludes(second("2026-01-01"))


def test_a_rule_that_ends_in_utc_without_a_zone_ends_so() -> None:
    exclusion = parse_exclusion({"rules": ["FREQ=DAILY;UNTIL=19700103T000000Z"]})

    assert exclusion.excludes(second("1970-01-03T12:00"))
    assert not exclusion.excludes(second("1970-01-04T12:00"))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"days": []}, "has the key 'days'; only dates, rules, periods"),
        ({"dates": "2026-01-01"}, "dates is '2026-01-01'; it must be a list"),
        ({"dates": ["25.12.2026"]}, "date '25.12.2026' must be like"),
        ({"dates": ["2026-02-30"]}, "date '2026-02-30' must be like"),
        ({"dates": [20261225.5]}, "must be like"),
        ({"dates": ["2026-01-02/2026-01-01"]}, "ends before it begins"),
        ({"periods": ["2026-01-01T00:00:00/2026-01-02T00:00:00"]}, "with their offset"),
        ({"periods": ["2026-01-01T00:00:00Z"]}, "with their offset"),
        ({"periods": ["2026-01-01T00:00:00Z/2026-01-01T00:00:00Z"]}, "does not end after"),
        ({"rules": [7]}, "rule 7 must be a text"),
        ({"rules": [{"rule": "FREQ=DAILY", "hours": 1}]}, "either 'days' or 'seconds'"),
        ({"rules": [{"rule": "FREQ=DAILY", "days": 1, "seconds": 1}]}, "either 'days' or"),
        ({"rules": [{"rule": "FREQ=DAILY", "days": 0}]}, "days 0; it must be from 1 to 3,660"),
        ({"rules": [{"rule": "FREQ=DAILY", "days": 3661}]}, "days 3661"),
        ({"rules": [{"rule": "FREQ=DAILY", "seconds": True}]}, "seconds True"),
        ({"rules": ["FREQ=DALY"]}, "rule 'FREQ=DALY': rrule FREQ=DALY is none of"),
        ({"rules": ["DTSTART;TZID=Moon:20260101\nRRULE:FREQ=DAILY"]}, "'Moon' is unknown"),
        ({"rules": ["FREQ=DAILY"] * 501}, "has 501 rules; at most 500"),
        ({"dates": ["2026-01-01"] * 10_001}, "has 10,001 entries; at most 10,000"),
    ],
)
def test_a_document_of_another_form_is_refused(
    document: Mapping[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_exclusion(document)

    assert sentence in str(caught.value)
    assert "exclusion" == caught.value.field
