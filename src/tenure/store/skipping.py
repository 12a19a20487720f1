"""The verb that lets go of instants up to a moment, for good.

For stores that were put back from a backup: what fired after the backup was made is not in its
ledger, and would fire a second time.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenure.kernel.errors import TenureError
from tenure.kernel.ports import SCHEDULES, Batch, Statement, Steps, transaction
from tenure.kernel.schedules.definition import exclusions_of, plan_for
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Schedule
from tenure.store import firing, schedule_rows
from tenure.store.run_ends import ScheduleKey


@transaction
def skip(keys: Sequence[ScheduleKey], until_us: int) -> Steps[int]:
    """Let nothing up to *until_us* fire any more, of these schedules. Return how many moved.

    A later instant fires as ever; so does one that was asked for by hand, if it is later.
    """
    locked: list[Schedule] = []
    for tenant, schedule_id in sorted(keys):
        found = yield Statement("lock_schedule", {"tenant": tenant, "id": schedule_id})
        if found:
            locked.append(schedule_rows.schedule(found[0]))
    calendars = yield from firing.calendars_of(locked)
    moved = [schedule for schedule in locked if _lies_before(schedule, until_us)]
    if locked:
        yield Batch(
            "raise_floors",
            {
                "tenant": [schedule.tenant for schedule in locked],
                "id": [schedule.id for schedule in locked],
                "floor_us": [until_us] * len(locked),
            },
            {},
        )
    if moved:
        plans = [
            _next(schedule, calendars.get(schedule.tenant, {}), until_us) for schedule in moved
        ]
        yield Batch(
            "advance_schedules",
            {
                "tenant": [schedule.tenant for schedule in moved],
                "id": [schedule.id for schedule in moved],
                "cursor_us": [max(schedule.cursor_us, until_us) for schedule in moved],
                "next_fire_at_us": [next_us for next_us, _ in plans],
                "held_by": [None] * len(moved),
                "fired": [0] * len(moved),
                "trouble": [trouble for _, trouble in plans],
            },
            {},
            notice=SCHEDULES,
        )
    return len(moved)


def _lies_before(schedule: Schedule, until_us: int) -> bool:
    return schedule.next_fire_at_us is not None and schedule.next_fire_at_us <= until_us


def _next(
    schedule: Schedule, calendars: dict[str, Exclusion], until_us: int
) -> tuple[int | None, str | None]:
    """Return when a schedule fires next, and what is wrong with it if it cannot be planned."""
    if schedule.counts_from_ends:
        return until_us + 1, None
    try:
        exclusions = exclusions_of(schedule.definition.policies, calendars)
        return plan_for(schedule.definition, exclusions).next_after(until_us), None
    except TenureError as error:
        return schedule.next_fire_at_us, str(error)
