"""What can store tasks: a client on its store, or a client within somebody's transaction.

A function that only enqueues should ask for one of these; its caller then decides which.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ParamSpec, TypeVar

from tenure.sdk.handle import Asked, AsyncAsked, AsyncHandle, Handle
from tenure.sdk.requests import as_call, batches, new_task
from tenure.sdk.task import Call, Enqueueable, Kind
from tenure.service import tasks
from tenure.service.bulk import enqueue_groups
from tenure.service.clockwork import Uuid7Ids
from tenure.service.program import Program
from tenure.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Enqueuer(ABC):
    """Stores tasks, for plain functions: a `Client`, or what `Client.within` returns."""

    def __init__(self, settings: Settings, tenant: str, ids: Uuid7Ids) -> None:
        self.settings: Settings = settings
        self.tenant: str = tenant
        self._ids = ids

    def enqueue(
        self, kind: Kind[P, R] | Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """Store a task.

        A client's task is durable when this returns; within a transaction, when that commits.

        Raises:
            InvalidError, LimitError: the arguments or an option break a rule.
            DuplicateError: another live task holds the unique key.
            StoreBusyError, StoreDownError: it could not be stored.
        """
        call = as_call(kind, args, kwargs)
        task = new_task(call, tenant=self.tenant, ids=self._ids)
        return_existing = call.choices.return_existing
        task_id = self.run(tasks.enqueue(task, self.settings, return_existing=return_existing))
        return Handle(self._asked, call.kind, task_id)

    def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """Store many tasks in batches, each of them whole or not at all.

        *calls* may be a generator: ``client.enqueue_many(add.call(n, 1) for n in range(9))``. A
        batch is stored before the next is read; `limits.enqueue_batch` is its size. Errors as
        in `enqueue`; the batches that were stored before the error stay.
        """
        handles: list[Handle[R]] = []
        asked, size = self._asked, self.settings.limits.enqueue_batch
        for batch in batches(calls, tenant=self.tenant, ids=self._ids, batch_max=size):
            stored = self.run(enqueue_groups(batch.groups, self.settings))
            handles += [Handle(asked, call.kind, id) for call, id in batch.in_order(stored)]
        return handles

    @abstractmethod
    def run(self, program: Program[T]) -> T:
        """Run any program of `tenure.service`."""

    @property
    @abstractmethod
    def _asked(self) -> Asked:
        """Whom the handles ask about their tasks."""


class AsyncEnqueuer(ABC):
    """Stores tasks, for coroutines: an `AsyncClient`, or what `AsyncClient.within` returns."""

    def __init__(self, settings: Settings, tenant: str, ids: Uuid7Ids) -> None:
        self.settings: Settings = settings
        self.tenant: str = tenant
        self._ids = ids

    async def enqueue(
        self, kind: Kind[P, R] | Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncHandle[R]:
        """Store a task; see `Enqueuer.enqueue`."""
        call = as_call(kind, args, kwargs)
        task = new_task(call, tenant=self.tenant, ids=self._ids)
        return_existing = call.choices.return_existing
        program = tasks.enqueue(task, self.settings, return_existing=return_existing)
        return AsyncHandle(self._asked, call.kind, await self.run(program))

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[AsyncHandle[R]]:
        """Store many tasks in batches; see `Enqueuer.enqueue_many`."""
        handles: list[AsyncHandle[R]] = []
        asked, size = self._asked, self.settings.limits.enqueue_batch
        for batch in batches(calls, tenant=self.tenant, ids=self._ids, batch_max=size):
            stored = await self.run(enqueue_groups(batch.groups, self.settings))
            handles += [AsyncHandle(asked, call.kind, id) for call, id in batch.in_order(stored)]
        return handles

    @abstractmethod
    async def run(self, program: Program[T]) -> T:
        """Run any program of `tenure.service`."""

    @property
    @abstractmethod
    def _asked(self) -> AsyncAsked:
        """Whom the handles ask about their tasks."""
