"""Amounts of calendar time, and the arithmetic of adding them to an instant.

Called by `calendar.py`, and by whoever needs a single date counted from another. Years, months
and days move the wall clock of a zone, hours and minutes are elapsed time, and a reset then sets
parts of the local date. A local time that a clock change skips moves forward by the gap; one that
comes twice means the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rrule_days import DAY_S, EPOCH_ORDINAL, first_of_month
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import FIRST_S, Zone

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = DAY_S * SECOND_US
# About a thousand years of each.
AMOUNTS_MAX = {
    "years": 1_000,
    "months": 12_000,
    "days": 366_000,
    "hours": 8_784_000,
    "minutes": 527_040_000,
}
RESETS = {"month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59)}
RESET_KEY = "resetTo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Parts of the local date that are set after adding; None keeps what it is.

    Seconds and what is below become zero. A day beyond the month's last is the last. Hour 24 is
    hour 0 of the following day.
    """

    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in RESETS.items():
            value: int | None = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise _invalid(
                    f"calendar {RESET_KEY}.{name} is {value}; it must be from {low} to {high}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Amounts to add, from 0 to about a thousand years each, and what to set afterwards."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    reset: Reset | None = None

    def __post_init__(self) -> None:
        for name, high in AMOUNTS_MAX.items():
            value: int = getattr(self, name)
            if not 0 <= value <= high:
                raise _invalid(f"calendar {name} is {value}; it must be from 0 to {high:,}")

    @property
    def text(self) -> str:
        """The delta as JSON in one fixed form, which `parse_calendar` reads."""
        document: dict[str, object] = {
            name: getattr(self, name) for name in AMOUNTS_MAX if getattr(self, name)
        }
        if self.reset is not None:
            document[RESET_KEY] = {
                name: getattr(self.reset, name)
                for name in RESETS
                if getattr(self.reset, name) is not None
            }
        return json.dumps(document)

    @property
    def all_months(self) -> int:
        """Years and months together, in months."""
        return self.years * 12 + self.months

    @property
    def elapsed_us(self) -> int:
        """Hours and minutes together."""
        return (self.hours * 60 + self.minutes) * MINUTE_US


def evaluate(
    delta: Delta,
    anchor_us: int,
    zone: Zone,
    *,
    direction: int = 1,
    execution_day: int | None = None,
) -> int:
    """Return the instant that the delta makes of *anchor_us*.

    With a direction of -1 amounts are subtracted; the reset comes after either. With an
    *execution_day* years and months go to that day of the month, or its last. The result can be
    before the anchor, if the reset goes back further than the amounts go ahead.

    Raises:
        InvalidError: it is outside of the years 1 to 9999; `field` is "calendar".
    """
    found_us = applied(delta, anchor_us, zone, factor=direction, execution_day=execution_day)
    if found_us is None:
        raise _invalid(f"calendar {delta.text} leads out of the years 1 to 9999")
    return found_us


def local_date(at_us: int, zone: Zone) -> date:
    """Return the date that the wall clock of a zone shows at an instant."""
    return date.fromordinal(_local_us(at_us, zone) // DAY_US + EPOCH_ORDINAL)


def applied(
    delta: Delta, at_us: int, zone: Zone, *, factor: int, execution_day: int | None
) -> int | None:
    """Return what `evaluate` does with all amounts times *factor*, or None out of range."""
    local_us: int | None = None
    try:
        if delta.all_months or delta.days:
            local_us = _moved(_local_us(at_us, zone), delta, factor, execution_day)
        if delta.elapsed_us:
            if local_us is not None:
                at_us, local_us = instant_us(local_us, zone), None
            at_us += factor * delta.elapsed_us
        if delta.reset is not None:
            local_us = _local_us(at_us, zone) if local_us is None else local_us
            local_us = _set(local_us, delta.reset)
    except (OverflowError, ValueError):
        # The date between adding and resetting is one that there is not.
        return None
    found_us = at_us if local_us is None else instant_us(local_us, zone)
    return found_us if FIRST_S <= found_us // SECOND_US <= LAST_S else None


def _moved(local_us: int, delta: Delta, factor: int, execution_day: int | None) -> int:
    day, of_day_us = divmod(local_us, DAY_US)
    if delta.all_months:
        found = date.fromordinal(day + EPOCH_ORDINAL)
        month_number = found.year * 12 + found.month - 1 + factor * delta.all_months
        day = _day_in(month_number, execution_day or found.day)
    return (day + factor * delta.days) * DAY_US + of_day_us


def _set(local_us: int, reset: Reset) -> int:
    day, of_day_us = divmod(local_us, DAY_US)
    if reset.month is not None or reset.day is not None:
        found = date.fromordinal(day + EPOCH_ORDINAL)
        month_number = found.year * 12 + (reset.month or found.month) - 1
        day = _day_in(month_number, reset.day or found.day)
    hour, minute = divmod(of_day_us // MINUTE_US, 60)
    hour = hour if reset.hour is None else reset.hour
    minute = minute if reset.minute is None else reset.minute
    # Hour 24 is the following day by itself.
    return day * DAY_US + (hour * 60 + minute) * MINUTE_US


def _day_in(month_number: int, wanted: int) -> int:
    """Return the day of a month, or its last one if it has not so many."""
    first = first_of_month(month_number)
    return first + min(wanted, first_of_month(month_number + 1) - first) - 1


def _local_us(at_us: int, zone: Zone) -> int:
    return at_us + zone.offset_s(at_us // SECOND_US) * SECOND_US


def instant_us(local_us: int, zone: Zone) -> int:
    """Return the first instant of a local time, or where the gap moves it that skips it.

    Local microseconds count on the wall clock as local seconds do.
    """
    local_s = local_us // SECOND_US
    # No offset reaches a whole day, so that this segment is not too late.
    segment = zone.segment(local_s - DAY_S)
    while local_s >= segment.end_s + segment.offset_s and segment.end_s <= LAST_S:
        if local_s < segment.end_s + segment.offset_after_s:
            break
        segment = zone.segment(segment.end_s)
    return local_us - segment.offset_s * SECOND_US


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="calendar")
