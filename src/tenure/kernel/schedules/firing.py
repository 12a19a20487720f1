"""What to do with a schedule that has come due: which instants fire, which are let go, what next.

The one place that knows the policies for missed instants and for overlaps. Called by the verb
that fires, in the transaction that writes what is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.kernel.model import TaskId
from tenure.kernel.schedules.definition import Plan
from tenure.kernel.schedules.interval import parse_interval
from tenure.kernel.schedules.model import Schedule, Verdict, fire_id, jitter_us
from tenure.kernel.schedules.policies import Missed, Overlap, Policies

# So many missed instants are entered one by one, newest first; of the others nobody asks.
MISSED_LISTED = 100
# More runs than this do not wait for their turn.
WAITING_MAX = 1_000
# What a run waits for that may begin only after the end of another.
TURN = "turn"
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run of a schedule that has not ended."""

    task_id: TaskId
    waits_for_turn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One instant and what becomes of it. Only one that fired has a task."""

    instant_us: int
    verdict: Verdict
    note: str = ""
    task_id: TaskId | None = None
    run_at_us: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to write for one due schedule."""

    entries: Sequence[Decided]
    cursor_us: int
    next_fire_at_us: int | None
    held_by: TaskId | None = None
    to_cancel: Sequence[TaskId] = ()


def decide(
    schedule: Schedule, plan: Plan, live: Sequence[LiveRun], *, now_us: int, late_us: int
) -> Decision:
    """Return what becomes of the instants up to *now_us*, and when to look again.

    An instant counts as missed once it is *late_us* late, or if a later one has come too.
    """
    due_us = schedule.next_fire_at_us
    assert due_us is not None, "asked about a schedule that has nothing to come"
    assert due_us <= now_us, "asked about a schedule that is not due"
    if schedule.counts_from_ends:
        return _decide_delay(schedule, plan, live, due_us=due_us, now_us=now_us)
    due = _Due(schedule, plan, due_us, now_us)
    chosen = _chosen(due, policies=schedule.definition.policies, now_us=now_us, late_us=late_us)
    missed = _missed(due, chosen)
    turns = _Turns(schedule, live)
    entries = [*missed, *(turns.take(instant_us) for instant_us in chosen)]
    last_us = due.last_us
    return Decision(
        entries=entries,
        # A clock that went back takes the cursor with it, and a steered instant does not.
        cursor_us=max(due_us if last_us is None else last_us, min(schedule.cursor_us, now_us)),
        next_fire_at_us=plan.next_after(now_us),
        to_cancel=turns.to_cancel,
    )


def decide_one(
    schedule: Schedule, live: Sequence[LiveRun], *, instant_us: int, note: str
) -> tuple[Decided, Sequence[TaskId]]:
    """Return what becomes of an instant that somebody asked for by hand, and whom to cancel."""
    turns = _Turns(schedule, live)
    return turns.take(instant_us, note=note), turns.to_cancel


def gap_us(schedule: Schedule) -> int:
    """Return how long after the end of a run the next is due, for one that counts from ends."""
    return parse_interval(schedule.definition.text) * SECOND_US


def _decide_delay(
    schedule: Schedule, plan: Plan, live: Sequence[LiveRun], *, due_us: int, now_us: int
) -> Decision:
    end_us = schedule.definition.end_us
    allowed_us = due_us if schedule.steered_us is not None else plan.allowed_from(due_us)
    if allowed_us > due_us:
        # A calendar takes this time out: it comes when the calendar lets it.
        is_over = end_us is not None and allowed_us > end_us
        return Decision(
            entries=(),
            cursor_us=max(schedule.cursor_us, due_us),
            next_fire_at_us=None if is_over else allowed_us,
        )
    entries: list[Decided] = []
    held_by: TaskId | None
    if live:
        # Somebody asked for a run by hand; this one comes after it.
        held_by = live[-1].task_id
    else:
        entries.append(_Turns(schedule, live).take(due_us))
        held_by = entries[0].task_id
    is_over = end_us is not None and now_us + gap_us(schedule) > end_us
    return Decision(
        entries=entries,
        cursor_us=max(schedule.cursor_us, due_us),
        next_fire_at_us=None,
        held_by=None if is_over else held_by,
    )


