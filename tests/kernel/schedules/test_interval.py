"""Intervals: the grammar, the shortest form, and the rule that needs no walking."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.interval import (
    EVERY_MAX_S,
    Interval,
    format_interval,
    parse_interval,
)
from tenure.kernel.schedules.rule import LAST_S

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("5m", 300), ("24h", 86_400), ("1d", 86_400), ("007m", 420)],
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert seconds == parse_interval(text)


REFUSED = """0s 00m 1.5m -1m +1m 10ms 1w 5M 1y 1h30m m 5 s5 1m5 1_0m \u0663m \uff15m""".split()


@pytest.mark.parametrize("text", [*REFUSED, "", "1 m", " 1m", "1m ", "1m\n", "\n1m"])
def test_any_other_text_is_refused_in_the_words_of_kibana(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_interval(text)

    assert "interval" == caught.value.field
    message = str(caught.value)
    form = "Intervals must be of the form {number}m. Example: 5m."
    assert message.startswith(f'Invalid interval "{text}". {form}')
    for unit in ("s (second)", "m (minute)", "h (hour)", "d (day, 24 hours)"):
        assert unit in message


def test_the_longest_interval_is_a_hundred_years() -> None:
    assert EVERY_MAX_S == parse_interval("36600d")

    with pytest.raises(InvalidError, match=r"'36601d' is longer than 100 years; .* is 36600d"):
        parse_interval("36601d")


def test_a_long_text_is_refused_by_its_length_without_repeating_it() -> None:
    assert 60 == parse_interval("0" * 98 + "1m")

    with pytest.raises(InvalidError, match="has 101 characters; at most 100 are allowed"):
        parse_interval("0" * 99 + "1m")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (90, "90s"), (60, "1m"), (5_400, "90m"), (3_600, "1h"), (86_400, "1d")],
)
def test_the_text_of_an_interval_has_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert text == format_interval(seconds)


@given(seconds=st.integers(1, EVERY_MAX_S))
def test_no_text_for_an_interval_is_shorter_than_the_formatted_one(seconds: int) -> None:
    others = [
        f"{seconds // unit_s}{unit}" for unit, unit_s in UNITS_S.items() if seconds % unit_s == 0
    ]

    text = format_interval(seconds)

    assert seconds == parse_interval(text)
    assert min(map(len, others)) == len(text)


@pytest.mark.parametrize("seconds", [0, -1, EVERY_MAX_S + 1])
def test_an_interval_out_of_bounds_has_no_text_and_makes_no_rule(seconds: int) -> None:
    for attempt in (
        lambda: format_interval(seconds),
        lambda: Interval(every_s=seconds, anchor_us=0),
    ):
        with pytest.raises(InvalidError, match=f"interval is {seconds} seconds") as caught:
            attempt()
        assert "interval" == caught.value.field


def test_the_anchor_is_the_first_instant() -> None:
    rule = Interval(every_s=10, anchor_us=5_000_123)

    fires = [rule.next_after(after_us) for after_us in (-(10**18), 5_000_122, 5_000_123)]

    assert [5_000_123, 5_000_123, 15_000_123] == fires


@given(
    every_s=st.integers(1, EVERY_MAX_S),
    anchor_us=st.integers(-(10**15), 10**16),
    steps=st.integers(0, 20),
    part=st.floats(0, 1, exclude_max=True),
)
def test_the_next_instant_is_the_first_multiple_after(
    every_s: int, anchor_us: int, steps: int, part: float
) -> None:
    every_us = every_s * 1_000_000
    after_us = anchor_us + steps * every_us + int(part * every_us)

    next_us = Interval(every_s=every_s, anchor_us=anchor_us).next_after(after_us)

    assert anchor_us + (steps + 1) * every_us == next_us


def test_an_interval_ends_with_the_year_9999() -> None:
    rule = Interval(every_s=60, anchor_us=(LAST_S - 60) * 1_000_000)

    assert LAST_S * 1_000_000 == rule.next_after(rule.anchor_us)
    assert rule.next_after(LAST_S * 1_000_000) is None
