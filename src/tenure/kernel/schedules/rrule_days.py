"""The days of a year and the times of a day that a recurrence rule allows.

Owns the two small tables under an RRULE: `Days` keeps the days of a year as the bits of one
number, so that the next allowed day is one shift away; `Times` finds the next time of day. A
*day* is a number of days since 1970-01-01, before it negative.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import pairwise

DAY_S = 86_400
# 1970-01-01 as datetime counts days, and the last day of the year 9999 as we do.
EPOCH_ORDINAL = 719_163
LAST_DAY = 2_932_896
YEAR_LAST = 9_999
# After 400 years the calendar repeats, weekdays included.
CYCLE_YEARS = 400
CYCLE_DAYS = 146_097

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The first days of a seven-day pattern that is longer than a year.
_WEEKLY = sum(1 << day for day in range(0, 371, 7))


def year_of(day: int) -> int:
    """Return the year of a day; the day must be one that a date can hold."""
    return date.fromordinal(day + EPOCH_ORDINAL).year


def first_of_year(year: int) -> int:
    """Return the day of 1 January."""
    before = year - 1
    return before * 365 + before // 4 - before // 100 + before // 400 - EPOCH_ORDINAL + 1


def first_of_month(month_number: int) -> int:
    """Return the first day of a month, counted from January of the year 0."""
    year, month = divmod(month_number, 12)
    return first_of_year(year) + _month_starts(is_leap=_is_leap(year))[month]


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Which days of the year are allowed: those that fit every part that is not empty.

    `ordinals` are numbered weekdays: (2, 0) is the second Monday and (-1, 4) the last Friday, of
    the month if `in_month`, else of the year. They and `weekdays` are alternatives.
    """

    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    ordinals: tuple[tuple[int, int], ...] = ()
    in_month: bool = False
    week_start: int = 0
    # There are some dozens of kinds of year, and no more entries than that.
    _masks: dict[tuple[int, bool, bool, bool], int] = field(
        default_factory=dict, compare=False, repr=False
    )

    def next_day(self, day: int) -> int | None:
        """Return the first allowed day that is not before *day*, or None if there is none.

        None within 400 years is none for ever.
        """
        if day > LAST_DAY:
            return None
        year = year_of(day)
        first = first_of_year(year)
        rest = self.mask(year) >> (day - first)
        if rest:
            return day + (rest & -rest).bit_length() - 1
        for later in range(year + 1, min(year + CYCLE_YEARS, YEAR_LAST) + 1):
            mask = self.mask(later)
            if mask:
                return first_of_year(later) + (mask & -mask).bit_length() - 1
        return None

    def between(self, first: int, end: int) -> list[int]:
        """Return the allowed days from *first* to before *end*, which are a year apart at most."""
        days = []
        for year in (year_of(first), year_of(first) + 1):
            start = first_of_year(year)
            mask = self.mask(year) & ((1 << max(0, end - start)) - 1)
            mask >>= max(0, first - start)
            day = max(first, start)
            while mask:
                skipped = (mask & -mask).bit_length() - 1
                days.append(day + skipped)
                day += skipped + 1
                mask >>= skipped + 1
        return days

    def mask(self, year: int) -> int:
        """Return the allowed days of a year as bits, 1 January the lowest."""
        shape = _shape(year)
        mask = self._masks.get(shape)
        if mask is None:
            # Two threads may both find it; they find the same.
            mask = self._masks[shape] = self._mask_of(shape)
        return mask

    def _mask_of(self, shape: tuple[int, bool, bool, bool]) -> int:
        weekday, was_leap, is_leap, will_leap = shape
        length = 365 + is_leap
        starts = _month_starts(is_leap=is_leap)
        mask = (1 << length) - 1
        if self.months:
            mask &= _any(_run(starts[month - 1], starts[month]) for month in self.months)
        if self.month_days:
            mask &= _any(
                _nth(first, end, number)
                for first, end in pairwise(starts)
                for number in self.month_days
            )
        if self.year_days:
            mask &= _any(_nth(0, length, number) for number in self.year_days)
        if self.weeks:
            before, after = 365 + was_leap, 365 + will_leap
            mask &= self._weeks_mask(weekday, before=before, length=length, after=after)
        if self.weekdays or self.ordinals:
            mask &= self._weekday_mask(weekday, starts)
        return mask

    def _weekday_mask(self, weekday: int, starts: tuple[int, ...]) -> int:
        mask = _any(_WEEKLY << (wanted - weekday) % 7 for wanted in self.weekdays)
        months = self.months or range(1, 13)
        spans = (
            [(starts[month - 1], starts[month]) for month in months]
            if self.in_month
            else [(0, starts[-1])]
        )
        for first, end in spans:
            for number, wanted in self.ordinals:
                if number > 0:
                    day = first + (wanted - weekday - first) % 7 + 7 * (number - 1)
                else:
                    day = end - 1 - (weekday + end - 1 - wanted) % 7 + 7 * (number + 1)
                if first <= day < end:
                    mask |= 1 << day
        return mask

    def _weeks_mask(self, weekday: int, *, before: int, length: int, after: int) -> int:
        """Return the days of the weeks by number; the first has four days of its year or more."""
        week_start = self.week_start
        first = _first_week(weekday, week_start)
        weeks = _week_count(weekday, length, week_start)
        weeks_before = _week_count((weekday - before) % 7, before, week_start)
        weeks_after = _week_count((weekday + length) % 7, after, week_start)
        # Each week that has a day in this year, by its number and by its number from the end.
        named = [(first - 7, weeks_before, -1), (first + 7 * weeks, 1, -weeks_after)]
        named += [(first + 7 * number, number + 1, number - weeks) for number in range(weeks)]
        return _any(
            0b1111111 << start if start >= 0 else 0b1111111 >> -start
            for start, number, from_end in named
            if start > -7 and (number in self.weeks or from_end in self.weeks)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times of day: every combination of these hours, minutes and seconds, each sorted."""

    hours: tuple[int, ...] = (0,)
    minutes: tuple[int, ...] = (0,)
    seconds: tuple[int, ...] = (0,)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def nth(self, index: int) -> int:
        """Return one of them by its place, from 0, as the second of the day."""
        rest, second = divmod(index, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def at_or_after(self, second_of_day: int) -> int | None:
        """Return the first that is not before a second of the day, or None."""
        hours = self.hours
        hour, rest = divmod(second_of_day, 3600)
        place = bisect_left(hours, hour)
        if place < len(hours) and hours[place] == hour:
            within_s = self._within_hour(rest)
            if within_s is not None:
                return hour * 3600 + within_s
            place += 1
        if place == len(hours):
            return None
        return hours[place] * 3600 + self.minutes[0] * 60 + self.seconds[0]

    def _within_hour(self, second_of_hour: int) -> int | None:
        minutes, seconds = self.minutes, self.seconds
        minute, second = divmod(second_of_hour, 60)
        place = bisect_left(minutes, minute)
        if place < len(minutes) and minutes[place] == minute:
            last = bisect_left(seconds, second)
            if last < len(seconds):
                return minute * 60 + seconds[last]
            place += 1
        return minutes[place] * 60 + seconds[0] if place < len(minutes) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Offsets in seconds that BYSETPOS chose among `Times`: the same in every period."""

    offsets: tuple[int, ...]

    def at_or_after(self, second: int) -> int | None:
        """Return the first offset that is not before *second*, or None."""
        place = bisect_left(self.offsets, second)
        return self.offsets[place] if place < len(self.offsets) else None


def places(positions: tuple[int, ...], count: int) -> list[int]:
    """Return the indexes, sorted, that positions such as 1 or -1 mean in a set of *count*."""
    found = {position - 1 if position > 0 else count + position for position in positions}
    return sorted(index for index in found if 0 <= index < count)


@lru_cache(maxsize=1_024)
def _shape(year: int) -> tuple[int, bool, bool, bool]:
    """Return all that the days of a year depend on: its first weekday, and three leap years."""
    weekday = (first_of_year(year) + 3) % 7
    return weekday, _is_leap(year - 1), _is_leap(year), _is_leap(year + 1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _month_starts(*, is_leap: bool) -> tuple[int, ...]:
    return _STARTS[is_leap]


def _starts(*, is_leap: bool) -> tuple[int, ...]:
    starts = [0]
    for month, days in enumerate(_MONTH_DAYS, start=1):
        starts.append(starts[-1] + days + (is_leap and month == 2))
    return tuple(starts)


_STARTS = (_starts(is_leap=False), _starts(is_leap=True))


def _first_week(weekday: int, week_start: int) -> int:
    """Return where week 1 begins, counted from 1 January: from three before to three after."""
    start = (week_start - weekday) % 7
    return start - 7 if start > 3 else start


def _week_count(weekday: int, length: int, week_start: int) -> int:
    end = length + _first_week((weekday + length) % 7, week_start)
    return (end - _first_week(weekday, week_start)) // 7


def _run(first: int, end: int) -> int:
    return (1 << end) - (1 << first)


def _nth(first: int, end: int, number: int) -> int:
    day = first + number - 1 if number > 0 else end + number
    return 1 << day if first <= day < end else 0


def _any(masks: Iterable[int]) -> int:
    together = 0
    for mask in masks:
        together |= mask
    return together
