"""Seconds, timedeltas and datetimes as people write them, to microseconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from tenure.kernel.errors import InvalidError

Duration = float | timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def duration_us(value: Duration, *, field: str) -> int:
    """Return seconds or a timedelta as microseconds.

    Raises:
        InvalidError: it is negative or not a number.
    """
    us = value // _MICROSECOND if isinstance(value, timedelta) else _from_seconds(value, field)
    if us < 0:
        raise InvalidError(f"{field} is {value}; it must not be negative", field=field)
    return us


def positive_us(value: Duration, *, field: str) -> int:
    """Return as `duration_us`, of a time that is not zero.

    Raises:
        InvalidError: it is zero, negative or not a number.
    """
    us = duration_us(value, field=field)
    if us == 0:
        raise InvalidError(f"{field} is {value}; it must be more than zero", field=field)
    return us


def instant_us(value: datetime, *, field: str) -> int:
    """Return a datetime as microseconds since 1970 UTC.

    Raises:
        InvalidError: it has no time zone, so it could mean two dozen instants.
    """
    _refuse_other(value, field)
    # A time zone that knows no offset is as good as none.
    if value.utcoffset() is None:
        raise InvalidError(
            f"{field} is {value.isoformat()}, which has no time zone: write "
            "datetime.now(timezone.utc), or give it a ZoneInfo",
            field=field,
        )
    return (value - _EPOCH) // _MICROSECOND


# What follows takes anything, because untyped code gives anything.


def _from_seconds(value: object, field: str) -> int:
    # True would be a second.
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidError(
            f"{field} is {value!r}; it must be a number of seconds or a timedelta", field=field
        )
    if not math.isfinite(value):
        raise InvalidError(f"{field} is {value}; it must be a number of seconds", field=field)
    return round(value * 1_000_000)


def _refuse_other(value: object, field: str) -> None:
    if not isinstance(value, datetime):
        raise InvalidError(
            f"{field} is {value!r}; it must be a datetime with a time zone", field=field
        )
