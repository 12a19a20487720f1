"""Verbs on what surrounds a task: large bodies, attempts, and what was done from outside.

The plain generators are parts of larger verbs; the marked ones are read by `service.tasks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenure.kernel.model import Attempt, HistoryEntry, TaskId
from tenure.kernel.ports import Batch, Statement, Steps, read
from tenure.kernel.settle import EFFECTS, Settlement
from tenure.kernel.states import Event, State
from tenure.store import rows

CANCEL, CANCELLED = Event.CANCEL.value, State.CANCELLED.value

Body = tuple[str, str, str, bytes]  # tenant, task id, part, body


@read
def attempts(tenant: str, task_id: TaskId, *, limit: int) -> Steps[list[Attempt]]:
    """Return the newest attempts of a task, newest first."""
    found = yield Statement("attempts_of_task", {"tenant": tenant, "id": task_id, "limit": limit})
    return [rows.attempt(row) for row in found]


@read
def events(tenant: str, task_id: TaskId, *, limit: int) -> Steps[list[HistoryEntry]]:
    """Return what was last done to a task from outside of its attempts, newest first."""
    found = yield Statement("events_of_task", {"tenant": tenant, "id": task_id, "limit": limit})
    return [rows.history_entry(row) for row in found]


def body(tenant: str, task_id: str, part: str) -> Steps[bytes | None]:
    """Read one body that is kept aside."""
    found = yield Statement("get_body", {"tenant": tenant, "id": task_id, "part": part})
    return bytes(found[0][0]) if found else None


def put_bodies(bodies: Sequence[Body]) -> Steps[None]:
    """Keep bodies aside, in place of older ones."""
    if bodies:
        yield Batch(
            "put_bodies",
            {
                "tenant": [entry[0] for entry in bodies],
                "id": [entry[1] for entry in bodies],
                "part": [entry[2] for entry in bodies],
                "body": [entry[3] for entry in bodies],
            },
            {},
        )


def log_event(
    tenant: str, task_id: str, event: str, detail: str, *, notice: str | None = None
) -> Steps[None]:
    """Note what was done to a task from outside, and tell the workers of *notice*."""
    yield Statement(
        "log_event",
        {"tenant": tenant, "id": task_id, "event": event, "detail": detail},
        notice=notice,
    )


def log_attempts(
    settled: Sequence[Settlement],
    states: Mapping[tuple[str, str, int], str],
    *,
    worker_id: str,
) -> Steps[None]:
    """Note attempts that have just been settled; *states* says what each task came to."""
    if not settled:
        return
    columns = dict(zip(Settlement._fields, zip(*settled, strict=True), strict=True))
    yield Batch(
        "log_attempts",
        {
            "tenant": columns["tenant"],
            "id": columns["task_id"],
            "claim_no": columns["claim_no"],
            "attempt": columns["attempt"],
            "started_at_us": columns["started_at_us"],
            "event": [
                # The store turns whatever else a task that was asked to cancel came to into
                # its end.
                CANCEL if states[each[:3]] == CANCELLED else EFFECTS[each.event].event
                for each in settled
            ],
            "error": [report and rows.error_body(report) for report in columns["error"]],
        },
        {"worker_id": worker_id},
    )


def log_cut_short(
    tenant: str,
    task_id: str,
    *,
    claim_no: int,
    attempt: int,
    worker_id: str,
    started_at_us: int,
) -> Steps[None]:
    """Note an attempt that was ended from outside, by a forced cancel."""
    yield Statement(
        "log_attempt",
        {
            "tenant": tenant,
            "id": task_id,
            "claim_no": claim_no,
            "attempt": attempt,
            "worker_id": worker_id,
            "started_at_us": started_at_us,
            "event": Event.CANCEL.value,
            "error": None,
        },
    )
