"""One recurrence rule of RFC 5545: from its parts to its next time.

Called by `rrule.py`, which joins several of them with dates. A `Recurrence` is the parts of a
rule and a start, ready to be asked.

A rule cuts time into periods of its frequency, of which every INTERVAL-th counts, in phase with
the start. The next time is found by arithmetic from the moment that is asked about, so it costs
the same however long ago the start was. Coarse frequencies look for days (`Days`), then times.
Daily and finer ones look for slots (a day, hour, minute or second), then times in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from math import gcd
from typing import NoReturn

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules.rrule_days import (
    CYCLE_DAYS,
    DAY_S,
    EPOCH_ORDINAL,
    Chosen,
    Days,
    Times,
    first_of_month,
    first_of_year,
    places,
    year_of,
)
from tenure.kernel.schedules.rrule_text import Frequency, Parts
from tenure.kernel.schedules.rule import LAST_S

# Only rules whose interval and times of day meet about once in a hundred years come near it.
STEPS_MAX = 250_000
# Of the periods whose times were chosen last.
REMEMBERED_MAX = 16

_HOURS, _SIXTY = tuple(range(24)), tuple(range(60))
# Wall clocks are at most this far from UTC, in either direction.
_OFFSET_MAX_S = DAY_S


# Of the slots of daily and finer frequencies.
_UNIT_S = {
    Frequency.DAILY: DAY_S,
    Frequency.HOURLY: 3600,
    Frequency.MINUTELY: 60,
    Frequency.SECONDLY: 1,
}
# How many periods the calendar has until it repeats.
_CYCLE = {Frequency.YEARLY: 400, Frequency.MONTHLY: 4_800, Frequency.WEEKLY: CYCLE_DAYS // 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A rule with a start; make it with `recurrence`.

    Its times are local seconds. `last_s` is the last one that COUNT or a local UNTIL allows, None
    without a bound. An UNTIL in UTC is in the parts only: `rrule.py` makes it local for a zone.
    """

    parts: Parts
    start_s: int
    last_s: int | None
    days: Days
    times: Times
    slots: Times
    inner: Times | Chosen
    horizon_days: int
    _remembered: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_dense(self) -> bool:
        """Whether it goes by the hour or finer."""
        return self.parts.frequency >= Frequency.HOURLY

    def at_or_after(self, local_s: int) -> int | None:
        """Return its first time that is not before *local_s*, or None after its last.

        Raises:
            LimitError: its interval and its times of day meet too seldom to be searched for.
        """
        from_s = max(local_s, self.start_s)
        last_s = LAST_S if self.last_s is None else self.last_s
        if from_s > last_s:
            return None
        if self.parts.frequency >= Frequency.DAILY:
            found_s = self._by_slots(from_s)
        elif self.parts.positions:
            found_s = self._by_places(from_s)
        else:
            found_s = self._by_days(from_s)
        return found_s if found_s is not None and found_s <= last_s else None

    def _by_days(self, from_s: int) -> int | None:
        day, second = divmod(from_s, DAY_S)
        found = self._next_day(day)
        if found == day:
            time_s = self.inner.at_or_after(second)
            if time_s is not None:
                return day * DAY_S + time_s
            found = self._next_day(day + 1)
        return None if found is None else found * DAY_S + self.times.nth(0)

    def _by_places(self, from_s: int) -> int | None:
        """Look through whole periods, because BYSETPOS counts in them."""
        day = from_s // DAY_S
        horizon = day + self.horizon_days
        while True:
            found = self._next_day(day)
            if found is None or found > horizon:
                return None
            period = self._period(found)
            for chosen_s in self._chosen_in(period):
                if chosen_s >= from_s:
                    return chosen_s
            day = self._period_start(period + 1)

    def _chosen_in(self, period: int) -> tuple[int, ...]:
        """Return the times that BYSETPOS chooses in a period."""
        chosen = self._remembered.get(period)
        if chosen is None:
            count = self.times.count
            first, end = self._period_start(period), self._period_start(period + 1)
            days = self.days.between(first, end)
            chosen = tuple(
                days[index // count] * DAY_S + self.times.nth(index % count)
                for index in places(self.parts.positions, len(days) * count)
            )
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[period] = chosen
        return chosen

    def _by_slots(self, from_s: int) -> int | None:
        slot_s = from_s - from_s % _UNIT_S[self.parts.frequency]
        found_s = self._next_slot(slot_s)
        if found_s == slot_s:
            offset_s = self.inner.at_or_after(from_s - slot_s)
            if offset_s is not None:
                return slot_s + offset_s
            found_s = self._next_slot(slot_s + _UNIT_S[self.parts.frequency])
        first_s = self.inner.at_or_after(0)
        return None if found_s is None or first_s is None else found_s + first_s

    def _next_day(self, day: int) -> int | None:
        """Return the first allowed day from *day* on that is in a period in phase."""
        interval = self.parts.interval
        if interval == 1:
            return self.days.next_day(day)
        phase = self._period(self.start_s // DAY_S)
        horizon = day + self.horizon_days
        while True:
            found = self.days.next_day(day)
            if found is None or found > horizon:
                return None
            period = self._period(found)
            ahead = (phase - period) % interval
            if not ahead:
                return found
            day = self._period_start(period + ahead)

    def _next_slot(self, second: int) -> int | None:
        """Return the first slot in phase, from *second* on, in an allowed day and time."""
        unit_s = _UNIT_S[self.parts.frequency]
        phase_s, step_s = self.start_s - self.start_s % unit_s, self.parts.interval * unit_s
        horizon = second // DAY_S + self.horizon_days
        for _ in range(STEPS_MAX):
            day = self.days.next_day(second // DAY_S)
            if day is None or day > horizon:
                return None
            day_s = day * DAY_S
            time_s = self.slots.at_or_after(max(0, second - day_s))
            if time_s is None:
                second = day_s + DAY_S
                continue
            second = day_s + time_s
            ahead_s = (phase_s - second) % step_s
            if not ahead_s:
                return second
            second += ahead_s
        raise LimitError(
            f"INTERVAL={self.parts.interval} and the times of day of this rule meet too seldom "
            f"to be found in {STEPS_MAX:,} steps",
            bound=STEPS_MAX,
        )

    def _period(self, day: int) -> int:
        """Return the number of the year, month or week of a day."""
        match self.parts.frequency:
            case Frequency.YEARLY:
                return year_of(day)
            case Frequency.MONTHLY:
                found = date.fromordinal(day + EPOCH_ORDINAL)
                return found.year * 12 + found.month - 1
            case _:
                # 1970-01-01 was a Thursday.
                return (day + 3 - self.parts.week_start) // 7

    def _period_start(self, period: int) -> int:
        match self.parts.frequency:
            case Frequency.YEARLY:
                return first_of_year(period)
            case Frequency.MONTHLY:
                return first_of_month(period)
            case _:
                return period * 7 - 3 + self.parts.week_start


def recurrence(parts: Parts, *, start_s: int) -> Recurrence:
    """Return the rule that begins at the local second *start_s*, which fills in what is not said.

    The start itself is a time of the rule only if it fits the rule.

    Raises:
        InvalidError: it would never fire; `field` is "rrule".
    """
    times, slots = _times_and_slots(parts, start_s)
    inner: Times | Chosen = times
    if parts.positions and parts.frequency >= Frequency.DAILY:
        chosen = places(parts.positions, times.count)
        inner = Chosen(offsets=tuple(times.nth(index) for index in chosen))
    bare = Recurrence(
        parts=parts,
        start_s=start_s,
        last_s=None,
        days=_days(parts, start_s),
        times=times,
        slots=slots,
        inner=inner,
        horizon_days=_horizon_days(parts),
    )
    _refuse_never(bare)
    return replace(bare, last_s=_last_s(bare))


def _days(parts: Parts, start_s: int) -> Days:
    start = date.fromordinal(start_s // DAY_S + EPOCH_ORDINAL)
    frequency, months = parts.frequency, parts.months
    month_days, weekdays = parts.month_days, parts.weekdays
    is_open = not (parts.year_days or month_days or weekdays or parts.ordinals)
    if is_open and (parts.weeks or frequency is Frequency.WEEKLY):
        weekdays = (start.weekday(),)
    elif is_open and frequency < Frequency.WEEKLY:
        month_days = (start.day,)
        if frequency is Frequency.YEARLY:
            months = months or (start.month,)
    return Days(
        months=months,
        weeks=parts.weeks,
        year_days=parts.year_days,
        month_days=month_days,
        weekdays=weekdays,
        ordinals=parts.ordinals,
        in_month=frequency is Frequency.MONTHLY or bool(parts.months),
        week_start=parts.week_start,
    )


def _times_and_slots(parts: Parts, start_s: int) -> tuple[Times, Times]:
    """Return the times in each slot, and the slots of a day."""
    hour, rest = divmod(start_s % DAY_S, 3600)
    minute, second = divmod(rest, 60)
    hours, minutes, seconds = parts.hours, parts.minutes, parts.seconds
    match parts.frequency:
        case Frequency.HOURLY:
            inner = Times(minutes=minutes or (minute,), seconds=seconds or (second,))
            return inner, Times(hours=hours or _HOURS)
        case Frequency.MINUTELY:
            slots = Times(hours=hours or _HOURS, minutes=minutes or _SIXTY)
            return Times(seconds=seconds or (second,)), slots
        case Frequency.SECONDLY:
            return Times(), Times(
                hours=hours or _HOURS, minutes=minutes or _SIXTY, seconds=seconds or _SIXTY
            )
        case _:
            inner = Times(
                hours=hours or (hour,), minutes=minutes or (minute,), seconds=seconds or (second,)
            )
            return inner, Times()


def _horizon_days(parts: Parts) -> int:
    """Return after how many days the calendar and the phase of the rule both repeat."""
    if parts.frequency in _CYCLE:
        return CYCLE_DAYS * (parts.interval // gcd(parts.interval, _CYCLE[parts.frequency]))
    step_s = parts.interval * _UNIT_S[parts.frequency]
    days = step_s // gcd(step_s, DAY_S)
    return CYCLE_DAYS * (days // gcd(days, CYCLE_DAYS))


def _last_s(rule: Recurrence) -> int | None:
    parts = rule.parts
    if parts.count is None:
        return parts.until_local_s
    if not parts.lists() and parts.frequency >= Frequency.WEEKLY:
        step_s = parts.interval * _UNIT_S.get(parts.frequency, 7 * DAY_S)
        return rule.start_s + (parts.count - 1) * step_s
    at_s = rule.start_s - 1
    for _ in range(parts.count):
        next_s = rule.at_or_after(at_s + 1)
        if next_s is None:
            return None
        at_s = next_s
    return at_s


def _refuse_never(rule: Recurrence) -> None:
    """Refuse a rule without a single time, and say why it has none."""
    parts = rule.parts
    _refuse_early_end(rule, rule.start_s, "before the start")
    if isinstance(rule.inner, Chosen) and not rule.inner.offsets:
        _never(
            parts, f"each period holds {rule.times.count} times, and BYSETPOS means none of them"
        )
    if rule.days.next_day(rule.start_s // DAY_S) is None:
        _never(parts, "no year has a day that fits")
    if not _meets_phase(rule):
        _never(parts, "its interval never meets these times of day")
    try:
        first_s = rule.at_or_after(rule.start_s)
    except LimitError:
        _never(parts, "its interval meets these times of day too seldom to be found")
    if first_s is None:
        _never(parts, "counted from its start, its interval never meets a day and place that fits")
    _refuse_early_end(rule, first_s, "before its first time")


def _refuse_early_end(rule: Recurrence, first_s: int, sentence: str) -> None:
    parts = rule.parts
    is_late = parts.until_local_s is not None and parts.until_local_s < first_s
    if parts.until_utc_s is not None:
        is_late = parts.until_utc_s + _OFFSET_MAX_S < first_s
    if is_late:
        raise InvalidError(f"rrule never fires: its UNTIL is {sentence}", field="rrule")


def _never(parts: Parts, reason: str) -> NoReturn:
    written = ", ".join(f"{name}={value}" for name, value in parts.lists().items())
    with_interval = f"INTERVAL={parts.interval}, {written}" if parts.interval > 1 else written
    raise InvalidError(f"rrule never fires: {reason} ({with_interval})", field="rrule")


def _meets_phase(rule: Recurrence) -> bool:
    """Whether some slot of a day is ever in phase, whichever the day."""
    parts = rule.parts
    if parts.frequency <= Frequency.DAILY or not (parts.hours or parts.minutes or parts.seconds):
        return True
    unit_s = _UNIT_S[parts.frequency]
    common_s = gcd(parts.interval * unit_s, DAY_S)
    found = {hour * 3600 % common_s for hour in rule.slots.hours}
    found = {(at + minute * 60) % common_s for at in found for minute in rule.slots.minutes}
    found = {(at + second) % common_s for at in found for second in rule.slots.seconds}
    return (rule.start_s - rule.start_s % unit_s) % common_s in found
