"""The time of a platform under test, and ids that follow it.

Owned by one platform and shared by its stores, its clients, its worker and its event loop. Only
the worker moves it, when the test travels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from tenure.kernel.errors import ConfigError
from tenure.service.clockwork import SystemClock, Uuid7Ids

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class VirtualClock(SystemClock):
    """A clock that stands still until it is moved.

    Its `sleep` is that of the running event loop, which under a platform goes by this clock.
    """

    def __init__(self, now_us: int) -> None:
        # Called when a plain function would wait: the time passes, and nobody sleeps.
        self.when_blocked: Callable[[int], None] = _refuse_to_block
        self.began_us: int = now_us
        self._now_us = now_us

    def now_us(self) -> int:
        """Microseconds since 1970 UTC; never goes back."""
        return self._now_us

    def monotonic_us(self) -> int:
        """Microseconds since the platform was opened."""
        return self._now_us - self.began_us

    def block(self, us: int) -> None:
        """Let so much virtual time pass."""
        self.when_blocked(us)

    def move_to(self, us: int) -> None:
        """Set the time, in microseconds since 1970; only forward."""
        assert us >= self._now_us, "the time goes forward only"
        self._now_us = us


class VirtualIds(Uuid7Ids):
    """Ids of RFC 9562, version 7, from the virtual time and a count in the place of chance.

    So the same test makes the same ids.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._count = 0
        self._counting = threading.Lock()

    def new(self) -> str:
        """Return a new id."""
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """Return so many new ids, in order."""
        with self._counting:
            first = self._count + 1
            self._count += count
        stamp = f"{self._clock.now_us() // 1_000:012x}"
        head = f"{stamp[:8]}-{stamp[8:]}-7000-8000"
        return [f"{head}-{number:012x}" for number in range(first, first + count)]


def now() -> datetime:
    """Return the virtual time, in UTC, of the platform whose handler or test asks.

    In a test it is that of the platform opened last. Put it in the place of your own clock:
    ``monkeypatch.setattr(app, "now", tenure.testing.now)``.

    Raises:
        ConfigError: no platform is open.
    """
    clock = here.get(None)
    if clock is None and opened:
        clock = opened[-1]
    if clock is None:
        raise ConfigError(
            "tenure.testing.now() was called and no platform is open: open one with "
            "'with tenure.testing.platform():'"
        )
    return as_datetime(clock.now_us())


def as_datetime(us: int) -> datetime:
    """Return microseconds since 1970 as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def _refuse_to_block(us: int) -> None:
    raise ConfigError(f"the platform is not open, so {us} us of its time cannot pass")


# The clock of the platform that a handler runs in, and those of all open platforms.
here: ContextVar[VirtualClock] = ContextVar("tenure_testing_clock")
opened: list[VirtualClock] = []
