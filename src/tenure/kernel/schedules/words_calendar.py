"""Calendar deltas in words: how far to go, and what is set then.

Called by `words.py`. What the delta keeps from its start is left unsaid, because a clock change
can move it.
"""

from __future__ import annotations

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.delta import Delta, Reset

# Every month has these days.
_SURE_DAY_MAX = 28
_NEXT_DAY_HOUR = 24


def calendar_in_words(delta: Delta) -> str:
    """Return when the delta fires after its start."""
    head = f"every {_amounts(delta)}"
    if delta.reset is None:
        return head
    phrases = [*_date(delta.reset), *_time(delta.reset)]
    if not phrases:
        return f"{head}, each time with its seconds set to 0"
    if _is_steady(delta, delta.reset):
        return " ".join([head, *phrases])
    return f"{head}, each time moved to be {' '.join(phrases)}"


def _is_steady(delta: Delta, reset: Reset) -> bool:
    """Return whether what is set is shorter than what is added, so that it always lies ahead."""
    has_elapsed = delta.elapsed_us > 0
    if has_elapsed or reset.hour == _NEXT_DAY_HOUR or bool(delta.all_months) is bool(delta.days):
        return False
    if reset.month is not None:
        return bool(delta.years) and not delta.months
    return reset.day is None or bool(delta.all_months)


def _amounts(delta: Delta) -> str:
    amounts = {
        "year": delta.years,
        "month": delta.months,
        "day": delta.days,
        "hour": delta.hours,
        "minute": delta.minutes,
    }
    given = [(number, noun) for noun, number in amounts.items() if number]
    if len(given) == 1:
        number, noun = given[0]
        return noun if number == 1 else say.counted(number, noun)
    return say.joined([say.counted(number, noun) for number, noun in given])


def _date(reset: Reset) -> list[str]:
    month = None if reset.month is None else say.MONTHS[reset.month - 1]
    if reset.day is None:
        return [] if month is None else [f"in {month}"]
    of_month = "" if month is None else f" of {month}"
    or_last = " (or the last day)" if reset.day > _SURE_DAY_MAX else ""
    return [f"on the {say.ordinal(reset.day)}{of_month}{or_last}"]


def _time(reset: Reset) -> list[str]:
    if reset.hour is None:
        return [] if reset.minute is None else [f"at minute {reset.minute}"]
    is_next = reset.hour == _NEXT_DAY_HOUR
    day = " of the next day" if is_next else ""
    hour = 0 if is_next else reset.hour
    if reset.minute is None:
        return [f"in hour {hour}{day}"]
    return [f"at {say.clock(hour * 3_600 + reset.minute * 60)}{day}"]
