"""The small words that the sentences on schedules are made of: lists, ordinals, times, moments.

Called by `words.py` and its parts, and by `preview.py`. Nothing here knows a language of rules.
What is said is exact: two different sets of numbers never get the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import DAY_S, Segment, Zone

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)
SECOND_US = 1_000_000

_PLACES = ("first", "second", "third", "fourth", "fifth")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# From so many values on, neighbours are written as "1 to 3", and equal steps as "every 2nd".
_RUN_MIN = 3
_STEPS_MIN = 4
_HOUR_S = 3_600
UNITS = {"hour": 24, "minute": 60, "second": 60}


def joined(phrases: Sequence[str], last: str = "and") -> str:
    """Write a list: `a, b and c`, or nothing for none."""
    if len(phrases) < 2:
        return "".join(phrases)
    return f"{', '.join(phrases[:-1])} {last} {phrases[-1]}"


def ordinal(number: int) -> str:
    """Write `1st`, `22nd`, `113th`."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number // 10 % 10 == 1 else ending}"


def place(number: int) -> str:
    """Write a place, from the front or, if negative, from the end: `second`, `3rd to last`."""
    if number < 0:
        return "last" if number == -1 else f"{ordinal(-number)} to last"
    return _PLACES[number - 1] if number <= len(_PLACES) else ordinal(number)


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 time`, `1,200 times`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def every(number: int, noun: str) -> str:
    """Write `every day` or `every 2 days`."""
    return f"every {noun}" if number == 1 else f"every {number:,} {noun}s"


def length(seconds: int) -> str:
    """Write a length of time in one unit, the largest that fits a whole number of times."""
    for noun, unit_s in (("hour", _HOUR_S), ("minute", 60)):
        if seconds % unit_s == 0:
            return counted(seconds // unit_s, noun)
    return counted(seconds, "second")


def ranges(values: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of neighbours among sorted values.

    Runs too short to be worth it come as single values.
    """
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    short: list[tuple[int, int]] = []
    for first, last in runs:
        if last - first + 1 >= _RUN_MIN:
            short.append((first, last))
        else:
            short += [(value, value) for value in range(first, last + 1)]
    return short


def step_of(values: Sequence[int]) -> int | None:
    """Return the distance of sorted values if it is always the same, or None."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return steps.pop() if len(steps) == 1 else None


def wide_step_of(values: Sequence[int]) -> int | None:
    """Return the step of values that are better said as steps than listed, or None."""
    step = step_of(values) if len(values) >= _STEPS_MIN else None
    return step if step is not None and step > 1 else None


def weekdays(chosen: Sequence[int]) -> str:
    """Write weekdays, 0 for Monday, sorted: `Monday to Friday`, `Tuesday and Thursday`."""
    found = weekday_range(chosen)
    return joined(_named(chosen, WEEKDAYS, from_value=0)) if found is None else found


def weekday_range(chosen: Sequence[int]) -> str | None:
    """Write three or more weekdays as one range, which may go on after Sunday, or return None."""
    starts = [value for value in chosen if (value - 1) % 7 not in chosen]
    if len(starts) != 1 or len(chosen) < _RUN_MIN:
        return None
    return f"{WEEKDAYS[starts[0]]} to {WEEKDAYS[(starts[0] + len(chosen) - 1) % 7]}"


def months(values: Sequence[int]) -> str:
    """Write months, 1 for January, sorted: `January to March and December`."""
    return joined(_named(values, MONTHS, from_value=1))


def _named(values: Sequence[int], names: tuple[str, ...], *, from_value: int) -> list[str]:
    return [
        names[low - from_value]
        if low == high
        else f"{names[low - from_value]} to {names[high - from_value]}"
        for low, high in ranges(values)
    ]


def dates(values: Sequence[int]) -> list[str]:
    """Write days of the month, one phrase each; negative ones count from its end."""
    forward = [value for value in values if value > 0]
    phrases = [f"the {place(value)} day" for value in values if value < 0]
    step = wide_step_of(forward)
    if step is not None:
        first, last = ordinal(forward[0]), ordinal(forward[-1])
        return [f"every {ordinal(step)} day from the {first} to the {last}", *phrases]
    runs = [
        f"the {ordinal(low)}" if low == high else f"the {ordinal(low)} to the {ordinal(high)}"
        for low, high in ranges(forward)
    ]
    return [*runs, *phrases]


def units(values: Sequence[int], noun: str) -> str:
    """Write some of the hours of a day, minutes of an hour and so on: `minutes 0 to 5 and 30`."""
    if len(values) == UNITS[noun]:
        return f"every {noun}"
    if len(values) == 1:
        return f"{noun} {values[0]}"
    step = wide_step_of(values)
    if step is not None:
        return f"every {ordinal(step)} {noun} from {values[0]} to {values[-1]}"
    runs = [str(low) if low == high else f"{low} to {high}" for low, high in ranges(values)]
    return f"{noun}s {joined(runs)}"


def clock(second_of_day: int) -> str:
    """Write a time of day, with seconds only if there are any: `09:30`, `09:30:15`."""
    hour, rest = divmod(second_of_day, _HOUR_S)
    minute, second = divmod(rest, 60)
    return f"{hour:02}:{minute:02}:{second:02}" if second else f"{hour:02}:{minute:02}"


def moment(at_us: int, where: Zone, *, is_end: bool = False) -> str:
    """Write an instant as the wall clock shows it, cut to the second.

    The time is left out at the very beginning of a day, or for an end at its very end. It is
    followed by UTC in that zone, and by its offset where the clock shows it twice.
    """
    utc_s = at_us // SECOND_US
    segment = where.segment(utc_s)
    local_s = utc_s + segment.offset_s
    if local_s > LAST_S:
        # The year 10000 cannot be named.
        return f"{local_moment(utc_s)} UTC"
    if is_shown_twice(segment, utc_s):
        return f"{local_moment(local_s)} ({offset(segment.offset_s)})"
    date_only = is_date_only(local_s, is_end=is_end)
    written = local_moment(local_s, date_only=date_only)
    return f"{written} UTC" if where.name == "UTC" and not date_only else written


def is_date_only(local_s: int, *, is_end: bool) -> bool:
    """Return whether a bound lies at the edge of a day, so that its date says all."""
    return local_s % DAY_S == (DAY_S - 1 if is_end else 0)


def is_shown_twice(segment: Segment, utc_s: int) -> bool:
    """Return whether the wall clock shows the time of an instant in the segment twice."""
    return utc_s < segment.second_until_s or utc_s >= segment.first_from_s


def local_moment(local_s: int, *, date_only: bool = False) -> str:
    """Write a local second: `2026-01-06 09:00`, or only its date."""
    day, second_of_day = divmod(local_s, DAY_S)
    date = (_EPOCH + timedelta(days=day)).date().isoformat()
    return date if date_only else f"{date} {clock(second_of_day)}"


def offset(offset_s: int) -> str:
    """Write an offset from UTC as ISO 8601 does: `+02:00`, with seconds only if it has some."""
    sign = "-" if offset_s < 0 else "+"
    return f"{sign}{clock(abs(offset_s))}"
