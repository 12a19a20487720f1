"""From what an attempt came to, to what must be written.

The one place that decides between another attempt and the end. A settlement carries
delays, never instants, so that the store's clock decides when that is.
"""

from __future__ import annotations

from typing import Any, NamedTuple, assert_never

from tenure.kernel.model import Claim, ErrorReport
from tenure.kernel.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Waiting,
)
from tenure.kernel.ports import Verb
from tenure.kernel.retry import Exponential, RetryPolicy
from tenure.kernel.states import LIVE, TRANSITIONS, Event, State

LEASE_EXPIRED = "lease_expired"


# Events that do not spend the attempt they end, and those that spend a crash.
GIVES_BACK = frozenset({Event.SNOOZE, Event.RELEASE, Event.WAIT})
CRASHES = frozenset({Event.EXPIRE, Event.EXHAUST})


class Effect(NamedTuple):
    """What an event does to the row of a running task, as its columns have it."""

    event: str
    state: str
    outlives: int  # 1 if the task is live afterwards
    gives_back: int
    crashed: int


EFFECTS: dict[Event, Effect] = {
    event: Effect(
        event=event.value,
        state=after.value,
        outlives=int(after in LIVE),
        gives_back=int(event in GIVES_BACK),
        crashed=int(event in CRASHES),
    )
    for (before, event), after in TRANSITIONS.items()
    if before is State.RUNNING
}


class Settlement(NamedTuple):
    """What must be written for one claim, fenced by its `claim_no`.

    The first three fields are the claim's key; `started_at_us` is for the attempt's row in
    the history. A tuple and not a dataclass, because one is made for every attempt.
    """

    tenant: str
    task_id: str
    claim_no: int
    attempt: int
    started_at_us: int
    event: Event
    delay_us: int = 0
    result: bytes | None = None
    carry: bytes | None = None
    error: ErrorReport | None = None
    cause: str | None = None
    waiting_for: str | None = None
    also: Verb[Any] | None = None
    schedule_id: str | None = None


def settle(claim: Claim, outcome: Outcome, policy: RetryPolicy, *, u: float) -> Settlement:
    """Return what to write when *claim* came to *outcome*; *u* in [0, 1) is for the jitter."""
    match outcome:
        case Completed():
            return _settlement(
                claim,
                Event.COMPLETE,
                result=outcome.result,
                carry=outcome.carry,
                also=outcome.also,
            )
        case Failed():
            return _failure(claim, outcome, policy, u=u)
        case Snoozed():
            return _settlement(claim, Event.SNOOZE, delay_us=outcome.delay_us)
        case Waiting():
            return _settlement(claim, Event.WAIT, waiting_for=outcome.on)
        case Cancelled():
            return _settlement(claim, Event.CANCEL, cause=outcome.reason or "cancelled")
        case Released():
            return _settlement(claim, Event.RELEASE)
        case _:
            assert_never(outcome)


def expire(
    claim: Claim,
    *,
    crashes_max: int,
    cancel_asked: bool,
    backoff: Exponential,
    backoff_max_us: int,
    u: float,
) -> Settlement:
    """Return what to write for a claim whose lease ran out.

    A crash spends an attempt and a crash; when either budget is spent, the task fails. A task
    that was asked to cancel is cancelled: nobody is left who could finish it tidily.
    """
    crashes = claim.crashes + 1
    error = ErrorReport(
        type=LEASE_EXPIRED,
        message=f"the worker did not renew its lease (crash {crashes} of this task)",
    )
    if cancel_asked:
        return _settlement(claim, Event.CANCEL, error=error, cause="cancelled")
    if claim.attempt >= claim.attempts_max or crashes >= crashes_max:
        return _settlement(claim, Event.EXHAUST, error=error, cause=LEASE_EXPIRED)
    delay_us = min(backoff.wait_us(crashes, u=u), backoff_max_us)
    return _settlement(claim, Event.EXPIRE, error=error, delay_us=delay_us)


def _failure(claim: Claim, failed: Failed, policy: RetryPolicy, *, u: float) -> Settlement:
    if not failed.retryable or claim.attempt >= claim.attempts_max:
        return _settlement(claim, Event.FAIL, error=failed.error, cause=failed.error.type)
    delay_us = policy.delay_us(claim.attempt, u=u, retry_after_us=failed.retry_after_us)
    return _settlement(claim, Event.RETRY, error=failed.error, delay_us=delay_us)


def _settlement(claim: Claim, event: Event, **fields: Any) -> Settlement:  # checked by callers
    return Settlement(
        claim.tenant,
        claim.id,
        claim.claim_no,
        claim.attempt,
        claim.claimed_at_us,
        event,
        schedule_id=claim.schedule_id,
        **fields,
    )
