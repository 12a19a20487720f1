"""What can be asked about tasks: enqueue, look up, wait, cancel, revive.

Called by the clients, the command line and the faces. Every request is validated here
before it reaches a verb.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenure.kernel import validate
from tenure.kernel.errors import (
    DuplicateError,
    InvalidError,
    NotFoundError,
    TaskFailedError,
    WaitTimeoutError,
)
from tenure.kernel.model import Attempt, HistoryEntry, NewTask, Task, TaskId
from tenure.kernel.states import ENDED, State
from tenure.service.program import Now, Pause, Program, patiently
from tenure.settings import Settings
from tenure.store import history, tasks

ATTEMPTS_SHOWN = 100
EVENTS_SHOWN = 100
FIRST_LOOK_US = 2_000
LAST_LOOK_US = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStory:
    """A task with what happened to it, newest first."""

    task: Task
    attempts: list[Attempt]
    events: list[HistoryEntry]


def enqueue(task: NewTask, settings: Settings, *, return_existing: bool) -> Program[TaskId]:
    """Store a task and return its id, or that of the one that holds its unique key or id.

    Raises:
        InvalidError, LimitError: a field breaks a rule.
        DuplicateError: there is such a task, and *return_existing* is false.
        StoreBusyError: the store stayed busy for longer than `store.busy_s`.
    """
    validate.new_task(task, payload_bytes_max=settings.limits.payload_bytes_max)
    inline = len(task.payload) <= settings.limits.inline_bytes_max
    insert = tasks.insert if inline else tasks.insert_with_bodies
    written = yield from patiently(lambda: insert(task), patience_us=settings.store.busy_us)
    if written:
        return task.id
    existing_id: TaskId | None = yield tasks.taken_by(task)
    if existing_id is None:
        # The holder ended between the two looks; the key is free now.
        return (yield from enqueue(task, settings, return_existing=return_existing))
    # Our own id: an earlier try was written though its answer was lost, or the caller gave
    # an id a second time, which asks for the same task.
    if return_existing or existing_id == task.id:
        return existing_id
    raise DuplicateError(
        f"task {existing_id!r} holds the unique key {task.unique_key!r}", existing_id=existing_id
    )


def get(tenant: str, task_id: str, settings: Settings) -> Program[Task]:
    """Return a task with its bodies.

    Raises:
        NotFoundError: there is none by that id.
    """
    task = yield from patiently(
        lambda: tasks.get(tenant, TaskId(task_id)), patience_us=settings.store.busy_us
    )
    if task is None:
        raise NotFoundError(f"there is no task {task_id!r}")
    return task


def story(tenant: str, task_id: str, settings: Settings) -> Program[TaskStory]:
    """Return a task with its attempts and what was done to it.

    Raises:
        NotFoundError: there is none by that id.
    """
    task = yield from get(tenant, task_id, settings)
    attempts: list[Attempt] = yield history.attempts(tenant, task.id, limit=ATTEMPTS_SHOWN)
    events: list[HistoryEntry] = yield history.events(tenant, task.id, limit=EVENTS_SHOWN)
    return TaskStory(task=task, attempts=attempts, events=events)


def find(  # noqa: PLR0913 - filters, by keyword only
    tenant: str,
    settings: Settings,
    *,
    state: str = "",
    queue: str = "",
    kind: str = "",
    before_id: str = "",
    limit: int = 50,
) -> Program[list[Task]]:
    """Return a page of tasks, newest first; the next page is before the id of the last.

    Raises:
        InvalidError: there is no such state, or the limit is out of bounds.
    """
    if state and state not in set(State):
        raise InvalidError(
            f"there is no state {state!r}: use one of {', '.join(State)}", field="state"
        )
    validate.within(limit, field="limit", low=1, high=settings.limits.page_rows_max)
    return (
        yield from patiently(
            lambda: tasks.find(
                tenant,
                state=state,
                queue=queue,
                kind=kind,
                before_id=before_id or tasks.LAST_ID,
                limit=limit,
            ),
            patience_us=settings.store.busy_us,
        )
    )


def wait(tenant: str, task_id: str, settings: Settings, *, timeout_us: int | None) -> Program[Task]:
    """Return the task once it has ended, whatever it came to.

    Raises:
        NotFoundError: there is none by that id.
        WaitTimeoutError: it had not ended in time; it goes on.
    """
    started_us = yield Now()
    look_us = FIRST_LOOK_US
    while True:
        task = yield from get(tenant, task_id, settings)
        if task.state in ENDED:
            return task
        now_us = yield Now()
        left_us = None if timeout_us is None else started_us + timeout_us - now_us
        if left_us is not None and left_us <= 0:
            raise WaitTimeoutError(f"task {task_id!r} is still {task.state.value}; it goes on")
        yield Pause(look_us if left_us is None else min(look_us, left_us))
        look_us = min(look_us * 3 // 2, LAST_LOOK_US)


def result(
    tenant: str, task_id: str, settings: Settings, *, timeout_us: int | None
) -> Program[bytes]:
    """Return the result's bytes once the task has completed.

    Raises:
        TaskFailedError: it failed or was cancelled; with the last attempt's error.
        NotFoundError, WaitTimeoutError: as `wait`.
    """
    task = yield from wait(tenant, task_id, settings, timeout_us=timeout_us)
    if task.state is State.COMPLETED:
        return task.result or b"null"
    attempts: list[Attempt] = yield history.attempts(tenant, task.id, limit=1)
    error = attempts[0].error if attempts else None
    detail = f": {error.type}: {error.message}" if error else f" ({task.cause or 'no cause'})"
    raise TaskFailedError(
        f"task {task_id!r} of kind {task.kind!r} {_ended_how(task)}{detail}",
        state=task.state.value,
        error_type=error.type if error else "",
        traceback=error.traceback if error else "",
    )


def cancel(tenant: str, task_id: str, *, force: bool, reason: str = "") -> Program[State]:
    """Cancel a task; a running one is asked, or with *force* cut short. Return its state.

    Raises:
        NotFoundError: there is none by that id.
        TransitionError: it has completed or failed.
    """
    state: State = yield tasks.cancel(
        tenant, TaskId(task_id), force=force, reason=reason or "cancelled"
    )
    return state


def revive(tenant: str, task_id: str) -> Program[None]:
    """Put an ended task back to pending, due now, with one more attempt.

    Raises:
        NotFoundError: there is none by that id.
        TransitionError: it has not ended.
        DuplicateError: another live task holds its unique key.
    """
    yield tasks.revive(tenant, TaskId(task_id))


def _ended_how(task: Task) -> str:
    if task.state is State.CANCELLED:
        return "was cancelled"
    return f"failed after {task.attempt} attempt{'s' if task.attempt != 1 else ''}"
