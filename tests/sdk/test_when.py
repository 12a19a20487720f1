"""Rules and policies as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import tenure
from tenure import InvalidError, calendar, cron, every, once, rrule
from tenure.kernel.schedules.definition import Plan, RuleKind
from tenure.kernel.schedules.policies import Drift, Missed, Overlap
from tenure.kernel.schedules.wallclock import Fold, Gap

START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
# As untyped code has it.
loose: Any = tenure


def hours(when: tenure.When, count: int = 3) -> list[float]:
    """Return its first instants, in hours since the start."""
    plan = Plan(when.definition)
    found: list[float] = []
    at_us = START_US - 1
    for _ in range(count):
        next_us = plan.next_after(at_us)
        if next_us is None:
            break
        found.append((next_us - START_US) / SECOND_US / 3_600)
        at_us = next_us
    return found


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (every("2h", start=START), [0, 2, 4]),
        (every(timedelta(minutes=90), start=START), [0, 1.5, 3]),
        (cron("0 9 * * *"), [9, 33, 57]),
        (cron("0 9 * * *", zone="Europe/Berlin"), [8, 32, 56]),
        (cron("0 9 * * *", zone="Europe/Berlin", start=START + timedelta(hours=9)), [32, 56, 80]),
        (cron("0 9 * * *", end=START + timedelta(hours=40)), [9, 33]),
        (rrule("FREQ=HOURLY;INTERVAL=3", start=START), [0, 3, 6]),
        (rrule("DTSTART:20260101T040000\nRRULE:FREQ=DAILY"), [4, 28, 52]),
        (rrule("DTSTART;TZID=Europe/Berlin:20260101T040000\nRRULE:FREQ=DAILY"), [3, 27, 51]),
        (once(START + timedelta(hours=7)), [7]),
        (once(datetime(2026, 1, 1, 7, tzinfo=ZoneInfo("Europe/Berlin"))), [6]),
        (calendar(days=1, hours=2, start=START), [0, 26, 52]),
        (calendar(months=1, reset_to={"day": 2, "hour": 6}, start=START), [0, 774, 1446]),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_rule_fires_when_it_says(when: tenure.When, expected: list[float]) -> None:
    assert expected == hours(when)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (timedelta(seconds=1), "1s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(hours=1), "1h"),
        (timedelta(days=7), "7d"),
        ("90m", "90m"),
    ],
)
def test_an_interval_is_kept_as_a_text(interval: Any, text: str) -> None:
    assert text == every(interval).definition.text


def test_what_it_is_shows() -> None:
    assert "<when cron '0 9 * * *'>" == repr(cron("0 9 * * *"))


def test_every_choice_arrives() -> None:
    definition = cron(
        "0 9 * * *",
        zone="Europe/Berlin",
        start=START,
        end=START + timedelta(days=9),
        gap="skip",
        fold="second",
        missed="all",
        missed_max=7,
        missed_within=timedelta(hours=1),
        overlap="queue_all",
        jitter=2.5,
        exclude=["holidays", "outages"],
    ).definition

    policies = definition.policies
    assert (RuleKind.CRON, "Europe/Berlin") == (definition.rule, definition.zone)
    assert (START_US, START_US + 9 * 86_400 * SECOND_US) == (definition.start_us, definition.end_us)
    assert (Gap.SKIP, Fold.SECOND, Missed.ALL) == (policies.gap, policies.fold, policies.missed)
    assert (7, 3_600 * SECOND_US) == (policies.missed_max, policies.missed_within_us)
    assert (Overlap.QUEUE_ALL, 2_500_000) == (policies.overlap, policies.jitter_us)
    assert (("holidays", "outages"), Drift.RATE) == (policies.exclude, policies.drift)


def test_without_choices_the_policies_are_the_defaults() -> None:
    definition = every("5m").definition

    assert {} == definition.policies.document
    assert ("UTC", None, None) == (definition.zone, definition.start_us, definition.end_us)


def test_an_interval_may_count_from_ends() -> None:
    assert Drift.DELAY is every("5m", drift="delay").definition.policies.drift


@pytest.mark.parametrize(
    ("make", "field", "sentence"),
    [
        (lambda: every("5 minutes"), "interval", 'Invalid interval "5 minutes"'),
        (lambda: every(timedelta(seconds=0.5)), "interval", "has parts of a second"),
        (lambda: every(timedelta(0)), "interval", "it must be from 1"),
        (lambda: loose.every(30), "interval", "the interval is 30; write it as '5m'"),
        (lambda: loose.every("5m", drift="slow"), "drift", "use one of 'rate', 'delay'"),
        (lambda: cron("61 * * * *"), "cron", "61"),
        (lambda: loose.cron(5), "rule", "the rule is 5; it must be text"),
        (lambda: cron("0 9 * * *", zone="Mars/Base"), "zone", "Mars/Base"),
        (lambda: loose.cron("* * * * *", gap="jump"), "gap", "use one of 'skip', 'shift'"),
        (
            lambda: loose.cron("* * * * *", fold="all"),
            "fold",
            "use one of 'first', 'second', 'both'",
        ),
        (lambda: loose.every("5m", missed="some"), "missed", "'none', 'latest', 'all'"),
        (lambda: loose.every("5m", overlap="never"), "overlap", "'skip', 'queue_one'"),
        (lambda: every("5m", exclude="holidays"), "exclude", r"write a list: \['holidays'\]"),
        (lambda: every("5m", jitter=-1), "jitter", "it must not be negative"),
        (lambda: every("5m", missed_within=0), "missed_within", "more than zero"),
        (lambda: every("5m", missed_max=0), "missed_max", "missed_max"),
        (lambda: every("5m", start=datetime(2026, 1, 1)), "start", "has no time zone"),  # noqa: DTZ001 - it is what is refused
        (lambda: loose.every("5m", overlaps="skip"), "overlaps", "there is no choice 'overlaps'"),
        (lambda: loose.once(START, zone="UTC"), "zone", "there is no choice 'zone'"),
        (lambda: every("5m", missed="all"), "overlap", "use overlap='queue_all'"),
        (lambda: calendar(), "calendar", "adds nothing, so it never moves on"),
        (lambda: rrule("FREQ=NEVER"), "rrule", "NEVER"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_named(make: Any, field: str, sentence: str) -> None:
    with pytest.raises(InvalidError, match=sentence) as caught:
        make()

    assert field == caught.value.field


def test_the_zone_in_a_text_counts_only_where_none_is_given() -> None:
    text = "DTSTART;TZID=Europe/Berlin:20260101T040000\nRRULE:FREQ=DAILY"

    assert "Europe/Berlin" == rrule(text).definition.zone
