"""Cron texts in words: the times of day first, then the days.

Called by `words.py`. Works on what the fields allow and not on how they are written, so that
`0,30 * * * *` and `*/30 * * * *` read the same.
"""

from __future__ import annotations

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.cron_text import Days, Fields, Weekdays, read_fields
from tenure.kernel.schedules.words_times import TimesOfDay

_ALL_DATES = 0xFFFF_FFFE
_ALL_WEEKDAYS = 0b111_1111
_ALL_MONTHS = 0b1_1111_1111_1110


def cron_in_words(text: str) -> str:
    """Return when a cron text fires.

    Raises:
        InvalidError: the text breaks the grammar; `field` is "cron".
    """
    fields = read_fields(text)
    hours = _values(fields.hours)
    times = TimesOfDay(
        hours=hours, minutes=_values(fields.minutes), seconds=_values(fields.seconds)
    )
    days = _days_in_words(fields)
    phrases = [times.words, days]
    if not days:
        # What comes in every hour or goes round the clock comes every day.
        phrases[1] = "" if len(hours) == say.UNITS["hour"] or times.is_round else "every day"
        phrases.append("" if fields.months == _ALL_MONTHS else f"in {_of_months(fields.months)}")
    return " ".join(phrase for phrase in phrases if phrase)


def _days_in_words(fields: Fields) -> str:
    """Return which days are meant, or nothing if all of the months' are."""
    days, weekdays = fields.days, fields.weekdays
    is_any_date = days.dates & _ALL_DATES == _ALL_DATES
    is_any_weekday = weekdays.every == _ALL_WEEKDAYS
    if is_any_date and is_any_weekday:
        return ""
    of_months = _of_months(fields.months)
    if days.is_star or weekdays.is_star:
        if is_any_date:
            return _by_weekday(fields, of_months)
        by_date = f"on {say.joined(_date_phrases(days))} of {of_months}"
        condition = say.joined(_weekday_phrases(weekdays, each="a"), "or")
        return by_date if is_any_weekday else f"{by_date} if it is {condition}"
    if is_any_date or is_any_weekday:
        return ""
    either = [*_date_phrases(days), *_weekday_phrases(weekdays, each="every")]
    return f"on {say.joined(either)} of {of_months}"


def _by_weekday(fields: Fields, of_months: str) -> str:
    weekdays = fields.weekdays
    if weekdays.last or weekdays.ordinals:
        return f"on {say.joined(_weekday_phrases(weekdays, each='every'))} of {of_months}"
    named = f"on {say.weekdays(_from_monday(weekdays.every))}"
    return named if fields.months == _ALL_MONTHS else f"{named} in {of_months}"


def _date_phrases(days: Days) -> list[str]:
    phrases = say.dates(_values(days.dates & _ALL_DATES))
    phrases += [
        f"the day from Monday to Friday nearest to the {say.ordinal(date)}"
        for date in _values(days.nearest)
    ]
    phrases += [
        f"the {say.ordinal(distance)} day before the last" if distance else "the last day"
        for distance in reversed(_values(days.before_last))
    ]
    if days.is_last_weekday:
        phrases.append("the last day from Monday to Friday")
    return phrases


def _weekday_phrases(weekdays: Weekdays, *, each: str) -> list[str]:
    every = _from_monday(weekdays.every)
    phrases = [f"{each} {say.WEEKDAYS[day]}" for day in every]
    found = say.weekday_range(every)
    if found is not None:
        phrases = [f"{each} day from {found}"]
    ordinals = {(number, (weekday - 1) % 7) for weekday, number in weekdays.ordinals}
    phrases += [f"the {say.place(number)} {say.WEEKDAYS[day]}" for number, day in sorted(ordinals)]
    phrases += [f"the last {say.WEEKDAYS[day]}" for day in _from_monday(weekdays.last)]
    return phrases


def _from_monday(mask: int) -> list[int]:
    """Return the weekdays of a mask whose bit 0 is Sunday, with 0 for Monday."""
    return sorted((value - 1) % 7 for value in _values(mask))


def _of_months(mask: int) -> str:
    return "every month" if mask == _ALL_MONTHS else say.months(_values(mask))


def _values(mask: int) -> list[int]:
    return [value for value in range(mask.bit_length()) if mask >> value & 1]
