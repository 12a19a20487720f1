"""Retry policies as people write them, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tenure.kernel.errors import InvalidError
from tenure.kernel.retry import (
    ATTEMPTS_MAX_DEFAULT,
    Backoff,
    Exponential,
    Fixed,
    Listed,
    RetryPolicy,
)
from tenure.sdk.durations import Duration, duration_us
from tenure.sdk.options import attempts_count

Exceptions = type[BaseException] | tuple[type[BaseException], ...]


def exponential(base: Duration = 1.0, *, factor: float = 2.0) -> Exponential:
    """Return waits that grow: a random part of *base*, then of base times *factor*, and so on.

    Raises:
        InvalidError: the factor is less than 1.
    """
    if factor < 1:
        raise InvalidError(f"factor is {factor}; it must be at least 1", field="factor")
    return Exponential(base_us=duration_us(base, field="base"), factor=factor)


def retry(
    attempts: int = ATTEMPTS_MAX_DEFAULT,
    *,
    wait: Duration | Sequence[Duration] | Exponential | None = None,
    on: Exceptions = (),
    never: Exceptions = (),
    longest: Duration = timedelta(hours=1),
) -> RetryPolicy:
    """Return when to try again after an error.

    *attempts* counts the first one too. *wait* is a fixed time, a list of times (the last
    stands for all that follow), or `exponential()`, which is the default. *on* names the
    exceptions worth a retry (default: all), *never* those that are not. *longest* caps every
    wait, also one that a server asked for with `RetryLater`.

    Raises:
        InvalidError: a value breaks its rule.
    """
    return RetryPolicy(
        attempts_max=attempts_count(attempts),
        backoff=_backoff(wait),
        retry_on=on if isinstance(on, tuple) else (on,),
        never_on=never if isinstance(never, tuple) else (never,),
        delay_max_us=duration_us(longest, field="longest"),
    )


def _backoff(wait: Duration | Sequence[Duration] | Exponential | None) -> Backoff:
    match wait:
        case None:
            return Exponential()
        case Exponential():
            return wait
        case Sequence() if not isinstance(wait, str):
            if not wait:
                raise InvalidError("wait is an empty list; name at least one time", field="wait")
            return Listed(delays_us=tuple(duration_us(each, field="wait") for each in wait))
        case _:
            return Fixed(delay_us=duration_us(wait, field="wait"))


class RetryLater(Exception):  # noqa: N818 - it asks for something; it is no error of ours
    """Raised by a handler: this attempt failed; try again after a time that someone named.

    It spends an attempt. *after* is in seconds, such as a server's Retry-After.
    """

    def __init__(self, reason: str = "", *, after: Duration) -> None:
        super().__init__(reason)
        self.after_us: int = duration_us(after, field="after")


class GiveUp(Exception):  # noqa: N818 - as above
    """Raised by a handler: this will never work; fail without another attempt."""
