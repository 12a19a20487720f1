"""Verbs that fire schedules, and that plan them anew.

Called by `engine.scheduler`. An instant fires once because its entry in the ledger and its task
are written together, and an instant that has an entry gets no second one. What the end of a run
does to its schedule is in `run_ends.py`.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tenure.kernel.errors import InvalidError, TenureError
from tenure.kernel.model import TaskId
from tenure.kernel.ports import (
    Batch,
    Row,
    Rows,
    Statement,
    Steps,
    read,
    transaction,
)
from tenure.kernel.schedules.definition import exclusions_of, plan_for
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.firing import (
    TURN,
    Decided,
    Decision,
    LiveRun,
    decide,
    decide_one,
    gap_us,
)
from tenure.kernel.schedules.model import Schedule, Verdict
from tenure.kernel.schedules.policies import Overlap
from tenure.store import ledger, run_ends, schedule_rows
from tenure.store.ledger import Entry
from tenure.store.run_ends import EndedRun, ScheduleKey as ScheduleKey


class Faulty(NamedTuple):
    """A schedule that cannot be fired, as `advance_schedules` has to leave it."""

    tenant: str
    id: str
    cursor_us: int
    next_fire_at_us: int | None
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What one turn of the scheduler came to."""

    seen: int  # schedules that were due
    late_us: int  # how late the latest of them was
    fired: int
    missed: int
    skipped: int
    faulty: Sequence[tuple[str, str]]  # id, trouble
    to_cancel: Sequence[tuple[str, TaskId]]  # tenant, task id


NOTHING_FIRED = Fired(seen=0, late_us=0, fired=0, missed=0, skipped=0, faulty=(), to_cancel=())


@transaction
def fire_due(*, limit: int, late_us: int, inline_bytes_max: int) -> Steps[Fired]:
    """Fire the schedules that are due, longest due first, and plan what comes next for each.

    A schedule that cannot be read or planned any more (its zone is gone, say) is set aside as
    faulty and holds up nobody.
    """
    found = yield Statement("due_schedules", {"limit": limit})
    if not found:
        return NOTHING_FIRED
    now_us: int = found[0][-1]
    due, faulty = _read(found)
    calendars = yield from calendars_of(due)
    live = yield from _live_runs(due)
    decisions: list[tuple[Schedule, Decision]] = []
    for schedule in due:
        try:
            known = calendars.get(schedule.tenant, {})
            plan = plan_for(schedule.definition, exclusions_of(schedule.definition.policies, known))
            runs = live.get((schedule.tenant, schedule.id), ())
            decision = decide(schedule, plan, runs, now_us=now_us, late_us=late_us)
        except Exception as error:  # noqa: BLE001 - one schedule must not hold up all others
            at_us = schedule.next_fire_at_us
            trouble = _told(error)
            faulty.append(Faulty(schedule.tenant, schedule.id, schedule.cursor_us, at_us, trouble))
        else:
            decisions.append((schedule, decision))
    entered = yield from _write(decisions, inline_bytes_max=inline_bytes_max)
    fired = Counter(
        (schedule.tenant, schedule.id)
        for schedule, entry in entered
        if entry.verdict is Verdict.FIRED
    )
    # The instants of these had fired before: the clock was set back.
    again = [pair for pair in decisions if _wished(pair[1]) > fired[pair[0].tenant, pair[0].id]]
    decisions = [
        (schedule, _as_fired(schedule, each, fired, now_us)) for schedule, each in decisions
    ]
    yield from _advance(decisions, faulty, fired)
    if again:
        yield from run_ends.wake([(schedule.tenant, schedule.id) for schedule, _ in again])
    verdicts = Counter(entry.verdict for _, entry in entered)
    return Fired(
        seen=len(found),
        late_us=now_us - schedule_rows.next_fire_at_us(found[0]),
        fired=verdicts[Verdict.FIRED],
        missed=verdicts[Verdict.MISSED],
        skipped=verdicts[Verdict.SKIPPED],
        faulty=[(each.id, each.trouble) for each in faulty],
        to_cancel=[
            (schedule.tenant, task_id)
            for schedule, decision in decisions
            for task_id in decision.to_cancel
        ],
    )


def fire_now(
    schedule: Schedule, *, instant_us: int, note: str, inline_bytes_max: int
) -> Steps[tuple[Decided | None, Sequence[TaskId]]]:
    """Fire an instant that somebody asked for; the schedule is locked.

    Return the entry, or None if the instant has one already, and which runs are to be cancelled.
    """
    live = yield from _live_runs([schedule])
    runs = live.get((schedule.tenant, schedule.id), ())
    entry, to_cancel = decide_one(schedule, runs, instant_us=instant_us, note=note)
    if entry.verdict is Verdict.SKIPPED:
        return entry, ()
    entered = yield from ledger.enter([(schedule, entry)], inline_bytes_max=inline_bytes_max)
    return (entry, to_cancel) if entered else (None, ())


