"""Fire the schedules that are due. Runs on the leader.

Two schedulers for a moment are harmless: each takes schedules that the other has not locked, and
an instant that has an entry in the ledger fires no second time.
"""

from __future__ import annotations

import contextlib
from collections import deque

from tenure.engine.elector import Elector
from tenure.engine.loop import Loop
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import ConflictError, NotFoundError
from tenure.kernel.model import TaskId
from tenure.observe.events import (
    ClockWentBack,
    ScheduleFaulty,
    SchedulesFired,
    SchedulesReplanned,
)
from tenure.store import firing, tasks

MARK = "scheduler"
MARK_EVERY_US = 10_000_000
# A clock that is set back by less is waited for.
BACK_US = 2_000_000
# How soon to look again for what somebody else has locked.
LOCKED_US = 50_000
# Instants that come close upon one another share a commit: only the first is fired at once.
REST_US = 10_000
FIRST = ("", "")


class Scheduler(Loop):
    """Makes the tasks that schedules ask for, when they ask for them."""

    def __init__(self, around: Surroundings, *, elector: Elector) -> None:
        super().__init__("scheduler", around.emit)
        self._store = around.store
        self._elector = elector
        self._settings = around.settings.scheduler
        self._inline_bytes_max = around.settings.limits.inline_bytes_max
        self._clock = around.clock
        # Where planning anew has come to; None when there is nothing to plan anew.
        self._replan_from: firing.ScheduleKey | None = FIRST
        self._replanned = 0
        # By the store's clock and by ours: what was seen last, and when the mark was written.
        self._latest_us: int | None = None
        self._marked_us: int | None = None
        # Runs that have to make way for newer ones, and were not asked to yet.
        self._to_cancel: deque[tuple[str, TaskId]] = deque()

    async def tick(self) -> int:
        """Fire a batch and come again at once, or when the next is due."""
        if not self._elector.is_leader:
            # Whoever was leader meanwhile has done as it saw fit: look at all anew.
            self._replan_from = FIRST
            self._latest_us = self._marked_us = None
            return self._settings.every_us
        await self._cancel_old()
        await self._watch_clock()
        if self._replan_from is not None:
            await self._replan(self._replan_from)
        # The time is looked at before anything fires by it, so that no fire at a time which turns
        # out to be wrong goes unseen, whatever fails afterwards.
        in_us, now_us = await self._store.run(firing.next_due())
        if await self._was_set_back(now_us):
            return 0
        wait_us = self._settings.every_us if in_us is None else in_us
        if wait_us <= 0:
            wait_us = await self._fire()
        return 0 if self._replan_from is not None else min(wait_us, self._settings.every_us)

    async def _fire(self) -> int:
        fired = await self._store.run(
            firing.fire_due(
                limit=self._settings.batch,
                late_us=self._settings.late_us,
                inline_bytes_max=self._inline_bytes_max,
            )
        )
        self._to_cancel.extend(fired.to_cancel)
        self._tell(fired)
        await self._cancel_old()
        if fired.seen == self._settings.batch:
            return 0
        # What is due and was not seen is locked by somebody, who needs a moment.
        return REST_US if fired.seen else LOCKED_US

    def _tell(self, fired: firing.Fired) -> None:
        for schedule_id, trouble in fired.faulty:
            self.emit(ScheduleFaulty(schedule_id=schedule_id, trouble=trouble))
        if fired.seen:
            self.emit(
                SchedulesFired(
                    fired=fired.fired,
                    missed=fired.missed,
                    skipped=fired.skipped,
                    late_us=fired.late_us,
                )
            )

    async def _cancel_old(self) -> None:
        """Ask runs to make way. One that the store could not be told of is asked next time."""
        while self._to_cancel:
            tenant, task_id = self._to_cancel[0]
            with contextlib.suppress(ConflictError, NotFoundError):  # It has ended meanwhile.
                await self._store.run(
                    tasks.cancel(tenant, task_id, force=False, reason="a newer run is due")
                )
            self._to_cancel.popleft()

    async def _watch_clock(self) -> None:
        """Note the time now and then, so that a clock set back is seen after a restart too."""
        now_us = self._clock.monotonic_us()
        if self._marked_us is not None and now_us - self._marked_us < MARK_EVERY_US:
            return
        back_us = await self._store.run(firing.note_time(MARK))
        self._marked_us = now_us
        if back_us > BACK_US:
            self._latest_us = None
            self._plan_anew(back_us)

    async def _was_set_back(self, now_us: int) -> bool:
        """Return whether the store's clock shows less than at the last look."""
        back_us = 0 if self._latest_us is None else self._latest_us - now_us
        self._latest_us = now_us
        if back_us <= BACK_US:
            return False
        self._plan_anew(back_us)
        # Otherwise the mark would tell of it a second time.
        await self._store.run(firing.note_time(MARK))
        return True

    def _plan_anew(self, back_us: int) -> None:
        self.emit(ClockWentBack(back_us=back_us))
        self._replan_from = FIRST

    async def _replan(self, after: firing.ScheduleKey) -> None:
        following, changed = await self._store.run(
            firing.replan(after, limit=self._settings.replan_batch)
        )
        self._replanned += changed
        if following is None:
            self._replanned += await self._store.run(firing.sweep(limit=self._settings.batch))
            if self._replanned:
                self.emit(SchedulesReplanned(replanned=self._replanned))
            self._replanned = 0
        # Only now: what fails before is done again.
        self._replan_from = following
