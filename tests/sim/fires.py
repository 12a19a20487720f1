"""What must be true of schedules: each instant once, none forgotten, turns kept, state handed on.

Fed by the checker with every change of a schedule, of the ledger and of a run, in the order of the
commits. `watch` looks at the schedules in calm times, when nothing may be late any more.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tenure.engine.scheduler import BACK_US
from tenure.kernel.schedules.definition import Definition, Plan, RuleKind, exclusions_of, plan_for
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.firing import MISSED_LISTED, SECOND_US, TURN
from tenure.kernel.schedules.interval import parse_interval
from tenure.kernel.schedules.model import fire_id
from tenure.kernel.schedules.policies import Drift, Overlap, Policies, policies_from
from tenure.kernel.states import LIVE, State
from tests.sim.audit import Change, Deed, Row, Timetable

if TYPE_CHECKING:
    from tests.sim.world import World

# A schedule that is due is fired within this, once loops that failed have come back.
OVERDUE_US = 8 * SECOND_US
# Statements that may move a cursor on without a word of the instants that it passes.
FORGIVING = {"update_schedule", "resume_schedule"}


class Fires:
    """A copy of the schedules and of what became of their instants."""

    def __init__(self, world: World) -> None:
        self.schedules: dict[str, Timetable] = {}
        self.runs: dict[str, dict[str, Row]] = defaultdict(dict)  # those that live
        self.calendars: dict[str, Exclusion] = {}
        self.fired = 0
        self._entered: dict[str, set[int]] = defaultdict(set)  # pruned ones too
        self._made: dict[tuple[str, int], str] = {}
        self._world = world
        self._begin_commit()

    def _begin_commit(self) -> None:
        self._promised: dict[str, tuple[str, int]] = {}  # tasks of entries that fired
        self._carried: dict[str, str | None] = {}  # state before the commit
        self._handed: dict[str, list[str]] = defaultdict(list)  # by runs that completed
        self._touched: set[str] = set()

    # -- changes, in order

    def follow(self, deed: Deed, change: Change) -> None:
        """Follow a change of a schedule or of the ledger."""
        old, new = change.old, change.new
        match change.what:
            case "insert fire":
                assert new is not None
                self._entered_now(deed, *new[:5])
            case "delete fire":
                self._must(deed.statement == "prune_fires", f"ledger loses {old} by {deed}")
            case "insert schedule":
                assert new is not None
                made = _timetable(new)
                self._put(made)
                self._check_next(deed, made)
            case "update schedule":
                assert new is not None
                assert old is not None
                self._changed(deed, _timetable(old), _timetable(new))
            case "delete schedule":
                assert old is not None
                del self.schedules[_timetable(old).id]
                self._touched.add(_timetable(old).id)
            case _:
                self._must(False, f"nothing may {change.what}")

    def run_born(self, deed: Deed, row: Row) -> None:
        """Follow a run that was made."""
        assert row.schedule_id is not None
        schedule = self.schedules[row.schedule_id]
        entry = self._promised.pop(row.id, None)
        self._must(entry is not None, f"run {row.id} has no entry in the ledger")
        if entry is not None:
            self._must(entry not in self._made, f"instant {entry} has a second task: {row.id}")
            self._must(row.id == fire_id("", *entry), f"run {row.id} of {entry} has another id")
            self._made[entry] = row.id
            self.fired += 1
        self._check_turn(row, policies_of(schedule).overlap)
        self._must(row.carry == schedule.carry, f"run {row.id} begins with {row.carry}: {schedule}")
        self.runs[schedule.id][row.id] = row
        self._touched.add(schedule.id)

    def run_changed(self, deed: Deed, old: Row, new: Row) -> None:
        """Follow a run on its way."""
        assert new.schedule_id is not None
        runs = self.runs[new.schedule_id]
        schedule = self.schedules.get(new.schedule_id)
        if old.state == State.WAITING and old.waiting_for == TURN and new.state == State.PENDING:
            self._must(deed.statement == "wake_turns", f"run {new.id} was woken by {deed}")
            busy = [row.id for row in runs.values() if row.id != new.id and not waits(row)]
            self._must(not busy, f"run {new.id} has its turn beside {busy}")
            # A schedule that was made anew has no state, and its old runs have theirs.
            carry = old.carry if schedule is None or schedule.carry is None else schedule.carry
            self._must(new.carry == carry, f"run {new.id} goes on with {new.carry}, not {carry}")
        if new.state == State.COMPLETED:
            run = self._world.ledger.runs.get((new.tenant, new.id, new.claim_no))
            if run is not None and run.handed is not None:
                self._handed[new.schedule_id].append(run.handed)
        if new.state in LIVE:
            runs[new.id] = new
        else:
            runs.pop(new.id, None)
        self._touched.add(new.schedule_id)

    def end_commit(self) -> None:
        """Check what must be so whenever something is written."""
        for task_id, entry in self._promised.items():
            self._must(False, f"{entry} fired without its task {task_id}")
        for id in self._touched:
            runs = self.runs[id].values()
            waiting = [row.id for row in runs if waits(row)]
            if waiting and len(waiting) == len(runs):
                self._must(False, f"runs of {id} wait for their turn behind nobody: {waiting}")
            schedule = self.schedules.get(id)
            if schedule is None:
                continue
            if schedule.held_by is not None and schedule.held_by not in self.runs[id]:
                self._must(False, f"schedule waits for a run that is not there: {schedule}")
            self._check_carry(schedule)
        self._begin_commit()

    # -- in calm times

    def watch(self) -> None:
        """No schedule is overdue, and none waits for longer than its rule says."""
        now_us = self._world.store_clock.now_us()
        for schedule in self.schedules.values():
            next_us = schedule.next_fire_at_us
            if not is_active(schedule) or next_us is None:
                continue
            if next_us < now_us - OVERDUE_US:
                self._must(False, f"schedule is overdue by {now_us - next_us} µs: {schedule}")
            if schedule.steered_us is not None:
                continue
            latest_us: int | None
            if policies_of(schedule).drift is Drift.DELAY:
                latest_us = now_us + gap_us(schedule) + BACK_US
            else:
                latest_us = plan_of(schedule, self.calendars).next_after(now_us + BACK_US)
            if latest_us is not None and next_us > latest_us:
                self._must(
                    False, f"schedule waits until {next_us}, longer than {latest_us}: {schedule}"
                )

    # -- rules

    def _entered_now(
        self, deed: Deed, tenant: str, id: str, instant_us: int, verdict: str, task_id: str | None
    ) -> None:
        schedule = self.schedules.get(id)
        self._must(schedule is not None, f"{id} has an entry and is not there: {deed}")
        # One that was let go may be let go again, once its entry is pruned; it has no task.
        is_known = verdict == "fired" and (id, instant_us) in self._made
        self._must(not is_known, f"instant {instant_us} of {id} fires twice")
        if schedule is not None:
            # One that counts from ends names no instant a second time, whatever the clock says;
            # nor does anybody who says himself when a run is to be.
            counts_from_ends = policies_of(schedule).drift is Drift.DELAY
            is_asked_for = deed.verb == "run_soon" or instant_us == schedule.steered_us
            is_wished = counts_from_ends or is_asked_for
            is_late = is_wished or instant_us > schedule.floor_us
            self._must(is_late, f"instant {instant_us} of {id} is below its floor: {schedule}")
        self._entered[id].add(instant_us)
        if verdict == "fired":
            assert task_id is not None
            self._promised[task_id] = (id, instant_us)

    def _changed(self, deed: Deed, old: Timetable, new: Timetable) -> None:
        self._put(new, before=old)
        match deed.statement:
            case "advance_schedules":
                self._advanced(deed, old, new)
            case "update_schedule":
                due_us = old.next_fire_at_us or 0
                is_due = is_active(old) and 0 < due_us <= deed.now_us
                # What a rule named up to the floor may have fired, and been pruned.
                may_come = due_us > old.floor_us or due_us == old.steered_us
                if is_due and may_come and new.trouble is None:
                    is_kept = new.next_fire_at_us == old.next_fire_at_us
                    self._must(is_kept, f"an edit forgets what was due: {old} to {new}")
            case "replan_schedules":
                goes_back = new.cursor_us <= old.cursor_us
                self._must(goes_back, f"planning anew passes instants over: {old} to {new}")
            case "release_schedules":
                due_us = deed.now_us + gap_us(new)
                due = None if new.end_us is not None and due_us > new.end_us else due_us
                is_kept = old.held_by is None or new.next_fire_at_us == due
                self._must(is_kept, f"the delay is not kept: {old} to {new} at {deed.now_us}")
            case "store_carries" | "pause_schedule" | "steer_schedule" | "raise_floors":
                pass
            case "resume_schedule":
                self._must(new.paused_at_us is None, f"it is still paused: {new}")
            case _:
                self._must(False, f"a schedule does not change by {deed}")
        self._check_next(deed, new)

    def _advanced(self, deed: Deed, old: Timetable, new: Timetable) -> None:
        due_us = old.next_fire_at_us
        self._must(is_active(old), f"only what is active fires: {old}")
        self._must(
            due_us is not None and due_us <= deed.now_us, f"it fires before it is due: {old}"
        )
        if new.trouble is not None or due_us is None:
            return
        if policies_of(old).drift is Drift.DELAY:
            # That instant may have an entry, of a run asked for by hand; then it comes later.
            is_later = new.next_fire_at_us is None or new.next_fire_at_us > deed.now_us
            self._must(is_later, f"it counts from the end: {old} to {new}")
            return
        if old.steered_us is not None:
            # Between it and the cursor lies what an edit, or whoever steered, has let go.
            due_us = max(due_us, old.cursor_us + 1)
        plan = plan_of(old, self.calendars)
        at_us = plan.latest(deed.now_us, floor_us=due_us)
        self._must(at_us is None or at_us <= new.cursor_us, f"it passes {at_us} over: {new}")
        for _ in range(MISSED_LISTED):
            if at_us is None:
                break
            is_known = at_us in self._entered[old.id] or at_us <= old.floor_us
            self._must(is_known, f"instant {at_us} is forgotten: {old} to {new}")
            at_us = plan.latest(at_us - 1, floor_us=due_us) if at_us > due_us else None

    def _check_next(self, deed: Deed, schedule: Timetable) -> None:
        """The next instant is never after the first that was not decided upon."""
        if (
            not is_active(schedule)
            or schedule.steered_us is not None
            or policies_of(schedule).drift is Drift.DELAY
        ):
            return
        following_us = plan_of(schedule, self.calendars).next_after(schedule.cursor_us)
        next_us = schedule.next_fire_at_us
        is_sound = following_us is None or (next_us is not None and next_us <= following_us)
        self._must(is_sound, f"{following_us} is passed over by {deed.statement}: {schedule}")

    def _check_turn(self, row: Row, overlap: Overlap) -> None:
        assert row.schedule_id is not None
        others = list(self.runs[row.schedule_id].values())
        busy = [other.id for other in others if not waits(other)]
        waiting = [other.id for other in others if waits(other)]
        if overlap is Overlap.ALLOW:
            return
        if not waits(row):
            self._must(not others, f"run {row.id} ({overlap}) begins beside {busy} and {waiting}")
        else:
            is_only = overlap is not Overlap.QUEUE_ONE or not waiting
            self._must(is_only, f"run {row.id} waits for its turn behind {waiting}")
            may_wait = overlap is not Overlap.SKIP
            self._must(may_wait, f"run {row.id} waits, and its schedule skips")

    def _check_carry(self, schedule: Timetable) -> None:
        """The state is what a run that completed has handed on, and changes by that alone."""
        handed = self._handed[schedule.id]
        if handed:
            is_kept = schedule.carry in handed
            self._must(is_kept, f"state {schedule.carry} is none of {handed}: {schedule.id}")
        elif schedule.id in self._carried:
            is_same = schedule.carry == self._carried[schedule.id]
            self._must(is_same, f"state {schedule.carry} comes from nowhere: {schedule.id}")

    def _put(self, schedule: Timetable, *, before: Timetable | None = None) -> None:
        if before is not None:
            self._carried.setdefault(schedule.id, before.carry)
            is_known = self.schedules.get(schedule.id) == before
            self._must(is_known, f"it changes with the audit only: {before}")
        self.schedules[schedule.id] = schedule
        self._touched.add(schedule.id)

    def _must(self, is_so: bool, rule: str) -> None:
        if not is_so:
            self._world.blame(f"of schedules: {rule}")


def plan_of(schedule: Timetable, calendars: dict[str, Exclusion]) -> Plan:
    """Return the plan of a schedule."""
    definition = Definition(
        rule=RuleKind(schedule.rule),
        text=schedule.text,
        zone=schedule.zone,
        start_us=schedule.start_us,
        end_us=schedule.end_us,
        policies=policies_of(schedule),
    )
    return plan_for(definition, exclusions_of(definition.policies, calendars))


def policies_of(schedule: Timetable) -> Policies:
    """Return the policies of a schedule."""
    document: dict[str, Any] = json.loads(schedule.policies)
    return policies_from(document)


def gap_us(schedule: Timetable) -> int:
    """Return how long after the end of a run the next is due."""
    return parse_interval(schedule.text) * SECOND_US


def is_active(schedule: Timetable) -> bool:
    """Return whether it fires when it is due."""
    return schedule.paused_at_us is None and schedule.trouble is None


def waits(row: Row) -> bool:
    """Return whether a run waits for its turn."""
    return row.state == State.WAITING and row.waiting_for == TURN


def _timetable(values: tuple[Any, ...]) -> Timetable:
    return Timetable(*values[: len(Timetable._fields)])
