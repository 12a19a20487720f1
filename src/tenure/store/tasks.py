"""Verbs on tasks from the side of those who ask for work: insert, look up, cancel, revive.

Called by `service.tasks`. What workers do to tasks is in `claims.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tenure.kernel.errors import ConflictError, DuplicateError, NotFoundError, TransitionError
from tenure.kernel.model import NewTask, Task, TaskId
from tenure.kernel.ports import (
    CANCEL,
    Batch,
    Rows,
    Statement,
    Steps,
    queue_topic,
    read,
    single,
    transaction,
)
from tenure.kernel.states import ENDED, Event, State
from tenure.store import history, rows, run_ends

# Greater than every id that `list_tasks` can meet: ids are printable.
LAST_ID = "\U0010ffff"


class _Locked(NamedTuple):
    """What cancelling, waking and reviving need to know of a task before they change it."""

    state: State
    claim_no: int
    attempt: int
    worker_id: str
    claimed_at_us: int
    schedule_id: str | None


@single
def insert(task: NewTask) -> Steps[bool]:
    """Store a task whose payload is kept inline.

    Return False if its id or its unique key is taken already; `taken_by` tells by whom.
    """
    written = yield _insert(task, inline=True)
    return bool(written)


@transaction
def insert_with_bodies(task: NewTask) -> Steps[bool]:
    """Store a task whose payload is too large for its row. As `insert` otherwise."""
    written = yield _insert(task, inline=False)
    if written:
        yield from history.put_bodies([(task.tenant, task.id, "payload", task.payload)])
    return bool(written)


@transaction
def insert_fresh(
    like: NewTask, ids: Sequence[TaskId], payloads: Sequence[bytes], *, inline_bytes_max: int
) -> Steps[None]:
    """Store many tasks under ids that were made a moment ago, so that nothing can hold them.

    As `insert_many` otherwise, and cheaper: nothing is looked up first, and nothing answered.
    """
    inline, large = _aside(like.tenant, ids, payloads, inline_bytes_max=inline_bytes_max)
    yield Batch(
        "insert_fresh_tasks",
        {"id": ids, "payload": inline},
        _shared_params(like),
        notice=queue_topic(like.queue),
    )
    yield from history.put_bodies(large)


@transaction
def insert_many(
    like: NewTask,
    ids: Sequence[TaskId],
    payloads: Sequence[bytes],
    *,
    unique_keys: Sequence[str | None] | None = None,
    inline_bytes_max: int,
) -> Steps[list[TaskId]]:
    """Store many tasks that differ only in id, payload and unique key from *like*.

    Return the ids that were written, in order; the others' ids or unique keys were taken.
    """
    inline, large = _aside(like.tenant, ids, payloads, inline_bytes_max=inline_bytes_max)
    written_rows = yield Batch(
        "insert_tasks",
        {
            "id": ids,
            "payload": inline,
            "unique_key": unique_keys or [None] * len(ids),
        },
        _shared_params(like),
        notice=queue_topic(like.queue),
    )
    written = {row[0] for row in written_rows}
    if large:
        yield from history.put_bodies([entry for entry in large if entry[1] in written])
    return (
        list(ids)
        if len(written) == len(ids)
        else [id for id in dict.fromkeys(ids) if id in written]
    )


@read
def taken_by(task: NewTask) -> Steps[TaskId | None]:
    """Return the id of the task because of which *task* could not be inserted.

    If there is one with its id, it is that: *task* itself perhaps, written by an earlier try
    whose answer was lost, and ended before another took its unique key.
    """
    found = yield Statement("get_task", {"tenant": task.tenant, "id": task.id})
    if found:
        return task.id
    if task.unique_key is not None:
        found = yield Statement(
            "live_task_with_key", {"tenant": task.tenant, "unique_key": task.unique_key}
        )
    return TaskId(found[0][0]) if found else None


@read
def get(tenant: str, task_id: TaskId) -> Steps[Task | None]:
    """Return a task with its bodies, or None."""
    found = yield Statement("get_task", {"tenant": tenant, "id": task_id})
    if not found:
        return None
    task = rows.task(found[0])
    payload = task.payload
    if payload is None:
        payload = yield from history.body(tenant, task_id, "payload")
    result = task.result
    if result is None and task.state is State.COMPLETED:
        result = yield from history.body(tenant, task_id, "result")
    return replace(task, payload=payload, result=result)


@read
def find(
    tenant: str,
    *,
    state: str = "",
    queue: str = "",
    kind: str = "",
    before_id: str = LAST_ID,
    limit: int,
) -> Steps[list[Task]]:
    """Return a page of tasks, newest first, without the bodies kept aside.

    An empty filter lets everything pass. The next page is before the id of the last.
    """
    found = yield Statement(
        "list_tasks",
        {
            "tenant": tenant,
            "state": state,
            "queue": queue,
            "kind": kind,
            "before_id": before_id,
            "limit": limit,
        },
    )
    return [rows.task(row) for row in found]


@transaction
def cancel(tenant: str, task_id: TaskId, *, force: bool, reason: str) -> Steps[State]:
    """Cancel a task, or ask the handler that runs it to stop. Return its state afterwards.

    With *force* a running task is cancelled at once; its worker finds the lease gone.
    Cancelling a cancelled task again changes nothing.

    Raises:
        NotFoundError: there is no such task.
        TransitionError: it has completed or failed.
    """
    locked = yield from _lock(tenant, task_id)
    key = {"tenant": tenant, "id": task_id}
    cancelled = yield Statement(
        "cancel_task", {**key, "force": int(force), "cause": reason}, notice=CANCEL
    )
    if cancelled:
        yield from history.log_event(tenant, task_id, "cancel", reason)
        if locked.state is State.RUNNING:
            yield from history.log_cut_short(
                tenant,
                task_id,
                claim_no=locked.claim_no,
                attempt=locked.attempt,
                worker_id=locked.worker_id,
                started_at_us=locked.claimed_at_us,
            )
        if locked.schedule_id is not None:
            run = run_ends.EndedRun(tenant, locked.schedule_id, task_id, None)
            yield from run_ends.ended([run])
        return State.CANCELLED
    asked = yield Statement("ask_task_to_cancel", key, notice=CANCEL)
    if asked:
        yield from history.log_event(tenant, task_id, "ask_to_cancel", reason)
        return State.RUNNING
    if locked.state is State.CANCELLED:
        return State.CANCELLED
    raise _refused(task_id, locked.state, Event.CANCEL)


@transaction
def wake(tenant: str, task_id: TaskId) -> Steps[str]:
    """Bring a waiting task back to pending, due now. Return its queue.

    Raises:
        NotFoundError: there is no such task.
        TransitionError: it is not waiting.
    """
    locked = yield from _lock(tenant, task_id)
    woken = yield Statement("wake_task", {"tenant": tenant, "id": task_id})
    if not woken:
        raise _refused(task_id, locked.state, Event.WAKE)
    queue = str(woken[0][0])
    yield from history.log_event(tenant, task_id, "wake", "", notice=queue_topic(queue))
    return queue


@transaction
def revive(tenant: str, task_id: TaskId) -> Steps[str]:
    """Put an ended task back to pending, due now, with one more attempt. Return its queue.

    Raises:
        NotFoundError: there is no such task.
        TransitionError: it has not ended.
        DuplicateError: another live task holds its unique key.
    """
    locked = yield from _lock(tenant, task_id)
    revived = yield Statement("revive_task", {"tenant": tenant, "id": task_id})
    if revived:
        yield Statement("drop_result_body", {"tenant": tenant, "id": task_id})
        queue = str(revived[0][0])
        yield from history.log_event(tenant, task_id, "revive", "", notice=queue_topic(queue))
        return queue
    if locked.state in ENDED:
        yield from _refuse_taken_key(tenant, task_id)
    raise _refused(task_id, locked.state, Event.REVIVE)


def _aside(
    tenant: str, ids: Sequence[TaskId], payloads: Sequence[bytes], *, inline_bytes_max: int
) -> tuple[Sequence[bytes | None], list[history.Body]]:
    """Return the payloads for the rows, and those too large for one, to be kept aside.

    An id that is given twice is written once, with the payload that it has first.
    """
    if max(map(len, payloads), default=0) <= inline_bytes_max:
        return payloads, []
    first = dict(zip(reversed(ids), reversed(payloads), strict=True))
    large: list[history.Body] = [
        (tenant, task_id, "payload", payload)
        for task_id, payload in first.items()
        if len(payload) > inline_bytes_max
    ]
    return [body if len(body) <= inline_bytes_max else None for body in payloads], large


def _insert(task: NewTask, *, inline: bool) -> Statement:
    return Statement(
        "insert_task",
        {
            "id": task.id,
            "payload": task.payload if inline else None,
            "unique_key": task.unique_key,
            **_shared_params(task),
        },
        notice=queue_topic(task.queue),
    )


def _shared_params(task: NewTask) -> dict[str, object]:
    return {
        "tenant": task.tenant,
        "kind": task.kind,
        "queue": task.queue,
        "lane": int(task.lane),
        "cost": task.cost,
        "run_at_us": task.run_at_us,
        "delay_us": task.delay_us,
        "attempts_max": task.attempts_max,
        "timeout_us": task.timeout_us,
        "root_id": task.root_id,
        "parent_id": task.parent_id,
        "schedule_id": task.schedule_id,
        "tags": rows.tags_text(task.tags),
        "traceparent": task.traceparent,
        "carry": task.carry,
    }


def _lock(tenant: str, task_id: TaskId) -> Steps[_Locked]:
    """Read how a task stands, and keep it so until the transaction ends."""
    found = yield Statement("lock_task", {"tenant": tenant, "id": task_id})
    if not found:
        raise NotFoundError(f"there is no task {task_id!r}")
    return _Locked(State(found[0][0]), *found[0][1:])


def _refuse_taken_key(tenant: str, task_id: TaskId) -> Steps[None]:
    """Raise if the unique key of an ended task is held by another one."""
    found = yield Statement("get_task", {"tenant": tenant, "id": task_id})
    key = rows.task(found[0]).unique_key
    holders: Rows = ()
    if key is not None:
        holders = yield Statement("live_task_with_key", {"tenant": tenant, "unique_key": key})
    if holders:
        raise DuplicateError(
            f"task {task_id!r} cannot be revived: task {holders[0][0]!r} holds its unique "
            f"key {key!r}",
            existing_id=holders[0][0],
        )


def _refused(task_id: TaskId, state: State, event: Event) -> ConflictError:
    hints = {
        Event.CANCEL: "only a task that has not ended can be cancelled",
        Event.WAKE: "only a waiting task can be woken",
        Event.REVIVE: "only an ended task can be revived",
    }
    return TransitionError(
        f"task {task_id!r} is {state.value}: {hints[event]}", state=state.value, event=event.value
    )
