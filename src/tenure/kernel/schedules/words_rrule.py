"""Recurrence rules in words: how often, on which days, at which times, how many and how long.

Called by `words.py`. A rule takes from its start what its parts leave out, so that these words
do too; where the start is not known yet, they say that it decides. Only WKST can go unsaid, where
it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.recurrence import Recurrence
from tenure.kernel.schedules.rrule import RRule
from tenure.kernel.schedules.rrule_days import Days
from tenure.kernel.schedules.rrule_text import Frequency, Parts
from tenure.kernel.schedules.words_times import TimesOfDay, by_fields
from tenure.kernel.schedules.zones import DAY_S

_NOUNS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
    Frequency.SECONDLY: "second",
}
# So many dates are listed; of more, only the number and both ends are said.
_LISTED_MAX = 3
_START = "of its start"


class _Kind(NamedTuple):
    """One way in which days are chosen: as a list, as alternatives, and of what they are."""

    phrases: tuple[str, ...]
    alternatives: tuple[str, ...]
    of: str


def rrule_in_words(rule: RRule, *, since: str, is_start_known: bool) -> str:
    """Return when the rule fires; *since* is its start in words, or empty to say none."""
    is_single = len(rule.recurrences) == 1
    phrases = [
        _one_in_words(each, since=since if is_single else "", is_start_known=is_start_known)
        for each in rule.recurrences
    ]
    if rule.dates:
        phrases.append(_listed("at", "time", [say.local_moment(each) for each in rule.dates]))
    words = "; also ".join(phrases)
    if since and not is_single:
        words += f", all rules {since}"
    times = [say.local_moment(each) for each in sorted(rule.excluded)]
    days = [say.local_moment(day * DAY_S, date_only=True) for day in sorted(rule.excluded_days)]
    for preposition, noun, moments in (("at", "time", times), ("on", "day", days)):
        if moments:
            words += f", but not {_listed(preposition, noun, moments)}"
    return words


def first_named_s(rule: RRule) -> int:
    """Return a local second before which the rule names nothing: its start, or a date before."""
    starts_s = [rule.start_s] if rule.recurrences else []
    return min([*starts_s, *rule.dates[:1]])


def start_is_date_only(rule: RRule) -> bool:
    """Return whether the date of its start says all: no time of that day is before it."""
    time_s = rule.start_s % DAY_S
    return time_s == 0 or all(
        each.parts.frequency <= Frequency.DAILY and time_s <= each.times.nth(0)
        for each in rule.recurrences
    )


def _listed(preposition: str, noun: str, moments: list[str]) -> str:
    if len(moments) <= _LISTED_MAX:
        return f"{preposition} {say.joined(moments)}"
    return f"{preposition} {len(moments):,} {noun}s from {moments[0]} to {moments[-1]}"


def _one_in_words(rule: Recurrence, *, since: str, is_start_known: bool) -> str:
    parts = rule.parts
    phrases = [say.every(parts.interval, _NOUNS[parts.frequency])]
    if parts.frequency < Frequency.DAILY:
        # Without its start, what the rule would take from it is not known.
        phrases.append(_days(parts.frequency, rule.days if is_start_known else _said_days(rule)))
    times = _times(rule, is_start_known=is_start_known)
    words = " ".join(phrases) + _separator(times) + times
    start = [since] if since else []
    return ", ".join([words, *_limits(parts), *_choice(parts), *start, *_end(rule)])


def _separator(times: str) -> str:
    if not times:
        return ""
    return ", " if times.startswith("every ") else " "


def _said_days(rule: Recurrence) -> Days:
    parts = rule.parts
    return replace(
        rule.days, months=parts.months, month_days=parts.month_days, weekdays=parts.weekdays
    )


def _days(frequency: Frequency, days: Days) -> str:
    """Return the days that are meant of a week, a month or a year."""
    is_said = days.year_days or days.month_days or days.weekdays or days.ordinals
    match frequency:
        case Frequency.WEEKLY:
            return f"on {say.weekdays(days.weekdays)}" if is_said else f"on the weekday {_START}"
        case Frequency.MONTHLY:
            return _on(_kinds(days)) if is_said else f"on the day of the month {_START}"
        case _:
            return _in_year(days) if is_said else _in_unknown_year(days)


def _in_year(days: Days) -> str:
    months, kinds = say.months(days.months), _kinds(days)
    if months and len(kinds) == 1 and not days.weeks and not days.year_days:
        return f"{_on(kinds)} of {months}"
    kinds = _kinds(
        days,
        of_dates="" if months else " of every month",
        of_ordinals="" if days.in_month else " of the year",
    )
    return " ".join([*_spans(days), _on(kinds)])


def _in_unknown_year(days: Days) -> str:
    if days.weeks:
        return " ".join([*_spans(days), f"on the weekday {_START}"])
    name = "day of the month" if days.months else "date"
    return " ".join([*_spans(days), f"on the {name} {_START}"])


def _spans(days: Days) -> list[str]:
    """Return the months and the weeks of a year that are meant, if any are said."""
    spans = [f"in {say.months(days.months)}"] if days.months else []
    if days.weeks:
        weeks = [
            f"week {number}" if number > 0 else f"the {say.place(number)} week"
            for number in _from_front(days.weeks)
        ]
        spans.append(f"in {say.joined(weeks)} of the year")
    return spans


def _from_front(numbers: Sequence[int]) -> list[int]:
    """Return numbers in order, those that count from the end last."""
    return sorted(numbers, key=lambda number: (number < 0, number))


def _kinds(days: Days, *, of_dates: str = "", of_ordinals: str = "") -> list[_Kind]:
    """Return the ways in which days are chosen; a day has to fit all of them."""
    kinds = []
    if days.year_days:
        phrases = tuple(f"the {say.place(number)} day" for number in _from_front(days.year_days))
        kinds.append(_Kind(phrases, phrases, " of the year"))
    if days.month_days:
        phrases = tuple(say.dates(days.month_days))
        kinds.append(_Kind(phrases, phrases, of_dates))
    if days.weekdays or days.ordinals:
        in_order = sorted(days.ordinals, key=lambda both: (both[0] < 0, both))
        numbered = [f"the {say.place(number)} {say.WEEKDAYS[day]}" for number, day in in_order]
        found = say.weekday_range(days.weekdays)
        names = [f"day from {found}"] if found else [say.WEEKDAYS[day] for day in days.weekdays]
        kinds.append(
            _Kind(
                (*(f"every {name}" for name in names), *numbered),
                (*(f"a {name}" for name in names), *numbered),
                of_ordinals if numbered else "",
            )
        )
    return kinds


def _on(kinds: Sequence[_Kind]) -> str:
    first, *others = kinds
    conditions = [f" if it is {say.joined(kind.alternatives, 'or')}{kind.of}" for kind in others]
    return f"on {say.joined(first.phrases)}{first.of}{''.join(conditions)}"


def _times(rule: Recurrence, *, is_start_known: bool) -> str:
    """Return the times of a day, or of what is counted if that is shorter."""
    parts, times = rule.parts, rule.times
    fields = {"hour": parts.hours, "minute": parts.minutes, "second": parts.seconds}
    shorter = list(fields)[max(0, parts.frequency - Frequency.DAILY) :]
    missing = [noun for noun in shorter if not fields[noun]]
    if missing and not is_start_known:
        said = [say.units(fields[noun], noun) for noun in reversed(shorter) if fields[noun]]
        what = "time of day" if missing == list(fields) else say.joined(missing)
        return f"at {say.joined([' of '.join(said), f'the {what} {_START}'][not said :])}"
    match parts.frequency:
        case Frequency.HOURLY:
            return by_fields(seconds=times.seconds, minutes=times.minutes)
        case Frequency.MINUTELY:
            return by_fields(seconds=times.seconds)
        case Frequency.SECONDLY:
            return ""
        case _:
            return TimesOfDay(hours=times.hours, minutes=times.minutes, seconds=times.seconds).words


def _limits(parts: Parts) -> list[str]:
    """Return what only takes times away, because it is longer than what is counted."""
    frequency = parts.frequency
    limits = []
    for values, noun, finer in (
        (parts.hours, "hour", Frequency.DAILY),
        (parts.minutes, "minute", Frequency.HOURLY),
        (parts.seconds, "second", Frequency.MINUTELY),
    ):
        if values and frequency > finer:
            limits.append(f"only in {say.units(values, noun)}")
    if frequency >= Frequency.DAILY:
        chosen = Days(year_days=parts.year_days, month_days=parts.month_days)
        limits += [f"only {_on([kind])}" for kind in _kinds(chosen, of_dates=" of the month")]
    if parts.weekdays and frequency >= Frequency.DAILY:
        limits.append(f"only on {say.weekdays(parts.weekdays)}")
    if parts.months and frequency > Frequency.YEARLY:
        limits.append(f"only in {say.months(parts.months)}")
    return limits


def _choice(parts: Parts) -> list[str]:
    """Return which of the times in each period are taken, and where weeks begin if it matters."""
    choice = []
    is_by_week = parts.frequency is Frequency.WEEKLY and (parts.interval > 1 or parts.positions)
    if parts.week_start and (is_by_week or parts.weeks):
        choice.append(f"with weeks from {say.WEEKDAYS[parts.week_start]} on")
    if parts.positions:
        places = [f"the {say.place(number)}" for number in _from_front(parts.positions)]
        choice.append(f"of these only {say.joined(places)} in each {_NOUNS[parts.frequency]}")
    return choice


def _end(rule: Recurrence) -> list[str]:
    if rule.parts.count is not None:
        return [f"{say.counted(rule.parts.count, 'time')} in all"]
    if rule.last_s is None:
        return []
    time_s = rule.last_s % DAY_S
    is_by_day = rule.parts.frequency <= Frequency.DAILY
    date_only = time_s == DAY_S - 1 or (is_by_day and rule.times.nth(-1) <= time_s)
    return [f"until {say.local_moment(rule.last_s, date_only=date_only)}"]
