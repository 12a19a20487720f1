"""The grammar of recurrence rules: what is read, how it is written, what is refused and why."""

from __future__ import annotations

import pytest

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rrule import named_zone, parse_rrule
from tenure.kernel.schedules.zones import zone
from tests.kernel.schedules.agree_rrule import dates, fires, second


def test_lines_are_joined_and_dates_added_and_taken_away() -> None:
    rule = parse_rrule(
        "dtstart:20260101T090000\r\n"
        "rrule:freq=weekly;byday=th\r\n"
        "RRULE:FREQ=MONTHLY;\r\n BYMONTHDAY=1\r\n"
        "RDATE:20260103T120000,20260104T120000\r\n"
        "RDATE;VALUE=DATE:20260105\r\n"
        "EXDATE:20260108T090000\r\n"
        "EXDATE;VALUE=DATE:20260104\r\n"
    )

    times = ["2026-01-01 09:00", "2026-01-03 12:00", "2026-01-05 09:00", "2026-01-15 09:00"]
    assert times == fires(rule, 4)
    assert "2026-02-01 09:00" in fires(rule, 9)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("byday=we,MO,mo;FREQ=weekly;interval=1;wkst=mo", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE:FREQ=DAILY;UNTIL=20260203;", "RRULE:FREQ=DAILY;UNTIL=20260203T235959"),
        ("FREQ=DAILY;UNTIL=20260203T040506Z", "RRULE:FREQ=DAILY;UNTIL=20260203T040506Z"),
        ("FREQ=MONTHLY;BYDAY=-1FR,+2MO;COUNT=3", "RRULE:FREQ=MONTHLY;COUNT=3;BYDAY=-1FR,2MO"),
        ("FREQ=YEARLY;INTERVAL=2;WKST=SU", "RRULE:FREQ=YEARLY;INTERVAL=2;WKST=SU"),
        ("RDATE:20260101T090000", "RDATE:20260101T090000"),
    ],
)
def test_a_rule_has_one_text_that_reads_back_to_it(text: str, canonical: str) -> None:
    rule = parse_rrule(text, start_local_s=second("2026-01-01T07:08:09"))

    assert f"DTSTART:20260101T070809\n{canonical}" == rule.text
    assert rule == parse_rrule(rule.text)
    assert hash(rule) == hash(parse_rrule(rule.text))


def test_a_text_with_zones_and_days_off_reads_back_to_the_same_rule() -> None:
    lines = (
        "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY\n"
        "RDATE;TZID=Europe/Berlin:20260101T100000\nEXDATE;TZID=Europe/Berlin:20260102T090000\n"
        "EXDATE;VALUE=DATE:20260103"
    )

    assert lines == parse_rrule(lines).text
    assert lines == parse_rrule(lines, zone=zone("Europe/Berlin")).text
    assert "Z\nRRULE" in parse_rrule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY").text


def test_times_in_utc_become_local_times_of_the_zone() -> None:
    rule = parse_rrule(
        "DTSTART;TZID=Europe/Berlin:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20260104T080000Z\n"
        "RDATE:20260701T080000Z\nEXDATE:20260102T080000Z",
        zone=zone("Europe/Berlin"),
    )

    times = dates(2026, "01-01", "01-03", "01-04")
    assert [*times, "2026-07-01 10:00"] == fires(rule, 9)


def test_an_until_in_a_repeated_hour_has_all_of_its_first_showing_before_it() -> None:
    """02:10 in winter time is later than 02:59:59 in summer time."""
    rule = parse_rrule(
        "DTSTART:20261025T025959\nRRULE:FREQ=SECONDLY;UNTIL=20261025T011000Z",
        zone=zone("Europe/Berlin"),
    )

    assert ["2026-10-25 02:59"] == fires(rule, 9)