class _Due:
    """The instants that a schedule has to decide upon: its rule's, and one that was steered to."""

    def __init__(self, schedule: Schedule, plan: Plan, due_us: int, now_us: int) -> None:
        self._plan = plan
        self._steered_us = schedule.steered_us
        # A steered instant may lie before others that were decided upon already.
        is_steered = schedule.steered_us is not None
        self._floor_us = max(due_us, schedule.cursor_us + 1) if is_steered else due_us
        self.last_us: int | None = self.latest(now_us)

    def latest(self, at_us: int, *, floor_us: int = 0) -> int | None:
        """Return the last of them that is neither after *at_us* nor before *floor_us*."""
        found_us = self._plan.latest(at_us, floor_us=max(self._floor_us, floor_us))
        steered_us = self._steered_us
        if found_us is None and steered_us is not None and floor_us <= steered_us <= at_us:
            return steered_us
        return found_us


def _chosen(due: _Due, *, policies: Policies, now_us: int, late_us: int) -> list[int]:
    """Return the instants that fire, oldest first."""
    last_us = due.last_us
    if last_us is None:
        return []
    within_us = policies.missed_within_us
    if policies.missed is Missed.NONE:
        return [last_us] if now_us - last_us <= late_us else []
    oldest_us = 0 if within_us is None else now_us - max(within_us, late_us)
    if last_us < oldest_us:
        return []
    if policies.missed is Missed.LATEST:
        return [last_us]
    chosen = [last_us]
    while len(chosen) < policies.missed_max:
        before_us = due.latest(chosen[-1] - 1, floor_us=oldest_us)
        if before_us is None:
            break
        chosen.append(before_us)
    return chosen[::-1]


def _missed(due: _Due, chosen: Sequence[int]) -> list[Decided]:
    """Return entries for the newest of the instants that were let go, oldest first."""
    is_chosen = set(chosen)
    missed: list[Decided] = []
    at_us = due.last_us
    while at_us is not None and len(missed) < MISSED_LISTED:
        if at_us not in is_chosen:
            missed.append(Decided(instant_us=at_us, verdict=Verdict.MISSED))
        at_us = due.latest(at_us - 1)
    return missed[::-1]


class _Turns:
    """Whether a fire may begin, waits for its turn, or is dropped, one after the other."""

    def __init__(self, schedule: Schedule, live: Sequence[LiveRun]) -> None:
        self._schedule = schedule
        self._overlap = schedule.definition.policies.overlap
        self._busy = [run.task_id for run in live if not run.waits_for_turn]
        self._waiting = [run.task_id for run in live if run.waits_for_turn]
        self.to_cancel: list[TaskId] = []

    def take(self, instant_us: int, *, note: str = "") -> Decided:
        """Decide on the next instant."""
        tenant, id = self._schedule.tenant, self._schedule.id
        is_free = not self._busy and not self._waiting
        if self._overlap is Overlap.ALLOW or is_free:
            waits = False
        elif self._may_wait():
            waits = True
        else:
            holder = (self._busy or self._waiting)[0]
            return Decided(
                instant_us=instant_us, verdict=Verdict.SKIPPED, note=f"run {holder} was under way"
            )
        task_id = fire_id(tenant, id, instant_us)
        (self._waiting if waits else self._busy).append(task_id)
        most_us = self._schedule.definition.policies.jitter_us
        return Decided(
            instant_us=instant_us,
            verdict=Verdict.FIRED,
            note=note,
            task_id=task_id,
            run_at_us=instant_us + jitter_us(tenant, id, instant_us, most_us=most_us),
            waits=waits,
        )

    def _may_wait(self) -> bool:
        match self._overlap:
            case Overlap.QUEUE_ONE:
                return not self._waiting
            case Overlap.QUEUE_ALL:
                return len(self._waiting) < WAITING_MAX
            case Overlap.CANCEL_OLD:
                self.to_cancel += [*self._busy, *self._waiting]
                self._busy, self._waiting = self._busy[:1], []
                return True
            case _:
                return False
