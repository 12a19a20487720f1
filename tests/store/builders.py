"""Tasks, requests and settlements with only the interesting field written out."""

from __future__ import annotations

from typing import Any

from tenure.kernel.model import Claim, ErrorReport, NewTask, Task, TaskId, Worker, WorkerId
from tenure.kernel.settle import Settlement
from tenure.kernel.states import Event, State
from tenure.store import claims, tasks
from tenure.store.claims import ClaimRequest, Settled
from tests.store.drivers import SECOND_US, Driver

INLINE_BYTES_MAX = 64
LEASE_US = 60 * SECOND_US
LARGE = b"x" * (INLINE_BYTES_MAX + 1)
ERROR = ErrorReport(type="ValueError", message="it broke", traceback="line 1")

# An event for each way that a running task can come to a state.
WAY_TO = {
    State.COMPLETED: Event.COMPLETE,
    State.FAILED: Event.FAIL,
    State.CANCELLED: Event.CANCEL,
    State.WAITING: Event.WAIT,
    State.PENDING: Event.SNOOZE,
}


def a_task(id: str = "task-1", **fields: Any) -> NewTask:
    """Return a task to insert."""
    return NewTask(**{"id": TaskId(id), "kind": "mail", "payload": b"{}", **fields})


def a_request(**fields: Any) -> ClaimRequest:
    """Return a request of a worker with nothing else to do."""
    ample = {"queue": "default", "worker_id": "worker-1", "lease_us": LEASE_US}
    return ClaimRequest(**{**ample, "limit": 100, "spare": 1_000, "slots": 1_000, **fields})


def a_worker(id: str = "worker-1", **fields: Any) -> Worker:
    """Return a worker to register; the store sets its times."""
    plain = {"id": WorkerId(id), "host": "host", "pid": 7, "version": "1", "queues": ("default",)}
    times = {"started_at_us": 0, "seen_at_us": 0, "stopping_at_us": None}
    return Worker(**{**plain, **times, "slots": 10, "stuck": 0, **fields})


def a_settlement(claim: Claim, event: Event, **fields: Any) -> Settlement:
    """Return what settles a claim with an event."""
    fitting: dict[str, Any] = {"waiting_for": "signal"} if event is Event.WAIT else {}
    if event in (Event.FAIL, Event.RETRY):
        fitting["error"] = ERROR
    return Settlement(
        **{
            "tenant": claim.tenant,
            "task_id": claim.id,
            "claim_no": claim.claim_no,
            "attempt": claim.attempt,
            "started_at_us": claim.claimed_at_us,
            "event": event,
            **fitting,
            **fields,
        }
    )


def insert(store: Driver, *new: NewTask) -> None:
    """Insert tasks whose ids and keys are free."""
    for task in new:
        assert store.run(tasks.insert(task))


def get(store: Driver, id: str = "task-1", *, tenant: str = "") -> Task:
    """Return a task that exists."""
    task = store.run(tasks.get(tenant, TaskId(id)))
    assert task is not None
    return task


def claim_all(store: Driver, **fields: Any) -> list[Claim]:
    """Claim what is due."""
    return store.run(claims.claim(a_request(**fields)))


def claim_one(store: Driver, **fields: Any) -> Claim:
    """Claim the only task that is due."""
    (claim,) = claim_all(store, **fields)
    return claim


def settle(store: Driver, claim: Claim, event: Event, **fields: Any) -> Settled:
    """Settle one claim."""
    return settle_all(store, [a_settlement(claim, event, **fields)])[0]


def settle_all(store: Driver, settlements: list[Settlement]) -> list[Settled]:
    """Settle several claims of one worker at once."""
    verb = claims.settle(settlements, worker_id="worker-1", inline_bytes_max=INLINE_BYTES_MAX)
    return store.run(verb)


def expire_all(
    store: Driver, event: Event = Event.EXPIRE, *, limit: int = 100, **fields: Any
) -> list[Claim]:
    """Take back all leases that ran out, with one event for all. Return their claims."""
    expired = store.run(
        claims.expire(lambda claim, _: a_settlement(claim, event, **fields), limit=limit)
    )
    return [claim for claim, _ in expired]


def bring_to(store: Driver, state: State, task: NewTask | None = None) -> Task:
    """Insert a task and bring it to a state by way of a claim; pending is as inserted."""
    task = task or a_task()
    insert(store, task)
    if state is not State.PENDING:
        (claim,) = [claim for claim in claim_all(store, queue=task.queue) if claim.id == task.id]
        if state is not State.RUNNING:
            assert settle(store, claim, WAY_TO[state]) is Settled.WRITTEN
    return get(store, task.id, tenant=task.tenant)


def last_claim(task: Task) -> Claim:
    """Return the newest claim of a task as its worker remembers it, though it may be over."""
    shared = {name: getattr(task, name) for name in Claim._fields if hasattr(task, name)}
    missing = {"claimed_at_us": 0, "lease_expires_at_us": 0, "worker_id": "worker-1"}
    filled = {name: shared.get(name) or missing[name] for name in missing}
    return Claim(**{**shared, **filled, "tags_text": None})
