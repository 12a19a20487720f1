"""Verbs on schedules and calendars from the side of those who make them.

Called by `service.schedules`. What fires them is in `firing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tenure.kernel.errors import InvalidError, NotFoundError, RevisionError
from tenure.kernel.model import Task, TaskId
from tenure.kernel.ports import SCHEDULES, Rows, Statement, Steps, read, single, transaction
from tenure.kernel.schedules.definition import readable
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.firing import Decided
from tenure.kernel.schedules.model import Change, Fire, Schedule
from tenure.store import firing, history, rows, schedule_rows

LAST_US = 2**62

# From the schedule there is, if any, the calendars by name and the store's time, to the one that
# there should be; None leaves it as it is.
Make = Callable[[Schedule | None, dict[str, Exclusion], int], Schedule | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A named calendar of days off, as it is stored."""

    name: str
    document: str
    updated_at_us: int

    @property
    def exclusion(self) -> Exclusion:
        """What it excludes."""
        return schedule_rows.exclusion(self.document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What asking for a run by hand came to; without an entry that moment had one already."""

    entry: Decided | None
    to_cancel: Sequence[TaskId]


@read
def get(tenant: str, schedule_id: str) -> Steps[Schedule | None]:
    """Return a schedule, or None."""
    return _found((yield Statement("get_schedule", {"tenant": tenant, "id": schedule_id})))


@read
def listing(
    tenant: str, *, after_id: str, origin: str, kind: str, limit: int
) -> Steps[list[Schedule]]:
    """Return a page of schedules by id; an empty filter lets everything pass."""
    found = yield Statement(
        "list_schedules",
        {"tenant": tenant, "after_id": after_id, "origin": origin, "kind": kind, "limit": limit},
    )
    return [schedule_rows.schedule(row) for row in found]


@transaction
def put(tenant: str, schedule_id: str, names: Sequence[str], make: Make) -> Steps[Change]:
    """Create or update a schedule, as *make* says of the one that there is.

    *names* are the calendars that *make* will ask for. What it raises is raised here, and nothing
    is written.
    """
    known = yield from firing.calendars_named(tenant, names)
    found = yield Statement("lock_schedule", {"tenant": tenant, "id": schedule_id})
    clock = yield Statement("clock", {})
    there_is = _found(found)
    wanted = make(there_is, known, clock[0][0])
    if wanted is None:
        return Change.UNCHANGED
    params = schedule_rows.params(wanted)
    if there_is is None:
        is_paused = int(wanted.paused_at_us is not None)
        written = yield Statement(
            "insert_schedule",
            {**params, "carry": wanted.carry, "paused": is_paused},
            notice=SCHEDULES,
        )
        change = Change.CREATED
    else:
        written = yield _update(there_is, wanted)
        change = Change.UPDATED
    if not written:
        raise RevisionError(f"schedule {schedule_id!r} was changed by somebody else just now")
    return change


@transaction
def pause(tenant: str, schedule_id: str) -> Steps[bool]:
    """Stop firing; what runs goes on. Return False if it was paused already."""
    yield from _locked(tenant, schedule_id)
    found = yield Statement("pause_schedule", {"tenant": tenant, "id": schedule_id})
    return bool(found)


@transaction
def resume(
    tenant: str, schedule_id: str, plan: Callable[[Schedule, dict[str, Exclusion], int], int | None]
) -> Steps[bool]:
    """Fire again, from now on. Return False if it was neither paused nor faulty.

    *plan* says when next, given the schedule, its calendars and the store's time.
    """
    schedule, now_us = yield from _locked(tenant, schedule_id)
    if schedule.paused_at_us is None and schedule.trouble is None:
        return False
    known = yield from firing.calendars_named(tenant, schedule.definition.policies.exclude)
    steered_us = schedule.steered_us
    if steered_us is not None and steered_us <= now_us:
        steered_us = None
    planned_us = plan(schedule, known, now_us)
    next_us = None if schedule.held_by is not None else steered_us or planned_us
    yield Statement(
        "resume_schedule",
        {
            "tenant": tenant,
            "id": schedule_id,
            "cursor_us": now_us,
            "steered_us": steered_us,
            "next_fire_at_us": next_us,
            "revision": schedule.revision,
        },
        notice=SCHEDULES,
    )
    return True


@transaction
def run_soon(tenant: str, schedule_id: str, *, note: str, inline_bytes_max: int) -> Steps[Asked]:
    """Fire now, whatever the rule says; its own instants stay as they are.

    Raises:
        NotFoundError: there is no such schedule.
    """
    schedule, now_us = yield from _locked(tenant, schedule_id)
    entry, to_cancel = yield from firing.fire_now(
        schedule, instant_us=now_us, note=note, inline_bytes_max=inline_bytes_max
    )
    return Asked(entry=entry, to_cancel=to_cancel)


@transaction
def steer(tenant: str, schedule_id: str, next_us: int) -> Steps[bool]:
    """Let the next fire be at an instant of somebody's choice, in place of the rule's next.

    One that has passed is taken for the present: it may have fired. Return False if there is no
    such schedule.
    """
    found = yield Statement("lock_schedule", {"tenant": tenant, "id": schedule_id})
    if not found:
        return False
    yield _steer(tenant, schedule_id, max(next_us, found[0][-1]))
    return True


@transaction
def steered(
    tenant: str, schedule_id: str, task_id: TaskId, *, next_us: int | None, make: Make
) -> Steps[bool]:
    """Do what a run says about the next one, if it is a run of a schedule that still exists.

    *make* changes the rule; *next_us* is the next instant, in place of the rule's. Nothing is
    raised: the run has been, whatever is the matter with its schedule.
    """
    found = yield Statement("lock_schedule", {"tenant": tenant, "id": schedule_id})
    try:
        there_is = _found(found)
    except InvalidError:
        return False
    if there_is is None:
        return False
    known = yield from firing.calendars_named(tenant, there_is.definition.policies.exclude)
    now_us: int = found[0][-1]
    wanted = make(there_is, known, now_us)
    if wanted is not None:
        yield _update(there_is, wanted)
    if next_us is not None:
        next_us = max(next_us, now_us)
        yield _steer(tenant, schedule_id, next_us)
        yield from history.log_event(
            tenant, task_id, "steer", f"next run of {schedule_id} at {readable(next_us)}"
        )
    return True


@transaction
def set_carry(tenant: str, schedule_id: str, carry: bytes | None) -> Steps[None]:
    """Replace the state that is handed from run to run; runs not yet begun have it too."""
    yield from _locked(tenant, schedule_id)
    params = {"tenant": tenant, "id": schedule_id, "carry": carry}
    yield Statement("set_schedule_carry", params)
    yield Statement("hand_carry", params)


@single
def delete(tenant: str, schedule_id: str) -> Steps[bool]:
    """Delete a schedule; its runs and its ledger stay. Return whether there was one."""
    found = yield Statement(
        "delete_schedule", {"tenant": tenant, "id": schedule_id}, notice=SCHEDULES
    )
    return bool(found)


@read
def runs(tenant: str, schedule_id: str, *, before_id: str, limit: int) -> Steps[list[Task]]:
    """Return a page of the runs of a schedule, newest first."""
    found = yield Statement(
        "runs_of_schedule",
        {"tenant": tenant, "id": schedule_id, "before_id": before_id, "limit": limit},
    )
    return [rows.task(row) for row in found]


@read
def fires(tenant: str, schedule_id: str, *, before_us: int, limit: int) -> Steps[list[Fire]]:
    """Return a page of the ledger of a schedule, latest instant first."""
    found = yield Statement(
        "fires_of_schedule",
        {"tenant": tenant, "id": schedule_id, "before_us": before_us, "limit": limit},
    )
    return [schedule_rows.fire(row) for row in found]


@read
def calendars(tenant: str, *, after_name: str, limit: int) -> Steps[list[Calendar]]:
    """Return a page of calendars by name."""
    found = yield Statement(
        "list_calendars", {"tenant": tenant, "after_id": after_name, "limit": limit}
    )
    return [Calendar(name=row[0], document=row[1], updated_at_us=row[2]) for row in found]


@read
def calendar(tenant: str, name: str) -> Steps[Calendar | None]:
    """Return a calendar, or None."""
    found = yield Statement("get_calendar", {"tenant": tenant, "name": name})
    if not found:
        return None
    return Calendar(name=found[0][0], document=found[0][1], updated_at_us=found[0][2])


@single
def put_calendar(tenant: str, name: str, document: str) -> Steps[None]:
    """Store a calendar, in place of an older one; schedules are planned anew soon."""
    yield Statement(
        "put_calendar", {"tenant": tenant, "name": name, "document": document}, notice=SCHEDULES
    )


@single
def delete_calendar(tenant: str, name: str) -> Steps[bool]:
    """Delete a calendar. Return whether there was one."""
    found = yield Statement("delete_calendar", {"tenant": tenant, "name": name})
    return bool(found)


def _locked(tenant: str, schedule_id: str) -> Steps[tuple[Schedule, int]]:
    """Return a schedule, kept as it is until the transaction ends, and the store's time.

    Raises:
        NotFoundError: there is none by that id.
    """
    found = yield Statement("lock_schedule", {"tenant": tenant, "id": schedule_id})
    if not found:
        raise NotFoundError(f"there is no schedule {schedule_id!r}")
    return schedule_rows.schedule(found[0]), found[0][-1]


def _found(found: Rows) -> Schedule | None:
    return schedule_rows.schedule(found[0]) if found else None


def _steer(tenant: str, schedule_id: str, steered_us: int) -> Statement:
    return Statement(
        "steer_schedule",
        {"tenant": tenant, "id": schedule_id, "steered_us": steered_us},
        notice=SCHEDULES,
    )


def _update(there_is: Schedule, wanted: Schedule) -> Statement:
    return Statement(
        "update_schedule",
        {
            **schedule_rows.params(wanted),
            "steered_us": wanted.steered_us,
            "held_by": wanted.held_by,
            "trouble": wanted.trouble,
            "revision": there_is.revision,
        },
        notice=SCHEDULES,
    )
