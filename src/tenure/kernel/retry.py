"""How long to wait before an attempt is made again, and whether to make it.

Pure arithmetic: chance comes in as a number in [0, 1). A policy belongs to a kind and is
applied by the worker that ran the attempt; the number of attempts is kept with the task.
"""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS_MAX_DEFAULT = 5
DELAY_MAX_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The same wait every time."""

    delay_us: int

    def wait_us(self, attempt: int, *, u: float) -> int:
        """Return the wait after the given attempt (the first is 1)."""
        return self.delay_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """A random wait between zero and `base_us` times `factor` to the attempt: full jitter.

    Full jitter spreads a herd that failed together best; the price is an occasional
    immediate retry.
    """

    base_us: int = 1_000_000
    factor: float = 2.0

    def wait_us(self, attempt: int, *, u: float) -> int:
        """Return the wait after the given attempt (the first is 1)."""
        try:
            ceiling = self.base_us * self.factor ** (attempt - 1)
        except OverflowError:
            ceiling = DELAY_MAX_US
        return int(u * min(ceiling, DELAY_MAX_US))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The waits as listed; the last one stands for all that follow."""

    delays_us: tuple[int, ...]

    def wait_us(self, attempt: int, *, u: float) -> int:
        """Return the wait after the given attempt (the first is 1)."""
        return self.delays_us[min(attempt, len(self.delays_us)) - 1]


Backoff = Fixed | Exponential | Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When an error is worth another attempt, and when that is.

    `never_on` beats `retry_on`; an empty `retry_on` means every exception. `attempts_max`
    counts the first attempt too. `delay_max_us` caps every wait, also one a server asked for.
    """

    attempts_max: int = ATTEMPTS_MAX_DEFAULT
    backoff: Backoff = Exponential()
    retry_on: tuple[type[BaseException], ...] = ()
    never_on: tuple[type[BaseException], ...] = ()
    delay_max_us: int = 3600 * 1_000_000

    def allows(self, exception: BaseException) -> bool:
        """Return whether this exception may be retried at all."""
        if isinstance(exception, self.never_on):
            return False
        return not self.retry_on or isinstance(exception, self.retry_on)

    def delay_us(self, attempt: int, *, u: float, retry_after_us: int | None = None) -> int:
        """Return how long to wait after the given attempt failed."""
        wait_us = self.backoff.wait_us(attempt, u=u) if retry_after_us is None else retry_after_us
        return max(0, min(wait_us, self.delay_max_us))
