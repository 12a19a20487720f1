"""Verbs on workers and on the leader's office."""

from __future__ import annotations

from tenure.kernel.model import Worker
from tenure.kernel.ports import Statement, Steps, read, single, soft
from tenure.store import rows

WORKERS_MAX = 10_000


@soft
@single
def register(worker: Worker) -> Steps[None]:
    """Make the worker known. The store's clock sets its times."""
    yield Statement(
        "register_worker",
        {
            "worker_id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "version": worker.version,
            "queues": rows.tags_text(worker.queues) or "[]",
            "slots": worker.slots,
        },
    )


@soft
@single
def beat(worker_id: str, *, stuck: int) -> Steps[bool]:
    """Say that the worker lives. Return False if it was forgotten meanwhile."""
    found = yield Statement("beat_worker", {"worker_id": worker_id, "stuck": stuck})
    return bool(found)


@soft
@single
def stop(worker_id: str) -> Steps[None]:
    """Say that the worker is draining."""
    yield Statement("stop_worker", {"worker_id": worker_id})


@soft
@single
def forget(worker_id: str) -> Steps[None]:
    """Remove a worker that has stopped."""
    yield Statement("forget_worker", {"worker_id": worker_id})


@soft
@single
def forget_lost(*, forget_us: int, limit: int) -> Steps[list[str]]:
    """Remove workers that were not seen for so long. Their leases run out by themselves."""
    found = yield Statement("forget_lost_workers", {"forget_us": forget_us, "limit": limit})
    return [row[0] for row in found]


@read
def listing() -> Steps[list[Worker]]:
    """Return the known workers, oldest first."""
    found = yield Statement("list_workers", {"limit": WORKERS_MAX})
    return [rows.worker(row) for row in found]


@soft
@single
def elect(office: str, worker_id: str, *, lease_us: int) -> Steps[bool]:
    """Take or keep an office for so long. Return whether it is ours."""
    found = yield Statement("elect", {"name": office, "worker_id": worker_id, "lease_us": lease_us})
    return bool(found)


@soft
@single
def resign(office: str, worker_id: str) -> Steps[None]:
    """Give the office up, if it is ours."""
    yield Statement("resign", {"name": office, "worker_id": worker_id})


@read
def clock() -> Steps[int]:
    """Return the store's time in microseconds."""
    found = yield Statement("clock", {})
    now_us: int = found[0][0]
    return now_us
