"""The store, as small and as obvious as it can be: what both databases must agree with.

Called by test_model.py. Every verb is a method that changes values in a dictionary; nothing is
fast, nothing is stored, and nothing is shared with the product but its values and its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from tenure.kernel.errors import DuplicateError, NotFoundError, TransitionError
from tenure.kernel.model import Attempt, Claim, Lease, NewTask, Queue, Task, TaskId, WorkerId
from tenure.kernel.settle import Settlement
from tenure.kernel.states import ENDED, LIVE, TRANSITIONS, Event, State
from tenure.store.claims import ClaimRequest, Settled

Key = tuple[str, str]
GIVEN_BACK = {Event.SNOOZE, Event.RELEASE, Event.WAIT}
CRASHED = {Event.EXPIRE, Event.EXHAUST}


class Rows:
    """All tasks, attempts, events and queues there are, and what changes one of them."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self.tasks: dict[Key, Task] = {}
        self.attempts: list[Attempt] = []
        self.events: list[tuple[str, str, int, str, str]] = []
        self.queues: dict[str, Queue] = {}

    def queue(self, name: str) -> Queue:
        """Return a queue's switches."""
        return self.queues.get(name, Queue(name=name, paused_at_us=None, slots=None))

    def _due(self, queue: str) -> list[Task]:
        due = [
            task
            for task in self.tasks.values()
            if task.state is State.PENDING
            and task.queue == queue
            and task.run_at_us <= self._now_us()
        ]
        return sorted(due, key=lambda task: (task.lane, task.run_at_us))

    def _running(self, queue: str) -> list[Task]:
        running = [task for task in self.tasks.values() if task.state is State.RUNNING]
        return [task for task in running if task.queue == queue]

    def _move(self, task: Task, event: Event, **changes: object) -> None:
        after = TRANSITIONS.get((task.state, event))
        if after is None:
            raise TransitionError("", state=task.state, event=event)
        left = {"waiting_for": None, "lease_expires_at_us": None, "deadline_us": None}
        ended_at_us = self._now_us() if after in ENDED else None
        always = {"state": after, "ended_at_us": ended_at_us, "revision": task.revision + 1}
        self._change(task.tenant, task.id, **{**left, **always, **changes})

    def _change(self, tenant: str, id: str, **changes: object) -> None:
        self.tasks[tenant, id] = replace(self.tasks[tenant, id], **changes)  # type: ignore[arg-type]  # by name

    def _log(self, claim: Claim, event: Event, worker_id: str) -> None:
        self.attempts.append(
            Attempt(
                tenant=claim.tenant,
                task_id=claim.id,
                claim_no=claim.claim_no,
                attempt=claim.attempt,
                worker_id=WorkerId(worker_id),
                started_at_us=claim.claimed_at_us,
                ended_at_us=self._now_us(),
                event=event,
                error=None,
            )
        )

    def _holds(self, lease: Lease) -> bool:
        task = self.tasks.get((lease.tenant, lease.task_id))
        is_running = task is not None and task.state is State.RUNNING
        return is_running and task is not None and task.claim_no == lease.claim_no

    def _holder(self, tenant: str, unique_key: str | None) -> str | None:
        for task in self.tasks.values():
            if (task.tenant, task.unique_key) == (tenant, unique_key) and task.state in LIVE:
                return task.id if unique_key is not None else None
        return None

    def _known(self, tenant: str, id: TaskId) -> Task:
        if (tenant, id) not in self.tasks:
            raise NotFoundError("")
        return self.tasks[tenant, id]


