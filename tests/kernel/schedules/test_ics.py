"""Calendar files: what their events take out, and which files are refused."""

from __future__ import annotations

import json

import pytest

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules import ics
from tenure.kernel.schedules.ics import parse_ics


def calendar(*events: str) -> str:
    """Return a file of events, whose lines are given without their BEGIN and END."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Test//EN"]
    for event in events:
        lines += ["BEGIN:VEVENT", *event.split("\n"), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def document(*events: str) -> object:
    return json.loads(parse_ics(calendar(*events)).text)


BERLIN = "TZID=Europe/Berlin"


@pytest.mark.parametrize(
    ("event", "key", "entry"),
    [
        pytest.param("DTSTART;VALUE=DATE:20261225", "dates", "2026-12-25", id="one day"),
        pytest.param(
            "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227",
            "dates",
            "2026-12-25/2026-12-26",
            id="an end is not included",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261225",
            "dates",
            "2026-12-25",
            id="an end on the same day is one day",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20261225\nDURATION:P2W",
            "dates",
            "2026-12-25/2027-01-07",
            id="weeks",
        ),
        pytest.param(
            "DTSTART:20261224T180000Z\nDTEND:20261224T200000Z",
            "periods",
            "2026-12-24T18:00:00Z/2026-12-24T20:00:00Z",
            id="in UTC",
        ),
        pytest.param(
            f"DTSTART;{BERLIN}:20260328T120000\nDURATION:P1D",
            "periods",
            "2026-03-28T11:00:00Z/2026-03-29T10:00:00Z",
            id="a day over a clock change has 23 hours",
        ),
        pytest.param(
            f"DTSTART;{BERLIN}:20260328T120000\nDURATION:PT24H",
            "periods",
            "2026-03-28T11:00:00Z/2026-03-29T11:00:00Z",
            id="and 24 hours are 24 hours",
        ),
        pytest.param(
            'DTSTART;TZID="Europe/Berlin":20260701T120000\nDTEND:20260701T113000Z',
            "periods",
            "2026-07-01T10:00:00Z/2026-07-01T11:30:00Z",
            id="an end in another zone",
        ),
        pytest.param(
            "DTSTART:20261224T180000\nDURATION:PT1H30M5S",
            "rules",
            {"rule": "DTSTART:20261224T180000\nRDATE:20261224T180000", "seconds": 5405},
            id="on the wall clock of the schedule",
        ),
        pytest.param(
            "DTSTART;VALUE=DATE:20260102\nDTEND;VALUE=DATE:20260104\n"
            "RRULE:FREQ=YEARLY;BYMONTH=5\nEXDATE;VALUE=DATE:20270502",
            "rules",
            {
                "rule": "DTSTART:20260102T000000\nRRULE:FREQ=YEARLY;BYMONTH=5\n"
                "RDATE:20260102T000000\nEXDATE;VALUE=DATE:20270502",
                "days": 2,
            },
            id="the start of a repeating event counts though its rule has it not",
        ),
        pytest.param(
            f"DTSTART;{BERLIN}:20260105T090000\nDTEND;{BERLIN}:20260105T100000\n"
            "RRULE:FREQ=WEEKLY;UNTIL=20260301T000000Z",
            "rules",
            {
                "rule": f"DTSTART;{BERLIN}:20260105T090000\n"
                "RRULE:FREQ=WEEKLY;UNTIL=20260301T000000Z\n"
                f"RDATE;{BERLIN}:20260105T090000",
                "seconds": 3600,
            },
            id="repeating in a zone",
        ),
    ],
)
def test_an_event_takes_out_its_time(event: str, key: str, entry: object) -> None:
    assert {key: [entry]} == document(event)


@pytest.mark.parametrize(
    "event",
    [
        "DTSTART;VALUE=DATE:20261225\nSTATUS:CANCELLED",
        "DTSTART:20261225T100000Z",
        "DTSTART:20261225T100000Z\nDTEND:20261225T100000Z",
    ],
)
def test_an_event_without_length_or_cancelled_takes_out_nothing(event: str) -> None:
    assert {} == document(event)


def test_what_is_not_an_event_or_inside_of_one_is_passed_over() -> None:
    text = calendar(
        "SUMMARY:A long\n  name: with a colon\nDTSTART;VALUE=DATE:20261225\nBEGIN:VALARM\n"
        "DTSTART;VALUE=DATE:20250101\nTRIGGER:-PT5M\nEND:VALARM"
    ).replace(
        "BEGIN:VEVENT",
        "BEGIN:VTIMEZONE\r\nTZID:X\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
        "END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT",
    )

    assert {"dates": ["2026-12-25"]} == json.loads(parse_ics("\ufeff" + text).text)


def test_an_event_that_replaces_a_time_moves_it() -> None:
    found = document(
        f"UID:a\nDTSTART;{BERLIN}:20260105T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY",
        f"UID:a\nRECURRENCE-ID;{BERLIN}:20260112T090000\nDTSTART;{BERLIN}:20260113T090000\n"
        "DURATION:PT2H",
        "UID:b\nDTSTART;VALUE=DATE:20260301",
    )

    rule = (
        f"DTSTART;{BERLIN}:20260105T090000\nRRULE:FREQ=WEEKLY\nRDATE;{BERLIN}:20260105T090000\n"
        f"EXDATE;{BERLIN}:20260112T090000"
    )
    assert {
        "dates": ["2026-03-01"],
        "rules": [{"rule": rule, "seconds": 3600}],
        "periods": ["2026-01-13T08:00:00Z/2026-01-13T10:00:00Z"],
    } == found


def test_a_replaced_time_that_is_cancelled_is_free() -> None:
    exclusion = parse_ics(
        calendar(
            "UID:a\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY",
            "UID:a\nRECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260112\n"
            "STATUS:CANCELLED",
        )
    )

    monday = 86_400 * 20_458  # 2026-01-05
    assert [True, False, True] == [exclusion.excludes(monday + each * 604_800) for each in range(3)]


def test_the_one_time_of_an_event_can_be_replaced() -> None:
    found = document(
        "UID:a\nDTSTART;VALUE=DATE:20260105",
        "UID:a\nRECURRENCE-ID;VALUE=DATE:20260105\nDTSTART;VALUE=DATE:20260106",
    )

    assert {"dates": ["2026-01-06"]} == found


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("SUMMARY:x", "ics event in line 4: it has no DTSTART"),
        ("DTSTART:20261301", "line 4: DTSTART is '20261301', which is no date"),
        ("DTSTART:20260101\nDTSTART:20260102", "line 6 gives the event a second DTSTART"),
        ("DTSTART:20260102\nDTEND:20260101", "DTEND 20260101 is before its DTSTART"),
        ("DTSTART:20260102\nDTEND:20260103T000000", "are of different kinds"),
        ("DTSTART:20260102T000000Z\nDTEND:20260103T000000", "are of different kinds"),
        ("DTSTART:20260102\nDTEND:20260103\nDURATION:P1D", "both DTEND and DURATION"),
        ("DTSTART:20260102\nDURATION:1 day", "DURATION '1 day' must be like P1D"),
        ("DTSTART:20260102\nDURATION:P", "DURATION 'P' must be like P1D"),
        ("DTSTART:20260102\nDURATION:-P1D", "DURATION '-P1D' must be like P1D"),
        ("DTSTART:20260102\nRRULE:FREQ=DALY", "ics event in line 4: rrule FREQ=DALY is none"),
        ("DTSTART:20260102\nRRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY", "RFC 5545 has withdrawn"),
        ("DTSTART;TZID=Europe/Lisboa:20260102T000000\nDURATION:PT1H", "'Europe/Lisbon'?"),
        ("DTSTART:20260102\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260102", "line 6 changes"),
        ("nonsense", "ics line 5 is 'nonsense'; it must be a name, a colon and a value"),
    ],
)
def test_an_event_that_breaks_the_standard_is_refused_with_its_line(
    event: str, sentence: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_ics(calendar(event))

    assert sentence in str(caught.value)
    assert "ics" == caught.value.field


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello: world", "line 1 is 'hello: world'; a calendar is BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT", "ends before its VEVENT does"),
        ("BEGIN:VCALENDAR\nEND:VEVENT", "line 2 ends VEVENT, which is not the last"),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR", "line 3 is 'END:VCALENDAR'"),
        ("X" * 1_000_001, "1,000,001 characters"),
        ("", "has no BEGIN:VCALENDAR"),
    ],
)
def test_a_text_that_is_no_calendar_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_ics(text)

    assert sentence in str(caught.value)
    assert "ics" == caught.value.field


def test_a_file_with_too_many_events_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ics, "EVENTS_MAX", 2)
    events = ["DTSTART;VALUE=DATE:20261225"] * 3

    assert {"dates": ["2026-12-25"]} == document(*events[:2])
    with pytest.raises(InvalidError, match="more than 2 events"):
        parse_ics(calendar(*events))
