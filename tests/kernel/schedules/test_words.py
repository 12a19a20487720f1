"""Schedules in words: calendars, intervals, single times, what bounds them, and their policies."""

from __future__ import annotations

import pytest

from tenure.kernel.schedules.definition import Definition, RuleKind, parse_instant
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.kernel.schedules.words import describe, describe_policies

BERLIN = "Europe/Berlin"
LATEST = "If runs were missed, only the latest is made up."
SKIPS = "While a run is going, a new one is skipped."
COUNTED = "Times are counted from the start, however long the runs take."
SHIFTED = "A local time that a clock change skips is shifted forward by the gap."
FIRST = "A local time that comes twice at a clock change fires only the first time."


def us(text: str) -> int:
    """Return the instant of a time in UTC."""
    return parse_instant(f"{text}Z", field="test")


START_US = us("2026-01-06T09:00:00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"days": 1}', "every day, from 2026-01-06 09:00 UTC"),
        ('{"hours": 36}', "every 36 hours, from 2026-01-06 09:00 UTC"),
        ('{"years": 1, "months": 2}', "every 1 year and 2 months, from 2026-01-06 09:00 UTC"),
        (
            '{"months": 1, "resetTo": {"day": 31, "hour": 0, "minute": 0}}',
            "every month on the 31st (or the last day) at 00:00, first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"months": 2, "resetTo": {"day": 28, "hour": 7}}',
            "every 2 months on the 28th in hour 7, first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"years": 1, "resetTo": {"month": 2, "day": 29, "minute": 5}}',
            "every year on the 29th of February (or the last day) at minute 5, "
            "first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"months": 12, "resetTo": {"month": 2}}',
            "every 12 months, each time moved to be in February, first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"days": 3, "resetTo": {"hour": 9, "minute": 30}}',
            "every 3 days at 09:30, first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"days": 40, "resetTo": {"day": 1, "hour": 24, "minute": 0}}',
            "every 40 days, each time moved to be on the 1st at 00:00 of the next day, "
            "first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"days": 1, "hours": 1, "resetTo": {"hour": 5}}',
            "every 1 day and 1 hour, each time moved to be in hour 5, "
            "first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"years": 1, "months": 1, "resetTo": {"month": 2}}',
            "every 1 year and 1 month, each time moved to be in February, "
            "first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"hours": 25, "resetTo": {"minute": 0}}',
            "every 25 hours, each time moved to be at minute 0, first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"months": 1, "days": 1, "resetTo": {"day": 5}}',
            "every 1 month and 1 day, each time moved to be on the 5th, "
            "first at 2026-01-06 09:00 UTC",
        ),
        (
            '{"months": 1, "resetTo": {}}',
            "every month, each time with its seconds set to 0, first at 2026-01-06 09:00 UTC",
        ),
    ],
)
def test_a_calendar_delta_is_said_with_amounts_and_reset(text: str, words: str) -> None:
    definition = Definition(rule=RuleKind.CALENDAR, text=text, start_us=START_US)

    assert words == describe(definition)


