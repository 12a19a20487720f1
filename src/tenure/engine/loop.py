"""The one shape of every background activity.

A loop owns its state and does one short thing per `tick`, which returns in how many
microseconds it wants to run again. Tests call `tick()` by hand; the supervisor calls `run()`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from tenure.observe.events import Emit, TickFailed

FAILURE_FIRST_US = 100_000
FAILURE_LAST_US = 10_000_000
# Every wait has a ceiling, so that no lost wake-up is lost for good.
SLEEP_MAX_US = 60_000_000


class Loop(ABC):
    """A background activity."""

    def __init__(self, name: str, emit: Emit) -> None:
        self.name = name
        self.emit = emit
        self._alarm: asyncio.Future[None] | None = None
        # uvloop's timers do not say when they are due, if that is at once; so it is kept here.
        self._wish: tuple[asyncio.TimerHandle, float] | None = None
        self._is_woken = False
        self._is_stopping = False
        self._failures = 0
        self.failure_last_us = FAILURE_LAST_US

    @abstractmethod
    async def tick(self) -> int:
        """Do one turn; return in how many microseconds to come again."""

    def wake(self) -> None:
        """Come again now. Sets a flag; never runs anything itself."""
        self._is_woken = True
        self._ring()

    def wake_in(self, us: int) -> None:
        """Come again in so long, if not before. The earliest such wish counts."""
        loop = asyncio.get_running_loop()
        at = loop.time() + us / 1_000_000
        if self._wish is not None:
            timer, wished_at = self._wish
            if not timer.cancelled() and loop.time() < wished_at <= at:
                return
            timer.cancel()
        self._wish = (loop.call_at(at, self.wake), at)

    def stop(self) -> None:
        """End after the present turn."""
        self._is_stopping = True
        self._ring()

    async def run(self) -> None:
        """Take turns until stopped. An error in one is told, and the next waits longer."""
        while not self._is_stopping:
            self._is_woken = False
            try:
                wait_us = await self.tick()
                self._failures = 0
            except asyncio.CancelledError as error:
                if _is_ending():
                    raise
                # A future it waited for was cancelled by someone else: an error like others.
                wait_us = self._after_failure(error)
            except Exception as error:  # noqa: BLE001 - told, and the loop goes on
                wait_us = self._after_failure(error)
            if self._is_stopping:
                return
            if self._failures or not self._is_woken:
                await self._sleep(min(wait_us, SLEEP_MAX_US))
            else:
                await self._sleep(0)

    def _after_failure(self, error: BaseException) -> int:
        self._failures += 1
        wait_us = min(FAILURE_FIRST_US << min(self._failures - 1, 20), self.failure_last_us)
        self.emit(TickFailed(loop=self.name, error=error, failures=self._failures, wait_us=wait_us))
        return wait_us

    async def _sleep(self, us: int) -> None:
        loop = asyncio.get_running_loop()
        alarm = self._alarm = loop.create_future()
        timer = loop.call_later(us / 1_000_000, _resolve, alarm)
        try:
            await alarm
        finally:
            timer.cancel()
            self._alarm = None

    def _ring(self) -> None:
        # While it fails, a loop is not to be hurried: what wakes it would hammer a sick store.
        if self._alarm is not None and (self._is_stopping or not self._failures):
            _resolve(self._alarm)


def _is_ending() -> bool:
    """Return whether it is the running task itself that was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _resolve(alarm: asyncio.Future[None]) -> None:
    if not alarm.done():
        alarm.set_result(None)
