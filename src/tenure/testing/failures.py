"""The tasks of a platform that failed, with their errors, for a test to assert that none has."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.kernel.model import ErrorReport, Task
from tenure.kernel.states import State
from tenure.sdk.client import Client


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Failure:
    """A task that failed for good; `error` is that of its last attempt, None if it had none."""

    task: Task
    error: ErrorReport | None

    def __repr__(self) -> str:
        what = self.task.cause if self.error is None else f"{self.error.type}: {self.error.message}"
        return f"<task {self.task.id} of kind {self.task.kind} failed: {what}>"


def failures_of(client: Client) -> list[Failure]:
    """Return the failed tasks of a client's store, oldest first."""
    found: list[Failure] = []
    page_rows, before_id = client.settings.limits.page_rows_max, ""
    while True:
        page = client.find(state=State.FAILED, before_id=before_id, limit=page_rows)
        for task in page:
            attempts = client.story(task.id).attempts
            found.append(Failure(task=task, error=attempts[0].error if attempts else None))
        if len(page) < page_rows:
            return found[::-1]
        before_id = page[-1].id
