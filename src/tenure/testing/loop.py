"""An event loop whose time is a platform's clock.

Run by `Platform`. It never waits: `quiet` says when nothing is left that could run now, and
whoever asked decides how the time goes on.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from tenure.kernel.errors import LimitError, TenureError
from tenure.testing.clock import VirtualClock
from tenure.testing.inline import Aside

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SECOND_US = 1_000_000
# A coroutine that yields for ever without waiting would stop the time.
TURNS_MAX = 100_000
# asyncio counts a timer as due that is less than half a microsecond ahead, which is what a float of
# seconds loses in rounding within a century. What is surely due is less than that ahead: to be
# wrong about it would be to turn round for ever.
RESOLUTION_S = 0.5e-6
SURELY_DUE_S = 0.4e-6


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a time that only `Platform` moves."""

    def __init__(self, clock: VirtualClock, aside: Aside) -> None:
        self._clock = clock
        self._aside = aside
        self._pause = _Pause(clock)
        super().__init__(self._pause)
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Return the virtual time in seconds since the platform was opened."""
        return self._clock.monotonic_us() / SECOND_US

    @property
    def next_timer_us(self) -> int | None:
        """When the next timer is due, as it was known at the end of the last `quiet`.

        One more than a day ahead counts as a day ahead: asyncio itself waits no longer at once.
        """
        return self._pause.next_timer_us

    async def quiet(self) -> bool:
        """Return once nothing is left to run now. Return whether there was anything."""
        return await self._pause.wait(self)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in a thread and wait for it, so that no time passes beside it."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(self._aside.call(func, *args))
        except Exception as error:  # noqa: BLE001 - belongs to the one who awaits it
            future.set_exception(error)
        return future


class _Pause(selectors.DefaultSelector):
    """A selector that never waits: it tells the one who asked that it would have to."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.next_timer_us: int | None = None
        self._clock = clock
        self._waiter: asyncio.Future[bool] | None = None
        self._turns = 0

    async def wait(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return when the loop would have to wait; True if it had something to run before."""
        assert self._waiter is None, "one at a time"
        waiter = self._waiter = loop.create_future()
        self._turns = 0
        try:
            had_more: bool = await waiter
        finally:
            self._waiter = None
        return had_more

    def select(self, timeout: float | None = None) -> list[Any]:
        """Look for signs from other threads; asyncio calls it between its turns."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout < SURELY_DUE_S):
            self._turns += 1
            if self._turns > TURNS_MAX:
                raise LimitError(
                    f"a coroutine has had {TURNS_MAX:,} turns without a moment of time passing: "
                    "let it wait for something, or sleep longer than 0",
                    bound=TURNS_MAX,
                )
            return ready
        due_us = (
            None if timeout is None else self._clock.now_us() + max(1, round(timeout * SECOND_US))
        )
        if self._waiter is not None and not self._waiter.done():
            self.next_timer_us = due_us
            self._waiter.set_result(self._turns > 0)
        elif due_us is not None:
            # It is a loop of the engine itself that waits, for a store that is busy.
            self._clock.move_to(due_us)
        else:
            raise TenureError("the platform waits for something that can never come")
        return ready