class Model(Rows):
    """Every verb, as a change of the rows."""

    def insert(self, new: NewTask) -> bool:
        """Store a task unless its id or its unique key is taken."""
        if (new.tenant, new.id) in self.tasks or self._holder(new.tenant, new.unique_key):
            return False
        now_us = self._now_us()
        names = set(NewTask.__dataclass_fields__) - {"delay_us", "run_at_us"}
        kept = {name: getattr(new, name) for name in names}
        nothing = dict.fromkeys(
            """deadline_us worker_id claimed_at_us lease_expires_at_us cancel_asked_at_us
            waiting_for ended_at_us cause result progress""".split()
        )
        numbers = dict.fromkeys(("attempt", "crashes", "claim_no", "revision"), 0)
        self.tasks[new.tenant, new.id] = Task(
            **{**kept, **nothing, **numbers},
            state=State.PENDING,
            run_at_us=now_us + new.delay_us if new.run_at_us is None else new.run_at_us,
            created_at_us=now_us,
        )
        return True

    def claim(self, request: ClaimRequest, *, limited: bool) -> list[Claim]:
        """Claim what is due, most urgent and then longest due first, as far as it fits."""
        queue = self.queue(request.queue)
        if queue.paused_at_us is not None or (queue.slots is not None and not limited):
            return []
        spare, queue_spare = request.spare, 0
        if queue.slots is not None:
            queue_spare = queue.slots - _sum_of(self._running(request.queue), queue.slots)
        taken: list[Claim] = []
        for task in self._due(request.queue)[: request.limit]:
            spare -= min(task.cost, request.slots)
            queue_spare -= 0 if queue.slots is None else min(task.cost, queue.slots)
            if spare < 0 or queue_spare < 0:
                break
            taken.append(self._claim(task, request))
        return taken

    def renew(self, leases: Iterable[Lease], *, lease_us: int) -> set[tuple[str, str, int]]:
        """Push the end of those leases out that still hold."""
        held: set[tuple[str, str, int]] = {
            (each.tenant, each.task_id, each.claim_no) for each in leases if self._holds(each)
        }
        for tenant, id, _ in held:
            self._change(tenant, id, lease_expires_at_us=self._now_us() + lease_us)
        return held

    def report_progress(
        self, leases: list[Lease], progress: list[bytes]
    ) -> set[tuple[str, str, int]]:
        """Keep progress of those leases that still hold."""
        told: set[tuple[str, str, int]] = set()
        for lease, said in zip(leases, progress, strict=True):
            if self._holds(lease):
                self._change(lease.tenant, lease.task_id, progress=said)
                told.add((lease.tenant, lease.task_id, lease.claim_no))
        return told

    def settle(self, settlements: list[Settlement], *, worker_id: str) -> list[Settled]:
        """End claims, each once."""
        return [self._settle(settlement, worker_id=worker_id) for settlement in settlements]

    def expire(self, decide: Callable[[Claim, bool], Settlement]) -> set[Key]:
        """Take back every lease that ran out."""
        over = [
            task
            for task in self.tasks.values()
            if task.lease_expires_at_us is not None and task.lease_expires_at_us <= self._now_us()
        ]
        for task in over:
            settlement = decide(_claim_of(task), task.cancel_asked_at_us is not None)
            self._settle(settlement, worker_id=str(task.worker_id))
        return {(task.tenant, task.id) for task in over}

    def cancel(self, tenant: str, id: TaskId, *, force: bool, reason: str) -> State:
        """End a task, or ask its handler to."""
        task = self._known(tenant, id)
        now_us = self._now_us()
        if task.state is State.RUNNING and not force:
            asked_us = now_us if task.cancel_asked_at_us is None else task.cancel_asked_at_us
            self._change(tenant, id, cancel_asked_at_us=asked_us, revision=task.revision + 1)
            self.events.append((tenant, id, now_us, "ask_to_cancel", reason))
            return State.RUNNING
        if task.state in LIVE:
            self._move(task, Event.CANCEL, cause=reason)
            self.events.append((tenant, id, now_us, "cancel", reason))
            if task.state is State.RUNNING:
                self._log(_claim_of(task), Event.CANCEL, str(task.worker_id))
        elif task.state is not State.CANCELLED:
            raise TransitionError("", state=task.state, event=Event.CANCEL)
        return State.CANCELLED

    def wake(self, tenant: str, id: TaskId) -> str:
        """Make a waiting task due now."""
        task = self._known(tenant, id)
        self._move(task, Event.WAKE, run_at_us=self._now_us())
        self.events.append((tenant, id, self._now_us(), "wake", ""))
        return task.queue

    def revive(self, tenant: str, id: TaskId) -> str:
        """Make an ended task due now."""
        task = self._known(tenant, id)
        holder = self._holder(tenant, task.unique_key)
        if task.state in ENDED and holder:
            raise DuplicateError("", existing_id=holder)
        self._move(
            task,
            Event.REVIVE,
            run_at_us=self._now_us(),
            attempts_max=max(task.attempts_max, task.attempt + 1),
            crashes=0,
            cause=None,
            result=None,
            cancel_asked_at_us=None,
        )
        self.events.append((tenant, id, self._now_us(), "revive", ""))
        return task.queue

    def prune(self, state: State, *, keep_us: int) -> int:
        """Forget tasks that ended in that state so long ago."""
        pruned = {
            key
            for key, task in self.tasks.items()
            if task.state is state
            and task.ended_at_us is not None
            and task.ended_at_us <= self._now_us() - keep_us
        }
        for key in pruned:
            del self.tasks[key]
        self.attempts = [
            each for each in self.attempts if (each.tenant, each.task_id) in self.tasks
        ]
        self.events = [each for each in self.events if each[:2] in self.tasks]
        return len(pruned)

    def next_dues(self) -> dict[str, int]:
        """Return in how long the next task of each queue is due."""
        dues: dict[str, int] = {}
        for task in self.tasks.values():
            if task.state is State.PENDING:
                due_us = task.run_at_us - self._now_us()
                dues[task.queue] = min(due_us, dues.get(task.queue, due_us))
        return dues

    def _claim(self, task: Task, request: ClaimRequest) -> Claim:
        now_us = self._now_us()
        self._move(
            task,
            Event.CLAIM,
            attempt=task.attempt + 1,
            claim_no=task.claim_no + 1,
            worker_id=WorkerId(request.worker_id),
            claimed_at_us=now_us,
            lease_expires_at_us=now_us + request.lease_us,
            deadline_us=None if task.timeout_us is None else now_us + task.timeout_us,
            progress=None,
            revision=task.revision,
        )
        return _claim_of(self.tasks[task.tenant, task.id])

    def _settle(self, settlement: Settlement, *, worker_id: str) -> Settled:
        key = (settlement.tenant, settlement.task_id)
        task = self.tasks.get(key)
        if task is None or task.state is not State.RUNNING or task.claim_no != settlement.claim_no:
            return self._repeated(settlement)
        event = settlement.event
        after = TRANSITIONS[State.RUNNING, event]
        if task.cancel_asked_at_us is not None and after in LIVE:
            self._move(task, Event.CANCEL, cause="cancelled")
            self._log(_claim_of(task), Event.CANCEL, worker_id)
            return Settled.WRITTEN
        self._move(
            task,
            event,
            run_at_us=(
                self._now_us() + settlement.delay_us if after is State.PENDING else task.run_at_us
            ),
            attempt=task.attempt - (event in GIVEN_BACK),
            crashes=task.crashes + (event in CRASHED),
            cause=settlement.cause,
            waiting_for=settlement.waiting_for,
            result=settlement.result,
            carry=task.carry if settlement.carry is None else settlement.carry,
        )
        self._log(_claim_of(task), event, worker_id)
        return Settled.WRITTEN

    def _repeated(self, settlement: Settlement) -> Settled:
        """Was it this very settlement that ended the claim, as far as can be known?"""
        claim = settlement[:3]
        for attempt in self.attempts:
            if (attempt.tenant, attempt.task_id, attempt.claim_no) == claim:
                ended_instead = TRANSITIONS[State.RUNNING, settlement.event] in LIVE
                is_same = attempt.event is settlement.event
                if is_same or (attempt.event is Event.CANCEL and ended_instead):
                    return Settled.ALREADY
        return Settled.LOST


def _sum_of(tasks: list[Task], slots: int) -> int:
    return sum(min(task.cost, slots) for task in tasks)


def _claim_of(task: Task) -> Claim:
    shared = {name: getattr(task, name) for name in Claim._fields if hasattr(task, name)}
    return Claim(**{**shared, "tags_text": None})
