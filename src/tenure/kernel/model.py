"""The nouns as values: what the store keeps and the engine hands round.

Everything here is frozen. Times are integer microseconds UTC and end in `_us`; bodies
(payload, carry, result, error) are bytes that only the user's code looks into.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, NewType

from tenure.kernel.states import Event, State

TaskId = NewType("TaskId", str)
WorkerId = NewType("WorkerId", str)

DEFAULT_QUEUE = "default"
NO_TENANT = ""


class Lane(IntEnum):
    """The four priorities. A claim empties a lower number before it looks at the next.

    The set is closed so that a claim can read the head of each lane: one ordered scan over
    open-ended priorities has to step over rows that are not due yet.
    """

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A validated request to create a task. The store adds state, times and numbers.

    Exactly one of `delay_us` and `run_at_us` says when it is due: an instant as it is, a
    delay counted by the store's clock.
    """

    id: TaskId
    kind: str
    payload: bytes
    tenant: str = NO_TENANT
    queue: str = DEFAULT_QUEUE
    lane: Lane = Lane.NORMAL
    cost: int = 1
    delay_us: int = 0
    run_at_us: int | None = None
    attempts_max: int = 1
    timeout_us: int | None = None
    unique_key: str | None = None
    root_id: TaskId | None = None
    parent_id: TaskId | None = None
    schedule_id: str | None = None
    tags: tuple[str, ...] = ()
    traceparent: str | None = None
    carry: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The time-limited right to finish a claimed task: the only thing a worker may write with.

    `claim_no` is the fence. It only grows, so a write that names an older one finds no row.
    """

    tenant: str
    task_id: TaskId
    claim_no: int
    expires_at_us: int


class Claim(NamedTuple):
    """A claimed task: what a worker needs to run one attempt, and its fence.

    A tuple and not a dataclass, because one is made for every attempt: it costs a tenth.
    """

    tenant: str
    id: TaskId
    kind: str
    queue: str
    lane: int
    cost: int
    run_at_us: int
    attempt: int
    attempts_max: int
    crashes: int
    claim_no: int
    timeout_us: int | None
    created_at_us: int
    claimed_at_us: int
    lease_expires_at_us: int
    deadline_us: int | None
    worker_id: str
    parent_id: TaskId | None
    root_id: TaskId | None
    schedule_id: str | None
    tags_text: str | None
    traceparent: str | None
    payload: bytes
    carry: bytes | None

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags."""
        return tuple(json.loads(self.tags_text)) if self.tags_text else ()

    @property
    def lease(self) -> Lease:
        """The right this claim gives."""
        return Lease(
            tenant=self.tenant,
            task_id=self.id,
            claim_no=self.claim_no,
            expires_at_us=self.lease_expires_at_us,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One durable unit of work, as the store knows it.

    `attempt` is a budget that errors spend and that snoozing gives back; `claim_no` counts
    claims and is never given back, which is why it and not `attempt` is the fence.
    `run_at_us` is when to run, `lease_expires_at_us` when the worker's right ends and
    `deadline_us` when the run must stop: three times that never stand in for one another.
    """

    tenant: str
    id: TaskId
    kind: str
    queue: str
    state: State
    lane: int
    cost: int
    run_at_us: int
    attempt: int
    attempts_max: int
    crashes: int
    claim_no: int
    revision: int
    timeout_us: int | None
    deadline_us: int | None
    worker_id: WorkerId | None
    claimed_at_us: int | None
    lease_expires_at_us: int | None
    cancel_asked_at_us: int | None
    waiting_for: str | None
    created_at_us: int
    ended_at_us: int | None
    cause: str | None
    unique_key: str | None
    root_id: TaskId | None
    parent_id: TaskId | None
    schedule_id: str | None
    tags: tuple[str, ...]
    traceparent: str | None
    payload: bytes | None
    carry: bytes | None
    result: bytes | None
    progress: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One settled try of a task: who ran it, when, and what came of it."""

    tenant: str
    task_id: TaskId
    claim_no: int
    attempt: int
    worker_id: WorkerId
    started_at_us: int
    ended_at_us: int
    event: Event
    error: ErrorReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReport:
    """What went wrong in an attempt, as text that outlives the process.

    `type` is the exception's qualified name, or one of our causes (`timeout`,
    `lease_expired`) where there was no exception.
    """

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """Something done to a task from outside of an attempt: cancelled, revived, woken."""

    at_us: int
    event: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A named lane of work with its switches. Without a row, a queue is open and unlimited.

    `slots` is the total cost that may run at once on all workers together.
    """

    name: str
    paused_at_us: int | None
    slots: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """How many tasks of a queue stand where, for lists; the counts are capped.

    `next_due_us` is in how long its next task is due; negative if it has been for so long.
    """

    queue: Queue
    due: int
    scheduled: int
    running: int
    next_due_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A registered process that claims tasks and says regularly that it lives."""

    id: WorkerId
    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    slots: int
    started_at_us: int
    seen_at_us: int
    stopping_at_us: int | None
    stuck: int