def test_a_calendar_delta_without_a_start_says_that_it_fires_there_first() -> None:
    plain = Definition(rule=RuleKind.CALENDAR, text='{"days": 1}')
    reset = Definition(rule=RuleKind.CALENDAR, text='{"days": 1, "resetTo": {"hour": 1}}')

    assert "every day" == describe(plain)
    assert "every day in hour 1, first at its start" == describe(reset)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (Definition(rule=RuleKind.INTERVAL, text="5m"), "every 5 minutes"),
        (Definition(rule=RuleKind.INTERVAL, text="60s"), "every minute"),
        (Definition(rule=RuleKind.INTERVAL, text="90s"), "every 90 seconds"),
        (Definition(rule=RuleKind.INTERVAL, text="1d"), "every 24 hours"),
        (
            Definition(rule=RuleKind.INTERVAL, text="14d", zone=BERLIN),
            "every 14 days (336 hours)",
        ),
        (
            Definition(rule=RuleKind.INTERVAL, text="1h", zone=BERLIN, start_us=START_US),
            "every hour, from 2026-01-06 10:00, Europe/Berlin time",
        ),
        (
            Definition(
                rule=RuleKind.INTERVAL,
                text="1h",
                start_us=START_US,
                policies=Policies(drift=Drift.DELAY),
            ),
            "1 hour after the end of each run, first at 2026-01-06 09:00 UTC",
        ),
        (
            Definition(rule=RuleKind.ONCE, text="2026-03-01T09:00:00Z"),
            "once, on 1 March 2026 at 09:00 UTC",
        ),
        (
            Definition(rule=RuleKind.ONCE, text="2026-03-01T09:00:00Z", zone=BERLIN),
            "once, on 1 March 2026 at 10:00, Europe/Berlin time",
        ),
        (
            Definition(rule=RuleKind.ONCE, text="2026-10-25T01:30:00Z", zone=BERLIN),
            "once, on 25 October 2026 at 02:30 (+01:00), Europe/Berlin time",
        ),
        (
            Definition(
                rule=RuleKind.ONCE,
                text="2026-03-01T09:00:00Z",
                start_us=us("2026-03-01T09:00:00"),
                end_us=us("2026-03-01T09:00:00"),
            ),
            "once, on 1 March 2026 at 09:00 UTC",
        ),
        (
            Definition(
                rule=RuleKind.ONCE,
                text="2026-03-01T09:00:00Z",
                start_us=us("2026-03-02T09:00:00"),
            ),
            "once, on 1 March 2026 at 09:00 UTC, but not before 2026-03-02 09:00 UTC",
        ),
        (
            Definition(
                rule=RuleKind.ONCE, text="2026-03-01T09:00:00Z", end_us=us("2026-02-01T00:00:00")
            ),
            "once, on 1 March 2026 at 09:00 UTC, but not after 2026-02-01 00:00 UTC",
        ),
        (
            Definition(rule=RuleKind.CRON, text="0 3 * * *", zone=BERLIN),
            "at 03:00 every day, Europe/Berlin time",
        ),
        (
            Definition(
                rule=RuleKind.CRON,
                text="0 3 * * *",
                zone=BERLIN,
                start_us=us("2026-01-05T23:00:00"),
                end_us=us("2026-12-31T22:59:59.999999"),
                policies=Policies(exclude=("holidays", "fairs")),
            ),
            "at 03:00 every day, Europe/Berlin time, from 2026-01-06, until 2026-12-31, "
            "except in the calendars 'holidays' and 'fairs'",
        ),
        (
            Definition(
                rule=RuleKind.RRULE,
                text="FREQ=DAILY;COUNT=9",
                start_us=START_US,
                end_us=us("2026-12-31T23:59:58"),
            ),
            "every day at 09:00, from 2026-01-06, 9 times in all, not after "
            "2026-12-31 23:59:58 UTC",
        ),
        (
            Definition(
                rule=RuleKind.INTERVAL,
                text="9d",
                zone="Pacific/Kiritimati",
                start_us=us("9999-12-31T12:00:00"),
            ),
            "every 9 days (216 hours), from 9999-12-31 12:00 UTC, Pacific/Kiritimati time",
        ),
    ],
)
def test_zone_bounds_and_calendars_are_said_where_they_matter(
    definition: Definition, words: str
) -> None:
    assert words == describe(definition)


@pytest.mark.parametrize(
    ("rule", "text", "is_said"),
    [
        (RuleKind.CRON, "0 3 * * *", False),
        (RuleKind.RRULE, "FREQ=DAILY", False),
        (RuleKind.RRULE, "FREQ=DAILY;INTERVAL=2", True),
        (RuleKind.RRULE, "FREQ=DAILY;COUNT=9", True),
        (RuleKind.RRULE, "DTSTART:20260101T000000\nRRULE:FREQ=DAILY", False),
        (RuleKind.RRULE, "DTSTART:20260107T000000\nRRULE:FREQ=DAILY", True),
        (RuleKind.INTERVAL, "5m", True),
        (RuleKind.CALENDAR, '{"days": 1}', True),
    ],
)
def test_a_start_that_has_passed_is_said_only_if_the_rule_counts_from_it(
    rule: RuleKind, text: str, is_said: bool
) -> None:
    definition = Definition(rule=rule, text=text, start_us=START_US)

    assert is_said == ("2026-01" in describe(definition, now_us=START_US))
    assert "2026-01-0" in describe(definition, now_us=us("2025-01-06T09:00:00"))


def test_a_start_in_an_hour_that_comes_twice_is_said_with_its_offset() -> None:
    definition = Definition(
        rule=RuleKind.CRON, text="0 3 * * *", zone=BERLIN, start_us=us("2026-10-25T00:00:00")
    )

    assert "at 03:00 every day, Europe/Berlin time, from 2026-10-25 02:00 (+02:00)" == describe(
        definition
    )


