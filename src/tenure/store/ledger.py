"""Enter what became of instants, and make the tasks of those that fired.

Called by `firing.py`, in the transaction that has locked the schedules. The entry and the task
are written together, so an instant that has an entry has its task, or never gets one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenure.kernel.ports import ANYTHING, Batch, Steps, queue_topic
from tenure.kernel.schedules.firing import TURN, Decided
from tenure.kernel.schedules.model import Schedule, Verdict
from tenure.store import history, rows

Entry = tuple[Schedule, Decided]


def enter(wanted: Sequence[Entry], *, inline_bytes_max: int) -> Steps[list[Entry]]:
    """Write entries into the ledger, and make the tasks of those that fired.

    Return the entries that were new: an instant that had one already fires no second time.
    """
    if not wanted:
        return []
    found = yield Batch(
        "record_fires",
        {
            "tenant": [schedule.tenant for schedule, _ in wanted],
            "id": [schedule.id for schedule, _ in wanted],
            "instant_us": [entry.instant_us for _, entry in wanted],
            "verdict": [entry.verdict.value for _, entry in wanted],
            "task_id": [entry.task_id for _, entry in wanted],
            "note": [entry.note for _, entry in wanted],
        },
        {},
    )
    new = {(row[0], row[1], row[2]) for row in found}
    entered = [
        (schedule, entry)
        for schedule, entry in wanted
        if (schedule.tenant, schedule.id, entry.instant_us) in new
    ]
    firing = [pair for pair in entered if pair[1].verdict is Verdict.FIRED]
    yield from _make_tasks(firing, inline_bytes_max=inline_bytes_max)
    return entered


def _make_tasks(firing: Sequence[Entry], *, inline_bytes_max: int) -> Steps[None]:
    if not firing:
        return
    templates = [schedule.template for schedule, _ in firing]
    queues = {template.queue for template in templates}
    inline = [t.payload if len(t.payload) <= inline_bytes_max else None for t in templates]
    yield Batch(
        "fire_tasks",
        {
            "tenant": [schedule.tenant for schedule, _ in firing],
            "id": [entry.task_id for _, entry in firing],
            "kind": [template.kind for template in templates],
            "queue": [template.queue for template in templates],
            "lane": [int(template.lane) for template in templates],
            "cost": [template.cost for template in templates],
            "run_at_us": [entry.run_at_us for _, entry in firing],
            "attempts_max": [template.attempts_max for template in templates],
            "timeout_us": [template.timeout_us for template in templates],
            "schedule_id": [schedule.id for schedule, _ in firing],
            "tags": [rows.tags_text(template.tags) for template in templates],
            "payload": inline,
            "carry": [schedule.carry for schedule, _ in firing],
            "waiting_for": [TURN if entry.waits else None for _, entry in firing],
        },
        {},
        notice=queue_topic(queues.pop()) if len(queues) == 1 else ANYTHING,
    )
    yield from history.put_bodies(
        [
            (schedule.tenant, str(entry.task_id), "payload", schedule.template.payload)
            for (schedule, entry), kept in zip(firing, inline, strict=True)
            if kept is None
        ]
    )
