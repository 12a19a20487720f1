"""A task as the one who enqueued it holds it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, Protocol, TypeVar

from tenure.kernel.model import Task, TaskId
from tenure.kernel.states import State
from tenure.sdk.durations import Duration
from tenure.sdk.task import Kind

R_co = TypeVar("R_co", covariant=True)


class Asked(Protocol):
    """What a handle asks of its client."""

    def get(self, task_id: str) -> Task:
        """Return a task."""
        ...

    def result(self, task_id: str, *, timeout: Duration | None = None) -> bytes:
        """Wait for the end of a task and return its result as JSON."""
        ...

    def cancel(self, task_id: str, *, force: bool = False, reason: str = "") -> State:
        """Cancel a task and return its state."""
        ...


class AsyncAsked(Protocol):
    """What a handle asks of its client, for coroutines."""

    def get(self, task_id: str) -> Awaitable[Task]:
        """Return a task."""
        ...

    def result(self, task_id: str, *, timeout: Duration | None = None) -> Awaitable[bytes]:
        """Wait for the end of a task and return its result as JSON."""
        ...

    def cancel(self, task_id: str, *, force: bool = False, reason: str = "") -> Awaitable[State]:
        """Cancel a task and return its state."""
        ...


class Handle(Generic[R_co]):
    """A stored task, for synchronous callers."""

    __slots__ = ("_client", "_kind", "id")

    def __init__(self, client: Asked, kind: Kind[..., R_co], task_id: TaskId) -> None:
        self.id: TaskId = task_id
        self._client = client
        self._kind = kind

    def __repr__(self) -> str:
        return f"<task {self.id} of kind {self._kind.name}>"

    def task(self) -> Task:
        """Return what the store knows of the task now."""
        return self._client.get(self.id)

    def result(self, *, timeout: Duration | None = None) -> R_co:
        """Wait for the end and return the result, as the handler's annotation promises it.

        Raises:
            TaskFailedError: it failed or was cancelled.
            WaitTimeoutError: it had not ended within *timeout* seconds; it goes on.
        """
        return _decoded(self._kind, self._client.result(self.id, timeout=timeout))

    def cancel(self, *, force: bool = False, reason: str = "") -> State:
        """Cancel the task; see `Client.cancel`."""
        return self._client.cancel(self.id, force=force, reason=reason)


class AsyncHandle(Generic[R_co]):
    """A stored task, for coroutines."""

    __slots__ = ("_client", "_kind", "id")

    def __init__(self, client: AsyncAsked, kind: Kind[..., R_co], task_id: TaskId) -> None:
        self.id: TaskId = task_id
        self._client = client
        self._kind = kind

    def __repr__(self) -> str:
        return f"<task {self.id} of kind {self._kind.name}>"

    async def task(self) -> Task:
        """Return what the store knows of the task now."""
        return await self._client.get(self.id)

    async def result(self, *, timeout: Duration | None = None) -> R_co:  # noqa: ASYNC109 - as sync
        """Wait for the end and return the result; errors as in `Handle.result`."""
        return _decoded(self._kind, await self._client.result(self.id, timeout=timeout))

    async def cancel(self, *, force: bool = False, reason: str = "") -> State:
        """Cancel the task; see `AsyncClient.cancel`."""
        return await self._client.cancel(self.id, force=force, reason=reason)


def _decoded(kind: Kind[..., R_co], body: bytes) -> R_co:
    value: R_co = kind.codec.decode_result(body)
    return value
