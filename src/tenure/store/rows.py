"""Rows to values and back.

The order of the fields is that of the fragments `task_columns` and `claim_columns` in
`sql/shared/tasks.sql`.
"""

from __future__ import annotations

import json
from typing import Any

from tenure.kernel.model import (
    Attempt,
    Claim,
    ErrorReport,
    HistoryEntry,
    Queue,
    Task,
    Worker,
    WorkerId,
)
from tenure.kernel.ports import Row
from tenure.kernel.states import Event, State


def task(row: Row) -> Task:
    """Read a row of `task_columns`."""
    return Task(
        tenant=row[0],
        id=row[1],
        kind=row[2],
        queue=row[3],
        state=State(row[4]),
        lane=row[5],
        cost=row[6],
        run_at_us=row[7],
        attempt=row[8],
        attempts_max=row[9],
        crashes=row[10],
        claim_no=row[11],
        revision=row[12],
        timeout_us=row[13],
        deadline_us=row[14],
        worker_id=row[15],
        claimed_at_us=row[16],
        lease_expires_at_us=row[17],
        cancel_asked_at_us=row[18],
        waiting_for=row[19],
        created_at_us=row[20],
        ended_at_us=row[21],
        cause=row[22],
        unique_key=row[23],
        root_id=row[24],
        parent_id=row[25],
        schedule_id=row[26],
        tags=tags(row[27]),
        traceparent=row[28],
        payload=row[29],
        carry=row[30],
        result=row[31],
        progress=row[32],
    )


def claim(row: Row) -> Claim:
    """Read a row of `claim_columns`; a body kept aside comes out empty."""
    made = Claim._make(row)
    return made._replace(payload=b"") if row[22] is None else made


def attempt(row: Row) -> Attempt:
    """Read a row of the attempts of a task."""
    return Attempt(
        tenant=row[0],
        task_id=row[1],
        claim_no=row[2],
        attempt=row[3],
        worker_id=WorkerId(row[4]),
        started_at_us=row[5],
        ended_at_us=row[6],
        event=Event(row[7]),
        error=error(row[8]),
    )


def history_entry(row: Row) -> HistoryEntry:
    """Read a row of the events of a task."""
    return HistoryEntry(at_us=row[0], event=row[1], detail=row[2])


def queue(row: Row) -> Queue:
    """Read a queue's row."""
    return Queue(name=row[0], paused_at_us=row[1], slots=row[2])


def worker(row: Row) -> Worker:
    """Read a worker's row."""
    return Worker(
        id=WorkerId(row[0]),
        host=row[1],
        pid=row[2],
        version=row[3],
        queues=tags(row[4]),
        slots=row[5],
        started_at_us=row[6],
        seen_at_us=row[7],
        stopping_at_us=row[8],
        stuck=row[9],
    )


def tags(text: str | None) -> tuple[str, ...]:
    """Read a list of words kept as JSON text."""
    return tuple(json.loads(text)) if text else ()


def tags_text(words: tuple[str, ...]) -> str | None:
    """Write a list of words as JSON text, an empty one as null."""
    return json.dumps(words, ensure_ascii=False) if words else None


def error(body: bytes | None) -> ErrorReport | None:
    """Read an error's body."""
    if body is None:
        return None
    fields: dict[str, Any] = json.loads(body)
    return ErrorReport(
        type=fields["type"], message=fields["message"], traceback=fields.get("traceback", "")
    )


def error_body(report: ErrorReport | None) -> bytes | None:
    """Write an error as a JSON object of text fields."""
    if report is None:
        return None
    fields = {"type": report.type, "message": report.message, "traceback": report.traceback}
    # Lone surrogates (from undecodable file names in messages) become escapes, not a crash.
    return json.dumps(fields).encode("ascii")
