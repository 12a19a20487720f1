"""Cron texts as rules: which seconds of the wall clock a text names.

The grammar is in `cron_text.py`. Here its fields become tables that answer "the next one from
here" with a look, so that a call costs a few microseconds. What a local second means in a zone is
for `wallclock.py` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.cron_text import Days, Fields, Weekdays, read_fields

_DAY_S = 86_400
_ALL_HOURS = (1 << 24) - 1
_MONDAY_TO_FRIDAY = range(1, 6)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEAR_MAX = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron text, ready to be asked; a `LocalRule`. Made by `parse_cron`, equal by its text.

    The tables answer with -1 for "none". `_days` gives a mask of days (bit 0 is the first) for
    the length of a month, from 28 on, and the weekday it begins with (0 is Sunday).
    """

    text: str
    is_dense: bool = field(compare=False)
    """Whether it fires in every hour of the days it fires on."""

    _hours: tuple[int, ...] = field(compare=False, repr=False)
    _minutes: tuple[int, ...] = field(compare=False, repr=False)
    _seconds: tuple[int, ...] = field(compare=False, repr=False)
    _months: tuple[int, ...] = field(compare=False, repr=False)
    _days: tuple[tuple[int, ...], ...] = field(compare=False, repr=False)

    def at_or_after(self, local_s: int) -> int | None:
        """Return its first local second that is not before *local_s*, or None after 9999."""
        day_number, second = divmod(local_s, _DAY_S)
        found = self._day_from(day_number)
        if found == day_number:
            time_s = self._time_from(second)
            if time_s >= 0:
                return day_number * _DAY_S + time_s
            found = self._day_from(day_number + 1)
        if found is None:
            return None
        return found * _DAY_S + self._time_from(0)

    def _time_from(self, time_s: int) -> int:
        """Return the first second of a day from *time_s* on, or -1."""
        hour, rest_s = divmod(time_s, 3_600)
        if self._hours[hour] == hour:
            minute, second = divmod(rest_s, 60)
            if self._minutes[minute] == minute and self._seconds[second] >= 0:
                return time_s - second + self._seconds[second]
            minute = self._minutes[minute + 1]
            if minute >= 0:
                return hour * 3_600 + minute * 60 + self._seconds[0]
            hour += 1
        hour = self._hours[hour]
        if hour < 0:
            return -1
        return hour * 3_600 + self._minutes[0] * 60 + self._seconds[0]

    def _day_from(self, day_number: int) -> int | None:
        """Return the first day from *day_number* (days since 1970) on, or None after 9999."""
        year, month, day = _civil(day_number)
        if self._months[month] != month:
            year, month, day = self._month_from(year, month)
        while year <= _YEAR_MAX:
            first = _day_number(year, month)
            length = 29 if month == 2 and _is_leap(year) else _LENGTHS[month - 1]
            # The first of January 1970 was a Thursday.
            days = self._days[length - 28][(first + 4) % 7] >> (day - 1) << (day - 1)
            if days:
                return first + (days & -days).bit_length() - 1
            year, month, day = self._month_from(year, month + 1)
        return None

    def _month_from(self, year: int, month: int) -> tuple[int, int, int]:
        """Return the first day of the first month that is allowed from this one on."""
        found = self._months[month]
        return (year, found, 1) if found >= 0 else (year + 1, self._months[0], 1)


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Read a cron text of five fields (minute hour day month weekday), or six: second first.

    A field is `*` or a list of values, ranges (`9-17`) and steps (`*/15`, `3-59/15`; `5/15` goes
    from 5 on). Months and weekdays have names, in any case; Sunday is 0 and 7, and only ranges of
    weekdays may wrap (`FRI-MON`). Beside these, a day may be

    - `L`, the last of the month, or `L-3`, three days before it;
    - `15W`, the weekday from Monday to Friday nearest to the 15th in the same month, none where
      the month has no such date;
    - `LW`, the last day from Monday to Friday;

    and a weekday `FRIL`, the last Friday of the month, or `MON#2`, the second Monday. `?` alone
    is `*` for both. Macros: `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`,
    `@annually`.

    If day and weekday are both restricted, a date fires that matches either. A field that begins
    with a star, `*/2` too, does not count as restricted, and then both must match: as in cron on
    Debian.

    Raises:
        InvalidError: the text breaks the grammar, or can never fire; `field` is "cron".
    """
    fields = read_fields(text)
    days = tuple(
        tuple(_month_days(fields, length, first_weekday) for first_weekday in range(7))
        for length in range(28, 32)
    )
    _check_possible(text, fields, days)
    return Cron(
        text=text,
        is_dense=fields.hours == _ALL_HOURS,
        _hours=_table(fields.hours, 24),
        _minutes=_table(fields.minutes, 60),
        _seconds=_table(fields.seconds, 60),
        _months=_table(fields.months, 13),
        _days=days,
    )


def _table(mask: int, size: int) -> tuple[int, ...]:
    """Return, for each value up to *size* itself, the next in the mask from it on, or -1."""
    following = -1
    table = [following]
    for value in range(size - 1, -1, -1):
        if mask >> value & 1:
            following = value
        table.append(following)
    return tuple(reversed(table))


def _month_days(fields: Fields, length: int, first_weekday: int) -> int:
    """Return the days of a month of this length that begins with this weekday; bit 0 is the 1st."""
    dates = _by_date(fields.days, length, first_weekday)
    weekdays = _by_weekday(fields.weekdays, length, first_weekday)
    if fields.days.is_star or fields.weekdays.is_star:
        return dates & weekdays
    return dates | weekdays


def _by_date(days: Days, length: int, first_weekday: int) -> int:
    chosen = days.dates >> 1 & (1 << length) - 1
    for day in range(1, length + 1):
        if days.before_last >> (length - day) & 1:
            chosen |= 1 << (day - 1)
        if days.nearest >> day & 1:
            chosen |= 1 << (_nearest_weekday(day, length, first_weekday) - 1)
    if days.is_last_weekday:
        chosen |= 1 << (_nearest_weekday(length, length, first_weekday) - 1)
    return chosen


def _nearest_weekday(day: int, length: int, first_weekday: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, in the same month."""
    weekday = (first_weekday + day - 1) % 7
    if weekday in _MONDAY_TO_FRIDAY:
        return day
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    return day + 1 if day < length else day - 2


