"""A worker whose loops take their turns when the clock says so, and at no other time.

Made by `Platform`. It is the supervisor's own set of loops, whichever they are, but run by hand.
At a moment each loop has a turn, again and again until nothing happens any more. Then the time
goes to the next moment: that of a timer, or one that a loop has wished for.

A worker's idle loops look every second or so, which would make millions of turns of a year. So
each is asked twice, a microsecond apart, when it wants to come again. One that names the same
moment both times has an appointment, and is taken at its word. One whose moment has moved along
only polls: it has its turn at every moment there is, and makes none of its own. A new loop needs
no entry here; it must but return the whole time until it has something to do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from tenure.engine.loop import SLEEP_MAX_US, Loop
from tenure.engine.supervisor import Supervisor
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import LimitError
from tenure.kernel.ports import AsyncStore, Verb
from tenure.observe.events import (
    AttemptFailed,
    AttemptsSettled,
    Bus,
    EngineEvent,
    TasksClaimed,
    TickFailed,
)
from tenure.store import local_notices
from tenure.testing.clock import VirtualClock, as_datetime
from tenure.testing.loop import VirtualLoop

T = TypeVar("T")
Waits: TypeAlias = dict[Loop, int]  # in microseconds

# What happens at once and again and again never lets the time go on.
ROUNDS_MAX = 10_000
MOMENTS_MAX = 1_000_000
# More than the settler's patience with a settlement that the store refuses.
FAILURES_MAX = 50
ASK_AGAIN_US = 1


class NotedStore:
    """A worker's store, which counts its notices and needs no watch on the file.

    Whoever writes tells it; nobody outside of this process does.
    """

    def __init__(self, inner: AsyncStore, path: Path) -> None:
        self.notices: int = 0
        self._inner = inner
        self._path = path
        self._subscription: local_notices.Subscription | None = None

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb."""
        return await self._inner.run(verb)

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Begin to listen, if nobody does; *tell* is called later."""
        if self._subscription is None:
            self._subscription = local_notices.subscribe(self._path, partial(self._note, tell))
        return SLEEP_MAX_US

    async def close(self) -> None:
        """Hear no more, and close the file."""
        if self._subscription is not None:
            self._subscription.cancel()
        await self._inner.close()

    def _note(self, tell: Callable[[str], None], topic: str) -> None:
        self.notices += 1
        tell(topic)


class Tally:
    """How often something happened, so that it can be told whether something has."""

    def __init__(self, store: NotedStore, bus: Bus) -> None:
        self._store = store
        self._comings = 0  # and goings, of tasks
        self._others = 0
        bus.subscribe(self._note)

    @property
    def happenings(self) -> int:
        """All that happened."""
        return self._comings + self.concerns

    @property
    def concerns(self) -> int:
        """What any loop might have to do with."""
        return self._others + self._store.notices

    def _note(self, event: EngineEvent) -> None:
        if isinstance(event, TasksClaimed | AttemptsSettled | AttemptFailed):
            self._comings += 1
        else:
            self._others += 1


class SteppedWorker(Supervisor):
    """One worker, step by step."""

    def __init__(
        self,
        around: Surroundings,
        *,
        queues: Sequence[str],
        clock: VirtualClock,
        loop: VirtualLoop,
        store: NotedStore,
    ) -> None:
        super().__init__(around, queues=queues)
        self._clock = clock
        self._loop = loop
        self._store = store
        self._tally = Tally(store, around.bus)
        self._failures: Counter[str] = Counter()
        self._life: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def start(self) -> None:
        """Do what a worker does before it begins, and keep the turns of its loops.

        Raises:
            TenureError: the worker could not be registered.
        """
        started = asyncio.Event()
        # The supervisor starts what it finds here: nothing, since the turns are given by hand.
        loops, self._loops = self._loops, []
        self._life = self._loop.create_task(self.run(when_started=started))
        self._life.add_done_callback(lambda _: started.set())
        await started.wait()
        self._loops = loops
        if self._life.done():
            await self._life

    async def close(self) -> None:
        """Cut short what still runs; in the store it stays as it is."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})

    async def run_due(self) -> Waits:
        """Run all that is due now and whatever comes of it, while the time stands.

        Return in how many microseconds each loop wants its next turn.

        Raises:
            LimitError: there is no end to it.
        """
        for _ in range(ROUNDS_MAX):
            await self._loop.quiet()
            before = self._tally.concerns
            waits_us = await self._round(self._loops)
            waits_us |= await self._work()
            if self._tally.concerns == before and 0 not in waits_us.values():
                return waits_us
        raise self._endless()

    async def travel(self, end_us: int, *, is_there: Callable[[], bool]) -> bool:
        """Go from moment to moment. Return True as soon as *is_there*, before the end.

        Return False when no moment is left until the end; the time is then that of the last.

        Raises:
            LimitError: there are too many moments on the way.
        """
        for _ in range(MOMENTS_MAX):
            waits_us = await self.run_due()
            if is_there():
                return True
            if self._clock.now_us() >= end_us:
                return False
            next_us = await self._next_moment_us(waits_us)
            if next_us is None or next_us > end_us:
                return False
            self._clock.move_to(next_us)
        raise LimitError(
            f"more than {MOMENTS_MAX:,} moments are on the way; travel less far", bound=MOMENTS_MAX
        )

    async def arrive(self, end_us: int) -> None:
        """Go from moment to moment, then to the end, where whoever only polls has a turn."""
        await self.travel(end_us, is_there=lambda: False)
        self._clock.move_to(end_us)
        await self.run_due()

    async def change(self) -> None:
        """Return when something may have changed in the store; for coroutines that wait."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        await waiter

    async def _work(self) -> Waits:
        """Let tasks come and go, until none does any more; the other loops need not look on."""
        loops = [self.settler, *self.claimers]
        waits_us: Waits = {}
        before = -1
        for _ in range(ROUNDS_MAX):
            await self._loop.quiet()
            if self._tally.happenings == before and 0 not in waits_us.values():
                return waits_us
            before = self._tally.happenings
            self._tell_waiting()
            waits_us = await self._round(loops)
        raise self._endless()

    async def _next_moment_us(self, waits_us: Waits) -> int | None:
        """Return when there will be something to do, or None if nobody knows of anything."""
        asked_us = self._clock.now_us()
        self._clock.move_to(asked_us + ASK_AGAIN_US)
        before = self._tally.happenings
        next_us = self._next_upkeep_us()
        for each in sorted(waits_us, key=waits_us.__getitem__):
            wished_us = asked_us + waits_us[each]
            if next_us is not None and wished_us >= next_us:
                break
            again_us = await self._turn(each)
            if again_us == 0:
                return self._clock.now_us()
            if self._clock.now_us() + again_us == wished_us:
                next_us = wished_us
        had_more = await self._loop.quiet()
        if had_more or self._tally.happenings != before:
            return self._clock.now_us()
        known_us = [us for us in (next_us, self._loop.next_timer_us) if us is not None]
        return min(known_us, default=None)

    def _next_upkeep_us(self) -> int | None:
        """Return when the leases of what runs must be renewed, or None if nothing runs."""
        if not len(self.running):
            return None
        return self._clock.now_us() + self._around.settings.renew_every_us

    async def _round(self, loops: Sequence[Loop]) -> Waits:
        """Give each loop a turn, in the order they are started in; return what each wishes."""
        return {each: await self._turn(each) for each in loops}

    async def _turn(self, each: Loop) -> int:
        try:
            wait_us = await each.tick()
        # Told, as in a worker, and raised if it lasts.
        except Exception as error:
            self._failures[each.name] += 1
            failures = self._failures[each.name]
            if failures == FAILURES_MAX:
                raise
            self._around.emit(TickFailed(loop=each.name, error=error, failures=failures, wait_us=0))
            return 0
        self._failures[each.name] = 0
        return wait_us

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _endless(self) -> LimitError:
        return LimitError(
            f"there is no end to what is due at {as_datetime(self._clock.now_us())}: a task that "
            "enqueues itself, or tries again, needs a delay",
            bound=ROUNDS_MAX,
        )