@pytest.mark.parametrize(
    ("text", "is_dense"),
    [("FREQ=DAILY", False), ("FREQ=HOURLY", True), ("RRULE:FREQ=DAILY\nRRULE:FREQ=MINUTELY", True)],
)
def test_a_rule_is_dense_from_hours_down(text: str, is_dense: bool) -> None:
    assert is_dense == parse_rrule(text, start_local_s=0).is_dense


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY is none of YEARLY"),
        ("BYDAY=MO", "has no FREQ"),
        ("FREQ=DAILY;BYDAI=MO", "did you mean BYDAY?"),
        ("FREQ=DAILY;COUNT=2;COUNT=3", "COUNT is given twice"),
        ("FREQ=DAILY;COUNT", "'COUNT' must be a name"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 must be a whole number from 1"),
        ("FREQ=DAILY;INTERVAL=1000000001", "from 1 to 1,000,000,000"),
        ("FREQ=DAILY;COUNT=100001", "COUNT=100001 must be a whole number from 1 to 100,000"),
        ("FREQ=DAILY;COUNT=1.5", "COUNT=1.5 must be"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR has the value '24'; it must be from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR has the value '-1'"),
        ("FREQ=DAILY;BYMINUTE=60", "BYMINUTE has the value '60'"),
        ("FREQ=DAILY;BYSECOND=61", "BYSECOND has the value '61'"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH has the value '13'"),
        ("FREQ=DAILY;BYMONTH=0", "BYMONTH has the value '0'"),
        ("FREQ=DAILY;BYMONTH=1,,2", "BYMONTH has the value ''"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "it must be from 1 to 31, or from -31 to -1"),
        ("FREQ=YEARLY;BYYEARDAY=-367", "BYYEARDAY has the value '-367'"),
        ("FREQ=YEARLY;BYWEEKNO=54", "BYWEEKNO has the value '54'"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS has the value '0'"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY has the value '0MO'"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY has the value '54MO'"),
        ("FREQ=MONTHLY;BYDAY=MON", "BYDAY has the value 'MON'"),
        ("FREQ=DAILY;WKST=1MO", "WKST=1MO is none of MO"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "both COUNT and UNTIL"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101T000000Z", "both COUNT and UNTIL"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO, which needs FREQ=YEARLY and not MONTHLY"),
        ("FREQ=DAILY;BYYEARDAY=3", "BYYEARDAY, which FREQ=DAILY does not allow"),
        ("FREQ=MONTHLY;BYYEARDAY=3", "BYYEARDAY, which FREQ=MONTHLY does not allow"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY, which FREQ=WEEKLY does not allow"),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY=1MO, but FREQ=WEEKLY allows no numbers"),
        ("FREQ=YEARLY;BYWEEKNO=3;BYDAY=1MO", "beside BYWEEKNO"),
        ("FREQ=YEARLY;BYSETPOS=3", "needs another BY part"),
        ("FREQ=DAILY;UNTIL=2027", "write it like 20261224"),
        ("FREQ=DAILY;UNTIL=20270230", "which is no date"),
        ("FREQ=DAILY;UNTIL=20270228T240000", "times end at 235959"),
        ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30", "no year has a day that fits (BYMONTH=2, BYM"),
        ("FREQ=MONTHLY;BYDAY=6MO", "no year has a day that fits"),
        ("FREQ=DAILY;UNTIL=20251231T000000", "UNTIL is before the start"),
        ("FREQ=DAILY;UNTIL=20251230T000000Z", "UNTIL is before the start"),
        ("FREQ=YEARLY;BYMONTH=3;UNTIL=20260201", "UNTIL is before its first time"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=FR", "its interval never meets a day"),
        ("FREQ=HOURLY;INTERVAL=2;BYHOUR=8", "never meets these times of day (INTERVAL=2, BYH"),
        ("FREQ=DAILY;BYHOUR=8;BYSETPOS=2", "BYSETPOS means none of them"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6", "never meets a day and place"),
        ("DTSTART:20260101\nEXDATE:20260101\nRRULE:FREQ=DAILY;COUNT=1", "EXDATE takes away all"),
        ("DTSTART:20260101\nDTSTART:20260101\nRRULE:FREQ=DAILY", "more than one DTSTART"),
        ("DTSTART:20260101", "has neither RRULE nor RDATE"),
        ("", "has neither RRULE nor RDATE"),
        ("RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "RFC 5545 has withdrawn"),
        ("RRULE:FREQ=DAILY\nDTEND:20260101", "a line 'DTEND'"),
        ("RDATE;VALUE=PERIOD:20260101T000000/PT1H", "VALUE=PERIOD"),
        ("RDATE:tomorrow", "'tomorrow'"),
        ("DTSTART:15821231\nRRULE:FREQ=DAILY", "years begin at 1583"),
        ("DTSTART:20260101T090000\nRDATE:20260101T090000Z", "in the zone 'UTC', but DTSTART"),
        ("\n".join(["RRULE:FREQ=DAILY"] * 21), "has 21 RRULE lines; at most 20"),
        ("RDATE:" + ",".join(["20260101"] * 10_001), "10,001 values of RDATE"),
        ("X" * 200_001, "200,001 characters"),
    ],
)
def test_what_the_standard_forbids_or_never_fires_is_refused(text: str, sentence: str) -> None:
    """The start is Thursday, 1 January 2026, at nine."""
    with pytest.raises(InvalidError) as caught:
        parse_rrule(text, start_local_s=second("2026-01-01T09:00"))

    assert sentence in str(caught.value)
    assert "rrule" == caught.value.field


@pytest.mark.parametrize("text", ["DTSTART:20260101T000000Z", "DTSTART;TZID=UTC:20260101T000000"])
def test_a_text_in_another_zone_than_the_schedule_is_refused(text: str) -> None:
    lines = f"{text}\nRRULE:FREQ=DAILY"

    assert "UTC" == parse_rrule(lines, zone=zone("Etc/UTC")).tzid
    with pytest.raises(InvalidError, match="in the zone 'UTC', but the schedule is in 'Europe"):
        parse_rrule(lines, zone=zone("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FREQ=HOURLY;INTERVAL=2;BYHOUR=9", None),
        ("DTSTART:20260101T090000\nRDATE:20260101T090000Z", None),
        ("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY", "UTC"),
        ("DTSTART;TZID=Asia/Tehran:20260101T090000\nRRULE:FREQ=DAILY", "Asia/Tehran"),
        ("RRULE:FREQ=DAILY\nRDATE;TZID=Asia/Tehran:20260101T090000", "Asia/Tehran"),
    ],
)
def test_the_zone_of_a_text_is_known_before_its_start(text: str, name: str | None) -> None:
    """With a made-up start, a rule that only fires from another one would be refused."""
    assert name == named_zone(text)


def test_a_rule_without_a_start_is_refused() -> None:
    with pytest.raises(InvalidError, match="no DTSTART"):
        parse_rrule("FREQ=DAILY")


def test_twenty_rules_are_taken() -> None:
    lines = [f"RRULE:FREQ=DAILY;BYHOUR={hour}" for hour in range(20)]

    assert 20 == len(parse_rrule("\n".join(lines), start_local_s=0).recurrences)


def test_a_count_that_reaches_past_the_year_9999_ends_with_it() -> None:
    rule = parse_rrule("DTSTART:99980601T090000\nRRULE:FREQ=YEARLY;COUNT=9")

    assert [*dates(9998, "06-01"), *dates(9999, "06-01")] == fires(rule, 9)


def test_a_rule_ends_with_the_year_9999() -> None:
    rule = parse_rrule("DTSTART:99991230T090000\nRRULE:FREQ=DAILY")

    assert dates(9999, "12-30", "12-31") == fires(rule, 9)
