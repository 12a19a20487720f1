"""The verb that stores many tasks at once, all or none.

Called by `service.bulk`. Tasks that differ in little share a statement, and all of them one
transaction, whatever kinds they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tenure.kernel.errors import DuplicateError, StoreBusyError
from tenure.kernel.model import NewTask, TaskId
from tenure.kernel.ports import Steps, transaction
from tenure.store import tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroup:
    """Tasks that differ from `like` in id, payload and unique key only.

    Without `unique_keys` none has one. `is_fresh` says that all the ids were made just now.
    """

    like: NewTask
    ids: Sequence[TaskId]
    payloads: Sequence[bytes]
    unique_keys: Sequence[str | None] | None = None
    is_fresh: bool = True
    return_existing: bool = False


@transaction
def insert_groups(
    groups: Sequence[TaskGroup], *, is_repeat: bool, inline_bytes_max: int
) -> Steps[list[list[TaskId]]]:
    """Store groups of tasks. Return the ids of each, existing tasks' in place of duplicates.

    *is_repeat* says that an earlier try may have been written, though its answer was lost.

    Raises:
        DuplicateError: a unique key is taken, and its group does not return what exists.
        StoreBusyError: a task that held a key ended just now; try again.
    """
    stored: list[list[TaskId]] = []
    for group in groups:
        if group.is_fresh and group.unique_keys is None and not is_repeat:
            yield from tasks.insert_fresh(
                group.like, group.ids, group.payloads, inline_bytes_max=inline_bytes_max
            )
            stored.append(list(group.ids))
        else:
            stored.append((yield from _insert(group, inline_bytes_max=inline_bytes_max)))
    return stored


def _insert(group: TaskGroup, *, inline_bytes_max: int) -> Steps[list[TaskId]]:
    written = yield from tasks.insert_many(
        group.like,
        group.ids,
        group.payloads,
        unique_keys=group.unique_keys,
        inline_bytes_max=inline_bytes_max,
    )
    if len(written) == len(group.ids):
        return written
    known = set(written)
    ids: list[TaskId] = []
    for position, task_id in enumerate(group.ids):
        ids.append(task_id if task_id in known else (yield from _existing(group, position)))
    return ids


def _existing(group: TaskGroup, position: int) -> Steps[TaskId]:
    """Return the id of the task in whose place one of the group was not stored."""
    key = None if group.unique_keys is None else group.unique_keys[position]
    wanted = replace(group.like, id=group.ids[position], unique_key=key)
    existing_id = yield from tasks.taken_by(wanted)
    if existing_id is None:
        raise StoreBusyError(f"the task that held the unique key {key!r} ended just now; try again")
    # Our own id: given a second time, which asks for the same task, or written by an earlier try.
    if existing_id == wanted.id or group.return_existing:
        return existing_id
    if existing_id in group.ids:
        raise DuplicateError(
            f"two of the tasks have the unique key {key!r}", existing_id=existing_id
        )
    raise DuplicateError(
        f"task {existing_id!r} holds the unique key {key!r}", existing_id=existing_id
    )