def _by_weekday(weekdays: Weekdays, length: int, first_weekday: int) -> int:
    chosen = 0
    for day in range(1, length + 1):
        weekday = (first_weekday + day - 1) % 7
        is_last = day + 7 > length
        place = (day + 6) // 7
        if (
            weekdays.every >> weekday & 1
            or (is_last and weekdays.last >> weekday & 1)
            or (weekday, place) in weekdays.ordinals
        ):
            chosen |= 1 << (day - 1)
    return chosen


def _check_possible(text: str, fields: Fields, days: tuple[tuple[int, ...], ...]) -> None:
    """Refuse a text whose days come in none of its months, whatever the year."""
    for month in range(1, 13):
        if fields.months >> month & 1:
            # February begins with each weekday in some leap year, and so does every other month.
            lengths = (28, 29) if month == 2 else (_LENGTHS[month - 1],)
            if any(any(days[length - 28]) for length in lengths):
                return
    raise InvalidError(
        f"cron {text!r} can never fire: none of its months ever has a day that its day and "
        "weekday fields allow; change the day, the weekday or the month",
        field="cron",
    )


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _civil(day_number: int) -> tuple[int, int, int]:
    """Return year, month and day of a day since 1970, in the calendar of today at all times."""
    # Years are counted from March, so that the leap day is the last; the era of 400 years that
    # begins at the first of March of the year 0 has the number 0.
    era, day_of_era = divmod(day_number + 719_468, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    if month < 10:
        return year + era * 400, month + 3, day
    return year + era * 400 + 1, month - 9, day


def _day_number(year: int, month: int) -> int:
    """Return the first day of a month in days since 1970."""
    if month < 3:
        year -= 1
        month += 12
    day_of_year = (153 * (month - 3) + 2) // 5
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468