@pytest.mark.parametrize(
    ("rule", "text", "policies", "sentences"),
    [
        (RuleKind.CRON, "30 2 * * *", Policies(), [SHIFTED, FIRST, LATEST, SKIPS]),
        (RuleKind.CRON, "0 2 * * *", Policies(), [SHIFTED, FIRST, LATEST, SKIPS]),
        (RuleKind.CRON, "0 3 * * *", Policies(), [LATEST, SKIPS]),
        (RuleKind.CRON, "59 1 * * *", Policies(), [LATEST, SKIPS]),
        (RuleKind.CRON, "0 2 * 1-6 *", Policies(), [SHIFTED, LATEST, SKIPS]),
        (
            RuleKind.CRON,
            "0 * * * *",
            Policies(gap=Gap.SKIP),
            [
                "A local time that a clock change skips does not fire.",
                "A local time that comes twice at a clock change fires both times.",
                LATEST,
                SKIPS,
            ],
        ),
        (
            RuleKind.RRULE,
            "FREQ=DAILY;BYHOUR=2",
            Policies(fold=Fold.SECOND),
            [
                SHIFTED,
                "A local time that comes twice at a clock change fires only the second time.",
                LATEST,
                SKIPS,
            ],
        ),
        (RuleKind.INTERVAL, "5m", Policies(), [COUNTED, LATEST, SKIPS]),
        (
            RuleKind.INTERVAL,
            "5m",
            Policies(drift=Drift.DELAY, jitter_us=1_500_000),
            [
                "Each run begins 5 minutes after the end of the one before.",
                "A run is due up to 1.5 seconds later, always as much for the same time.",
            ],
        ),
        (
            RuleKind.CRON,
            "0 9 * * *",
            Policies(exclude=("holidays",), missed=Missed.NONE, overlap=Overlap.ALLOW),
            [
                "Runs that were missed are not made up.",
                "While a run is going, a new one begins beside it.",
                "Nothing fires in the calendar 'holidays'.",
            ],
        ),
        (
            RuleKind.CRON,
            "0 9 * * *",
            Policies(missed_within_us=7_200_000_000, overlap=Overlap.QUEUE_ONE),
            [
                "If runs were missed, only the latest is made up, and only if it is at most "
                "2 hours late.",
                "While a run is going, one new one waits for its end; others are skipped.",
            ],
        ),
        (
            RuleKind.CRON,
            "0 9 * * *",
            Policies(missed=Missed.ALL, overlap=Overlap.QUEUE_ALL),
            [
                "If runs were missed, at most the latest 100 are made up.",
                "While a run is going, new ones wait for their turn, 1,000 at most.",
            ],
        ),
        (
            RuleKind.CRON,
            "0 9 * * *",
            Policies(
                missed=Missed.ALL,
                missed_max=1,
                missed_within_us=60_000_000,
                overlap=Overlap.CANCEL_OLD,
            ),
            [
                "If runs were missed, the latest is made up, if they are at most 1 minute late.",
                "While a run is going, a new one cancels it and begins after its end.",
            ],
        ),
        (
            RuleKind.ONCE,
            "2026-03-29T02:30:00+01:00",
            Policies(),
            ["If the run was missed, it is made up."],
        ),
        (
            RuleKind.ONCE,
            "2026-03-01T09:00:00Z",
            Policies(missed=Missed.NONE),
            ["If the run was missed, it is not made up."],
        ),
        (
            RuleKind.ONCE,
            "2026-03-01T09:00:00Z",
            Policies(missed_within_us=60_000_000),
            ["If the run was missed, it is made up if it is at most 1 minute late."],
        ),
    ],
)
def test_each_policy_that_matters_has_a_sentence(
    rule: RuleKind, text: str, policies: Policies, sentences: list[str]
) -> None:
    definition = Definition(rule=rule, text=text, zone=BERLIN, start_us=START_US, policies=policies)

    assert sentences == describe_policies(definition)


@pytest.mark.parametrize(
    ("zone", "start", "end", "expected"),
    [
        ("UTC", None, None, 2),
        (BERLIN, None, None, 4),
        ("Asia/Kolkata", "2026-01-06T09:00:00", None, 2),
        (BERLIN, "2026-01-06T09:00:00", "2026-03-01T00:00:00", 2),
        (BERLIN, "2026-01-06T09:00:00", "2026-04-01T00:00:00", 3),
    ],
)
def test_clock_changes_matter_only_where_the_schedule_meets_one(
    zone: str, start: str | None, end: str | None, expected: int
) -> None:
    definition = Definition(
        rule=RuleKind.CRON,
        text="30 2 * * *",
        zone=zone,
        start_us=None if start is None else us(start),
        end_us=None if end is None else us(end),
    )

    assert expected == len(describe_policies(definition))
