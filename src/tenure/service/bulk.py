"""Enqueue many tasks in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.kernel import validate
from tenure.kernel.model import TaskId
from tenure.kernel.ports import Verb
from tenure.service.program import Program, patiently
from tenure.settings import Settings
from tenure.store.bulk import TaskGroup, insert_groups


def enqueue_groups(groups: Sequence[TaskGroup], settings: Settings) -> Program[list[list[TaskId]]]:
    """Store groups of tasks, all or none. Return the ids of each group, in its order.

    Raises:
        InvalidError, LimitError: a field breaks a rule, or a payload is too large.
        DuplicateError: a unique key is taken, and its group does not return what exists.
        StoreBusyError: the store stayed busy for longer than `store.busy_s`.
    """
    for group in groups:
        _check(group, settings)
    tries = 0

    def insert() -> Verb[list[list[TaskId]]]:
        nonlocal tries
        tries += 1
        return insert_groups(
            groups, is_repeat=tries > 1, inline_bytes_max=settings.limits.inline_bytes_max
        )

    return (yield from patiently(insert, patience_us=settings.store.busy_us))


def _check(group: TaskGroup, settings: Settings) -> None:
    bytes_max = settings.limits.payload_bytes_max
    validate.new_task(group.like, payload_bytes_max=bytes_max)
    validate.body(max(group.payloads, key=len), field="payload", bytes_max=bytes_max)
    if not group.is_fresh:
        for task_id in group.ids:
            validate.identifier(task_id, field="id")
    for key in group.unique_keys or ():
        if key is not None:
            validate.identifier(key, field="unique")
