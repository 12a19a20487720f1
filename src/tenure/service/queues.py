"""What can be asked about queues."""

from __future__ import annotations

from tenure.kernel import validate
from tenure.kernel.model import Queue, QueueCounts
from tenure.service.program import Program
from tenure.store import queues


def listing() -> Program[list[QueueCounts]]:
    """Return every queue with its switches and counts, by name."""
    found: list[QueueCounts] = yield queues.listing()
    return found


def pause(name: str) -> Program[Queue]:
    """Stop claims from a queue; what runs goes on."""
    queue: Queue = yield queues.pause(validate.name(name, field="queue"))
    return queue


def resume(name: str) -> Program[Queue]:
    """Allow claims from a queue again."""
    queue: Queue = yield queues.resume(validate.name(name, field="queue"))
    return queue


def limit(name: str, slots: int | None) -> Program[Queue]:
    """Bound the cost that may run at once in a queue on all workers; None lifts the bound."""
    if slots is not None:
        validate.within(slots, field="slots", low=1, high=validate.COST_MAX)
    queue: Queue = yield queues.limit(validate.name(name, field="queue"), slots)
    return queue
