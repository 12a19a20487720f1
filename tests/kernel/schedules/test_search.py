"""Looking back with a function that only looks ahead."""

from __future__ import annotations

import itertools
from bisect import bisect_right

import pytest
from hypothesis import given, strategies as st

from tenure.kernel.schedules.cron import parse_cron
from tenure.kernel.schedules.interval import Interval
from tenure.kernel.schedules.search import previous_at_or_before
from tenure.kernel.schedules.wallclock import Fold, Gap, WallClock
from tenure.kernel.schedules.zones import zone

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class Instants:
    """A rule of listed instants that counts how often it is asked."""

    def __init__(self, instants_us: list[int]) -> None:
        self.instants_us = sorted(instants_us)
        self.calls = 0

    def next_after(self, after_us: int) -> int | None:
        self.calls += 1
        index = bisect_right(self.instants_us, after_us)
        return self.instants_us[index] if index < len(self.instants_us) else None


@pytest.mark.parametrize("scale_us", [1, SECOND_US])
def test_every_choice_of_six_instants_is_searched_from_everywhere_near(scale_us: int) -> None:
    places = [0, 1, 2, 3, 5, 8]
    bounds_us = [place * scale_us for place in range(-1, 10)]
    wrong = []
    for choice in range(2 ** len(places)):
        instants_us = [place * scale_us for bit, place in enumerate(places) if choice >> bit & 1]
        rule = Instants(instants_us)
        for at_us, floor_us in itertools.product(bounds_us, bounds_us):
            expected = max((us for us in instants_us if floor_us <= us <= at_us), default=None)
            found_us = previous_at_or_before(rule.next_after, at_us, floor_us=floor_us)
            if expected != found_us:
                wrong.append((instants_us, at_us, floor_us))

    assert not wrong


@given(
    instants_us=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=30),
    pick=st.integers(0, 29),
    beside_us=st.one_of(st.integers(-2, 2), st.integers(-(10**13), 10**13)),
    reach_us=st.one_of(st.integers(-2, 5), st.integers(0, 10**16)),
)
def test_the_previous_is_the_latest_between_floor_and_start(
    instants_us: list[int], pick: int, beside_us: int, reach_us: int
) -> None:
    at_us = instants_us[pick % len(instants_us)] + beside_us
    floor_us = at_us - reach_us
    expected = max((us for us in instants_us if floor_us <= us <= at_us), default=None)

    found_us = previous_at_or_before(Instants(instants_us).next_after, at_us, floor_us=floor_us)

    assert expected == found_us


@pytest.mark.parametrize(
    ("at_us", "floor_us", "expected"),
    [(10, 10, 10), (10, 11, None), (9, 0, None), (11, 10, 10), (11, 11, None), (19, 0, 10)],
)
def test_start_and_floor_are_included(at_us: int, floor_us: int, expected: int | None) -> None:
    rule = Instants([10, 20])

    assert expected == previous_at_or_before(rule.next_after, at_us, floor_us=floor_us)


def test_a_dense_rule_is_not_walked() -> None:
    """A burst of a million fires, long ago: the start of it is found first, its end is wanted."""
    rule = Instants([second * SECOND_US for second in range(1_000_000)])

    found_us = previous_at_or_before(rule.next_after, 10**17, floor_us=0)

    assert 999_999 * SECOND_US == found_us
    assert rule.calls < 150


def test_a_long_time_without_fires_costs_some_dozens_of_calls() -> None:
    rule = Instants([0])

    assert 0 == previous_at_or_before(rule.next_after, 10**17, floor_us=0)
    assert rule.calls < 50
    assert previous_at_or_before(rule.next_after, 10**17, floor_us=1) is None
    assert rule.calls < 100


def test_the_previous_fire_of_an_interval_is_found() -> None:
    rule = Interval(every_s=7, anchor_us=3)

    assert 3 + 7_000 * SECOND_US == previous_at_or_before(
        rule.next_after, 7_001 * SECOND_US, floor_us=0
    )
    assert 3 == previous_at_or_before(rule.next_after, 3, floor_us=0)
    assert previous_at_or_before(rule.next_after, 2, floor_us=0) is None


def test_the_previous_fire_of_a_cron_is_found_across_a_change_of_the_clock() -> None:
    clock = WallClock(zone=zone("Europe/Berlin"), gap=Gap.SKIP, fold=Fold.FIRST)
    rule = parse_cron("30 2 29 3 *")

    found_us = previous_at_or_before(
        lambda after_us: clock.next_after(rule, after_us), 1_780_000_000 * SECOND_US, floor_us=0
    )

    # In 2026 the clock skipped it, so that 2025-03-29T01:30Z is the last.
    assert 1_743_211_800 * SECOND_US == found_us
