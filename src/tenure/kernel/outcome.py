"""What an attempt came to.

A handler returns a plain value, one of these, or raises; the executor turns whatever
happened into exactly one `Outcome`. `settle.py` decides what must be written for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenure.kernel.model import ErrorReport
from tenure.kernel.ports import Verb
from tenure.kernel.schedules.definition import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """What a run says about the next one of its schedule: when it is, or the rule from now on."""

    next_us: int | None = None
    definition: Definition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The handler returned. `also` is a verb to run in the transaction that settles it.

    `carry` is the state that a run hands to the next one of its schedule.
    """

    result: bytes | None = None
    carry: bytes | None = None
    steer: Steer | None = None
    also: Verb[Any] | None = None  # what the verb returns is nobody's business here


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The attempt did not do its work.

    With `retry_after_us` the wait is as given (a server said so), within the policy's cap.
    """

    error: ErrorReport
    retryable: bool = True
    retry_after_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    """Not now: run again after the delay, and give the attempt back."""

    delay_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Give the worker back until what `on` names has come."""

    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The work is not wanted any more; end the task without a result."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The worker is going away; the attempt is given back and the task is due now."""


Outcome = Completed | Failed | Snoozed | Waiting | Cancelled | Released
