"""Retry policies as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tenure import GiveUp, InvalidError, RetryLater, exponential, retry
from tenure.kernel.retry import Exponential, Fixed, Listed, RetryPolicy


def test_by_default_it_is_tried_five_times_with_growing_waits() -> None:
    assert retry() == RetryPolicy(attempts_max=5, backoff=Exponential())


@pytest.mark.parametrize(
    ("wait", "backoff"),
    [
        (2, Fixed(delay_us=2_000_000)),
        (timedelta(minutes=1), Fixed(delay_us=60_000_000)),
        ([1, timedelta(seconds=5)], Listed(delays_us=(1_000_000, 5_000_000))),
        (exponential(0.5, factor=3), Exponential(base_us=500_000, factor=3)),
    ],
)
def test_a_wait_is_fixed_listed_or_growing(wait: Any, backoff: Any) -> None:
    assert retry(3, wait=wait).backoff == backoff


def test_exceptions_are_named_alone_or_together() -> None:
    policy = retry(on=OSError, never=(FileNotFoundError, PermissionError))

    assert policy.allows(TimeoutError())
    assert not policy.allows(FileNotFoundError())
    assert not policy.allows(ValueError())


def test_every_wait_is_capped() -> None:
    policy = retry(wait=100, longest=10)

    assert policy.delay_us(1, u=1.0) == 10_000_000
    assert policy.delay_us(1, u=1.0, retry_after_us=99_000_000) == 10_000_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"attempts": 0}, "attempts is 0; it must be from 1 to 10000"),
        ({"attempts": True}, "attempts is True; it must be a whole number"),
        ({"wait": -1}, "wait is -1; it must not be negative"),
        ({"wait": []}, "wait is an empty list"),
        ({"wait": "5"}, "wait is '5'; it must be a number of seconds"),
        ({"longest": -1}, "longest is -1"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidError, match=sentence):
        retry(**arguments)


def test_waits_that_shrink_are_refused() -> None:
    with pytest.raises(InvalidError, match=r"factor is 0\.5; it must be at least 1"):
        exponential(factor=0.5)


def test_retry_later_carries_its_time() -> None:
    assert RetryLater("busy", after=1.5).after_us == 1_500_000
    assert str(RetryLater("busy", after=1)) == "busy"
    with pytest.raises(InvalidError, match="after is -1"):
        RetryLater(after=-1)


def test_giving_up_is_an_exception_like_others() -> None:
    assert issubclass(GiveUp, Exception)
