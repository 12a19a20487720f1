"""How a test says where to go, and what it is told when it says it wrongly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

import tenure
import tenure.testing
from tenure.testing import Platform
from tenure.testing.spans import span_us
from tests.testing.conftest import START


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("1w 2d", timedelta(days=9)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        (" 1m 1s ", timedelta(seconds=61)),
        ("0s", timedelta()),
    ],
)
def test_a_span_is_read_as_people_write_it(text: str, expected: timedelta) -> None:
    assert expected == timedelta(microseconds=span_us(text))


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from("wdhms")), min_size=1, max_size=5))
def test_a_span_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    seconds = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
    text = " ".join(f"{count}{unit}" for count, unit in parts)

    assert 1_000_000 * sum(count * seconds[unit] for count, unit in parts) == span_us(text)


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1y", "1d!", "one day", "1e9d", "9" * 20 + "d"]
)
def test_a_text_that_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(tenure.InvalidError) as caught:
        span_us(text)

    assert "span" == caught.value.field


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (("1d",), {}, timedelta(days=1)),
        ((90,), {}, timedelta(seconds=90)),
        ((timedelta(hours=1),), {}, timedelta(hours=1)),
        ((), {"days": 1, "hours": 2.5}, timedelta(hours=26.5)),
        ((), {"until": "2026-01-02T00:00Z"}, timedelta(days=1)),
        ((), {"until": datetime(2026, 1, 1, 2, tzinfo=UTC)}, timedelta(hours=2)),
        ((), {"until": START}, timedelta()),
        ((0,), {}, timedelta()),
    ],
)
def test_a_journey_is_as_long_as_it_is_said_to_be(
    platform: Platform, args: tuple[Any, ...], kwargs: dict[str, Any], expected: timedelta
) -> None:
    platform.travel(*args, **kwargs)

    assert expected == platform.now - START


@pytest.mark.parametrize(
    ("args", "kwargs", "field", "text"),
    [
        ((), {}, "span", "exactly one"),
        (("1d",), {"days": 1}, "span", "exactly one"),
        (("1d",), {"until": START}, "span", "exactly one"),
        ((), {"days": 1, "until": START}, "span", "exactly one"),
        ((-1,), {}, "span", "negative"),
        ((), {"days": -1}, "span", "negative"),
        ((), {"months": 1}, "span", "months"),
        ((), {"days": 1e12}, "span", "too long"),
        ((), {"until": "2025-12-31T23:59:59.999999Z"}, "until", "goes forward only"),
        ((), {"until": "2027-01-01"}, "until", "no time zone"),
        ((), {"until": "tomorrow"}, "until", "write a datetime"),
        ((), {"days": 36_526}, "span", "a century"),
    ],
)
def test_a_journey_that_cannot_be_made_is_refused(
    platform: Platform, args: tuple[Any, ...], kwargs: dict[str, Any], field: str, text: str
) -> None:
    with pytest.raises(tenure.InvalidError, match=text) as caught:
        platform.travel(*args, **kwargs)

    assert field == caught.value.field
    assert START == platform.now


def test_a_century_is_not_too_far_and_its_last_task_is_on_time(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task
    def when() -> str:
        return tenure.testing.now().isoformat()

    platform.travel(days=36_524)
    handle = platform.enqueue(when.options(delay=86_399.999999))
    platform.travel(days=1)

    assert (START + timedelta(days=36_525, microseconds=-1)).isoformat() == handle.result(timeout=0)


@pytest.mark.parametrize("now", ["2026-01-01T00:00", "yesterday", "1969-12-31T23:59:59Z"])
def test_a_beginning_that_is_no_moment_is_refused(now: str) -> None:
    with pytest.raises(tenure.InvalidError) as caught:
        tenure.testing.platform(now=now)

    assert "now" == caught.value.field


def test_the_end_of_all_datetimes_is_a_bound_too(registry: tenure.Registry) -> None:
    with (
        tenure.testing.platform(registry=registry, now="9999-12-01T00:00Z") as platform,
        pytest.raises(tenure.InvalidError, match="year 9999"),
    ):
        platform.travel(days=31)
