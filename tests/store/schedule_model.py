"""Schedules, as small and as obvious as they can be: what both databases must agree with.

Called by test_schedule_model.py. All rules are intervals, and every instant is found by counting;
nothing is shared with the product but its values, its ids of fires and its table of states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tenure.kernel.model import NewTask, Task, TaskId
from tenure.kernel.schedules.model import Schedule, Verdict, fire_id
from tenure.kernel.schedules.policies import Drift, Missed, Overlap
from tenure.kernel.settle import Settlement
from tenure.kernel.states import ENDED, LIVE, Event, State
from tenure.store.claims import Settled
from tests.store.drivers import SECOND_US
from tests.store.model import Key, Model

Entry = tuple[str, str | None]  # verdict, task id


class ScheduleRows(Model):
    """Tasks as ever, schedules and their ledger, and what changes one of them."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        super().__init__(now_us)
        self.schedules: dict[Key, Schedule] = {}
        self.ledger: dict[tuple[str, str, int], Entry] = {}

    def edit(self, key: Key, **changes: object) -> None:
        """Change fields of a schedule."""
        self.schedules[key] = replace(self.schedules[key], **changes)  # type: ignore[arg-type]  # by name

    def runs(self, key: Key) -> list[Task]:
        """Return the live runs of a schedule, oldest first."""
        found = [task for task in self.tasks.values() if (task.tenant, task.schedule_id) == key]
        return sorted((task for task in found if task.state in LIVE), key=lambda task: task.id)

    def instants(self, schedule: Schedule, first_us: int, last_us: int) -> list[int]:
        """Return the instants of the rule between two times, both included."""
        start_us, every_us = schedule.definition.start_us or 0, every(schedule)
        count = max(0, (last_us - start_us) // every_us + 1)
        found = [start_us + place * every_us for place in range(count)]
        return [at_us for at_us in found if at_us >= first_us]

    def next_after(self, schedule: Schedule, at_us: int) -> int:
        """Return the next instant of the rule after a time."""
        start_us = schedule.definition.start_us or 0
        return self.instants(schedule, at_us + 1, max(at_us + every(schedule), start_us))[0]

    def _chosen(self, schedule: Schedule, found: list[int], late_us: int) -> list[int]:
        policies = schedule.definition.policies
        match policies.missed:
            case Missed.ALL:
                return found
            case Missed.LATEST:
                return found[-1:]
            case Missed.NONE:
                return [at_us for at_us in found[-1:] if self._now_us() - at_us <= late_us]

    def _take_turns(self, key: Key, chosen: list[int]) -> tuple[int, bool]:
        """Make the runs of instants that are new; one that is not takes its turn all the same.

        Return how many were made, and whether any was not new.
        """
        schedule = self.schedules[key]
        overlap = schedule.definition.policies.overlap
        waiting = [task.waiting_for == "turn" for task in self.runs(key)]
        made, is_short = 0, False
        for at_us in chosen:
            is_free = overlap is Overlap.ALLOW or not waiting
            may_wait = overlap is Overlap.QUEUE_ALL or (
                overlap is Overlap.QUEUE_ONE and not any(waiting)
            )
            is_new = (*key, at_us) not in self.ledger
            if not is_free and not may_wait:
                self.ledger.setdefault((*key, at_us), (Verdict.SKIPPED, None))
                continue
            waiting.append(not is_free)
            if is_new:
                made += 1
                self._make(schedule, at_us, waits=not is_free)
            else:
                is_short = True
        return made, is_short

    def _make(self, schedule: Schedule, at_us: int, *, waits: bool) -> None:
        tenant, template = schedule.tenant, schedule.template
        id = fire_id(tenant, schedule.id, at_us)
        self.ledger[tenant, schedule.id, at_us] = (Verdict.FIRED, id)
        assert self.insert(
            NewTask(
                id=id,
                tenant=tenant,
                kind=template.kind,
                payload=template.payload,
                queue=template.queue,
                attempts_max=template.attempts_max,
                run_at_us=at_us,
                schedule_id=schedule.id,
                carry=schedule.carry,
            )
        )
        if waits:
            self._change(tenant, id, state=State.WAITING, waiting_for="turn")

    def _count(self, key: Key, made: int) -> None:
        if made:
            fired = self.schedules[key].fired + made
            self.edit(key, fired=fired, last_fired_at_us=self._now_us())

    def _end(self, task: Task, carry: bytes | None) -> None:
        if task.schedule_id is None:
            return
        key = (task.tenant, task.schedule_id)
        schedule = self.schedules.get(key)
        if schedule is not None:
            if carry is not None:
                self.edit(key, carry=carry)
            if schedule.held_by == task.id:
                self.edit(key, held_by=None, next_fire_at_us=self._now_us() + every(schedule))
        self._wake(key)

    def _wake(self, key: Key) -> None:
        live = self.runs(key)
        if not live or any(task.waiting_for != "turn" for task in live):
            return
        first = live[0]
        schedule = self.schedules.get(key)
        carry = first.carry if schedule is None or schedule.carry is None else schedule.carry
        self._move(first, Event.WAKE, carry=carry)
        said = "its turn has come"
        self.events.append((first.tenant, first.id, self._now_us(), "wake", said))


class ScheduledModel(ScheduleRows):
    """Every verb on schedules, and on tasks what is different with them."""

    def pause(self, key: Key) -> bool:
        """Stop firing."""
        schedule = self.schedules[key]
        if schedule.paused_at_us is not None:
            return False
        self.edit(key, paused_at_us=self._now_us(), revision=schedule.revision + 1)
        return True

    def resume(self, key: Key) -> bool:
        """Fire again, from what comes after now."""
        schedule, now_us = self.schedules[key], self._now_us()
        if schedule.paused_at_us is None:
            return False
        steered_us = schedule.steered_us
        if steered_us is not None and steered_us <= now_us:
            steered_us = None
        planned_us = self.next_after(schedule, now_us)
        self.edit(
            key,
            paused_at_us=None,
            cursor_us=now_us,
            steered_us=steered_us,
            next_fire_at_us=None if schedule.held_by else steered_us or planned_us,
            revision=schedule.revision + 1,
        )
        return True

    def steer(self, key: Key, next_us: int) -> None:
        """Let the next fire be then."""
        at_us = max(next_us, self._now_us())
        revision = self.schedules[key].revision + 1
        self.edit(key, steered_us=at_us, next_fire_at_us=at_us, held_by=None, revision=revision)

    def replan(self) -> None:
        """Look at all anew, as after the clock went back."""
        now_us = self._now_us()
        for key, schedule in self.schedules.items():
            if schedule.paused_at_us is not None or schedule.steered_us is not None:
                continue
            cursor_us, next_us = min(schedule.cursor_us, now_us), schedule.next_fire_at_us
            if schedule.definition.policies.drift is Drift.RATE:
                next_us = self.next_after(schedule, cursor_us)
            elif next_us is not None:
                next_us = min(next_us, now_us + every(schedule))
            self.edit(key, cursor_us=cursor_us, next_fire_at_us=next_us)

    def fire_due(self, late_us: int) -> int:
        """Fire what is due. Return how many runs were made."""
        now_us = self._now_us()
        due = [
            key
            for key, schedule in self.schedules.items()
            if schedule.next_fire_at_us is not None
            and schedule.next_fire_at_us <= now_us
            and schedule.paused_at_us is None
        ]
        return sum(self._fire(key, late_us) for key in due)

    def _fire(self, key: Key, late_us: int) -> int:
        schedule, now_us = self.schedules[key], self._now_us()
        due_us = schedule.next_fire_at_us
        assert due_us is not None
        if schedule.definition.policies.drift is Drift.DELAY:
            return self._fire_delay(key, due_us)
        first_us = due_us
        steered = [] if schedule.steered_us is None else [schedule.steered_us]
        if steered:
            first_us = max(due_us, schedule.cursor_us + 1)
        found = sorted({*steered, *self.instants(schedule, first_us, now_us)})
        chosen = self._chosen(schedule, found, late_us)
        for at_us in found:
            if at_us not in chosen:
                self.ledger.setdefault((*key, at_us), (Verdict.MISSED, None))
        made, is_short = self._take_turns(key, chosen)
        self.edit(
            key,
            cursor_us=max(found[-1], min(schedule.cursor_us, now_us)),
            next_fire_at_us=self.next_after(schedule, now_us),
            steered_us=None,
        )
        self._count(key, made)
        if is_short:
            self._wake(key)
        return made

    def _fire_delay(self, key: Key, due_us: int) -> int:
        live = self.runs(key)
        self.edit(key, steered_us=None, next_fire_at_us=None)
        cursor_us = max(self.schedules[key].cursor_us, due_us)
        self.edit(key, cursor_us=cursor_us)
        if live:
            self.edit(key, held_by=live[-1].id)
            return 0
        made, _ = self._take_turns(key, [due_us])
        if made:
            self.edit(key, held_by=fire_id(*key, due_us))
        else:
            self.edit(key, next_fire_at_us=self._now_us() + every(self.schedules[key]))
        self._count(key, made)
        return made

    def _settle(self, settlement: Settlement, *, worker_id: str) -> Settled:
        settled = super()._settle(settlement, worker_id=worker_id)
        task = self.tasks.get((settlement.tenant, settlement.task_id))
        if settled is Settled.WRITTEN and task is not None and task.state in ENDED:
            done = settlement.carry if task.state is State.COMPLETED else None
            self._end(task, done)
        return settled

    def cancel(self, tenant: str, id: TaskId, *, force: bool, reason: str) -> State:
        """End a task, or ask its handler to; what has ended gives its turn on."""
        before = self._known(tenant, id).state
        state = super().cancel(tenant, id, force=force, reason=reason)
        if before in LIVE and state is State.CANCELLED:
            self._end(self.tasks[tenant, id], None)
        return state


def every(schedule: Schedule) -> int:
    """Return the interval of a rule, which is in seconds."""
    return int(schedule.definition.text.removesuffix("s")) * SECOND_US
