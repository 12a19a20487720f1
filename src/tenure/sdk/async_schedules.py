"""Schedules of a client, for coroutines; what each does is said in `schedules.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from tenure.kernel.model import Task
from tenure.kernel.schedules.model import Change, Fire, Schedule
from tenure.kernel.schedules.preview import Difference, Preview, difference, occurrences
from tenure.sdk.durations import Duration, duration_us, instant_us
from tenure.sdk.recurring import States
from tenure.sdk.task import Call
from tenure.sdk.wanted import AsyncOwner, period, wanted
from tenure.sdk.when import When
from tenure.service import bulk_schedules, schedules, skipping
from tenure.service.bulk_schedules import Bulk
from tenure.service.program import Program

T = TypeVar("T")


class AsyncScheduleViews:
    """Looks at schedules; changes nothing."""

    def __init__(self, owner: AsyncOwner) -> None:
        self._owner = owner

    async def get(self, id: str) -> Schedule:
        """Return a schedule; NotFoundError if there is none."""
        return await self._run(schedules.get(self._owner.tenant, id, self._owner.settings))

    async def find(
        self, *, kind: str = "", origin: str = "", after_id: str = "", limit: int = 50
    ) -> list[Schedule]:
        """Return a page of schedules by id; the next page is after the id of the last."""
        return await self._run(
            schedules.find(
                self._owner.tenant,
                self._owner.settings,
                kind=kind,
                origin=origin,
                after_id=after_id,
                limit=limit,
            )
        )

    async def runs(self, id: str, *, before_id: str = "", limit: int = 50) -> list[Task]:
        """Return a page of its runs, newest first."""
        return await self._run(
            schedules.runs(
                self._owner.tenant, id, self._owner.settings, before_id=before_id, limit=limit
            )
        )

    async def fires(self, id: str, *, limit: int = 50) -> list[Fire]:
        """Return what became of its latest instants: fired, missed or skipped."""
        return await self._run(
            schedules.fires(self._owner.tenant, id, self._owner.settings, limit=limit)
        )

    async def preview(
        self, when: When, *, after: datetime, until: datetime, limit: int = 100
    ) -> Preview:
        """Return what a rule would fire in a period, with marks where the clocks change."""
        after_us, until_us = period(after, until)
        plan = await self._run(schedules.plan_of(self._owner.tenant, when.definition, after_us))
        return occurrences(plan, after_us=after_us, until_us=until_us, limit=limit)

    async def difference(
        self, id: str, when: When, *, after: datetime, until: datetime, limit: int = 100
    ) -> Difference:
        """Return what changing a schedule to *when* would change in a period."""
        after_us, until_us = period(after, until)
        before = (await self.get(id)).definition
        return difference(
            await self._run(schedules.plan_of(self._owner.tenant, before, after_us)),
            await self._run(schedules.plan_of(self._owner.tenant, when.definition, after_us)),
            after_us=after_us,
            until_us=until_us,
            limit=limit,
        )

    async def _run(self, program: Program[T]) -> T:
        return await self._owner.run(program)


class AsyncSchedules(AsyncScheduleViews):
    """What an `AsyncClient` knows of schedules: `client.schedules`; see `Schedules`."""

    async def create(self, id: str, when: When, call: Call[Any], *, paused: bool = False) -> None:
        """Store a new schedule that makes *call* at the times of *when*."""
        asked = wanted(id, when, call, paused=paused)
        await self._run(schedules.create(self._owner.tenant, asked, self._owner.settings))

    async def ensure(self, id: str, when: When, call: Call[Any]) -> Change:
        """Store a schedule, or change the one by that id; say which, or that nothing was to do."""
        asked = wanted(id, when, call)
        return await self._run(schedules.ensure(self._owner.tenant, asked, self._owner.settings))

    async def update(
        self, id: str, when: When, call: Call[Any], *, revision: int | None = None
    ) -> Change:
        """Change a schedule; with *revision*, only if it is still of that one."""
        asked = wanted(id, when, call)
        return await self._run(
            schedules.update(self._owner.tenant, asked, self._owner.settings, revision=revision)
        )

    async def pause(self, id: str) -> bool:
        """Stop a schedule from firing; what runs goes on. False if it was paused already."""
        return await self._run(schedules.pause(self._owner.tenant, id, self._owner.settings))

    async def resume(self, id: str) -> bool:
        """Let it fire again; what came due meanwhile is let go. False if it was not paused."""
        return await self._run(schedules.resume(self._owner.tenant, id, self._owner.settings))

    async def delete(self, id: str) -> None:
        """Delete a schedule; its runs and its ledger stay. NotFoundError if there is none."""
        await self._run(schedules.delete(self._owner.tenant, id, self._owner.settings))

    async def run_soon(self, id: str) -> str:
        """Make a run now, beside those of the rule, and return its id."""
        return await self._run(schedules.run_soon(self._owner.tenant, id, self._owner.settings))

    async def set_next(self, id: str, at: datetime) -> None:
        """Let the next run be at *at*; after it the rule goes on."""
        next_us = instant_us(at, field="at")
        await self._run(schedules.set_next(self._owner.tenant, id, next_us, self._owner.settings))

    async def set_state(self, id: str, state: object, *, version: int = 1) -> None:
        """Replace the state that is handed from run to run. NotFoundError if there is none."""
        carry = States(id, type_=Any, version=version, migrations={}).encode(state)
        await self._run(schedules.set_carry(self._owner.tenant, id, carry, self._owner.settings))

    async def skip(self, *ids: str, until: datetime | None = None) -> int:
        """Let nothing up to *until*, or up to now, fire any more; see `Schedules.skip`."""
        until_us = None if until is None else instant_us(until, field="until")
        return await self._run(
            skipping.skip(self._owner.tenant, ids, self._owner.settings, until_us=until_us)
        )

    async def pause_many(self, ids: Sequence[str]) -> Bulk:
        """Pause schedules; each for itself, and the answer says what became of each."""
        return await self._run(bulk_schedules.pause(self._owner.tenant, ids, self._owner.settings))

    async def resume_many(
        self, ids: Sequence[str], *, run_soon: bool = False, within: Duration = 300
    ) -> Bulk:
        """Resume schedules; with *run_soon* each runs once, spread evenly over *within*."""
        return await self._run(
            bulk_schedules.resume(
                self._owner.tenant,
                ids,
                self._owner.settings,
                run_soon=run_soon,
                within_us=duration_us(within, field="within"),
            )
        )

    async def update_many(self, ids: Sequence[str], when: When) -> Bulk:
        """Give schedules another rule; each keeps its task, state and history."""
        return await self._run(
            bulk_schedules.redefine(self._owner.tenant, ids, when.definition, self._owner.settings)
        )
