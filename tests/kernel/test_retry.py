"""Waits between attempts: their bounds, their cap and their jitter."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tenure.kernel.retry import DELAY_MAX_US, Exponential, Fixed, Listed, RetryPolicy

ATTEMPTS = st.integers(1, 10_000)
CHANCES = st.floats(0, 1, exclude_max=True)
BASES_US = st.integers(0, 10**12)
FACTORS = st.floats(0, 1e300)
DELAYS_US = st.integers(0, 10**15)
BACKOFFS = st.one_of(
    st.builds(Fixed, delay_us=DELAYS_US),
    st.builds(Exponential, base_us=BASES_US, factor=FACTORS),
    st.lists(DELAYS_US, min_size=1).map(lambda delays: Listed(delays_us=tuple(delays))),
)


@given(backoff=BACKOFFS, attempt=ATTEMPTS, u=CHANCES, cap_us=DELAYS_US)
def test_a_wait_is_never_negative_and_never_over_the_cap(
    backoff: Fixed | Exponential | Listed, attempt: int, u: float, cap_us: int
) -> None:
    policy = RetryPolicy(backoff=backoff, delay_max_us=cap_us)

    assert 0 <= policy.delay_us(attempt, u=u) <= cap_us


@given(base_us=BASES_US, factor=FACTORS, attempt=ATTEMPTS, u=CHANCES)
def test_exponential_waits_lie_below_their_ceiling(
    base_us: int, factor: float, attempt: int, u: float
) -> None:
    """A factor of a million overflowed at the 53rd attempt, and ended the task's handling."""
    wait_us = Exponential(base_us=base_us, factor=factor).wait_us(attempt, u=u)

    assert 0 <= wait_us <= DELAY_MAX_US


@given(attempt=st.integers(1, 30), u=CHANCES)
def test_exponential_waits_are_spread_from_zero_to_the_ceiling(attempt: int, u: float) -> None:
    backoff = Exponential(base_us=1_000, factor=2.0)
    ceiling_us = min(1_000 * 2 ** (attempt - 1), DELAY_MAX_US)

    assert 0 == backoff.wait_us(attempt, u=0.0)
    assert int(u * ceiling_us) == backoff.wait_us(attempt, u=u)


@given(u=CHANCES, lesser=CHANCES)
def test_more_chance_is_a_longer_wait(u: float, lesser: float) -> None:
    small, large = sorted((u, lesser))

    assert Exponential().wait_us(5, u=small) <= Exponential().wait_us(5, u=large)


@given(attempt=ATTEMPTS, u=CHANCES)
def test_a_fixed_wait_is_always_the_same(attempt: int, u: float) -> None:
    assert 7 == Fixed(delay_us=7).wait_us(attempt, u=u)


@pytest.mark.parametrize(("attempt", "wait_us"), [(1, 10), (2, 20), (3, 30), (4, 30), (99, 30)])
def test_the_last_of_listed_waits_stands_for_all_that_follow(attempt: int, wait_us: int) -> None:
    assert wait_us == Listed(delays_us=(10, 20, 30)).wait_us(attempt, u=0.5)


@pytest.mark.parametrize(("asked_us", "wait_us"), [(0, 0), (5, 5), (99, 50), (-3, 0)])
def test_a_wait_that_a_server_asked_for_is_taken_within_the_cap(
    asked_us: int, wait_us: int
) -> None:
    policy = RetryPolicy(backoff=Fixed(delay_us=7), delay_max_us=50)

    assert wait_us == policy.delay_us(1, u=0.5, retry_after_us=asked_us)


@pytest.mark.parametrize(
    ("policy", "error", "may"),
    [
        (RetryPolicy(), ValueError(), True),
        (RetryPolicy(retry_on=(OSError,)), ValueError(), False),
        (RetryPolicy(retry_on=(OSError,)), ConnectionError(), True),
        (RetryPolicy(never_on=(OSError,)), ConnectionError(), False),
        (RetryPolicy(never_on=(OSError,)), ValueError(), True),
        (RetryPolicy(retry_on=(Exception,), never_on=(OSError,)), OSError(), False),
    ],
)
def test_what_must_never_be_retried_beats_what_may(
    policy: RetryPolicy, error: Exception, may: bool
) -> None:
    assert may == policy.allows(error)
