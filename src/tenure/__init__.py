"""Tenure: durable tasks. Work that keeps its place.

These names, those of `tenure.testing` and the documented HTTP faces are the public ones. Each
is loaded when it is first asked for, so that a program pays for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.engine.embedded import Worker
    from tenure.kernel.errors import (
        ConfigError,
        ConflictError,
        DuplicateError,
        InvalidError,
        LeaseLostError,
        LimitError,
        NotFoundError,
        RevisionError,
        SchemaError,
        StoreBusyError,
        StoreDownError,
        StoreError,
        TaskFailedError,
        TenureError,
        TransitionError,
        UnknownKindError,
        WaitTimeoutError,
    )
    from tenure.kernel.model import Lane, Task
    from tenure.kernel.retry import RetryPolicy
    from tenure.kernel.schedules.model import Change, Fire, Schedule
    from tenure.kernel.states import State
    from tenure.sdk.client import AsyncClient, Client
    from tenure.sdk.context import TaskContext, context
    from tenure.sdk.enqueuer import AsyncEnqueuer, Enqueuer
    from tenure.sdk.handle import AsyncHandle, Handle
    from tenure.sdk.next_run import UNCHANGED, Next
    from tenure.sdk.retrying import GiveUp, RetryLater, exponential, retry
    from tenure.sdk.task import (
        AsyncKind,
        Call,
        Enqueueable,
        Kind,
        Registry,
        SyncKind,
        schedule,
        task,
    )
    from tenure.sdk.when import When, calendar, cron, every, once, rrule
    from tenure.sdk.within import enqueue_on, enqueue_on_async
    from tenure.settings import Settings

_HOMES = {
    "UNCHANGED": "tenure.sdk.next_run",
    "AsyncClient": "tenure.sdk.client",
    "AsyncEnqueuer": "tenure.sdk.enqueuer",
    "AsyncHandle": "tenure.sdk.handle",
    "AsyncKind": "tenure.sdk.task",
    "Call": "tenure.sdk.task",
    "Change": "tenure.kernel.schedules.model",
    "Client": "tenure.sdk.client",
    "ConfigError": "tenure.kernel.errors",
    "ConflictError": "tenure.kernel.errors",
    "DuplicateError": "tenure.kernel.errors",
    "Enqueueable": "tenure.sdk.task",
    "Enqueuer": "tenure.sdk.enqueuer",
    "Fire": "tenure.kernel.schedules.model",
    "GiveUp": "tenure.sdk.retrying",
    "Handle": "tenure.sdk.handle",
    "InvalidError": "tenure.kernel.errors",
    "Kind": "tenure.sdk.task",
    "Lane": "tenure.kernel.model",
    "LeaseLostError": "tenure.kernel.errors",
    "LimitError": "tenure.kernel.errors",
    "Next": "tenure.sdk.next_run",
    "NotFoundError": "tenure.kernel.errors",
    "Registry": "tenure.sdk.task",
    "RetryLater": "tenure.sdk.retrying",
    "RetryPolicy": "tenure.kernel.retry",
    "RevisionError": "tenure.kernel.errors",
    "Schedule": "tenure.kernel.schedules.model",
    "SchemaError": "tenure.kernel.errors",
    "Settings": "tenure.settings",
    "State": "tenure.kernel.states",
    "StoreBusyError": "tenure.kernel.errors",
    "StoreDownError": "tenure.kernel.errors",
    "StoreError": "tenure.kernel.errors",
    "SyncKind": "tenure.sdk.task",
    "Task": "tenure.kernel.model",
    "TaskContext": "tenure.sdk.context",
    "TaskFailedError": "tenure.kernel.errors",
    "TenureError": "tenure.kernel.errors",
    "TransitionError": "tenure.kernel.errors",
    "UnknownKindError": "tenure.kernel.errors",
    "WaitTimeoutError": "tenure.kernel.errors",
    "When": "tenure.sdk.when",
    "Worker": "tenure.engine.embedded",
    "calendar": "tenure.sdk.when",
    "context": "tenure.sdk.context",
    "cron": "tenure.sdk.when",
    "enqueue_on": "tenure.sdk.within",
    "enqueue_on_async": "tenure.sdk.within",
    "every": "tenure.sdk.when",
    "exponential": "tenure.sdk.retrying",
    "once": "tenure.sdk.when",
    "retry": "tenure.sdk.retrying",
    "rrule": "tenure.sdk.when",
    "schedule": "tenure.sdk.task",
    "task": "tenure.sdk.task",
}

__all__ = [
    "UNCHANGED",
    "AsyncClient",
    "AsyncEnqueuer",
    "AsyncHandle",
    "AsyncKind",
    "Call",
    "Change",
    "Client",
    "ConfigError",
    "ConflictError",
    "DuplicateError",
    "Enqueueable",
    "Enqueuer",
    "Fire",
    "GiveUp",
    "Handle",
    "InvalidError",
    "Kind",
    "Lane",
    "LeaseLostError",
    "LimitError",
    "Next",
    "NotFoundError",
    "Registry",
    "RetryLater",
    "RetryPolicy",
    "RevisionError",
    "Schedule",
    "SchemaError",
    "Settings",
    "State",
    "StoreBusyError",
    "StoreDownError",
    "StoreError",
    "SyncKind",
    "Task",
    "TaskContext",
    "TaskFailedError",
    "TenureError",
    "TransitionError",
    "UnknownKindError",
    "WaitTimeoutError",
    "When",
    "Worker",
    "calendar",
    "context",
    "cron",
    "enqueue_on",
    "enqueue_on_async",
    "every",
    "exponential",
    "once",
    "retry",
    "rrule",
    "schedule",
    "task",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tenure' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
