"""Verbs on queues: look at, pause, resume, limit."""

from __future__ import annotations

from tenure.kernel.model import Queue, QueueCounts
from tenure.kernel.ports import Statement, Steps, read, single
from tenure.store import claims, rows

COUNT_MAX = 10_000
QUEUES_MAX = 1_000


@read
def get(queue: str) -> Steps[Queue]:
    """Return a queue's switches; one without a row is open and unlimited."""
    found = yield Statement("get_queue", {"queue": queue})
    return rows.queue(found[0]) if found else _open(queue)


@read
def listing() -> Steps[list[QueueCounts]]:
    """Return every queue that has a row or live tasks, by name, with capped counts."""
    found = yield Statement("list_queue_rows", {"limit": QUEUES_MAX})
    queues = {row[0]: rows.queue(row) for row in found}
    name = ""
    while len(queues) < QUEUES_MAX:
        following = yield Statement("next_queue_name", {"queue": name})
        if following[0][0] is None:
            break
        name = following[0][0]
        queues.setdefault(name, _open(name))
    counts: list[QueueCounts] = []
    dues = yield from claims.next_dues(list(queues))
    for queue in sorted(queues.values(), key=lambda queue: queue.name):
        counted = yield Statement("count_queue", {"queue": queue.name, "limit": COUNT_MAX})
        due, scheduled, running = counted[0]
        counts.append(
            QueueCounts(
                queue=queue,
                due=due,
                scheduled=scheduled,
                running=running,
                next_due_us=dues.get(queue.name),
            )
        )
    return counts


@single
def pause(queue: str) -> Steps[Queue]:
    """Stop claims from the queue; what runs goes on."""
    found = yield Statement("pause_queue", {"queue": queue})
    return rows.queue(found[0])


@single
def resume(queue: str) -> Steps[Queue]:
    """Allow claims from the queue again."""
    found = yield Statement("resume_queue", {"queue": queue})
    return rows.queue(found[0])


@single
def limit(queue: str, slots: int | None) -> Steps[Queue]:
    """Bound the total cost that may run at once in the queue, on all workers together."""
    found = yield Statement("limit_queue", {"queue": queue, "slots": slots})
    return rows.queue(found[0])


def _open(name: str) -> Queue:
    return Queue(name=name, paused_at_us=None, slots=None)
