"""An event loop whose time is the test's clock.

Used by conftest.py for every coroutine that is a test. When nothing is left to run, the time moves
to the next timer; when there is no timer either, the test would wait for ever and is told so.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from tests.store.drivers import SECOND_US, FakeClock

# A loop that wakes itself for ever would stop the time; nothing sound needs so many turns at once.
TURNS_MAX = 20_000


class DeadlockError(AssertionError):
    """Nothing is left that could ever run, or the time stands still, and the test has not ended."""


class VirtualClock(FakeClock):
    """One time for the store, the loops and the event loop."""

    def monotonic_us(self) -> int:
        return self.slept_us

    async def sleep(self, us: int) -> None:
        """Let others run, and so much time pass."""
        loop = asyncio.get_running_loop()
        alarm: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(us / SECOND_US, _ring, alarm)
        try:
            await alarm
        finally:
            timer.cancel()

    def pass_s(self, seconds: float) -> None:
        """Let so much time have passed already when anybody looks."""
        self.pass_us(round(seconds * SECOND_US))

    def pass_us(self, us: int) -> None:
        """As `pass_s`, in microseconds."""
        self.time_us += us
        self.slept_us += us


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a time that jumps."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        super().__init__(_Jumper(clock))
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.slept_us / SECOND_US


class _Jumper(selectors.DefaultSelector):
    """A selector that waits by moving the time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        self._turns += 1
        if ready or timeout == 0:
            if self._turns > TURNS_MAX:
                raise DeadlockError(f"{TURNS_MAX} turns without a moment of time passing")
            return ready
        if timeout is None:
            raise DeadlockError("no callback and no timer is left, and the test has not ended")
        self._turns = 0
        self._clock.pass_us(max(1, round(timeout * SECOND_US)))
        return ready


async def settle_down(turns: int = 10) -> None:
    """Let everything run that can run now, without any time passing."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_soon(_ring, turn)
        await turn


def _ring(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)