@read
def next_due() -> Steps[tuple[int | None, int]]:
    """Return in how long the next schedule is due, if any is, and the store's time."""
    found = yield Statement("next_schedule_due", {})
    in_us, now_us = found[0]
    return in_us, now_us


@transaction
def note_time(name: str) -> Steps[int]:
    """Mark the present by the store's clock. Return how far it has gone back since the last time.

    That is negative where time has gone on, as it should.
    """
    found = yield Statement("get_mark", {"name": name})
    yield Statement("put_mark", {"name": name})
    return found[0][0] - found[0][1] if found else 0


@transaction
def replan(after: ScheduleKey, *, limit: int) -> Steps[tuple[ScheduleKey | None, int]]:
    """Plan a page of schedules anew: the clock was set back, or a zone or calendar has changed.

    Return where the next page begins, None after the last, and how many have changed.
    """
    found = yield Statement(
        "walk_schedules", {"tenant": after[0], "after_id": after[1], "limit": limit}
    )
    clock = yield Statement("clock", {})
    now_us: int = clock[0][0]
    # What cannot be read is told when it is due, or when somebody asks for it.
    page, _ = _read(found)
    calendars = yield from calendars_of(page)
    changes: list[tuple[Schedule, int | None, int, str | None]] = []
    for schedule in page:
        change = _replanned(schedule, calendars.get(schedule.tenant, {}), now_us)
        if change is not None:
            changes.append((schedule, *change))
    changed: Sequence[Row] = ()
    if changes:
        changed = yield Batch(
            "replan_schedules",
            {
                "tenant": [schedule.tenant for schedule, *_ in changes],
                "id": [schedule.id for schedule, *_ in changes],
                "revision": [schedule.revision for schedule, *_ in changes],
                "was_next_us": [schedule.next_fire_at_us for schedule, *_ in changes],
                "next_fire_at_us": [next_us for _, next_us, _, _ in changes],
                "cursor_us": [cursor_us for _, _, cursor_us, _ in changes],
                "trouble": [trouble for _, _, _, trouble in changes],
            },
            {},
        )
    last = found[-1] if len(found) == limit else None
    return (None if last is None else (last[0], last[1])), len(changed)


@transaction
def prune_fires(*, keep_us: int, limit: int) -> Steps[int]:
    """Delete old entries of the ledger; nothing up to a deleted one fires any more."""
    pruned = yield Statement("prune_fires", {"keep_us": keep_us, "limit": limit})
    floors: dict[ScheduleKey, int] = {}
    for tenant, schedule_id, instant_us in pruned:
        key = (tenant, schedule_id)
        floors[key] = max(floors.get(key, 0), instant_us)
    if floors:
        ordered = sorted(floors)
        yield Batch(
            "raise_floors",
            {
                "tenant": [tenant for tenant, _ in ordered],
                "id": [id for _, id in ordered],
                "floor_us": [floors[key] for key in ordered],
            },
            {},
        )
    return len(pruned)


@transaction
def sweep(*, limit: int) -> Steps[int]:
    """Let go on what waits for a run that is gone; return how much that was.

    The end of a run does this itself, in its transaction. This is for stores that were mended by
    hand, or put together of more than one backup.
    """
    holds = yield Statement("stuck_holds", {"limit": limit})
    turns = yield Statement("stuck_turns", {"limit": limit})
    gone = [EndedRun(row[0], row[1], row[2], None) for row in holds]
    gone += [EndedRun(row[0], row[1], "", None) for row in turns]
    yield from run_ends.ended(gone)
    return len(gone)


def calendars_of(schedules: Iterable[Schedule]) -> Steps[dict[str, dict[str, Exclusion]]]:
    """Return the calendars that schedules name, by tenant and name; unsound ones are left out."""
    names = {
        (schedule.tenant, name)
        for schedule in schedules
        for name in schedule.definition.policies.exclude
    }
    known: dict[str, dict[str, Exclusion]] = {}
    for tenant in sorted({tenant for tenant, _ in names}):
        named = [name for whose, name in sorted(names) if whose == tenant]
        known[tenant] = yield from calendars_named(tenant, named)
    return known


def calendars_named(tenant: str, names: Iterable[str]) -> Steps[dict[str, Exclusion]]:
    """Return calendars by name, without those that are not there or not sound."""
    known: dict[str, Exclusion] = {}
    for name in names:
        found = yield Statement("get_calendar", {"tenant": tenant, "name": name})
        if found:
            with contextlib.suppress(TenureError):
                known[name] = schedule_rows.exclusion(found[0][1])
    return known


