"""Seconds, timedeltas and datetimes as people write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tenure import InvalidError
from tenure.sdk.durations import duration_us, instant_us, positive_us


@pytest.mark.parametrize(
    ("value", "us"),
    [
        (0, 0),
        (5, 5_000_000),
        (0.1, 100_000),
        (1e-6, 1),
        (timedelta(days=2, microseconds=3), 172_800_000_003),
    ],
)
def test_a_duration_is_counted_in_microseconds(value: Any, us: int) -> None:
    assert us == duration_us(value, field="delay")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (-1, "delay is -1; it must not be negative"),
        (timedelta(seconds=-1), "delay is -1 day, 23:59:59; it must not be negative"),
        (math.inf, "delay is inf; it must be a number of seconds"),
        (math.nan, "delay is nan; it must be a number of seconds"),
        ("5", "delay is '5'; it must be a number of seconds or a timedelta"),
        (True, "delay is True; it must be a number of seconds or a timedelta"),
    ],
)
def test_what_is_no_duration_is_refused(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidError) as refused:
        duration_us(value, field="delay")

    assert sentence == str(refused.value)
    assert refused.value.field == "delay"


def test_a_time_that_must_pass_is_not_zero() -> None:
    with pytest.raises(InvalidError, match="timeout is 0; it must be more than zero"):
        positive_us(0, field="timeout")


@pytest.mark.parametrize(
    "value",
    [
        datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 5, 0, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime(1970, 1, 1, 1, 0, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
)
def test_an_instant_is_the_same_in_every_zone(value: datetime) -> None:
    assert instant_us(value, field="at") == 1_000_000


def test_an_hour_that_comes_twice_is_two_instants() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

    between = instant_us(first.replace(fold=1), field="at") - instant_us(first, field="at")

    assert between == 3600 * 1_000_000


class NoZone(tzinfo):
    """A zone that knows nothing."""

    def utcoffset(self, when: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


@pytest.mark.parametrize("zone", [None, NoZone()])
def test_a_time_without_a_zone_is_refused_with_what_to_write(zone: tzinfo | None) -> None:
    with pytest.raises(InvalidError) as refused:
        instant_us(datetime(2026, 1, 2, tzinfo=zone), field="at")

    assert str(refused.value) == (
        "at is 2026-01-02T00:00:00, which has no time zone: write datetime.now(timezone.utc), "
        "or give it a ZoneInfo"
    )


@pytest.mark.parametrize("value", [1_700_000_000, "2026-01-02T00:00:00Z"])
def test_what_is_no_datetime_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError, match="it must be a datetime with a time zone"):
        instant_us(value, field="at")
