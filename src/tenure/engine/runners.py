"""Which task of the event loop an attempt runs in.

Owned by the executor. A task of the event loop costs more than a short handler does. So attempts
are run one after another by a *runner*, a task that goes on to the next attempt as long as none
has to wait; one that waits keeps its runner, and a new one takes the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

from tenure.engine.running import Run
from tenure.engine.slots import Slots
from tenure.kernel.ports import Clock

# A runner lets others have the loop after so long, however short its attempts are.
RUNNER_TURN_US = 10_000


class Runners:
    """The runners of one worker, and the runs that wait for one."""

    def __init__(
        self,
        slots: Slots,
        clock: Clock,
        *,
        attempt: Callable[[Run], Coroutine[Any, Any, None]],
        when_waiting: Callable[[Run], None],
        when_taken_away: Callable[[Run], None],
    ) -> None:
        """Run *attempt* for each run.

        *when_waiting* is told of an attempt that waits for something, *when_taken_away* of one
        that was ended without its handler.
        """
        self.waiting: deque[Run] = deque()
        self._slots = slots
        self._clock = clock
        self._attempt = attempt
        self._when_waiting = when_waiting
        self._when_taken_away = when_taken_away
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_one_idle = False
        self._fresh: Context = copy_context()

    def call(self) -> None:
        """Have a runner see to the waiting runs, unless one does or is about to."""
        if self._is_one_idle or not self._may_begin():
            return
        self._is_one_idle = True
        loop = asyncio.get_running_loop()
        runner = loop.create_task(self._take_turns(), context=self._fresh.copy())
        self._tasks.add(runner)
        runner.add_done_callback(self._tasks.discard)

    async def wait(self, us: int) -> None:
        """Wait until every runner has ended, but no longer than so long."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=us / 1_000_000)

    async def _take_turns(self) -> None:
        """Run attempts until one has had to wait, or none may begin."""
        task = asyncio.current_task()
        assert task is not None
        began_us = self._clock.monotonic_us()
        while self._may_begin():
            run = self.waiting.popleft()
            run.task = task
            run.has_slot = True
            self._slots.begin(run.cost)
            context = self._fresh.copy()
            attempt = self._attempt(run)
            try:
                awaited = context.run(attempt.send, None)
            except StopIteration:
                # A handler may have cancelled its task, which must not hit the next attempt.
                is_cancelled = task.cancelling() > 0
                if is_cancelled or self._clock.monotonic_us() - began_us > RUNNER_TURN_US:
                    break
                continue
            self._is_one_idle = False
            self._go_on_without(run)
            await Suspended(attempt, context, awaited, run)
            if not run.is_settling:
                self._when_taken_away(run)
            return
        self._is_one_idle = False
        self.call()

    def _may_begin(self) -> bool:
        return bool(self.waiting) and self._slots.has_room(self.waiting[0].cost)

    def _go_on_without(self, run: Run) -> None:
        """An attempt waits, of its own or for a place to begin in: let the others go on."""
        self.call()
        self._when_waiting(run)


class Suspended:
    """A coroutine that waits for something, awaited on in the context it began in.

    Once its run is taken away, the next cancellation closes it, whether it likes it or not.
    """

    __slots__ = ("_awaited", "_context", "_coroutine", "_run")

    def __init__(
        self, coroutine: Coroutine[Any, Any, None], context: Context, awaited: object, run: Run
    ) -> None:
        self._coroutine = coroutine
        self._context = context
        self._awaited = awaited
        self._run = run

    def __await__(self) -> Generator[Any, Any, None]:
        run, coroutine, awaited = self._context.run, self._coroutine, self._awaited
        while True:
            try:
                answer = yield awaited
            # Whatever the event loop throws in belongs to the coroutine.
            except BaseException as error:  # noqa: BLE001 - passed on
                if self._run.is_taken_away:
                    with contextlib.suppress(RuntimeError):  # It ignores even that: let it lie.
                        run(coroutine.close)
                    return
                try:
                    awaited = run(coroutine.throw, error)
                except StopIteration:
                    return
                continue
            try:
                awaited = run(coroutine.send, answer)
            except StopIteration:
                return
