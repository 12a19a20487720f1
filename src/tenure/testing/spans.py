"""Moments and spans of time as a test writes them, to microseconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TypedDict

from tenure.kernel.errors import InvalidError
from tenure.sdk.durations import Duration, duration_us, instant_us
from tenure.testing.clock import VirtualClock

# How far from its beginning a platform can be brought: event loops count in seconds, as floats.
CENTURY_US = 36_525 * 86_400 * 1_000_000
# The last moment of a datetime is at the end of the year 9999.
LAST_US = 253_402_300_799_000_000

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|w|d|h|m|s)")
_SPAN = re.compile(rf"\s*(?:{_PART.pattern}\s*)+")
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


class Units(TypedDict, total=False):
    """A span of time by its parts."""

    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float


def moment_us(moment: datetime | str, *, field: str) -> int:
    """Return a datetime, or one in the form of ISO 8601, as microseconds since 1970.

    Raises:
        InvalidError: it has no time zone, is no datetime, or is before 1970.
    """
    if isinstance(moment, str):
        moment = _read(moment, field)
    us = instant_us(moment, field=field)
    if us < 0:
        raise InvalidError(
            f"{field} is {moment.isoformat()}; it must not be before 1970", field=field
        )
    return us


def destination_us(
    clock: VirtualClock, span: Duration | str | None, until: datetime | str | None, units: Units
) -> int:
    """Return where a journey ends that begins now.

    Raises:
        InvalidError: it is not said in exactly one way, or leads back or too far.
    """
    if sum((span is not None, until is not None, bool(units))) != 1:
        raise InvalidError(
            "travel needs exactly one of a span such as '30d', units such as days=30, and "
            "until=a datetime",
            field="span",
        )
    now_us = clock.now_us()
    if until is not None:
        end_us = moment_us(until, field="until")
    elif span is not None:
        end_us = now_us + span_us(span)
    else:
        end_us = now_us + duration_us(_sum(units), field="span")
    if end_us < now_us:
        raise InvalidError(f"until is {until}; the time goes forward only", field="until")
    if end_us > min(clock.began_us + CENTURY_US, LAST_US):
        raise InvalidError(
            "the journey leads more than a century from where the platform began, or past the "
            "year 9999; open another platform there, with now=",
            field="span",
        )
    return end_us


def span_us(span: Duration | str) -> int:
    """Return seconds, a timedelta or a text such as '1w 2d', '1h30m' or '250ms'.

    Raises:
        InvalidError: it is negative or cannot be read.
    """
    if not isinstance(span, str):
        return duration_us(span, field="span")
    if not _SPAN.fullmatch(span):
        raise InvalidError(
            f"span is {span!r}; write weeks, days, hours, minutes, seconds and milliseconds as in "
            "'1w 2d', '1h30m' or '250ms'",
            field="span",
        )
    try:
        whole = sum(
            (_UNITS[unit] * float(count) for count, unit in _PART.findall(span)), timedelta()
        )
    except OverflowError:
        raise InvalidError(f"span is {span!r}, which is too long", field="span") from None
    return duration_us(whole, field="span")


def _sum(units: Units) -> timedelta:
    try:
        return timedelta(**units)
    except OverflowError:
        raise InvalidError(f"the span {units} is too long", field="span") from None
    except TypeError as error:
        raise InvalidError(f"the span {units} cannot be read: {error}", field="span") from None


def _read(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(
            f"{field} is {text!r}; write a datetime as in '2026-01-31T09:00Z'", field=field
        ) from None
