"""What `--json` answers: one struct for each thing, with a stable set of fields.

A field may be added in a release, none is renamed or removed. Times are RFC 3339 in UTC with
`Z`, durations are seconds, and what is not there is null. The reference page is made from this.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tenure.cli.show import SECOND_US, body, instant, instant_or_none
from tenure.kernel.model import Attempt, HistoryEntry, QueueCounts, Task, Worker
from tenure.kernel.states import State, label
from tenure.service.tasks import TaskStory
from tenure.store.queues import COUNT_MAX


class TaskShape(msgspec.Struct, frozen=True):
    """A task without its bodies."""

    id: str
    kind: str
    queue: str
    state: str
    label: str
    priority: int
    cost: int
    tags: list[str]
    created_at: str
    run_at: str
    attempt: int
    attempts_max: int
    crashes: int
    claim_no: int
    timeout_s: Decimal | None
    worker_id: str | None
    claimed_at: str | None
    lease_expires_at: str | None
    deadline_at: str | None
    cancel_asked_at: str | None
    waiting_for: str | None
    ended_at: str | None
    cause: str | None
    unique_key: str | None
    root_id: str | None
    parent_id: str | None
    schedule_id: str | None
    traceparent: str | None


class ErrorShape(msgspec.Struct, frozen=True):
    """What went wrong in an attempt."""

    type: str
    message: str
    traceback: str


class AttemptShape(msgspec.Struct, frozen=True):
    """One settled try of a task."""

    claim_no: int
    attempt: int
    event: str
    worker_id: str
    started_at: str
    ended_at: str
    error: ErrorShape | None


class EventShape(msgspec.Struct, frozen=True):
    """Something done to a task from outside."""

    at: str
    event: str
    detail: str


class StoryShape(msgspec.Struct, frozen=True):
    """A task with its bodies exactly as stored, its attempts and events, newest first."""

    task: TaskShape
    payload: msgspec.Raw | None
    carry: msgspec.Raw | None
    progress: msgspec.Raw | None
    result: msgspec.Raw | None
    attempts: list[AttemptShape]
    events: list[EventShape]


class TaskPage(msgspec.Struct, frozen=True):
    """Tasks, newest first; `next_before` is what to give to `--before` for more."""

    tasks: list[TaskShape]
    next_before: str | None


class QueueShape(msgspec.Struct, frozen=True):
    """A queue. Counts stop at `counts_max`."""

    name: str
    paused_at: str | None
    slots: int | None
    due: int
    scheduled: int
    running: int
    next_due_at: str | None
    counts_max: int


class WorkerShape(msgspec.Struct, frozen=True):
    """A worker; `status` is alive, stopping, stuck or silent."""

    id: str
    status: str
    host: str
    pid: int
    version: str
    queues: list[str]
    slots: int
    stuck: int
    started_at: str
    seen_at: str
    stopping_at: str | None


def label_of(task: Task, now_us: int) -> str:
    """Return the finer word for a task's state."""
    return label(
        task.state,
        is_due=task.run_at_us <= now_us,
        attempt=task.attempt,
        cancel_asked=task.cancel_asked_at_us is not None,
        cause=task.cause or "",
        held=task.state is State.WAITING and task.waiting_for == "held",
    )


def task_shape(task: Task, now_us: int) -> TaskShape:
    """Return a task for JSON."""
    return TaskShape(
        id=task.id,
        kind=task.kind,
        queue=task.queue,
        state=task.state.value,
        label=label_of(task, now_us),
        priority=task.lane,
        cost=task.cost,
        tags=list(task.tags),
        created_at=instant(task.created_at_us),
        run_at=instant(task.run_at_us),
        attempt=task.attempt,
        attempts_max=task.attempts_max,
        crashes=task.crashes,
        claim_no=task.claim_no,
        timeout_s=None if task.timeout_us is None else Decimal(task.timeout_us) / SECOND_US,
        worker_id=task.worker_id,
        claimed_at=instant_or_none(task.claimed_at_us),
        lease_expires_at=instant_or_none(task.lease_expires_at_us),
        deadline_at=instant_or_none(task.deadline_us),
        cancel_asked_at=instant_or_none(task.cancel_asked_at_us),
        waiting_for=task.waiting_for,
        ended_at=instant_or_none(task.ended_at_us),
        cause=task.cause,
        unique_key=task.unique_key,
        root_id=task.root_id,
        parent_id=task.parent_id,
        schedule_id=task.schedule_id,
        traceparent=task.traceparent,
    )


def story_shape(story: TaskStory, now_us: int) -> StoryShape:
    """Return a task with all that is known of it, for JSON."""
    task = story.task
    return StoryShape(
        task=task_shape(task, now_us),
        payload=body(task.payload),
        carry=body(task.carry),
        progress=body(task.progress),
        result=body(task.result),
        attempts=[attempt_shape(attempt) for attempt in story.attempts],
        events=[event_shape(event) for event in story.events],
    )


def attempt_shape(attempt: Attempt) -> AttemptShape:
    """Return an attempt for JSON."""
    error = attempt.error
    return AttemptShape(
        claim_no=attempt.claim_no,
        attempt=attempt.attempt,
        event=attempt.event.value,
        worker_id=attempt.worker_id,
        started_at=instant(attempt.started_at_us),
        ended_at=instant(attempt.ended_at_us),
        error=None if error is None else ErrorShape(error.type, error.message, error.traceback),
    )


def event_shape(entry: HistoryEntry) -> EventShape:
    """Return something done from outside, for JSON."""
    return EventShape(at=instant(entry.at_us), event=entry.event, detail=entry.detail)


def queue_shape(counts: QueueCounts, now_us: int) -> QueueShape:
    """Return a queue for JSON."""
    due_us = counts.next_due_us
    return QueueShape(
        name=counts.queue.name,
        paused_at=instant_or_none(counts.queue.paused_at_us),
        slots=counts.queue.slots,
        due=counts.due,
        scheduled=counts.scheduled,
        running=counts.running,
        next_due_at=None if due_us is None else instant(now_us + due_us),
        counts_max=COUNT_MAX,
    )


def worker_shape(worker: Worker, status: str) -> WorkerShape:
    """Return a worker for JSON."""
    return WorkerShape(
        id=worker.id,
        status=status,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        queues=list(worker.queues),
        slots=worker.slots,
        stuck=worker.stuck,
        started_at=instant(worker.started_at_us),
        seen_at=instant(worker.seen_at_us),
        stopping_at=instant_or_none(worker.stopping_at_us),
    )