def _read(found: Rows) -> tuple[list[Schedule], list[Faulty]]:
    """Read rows of schedules, and what is wrong with those that cannot be read."""
    schedules: list[Schedule] = []
    faulty: list[Faulty] = []
    for row in found:
        try:
            schedules.append(schedule_rows.schedule(row))
        except InvalidError as error:
            cursor_us, at_us = schedule_rows.cursor_us(row), schedule_rows.next_fire_at_us(row)
            faulty.append(Faulty(row[0], row[1], cursor_us, at_us, str(error)))
    return schedules, faulty


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, TenureError) else f"{type(error).__name__}: {error}"


def _wished(decision: Decision) -> int:
    return sum(entry.verdict is Verdict.FIRED for entry in decision.entries)


def _as_fired(
    schedule: Schedule, decision: Decision, fired: Mapping[ScheduleKey, int], now_us: int
) -> Decision:
    """Return what is left of a decision if its instants had fired before."""
    if fired[schedule.tenant, schedule.id] or not _wished(decision):
        return decision
    decision = replace(decision, to_cancel=())
    if not schedule.counts_from_ends:
        return decision
    # There is no run whose end could be waited for.
    return replace(decision, held_by=None, next_fire_at_us=now_us + gap_us(schedule))


def _is_new(schedule: Schedule, instant_us: int) -> bool:
    """Return whether no rule can have named an instant, so that it has not fired before."""
    if not schedule.counts_from_ends and instant_us != schedule.steered_us:
        return False
    return not plan_for(schedule.definition).names(instant_us)


def _live_runs(schedules: Iterable[Schedule]) -> Steps[dict[ScheduleKey, list[LiveRun]]]:
    """Return the runs that have not ended, oldest first, of schedules that mind them."""
    keys = [
        (schedule.tenant, schedule.id)
        for schedule in schedules
        if schedule.definition.policies.overlap is not Overlap.ALLOW
    ]
    live: dict[ScheduleKey, list[LiveRun]] = defaultdict(list)
    if keys:
        found = yield Batch(
            "live_runs", {"tenant": [key[0] for key in keys], "id": [key[1] for key in keys]}, {}
        )
        for tenant, schedule_id, task_id, waiting_for in found:
            live[tenant, schedule_id].append(LiveRun(task_id, waiting_for == TURN))
    return live


def _write(
    decisions: Sequence[tuple[Schedule, Decision]], *, inline_bytes_max: int
) -> Steps[list[Entry]]:
    """Enter what was decided, but for instants whose entry may have been pruned.

    What counts from ends, and what somebody steered to, is new each time, unless the rule has an
    instant just there.
    """
    wanted = [
        (schedule, entry)
        for schedule, decision in decisions
        for entry in decision.entries
        if entry.instant_us > schedule.floor_us or _is_new(schedule, entry.instant_us)
    ]
    return (yield from ledger.enter(wanted, inline_bytes_max=inline_bytes_max))


def _advance(
    decisions: Sequence[tuple[Schedule, Decision]],
    faulty: Sequence[Faulty],
    fired: Mapping[ScheduleKey, int],
) -> Steps[None]:
    moves: list[tuple[object, ...]] = [
        (
            *(schedule.tenant, schedule.id, decision.cursor_us, decision.next_fire_at_us),
            *(decision.held_by, fired[schedule.tenant, schedule.id], None),
        )
        for schedule, decision in decisions
    ]
    moves += [(*each[:4], None, 0, each.trouble) for each in faulty]
    names = ("tenant", "id", "cursor_us", "next_fire_at_us", "held_by", "fired", "trouble")
    columns = zip(*moves, strict=True)
    yield Batch("advance_schedules", dict(zip(names, columns, strict=True)), {})


def _replanned(
    schedule: Schedule, calendars: Mapping[str, Exclusion], now_us: int
) -> tuple[int | None, int, str | None] | None:
    """Return the next instant, the cursor and the trouble as they should be, if they are not."""
    if schedule.paused_at_us is not None or schedule.steered_us is not None:
        return None
    cursor_us = min(schedule.cursor_us, now_us)
    next_us = schedule.next_fire_at_us
    trouble: str | None = None
    try:
        schedule.definition.check()
        exclusions = exclusions_of(schedule.definition.policies, calendars)
        plan = plan_for(schedule.definition, exclusions)
        if not schedule.counts_from_ends:
            next_us = plan.next_after(cursor_us)
        elif next_us is not None:
            next_us = min(next_us, now_us + gap_us(schedule))
    except TenureError as error:
        trouble = str(error)
    change = (next_us, cursor_us, trouble)
    present = (schedule.next_fire_at_us, schedule.cursor_us, schedule.trouble)
    return None if change == present else change
