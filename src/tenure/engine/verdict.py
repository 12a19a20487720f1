"""From what a handler did, or what was done to it, to an outcome.

Called by the executor, once for every attempt. The only place that knows which exceptions
mean what.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from tenure.engine.faults import readable, report
from tenure.engine.places import EncodedResult
from tenure.engine.running import Run, Stop
from tenure.kernel import validate
from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.model import ErrorReport
from tenure.kernel.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Waiting,
)
from tenure.sdk.next_run import Next
from tenure.sdk.recurring import completed
from tenure.sdk.retrying import GiveUp, RetryLater
from tenure.sdk.task import Kind
from tenure.settings import LimitsSettings

_OUTCOMES = (Completed, Failed, Snoozed, Waiting, Cancelled, Released)


def returned(kind: Kind[..., Any], value: object, limits: LimitsSettings) -> Outcome:
    """Return the outcome of a handler that returned.

    Raises:
        InvalidError: what it returned cannot be JSON, or is an outcome that cannot be.
        LimitError: it is too large.
    """
    if isinstance(value, Next):
        value = completed(value, kind.states, kind.codec.encode_result)
    if isinstance(value, _OUTCOMES):
        return _sound(value, limits)
    body = value.body if isinstance(value, EncodedResult) else kind.codec.encode_result(value)
    return Completed(result=_bounded(body, limits))


def _sound(outcome: Outcome, limits: LimitsSettings) -> Outcome:
    """Return an outcome that a handler made itself, if it can be written."""
    match outcome:
        case Completed(result=bytes() | None as body, carry=bytes() | None as carry):
            _bounded(body or b"", limits)
            _bounded(carry or b"", limits, what="state")
        case Failed(error=ErrorReport() as error):
            return replace(outcome, error=readable(error, bytes_max=limits.error_bytes_max))
        case Snoozed(delay_us=int() as delay_us):
            validate.within(delay_us, field="delay_us", low=0, high=validate.DELAY_MAX_US)
        case Waiting(on=str() as on):
            validate.identifier(on, field="on")
        case Cancelled(reason=str() as reason):
            told = ErrorReport(type="cancelled", message=reason)
            told = readable(told, bytes_max=limits.error_bytes_max)
            return replace(outcome, reason=told.message)
        case Released():
            pass
        case _:
            raise InvalidError(f"the handler returned {outcome!r}, which cannot be", field="result")
    return outcome


def _bounded(body: bytes, limits: LimitsSettings, *, what: str = "result") -> bytes:
    bytes_max = limits.result_bytes_max
    if len(body) > bytes_max:
        raise LimitError(
            f"the {what} has {len(body):,} bytes; at most {bytes_max:,} are kept: store it "
            "elsewhere and return a reference, or raise limits.result_bytes_max",
            bound=bytes_max,
        )
    return body


def raised(kind: Kind[..., Any], error: BaseException, limits: LimitsSettings) -> Outcome:
    """Return the outcome of a handler that raised."""
    told = report(error, bytes_max=limits.error_bytes_max)
    match error:
        case RetryLater():
            return Failed(error=told, retry_after_us=error.after_us)
        case GiveUp() | InvalidError() | LimitError():
            return Failed(error=told, retryable=False)
        case _:
            return Failed(error=told, retryable=kind.settings.retry.allows(error))


def stopped(run: Run) -> Outcome | None:
    """Return the outcome of a run that was stopped, or None if it is not ours to settle."""
    assert run.stop is not None
    match run.stop:
        case Stop.LOST:
            return None
        case Stop.DRAIN:
            return Released()
        case Stop.CANCEL:
            return Cancelled(reason="cancelled")
        case Stop.TIMEOUT:
            timeout_s = (run.claim.timeout_us or 0) / 1_000_000
            return _overrun("timeout", f"the attempt did not end within {timeout_s:g} s")
        case Stop.SILENT:
            return _overrun("heartbeat", "the handler gave no sign of life in its time")
        case _:
            assert_never(run.stop)


def _overrun(cause: str, text: str) -> Failed:
    return Failed(error=ErrorReport(type=cause, message=text))
