"""Cron texts and recurrences in words: tables of what is said."""

from __future__ import annotations

import pytest

from tenure.kernel.schedules.definition import Definition, RuleKind, parse_instant
from tenure.kernel.schedules.words import describe

BERLIN = "Europe/Berlin"
START = "2026-01-06T09:00:00Z"


def rrule(text: str, *, start: str | None = START, zone: str = "UTC") -> str:
    """Return a recurrence in words."""
    start_us = None if start is None else parse_instant(start, field="test")
    return describe(Definition(rule=RuleKind.RRULE, text=text, zone=zone, start_us=start_us))


def cron(text: str) -> str:
    """Return a cron text in words."""
    return describe(Definition(rule=RuleKind.CRON, text=text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0,30 * * * *", "every 30 minutes"),
        ("30 * * * *", "at minute 30 of every hour"),
        ("0 * * * *", "every hour"),
        ("3-59/15 * * * *", "every 15 minutes from 00:03 to 23:48"),
        ("*/7 * * * *", "at every 7th minute from 0 to 56 of every hour"),
        ("1,2 * * * *", "at minutes 1 and 2 of every hour"),
        ("0 3 * * *", "at 03:00 every day"),
        ("@daily", "at 00:00 every day"),
        ("0,30 9-10 * * *", "at 09:00, 09:30, 10:00 and 10:30 every day"),
        ("0 9-13 * * *", "every hour from 09:00 to 13:00 every day"),
        ("0 9-12 * * *", "at 09:00, 10:00, 11:00 and 12:00 every day"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 */8 * * *", "every 8 hours"),
        ("0 */12 * * *", "at 00:00 and 12:00 every day"),
        ("0 */5 * * *", "every 5 hours from 00:00 to 20:00 every day"),
        ("0 1-23/2 * * *", "every 2 hours from 01:00 to 23:00 every day"),
        ("30 9,17 * * mon-fri", "at 09:30 and 17:30 on Monday to Friday"),
        ("*/15 8-17 * * 1-5", "every 15 minutes from 08:00 to 17:45 on Monday to Friday"),
        ("5/15 9,12,20 * * *", "at every 15th minute from 5 to 50 of hours 9, 12 and 20 every day"),
        ("*/10 9,12 * * *", "every 10 minutes of hours 9 and 12 every day"),
        ("0,5,9 9,12,15 * * *", "at minutes 0, 5 and 9 of hours 9, 12 and 15 every day"),
        (
            "1 0,7,8,9,10,12,13,14,22 * * *",
            "at minute 1 of hours 0, 7 to 10, 12 to 14 and 22 every day",
        ),
        ("*/10 * * * * *", "every 10 seconds"),
        ("15 * * * * *", "at second 15 of every minute"),
        ("15 30 * * * *", "at second 15 of minute 30 of every hour"),
        ("15 30 9 * * *", "at 09:30:15 every day"),
        ("*/10 * 9-17 * * *", "every 10 seconds from 09:00 to 17:59:50 every day"),
        ("5,10 0,10,25 * * * *", "at seconds 5 and 10 of minutes 0, 10 and 25 of every hour"),
        ("*/5 * * 7 *", "every 5 minutes in July"),
        ("0 0 * 1-3,12 *", "at 00:00 every day in January to March and December"),
    ],
)
def test_times_of_a_cron_text_are_said_in_the_shortest_exact_way(text: str, words: str) -> None:
    assert words == cron(text)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ("L * *", "on the last day of every month"),
        ("L-3 * *", "on the 3rd day before the last of every month"),
        ("LW * *", "on the last day from Monday to Friday of every month"),
        ("15W * *", "on the day from Monday to Friday nearest to the 15th of every month"),
        ("1,15 1,3 *", "on the 1st and the 15th of January and March"),
        ("1-7,L * *", "on the 1st to the 7th and the last day of every month"),
        ("1,2 * *", "on the 1st and the 2nd of every month"),
        ("29 2 *", "on the 29th of February"),
        ("11,12,22,23 * *", "on the 11th, the 12th, the 22nd and the 23rd of every month"),
        ("*/10 * *", "on every 10th day from the 1st to the 31st of every month"),
        ("*/2 * *", "on every 2nd day from the 1st to the 31st of every month"),
        ("* * 1,3,5", "on Monday, Wednesday and Friday"),
        ("* * MON#2", "on the second Monday of every month"),
        ("* 1 SUN#5,SUN#1", "on the first Sunday and the fifth Sunday of January"),
        ("* * FRIL,1", "on every Monday and the last Friday of every month"),
        ("* * FRI-MON", "on Friday to Monday"),
        ("* * 0,3", "on Wednesday and Sunday"),
        ("* * 7", "on Sunday"),
        ("? 1 6,0", "on Saturday and Sunday in January"),
        ("13 * FRI", "on the 13th and every Friday of every month"),
        ("1 * 1-5", "on the 1st and every day from Monday to Friday of every month"),
        ("1-31 * MON", "every day"),
        ("1,* * MON", "every day"),
        ("13 * 0-6", "every day"),
        ("*/5 * MON", "on every 5th day from the 1st to the 31st of every month if it is a Monday"),
        ("13 * */6", "on the 13th of every month if it is a Saturday or a Sunday"),
        ("13 5 */5,FRIL", "on the 13th of May if it is a Friday, a Sunday or the last Friday"),
        ("* * */4", "on Thursday and Sunday"),
    ],
)
def test_days_of_a_cron_text_are_said_with_all_that_the_fields_mean(days: str, words: str) -> None:
    assert f"at 00:00 {words}" == cron(f"0 0 {days}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;UNTIL=20261231T090000",
            "every 2 weeks on Tuesday and Thursday at 09:00, from 2026-01-06, until 2026-12-31",
        ),
        ("FREQ=DAILY;UNTIL=20261231", "every day at 09:00, from 2026-01-06, until 2026-12-31"),
        (
            "FREQ=DAILY;UNTIL=20261231T085959",
            "every day at 09:00, from 2026-01-06, until 2026-12-31 08:59:59",
        ),
        (
            "FREQ=DAILY;BYHOUR=8",
            "every day at 08:00, from 2026-01-06 09:00 UTC",
        ),
        ("FREQ=DAILY;COUNT=1", "every day at 09:00, from 2026-01-06, 1 time in all"),
        (
            "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;BYMONTH=1,2",
            "every day at 09:00, only on Monday to Friday, only in January and February, "
            "from 2026-01-06",
        ),
        (
            "FREQ=DAILY;BYMONTHDAY=1,-1",
            "every day at 09:00, only on the 1st and the last day of the month, from 2026-01-06",
        ),
        (
            "FREQ=DAILY;BYHOUR=9,10,11;BYMINUTE=0,30",
            "every day, every 30 minutes from 09:00 to 11:30, from 2026-01-06",
        ),
        ("FREQ=WEEKLY", "every week on Tuesday at 09:00, from 2026-01-06"),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU",
            "every 2 weeks on Sunday at 09:00, with weeks from Sunday on, from 2026-01-06",
        ),
        ("FREQ=WEEKLY;BYDAY=SU;WKST=SU", "every week on Sunday at 09:00, from 2026-01-06"),
        ("FREQ=MONTHLY", "every month on the 6th at 09:00, from 2026-01-06"),
        ("FREQ=MONTHLY;BYDAY=2MO", "every month on the second Monday at 09:00, from 2026-01-06"),
        (
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;BYMONTH=5",
            "every month on the 13th if it is a Friday at 09:00, only in May, from 2026-01-06",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "every month on every day from Monday to Friday at 09:00, of these only the last in "
            "each month, from 2026-01-06",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-1,-2,3;BYSETPOS=-2,1",
            "every month on the 3rd, the 2nd to last day and the last day at 09:00, of these only "
            "the first and the 2nd to last in each month, from 2026-01-06",
        ),
        ("FREQ=YEARLY", "every year on the 6th of January at 09:00, from 2026-01-06"),
        (
            "FREQ=YEARLY;BYMONTHDAY=6",
            "every year on the 6th of every month at 09:00, from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU,MO",
            "every year on every Monday and the last Sunday of March and October at 09:00, "
            "from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=13;BYDAY=FR",
            "every year in March on the 13th if it is a Friday at 09:00, from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYYEARDAY=111,122",
            "every year on the 111th day and the 122nd day of the year at 09:00, from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYDAY=-1FR,20MO",
            "every year on the 20th Monday and the last Friday of the year at 09:00, "
            "from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYWEEKNO=-1,20;WKST=SU",
            "every year in week 20 and the last week of the year on every Tuesday at 09:00, "
            "with weeks from Sunday on, from 2026-01-06",
        ),
        (
            "FREQ=YEARLY;BYYEARDAY=-1,1;BYDAY=MO,2TU;BYMONTHDAY=1;BYMONTH=1",
            "every year in January on the first day and the last day of the year if it is the 1st "
            "if it is a Monday or the second Tuesday at 09:00, from 2026-01-06",
        ),
        (
            "FREQ=HOURLY;INTERVAL=3;BYHOUR=9,12,15;BYDAY=MO",
            "every 3 hours at minute 0, only in hours 9, 12 and 15, only on Monday, "
            "from 2026-01-06 09:00 UTC",
        ),
        (
            "FREQ=HOURLY;BYMINUTE=5;BYSECOND=1,2;BYYEARDAY=1",
            "every hour at seconds 1 and 2 of minute 5, only on the first day of the year, "
            "from 2026-01-06 09:00 UTC",
        ),
        (
            "FREQ=MINUTELY;INTERVAL=15;BYMINUTE=0,15;BYSECOND=30",
            "every 15 minutes at second 30, only in minutes 0 and 15, from 2026-01-06 09:00 UTC",
        ),
        ("FREQ=MINUTELY", "every minute, from 2026-01-06 09:00 UTC"),
        (
            "FREQ=SECONDLY;BYSECOND=0,20;BYHOUR=9",
            "every second, only in hour 9, only in seconds 0 and 20, from 2026-01-06 09:00 UTC",
        ),
    ],
)
def test_a_recurrence_is_said_with_every_part(text: str, words: str) -> None:
    assert words == rrule(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=DAILY", "every day at the time of day of its start"),
        ("FREQ=WEEKLY", "every week on the weekday of its start at the time of day of its start"),
        (
            "FREQ=MONTHLY;BYHOUR=9",
            "every month on the day of the month of its start at hour 9 and the minute and second "
            "of its start",
        ),
        ("FREQ=YEARLY", "every year on the date of its start at the time of day of its start"),
        (
            "FREQ=YEARLY;BYMONTH=5",
            "every year in May on the day of the month of its start at the time of day of its "
            "start",
        ),
        (
            "FREQ=YEARLY;BYWEEKNO=5",
            "every year in week 5 of the year on the weekday of its start at the time of day of "
            "its start",
        ),
        ("FREQ=HOURLY;BYMINUTE=5", "every hour at minute 5 and the second of its start"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "every day at 09:00"),
        ("DTSTART:20260106T090000\nRRULE:FREQ=DAILY", "every day at 09:00, from 2026-01-06"),
    ],
)
def test_a_recurrence_without_a_start_says_what_the_start_will_decide(
    text: str, words: str
) -> None:
    assert words == rrule(text, start=None)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=12;COUNT=3", "RDATE:20270101T000000"],
            "every day at 09:00; also every week on Sunday at 12:00, 3 times in all; also at "
            "2027-01-01 00:00, all rules from 2026-01-06",
        ),
        (
            ["FREQ=DAILY", "EXDATE:20260201,20260301", "EXDATE:20260110T090000"],
            "every day at 09:00, from 2026-01-06, but not at 2026-01-10 09:00, but not on "
            "2026-02-01 and 2026-03-01",
        ),
        (
            ["RDATE:20270101T000000,20270103T000000,20270102T000000,20270104T120000"],
            "at 4 times from 2027-01-01 00:00 to 2027-01-04 12:00",
        ),
        (
            ["RDATE:20270101T000000,20270102T000000,20270103T000000"],
            "at 2027-01-01 00:00, 2027-01-02 00:00 and 2027-01-03 00:00",
        ),
        (
            ["RDATE:20260106T080000,20260107T080000"],
            "at 2026-01-06 08:00 and 2026-01-07 08:00, not before 2026-01-06 09:00 UTC",
        ),
        (["DTSTART:20260107T080000", "RRULE:FREQ=DAILY"], "every day at 08:00, from 2026-01-07"),
        (
            ["DTSTART:20260105T080000", "RRULE:FREQ=DAILY"],
            "every day at 08:00, from 2026-01-05, not before 2026-01-06 09:00 UTC",
        ),
    ],
)
def test_several_rules_and_dates_are_all_said_or_counted(lines: list[str], words: str) -> None:
    text = "\n".join(line if ":" in line else f"RRULE:{line}" for line in lines)

    assert words == rrule(text)


def test_an_until_in_utc_is_said_in_the_time_of_the_zone() -> None:
    words = rrule("FREQ=HOURLY;UNTIL=20260131T120000Z", zone=BERLIN)

    assert (
        "every hour at minute 0, from 2026-01-06 10:00, until 2026-01-31 13:00, Europe/Berlin time"
        == words
    )
