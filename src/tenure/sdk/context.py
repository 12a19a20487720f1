"""What a handler can know and say about the attempt it is in.

`tenure.context()` returns it anywhere below a handler, in a coroutine, a thread or a process.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from tenure.kernel.errors import ConfigError, InvalidError, LeaseLostError
from tenure.kernel.model import Claim
from tenure.sdk.payload import encode_json
from tenure.sdk.recurring import States

PROGRESS_BYTES_MAX = 4096
MESSAGE_CHARS_MAX = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RunLink(Protocol):
    """The context's line to the executor that runs the attempt."""

    @property
    def cancel_asked(self) -> bool:
        """Whether the task was asked to stop."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the claim is not ours any more."""
        ...

    def beat(self) -> None:
        """Say that the handler lives."""
        ...

    def progress(self, body: bytes) -> None:
        """Keep what the handler said of its progress; the last word counts."""
        ...


class Facts:
    """What a handler can know about its task and the attempt."""

    __slots__ = ("_claim",)

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    @property
    def task_id(self) -> str:
        """The task's id, the same in every attempt."""
        return self._claim.id

    @property
    def kind(self) -> str:
        """The name of the handler."""
        return self._claim.kind

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self._claim.queue

    @property
    def tenant(self) -> str:
        """Whose task it is; empty without tenants."""
        return self._claim.tenant

    @property
    def attempt(self) -> int:
        """Which attempt this is; the first is 1."""
        return self._claim.attempt

    @property
    def attempts_max(self) -> int:
        """After how many attempts an error is final."""
        return self._claim.attempts_max

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error now would be final."""
        return self._claim.attempt >= self._claim.attempts_max

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags."""
        return self._claim.tags

    @property
    def enqueued_at(self) -> datetime:
        """When the task was stored, by the store's clock."""
        return _instant(self._claim.created_at_us)

    @property
    def started_at(self) -> datetime:
        """When this attempt began, by the store's clock."""
        return _instant(self._claim.claimed_at_us)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt must be done, by the store's clock; None without a timeout."""
        deadline_us = self._claim.deadline_us
        return None if deadline_us is None else _instant(deadline_us)

    @property
    def schedule_id(self) -> str | None:
        """The schedule whose run this is, if it is one."""
        return self._claim.schedule_id

    @property
    def scheduled_at(self) -> datetime:
        """When the task was to begin: for a run of a schedule its instant, jitter included."""
        return _instant(self._claim.run_at_us)


class TaskContext(Facts):
    """The attempt that is running."""

    __slots__ = ("_link", "_states")

    def __init__(self, claim: Claim, link: RunLink, states: States | None = None) -> None:
        super().__init__(claim)
        self._link = link
        self._states = states

    @property
    def state(self) -> Any:
        """What the last run of the schedule handed on with `Next`; None before there was one.

        Raises:
            InvalidError: it does not fit the kind's `state`, or is of a newer version.
        """
        return None if self._states is None else self._states.decode(self._claim.carry)

    @property
    def cancel_asked(self) -> bool:
        """Whether someone asked the task to stop: finish tidily and return, or be cut short."""
        return self._link.cancel_asked

    def heartbeat(self) -> None:
        """Say that the handler lives; needed only for kinds with a `heartbeat` bound.

        Raises:
            LeaseLostError: the task is not ours any more, so stop: another worker may run it.
        """
        if self._link.is_lost:
            raise LeaseLostError(
                f"task {self.task_id!r} was taken back: its lease ran out or it was cancelled"
            )
        self._link.beat()

    def progress(
        self, fraction: float | None = None, text: str = "", **counters: int | float
    ) -> None:
        """Say how far the work is; shown with the task, kept until its next attempt.

        *fraction* is from 0 to 1. Call as often as you like: only the last word is written, at
        most about once a second.

        Raises:
            InvalidError: the fraction is not from 0 to 1, or it is too much to keep.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise InvalidError(f"progress is {fraction}; it must be from 0 to 1", field="fraction")
        said: dict[str, object] = {}
        if fraction is not None:
            said["fraction"] = fraction
        if text:
            said["text"] = text[:MESSAGE_CHARS_MAX]
        if counters:
            said["counters"] = counters
        body = encode_json(said, what="progress")
        if len(body) > PROGRESS_BYTES_MAX:
            raise InvalidError(
                f"progress has {len(body)} bytes; at most {PROGRESS_BYTES_MAX} are kept",
                field="counters",
            )
        self._link.progress(body)
        self._link.beat()


current: ContextVar[TaskContext] = ContextVar("tenure_context")


def context() -> TaskContext:
    """Return the context of the attempt that is running here.

    Raises:
        ConfigError: no handler is running; a direct call of a handler has no context.
    """
    try:
        return current.get()
    except LookupError:
        raise ConfigError(
            "tenure.context() was called outside of a task: a worker gives it to handlers"
        ) from None


def _instant(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
