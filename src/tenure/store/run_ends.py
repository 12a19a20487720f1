"""What the end of a run does to its schedule.

Called by the verbs that settle, expire and cancel tasks, in the transaction that ends the run, and
by those that fire. A schedule that minds its runs is locked first, so that of a fire and the end
of a run at the same time one sees what the other has done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tenure.kernel.ports import Batch, Statement, Steps, queue_topic
from tenure.kernel.states import Event
from tenure.store import history

ScheduleKey = tuple[str, str]  # tenant, schedule id


class EndedRun(NamedTuple):
    """A run of a schedule that has ended, and the state it hands on."""

    tenant: str
    schedule_id: str
    task_id: str
    carry: bytes | None


def ended(runs: Sequence[EndedRun]) -> Steps[None]:
    """Do what the end of runs means for their schedules, in the transaction that ends them.

    The state a run returned is kept; what counts from its end is planned; who waits for its turn
    may begin.
    """
    if not runs:
        return
    runs = sorted(runs, key=lambda run: run[:3])
    keys = sorted({run[:2] for run in runs})
    yield Batch("lock_schedules_of_runs", _columns(keys), {})
    # Of two runs of one schedule the later one has the last word.
    carries = {run[:2]: run.carry for run in runs if run.carry is not None}
    if carries:
        yield Batch("store_carries", {**_columns(carries), "carry": list(carries.values())}, {})
    yield Batch(
        "release_schedules",
        {**_columns([run[:2] for run in runs]), "task_id": [run.task_id for run in runs]},
        {},
    )
    yield from wake(keys)


def wake(keys: Sequence[ScheduleKey]) -> Steps[None]:
    """Let the next run of each schedule begin that waits for its turn, if none is under way.

    It is the runs that are asked and not the schedule: that may have been changed or deleted
    since they began to wait.
    """
    found = yield Batch("waiting_turns", _columns(keys), {})
    for tenant, schedule_id in sorted({(row[0], row[1]) for row in found}):
        woken = yield Statement("wake_turns", {"tenant": tenant, "id": schedule_id})
        if woken:
            task_id, queue = woken[0]
            yield from history.log_event(
                tenant, task_id, Event.WAKE.value, "its turn has come", notice=queue_topic(queue)
            )


def _columns(keys: Iterable[ScheduleKey]) -> dict[str, Sequence[object]]:
    listed = list(keys)
    return {"tenant": [tenant for tenant, _ in listed], "id": [id for _, id in listed]}
