"""Times of day in words, for rules that give hours, minutes and seconds.

Called by `words_cron.py` and `words_rrule.py`. Two different sets of times never get the same
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.zones import DAY_S

_HOUR_S = 3_600
# So many times of day are listed rather than said to come in steps; and at most so many.
_LISTED = 4
_LISTED_MAX = 8
# Fewer are no steps to speak of.
_STEPS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesOfDay:
    """Every combination of these hours, minutes and seconds, each sorted and not empty."""

    hours: Sequence[int]
    minutes: Sequence[int]
    seconds: Sequence[int]

    @property
    def count(self) -> int:
        """How many times there are."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    @property
    def is_round(self) -> bool:
        """Whether they come in equal steps from midnight to midnight, as `every 2 hours` says."""
        first_s, step_s = self._steps() or (0, 0)
        return self.count >= _STEPS_MIN and first_s == 0 and step_s * self.count == DAY_S

    @property
    def words(self) -> str:
        """The times: `at 09:00 and 17:30`, `every 15 minutes from 08:00 to 17:45`."""
        first_s, step_s = self._steps() or (0, 0)
        if self.is_round:
            return _every(step_s)
        # Minute 30 of each hour is better said than "every hour from 00:30 to 23:30".
        is_one_of_each = step_s in (60, _HOUR_S) and step_s * self.count == DAY_S
        if step_s and self.count > _LISTED and not is_one_of_each:
            last_s = first_s + step_s * (self.count - 1)
            return f"{_every(step_s)} from {say.clock(first_s)} to {say.clock(last_s)}"
        if self.count <= _LISTED_MAX:
            return f"at {say.joined([say.clock(each) for each in self._all()])}"
        return by_fields(hours=self.hours, minutes=self.minutes, seconds=self.seconds)

    def _all(self) -> list[int]:
        return [
            hour * _HOUR_S + minute * 60 + second
            for hour in self.hours
            for minute in self.minutes
            for second in self.seconds
        ]

    def _steps(self) -> tuple[int, int] | None:
        """Return the first of the times and their distance if it is always the same, or None.

        A single time has none.
        """
        first_s, step_s, count = 0, 0, 1
        for values, unit_s in ((self.seconds, 1), (self.minutes, 60), (self.hours, _HOUR_S)):
            first_s += values[0] * unit_s
            if len(values) == 1:
                continue
            step = say.step_of(values)
            if step is not None and count == 1:
                step_s = step * unit_s
            elif step != 1 or step_s * count != unit_s:
                return None
            count *= len(values)
        return (first_s, step_s) if step_s else None


def by_fields(
    *,
    seconds: Sequence[int],
    minutes: Sequence[int] | None = None,
    hours: Sequence[int] | None = None,
) -> str:
    """Write the fields that are given, the finest first: `at minutes 5 and 7 of hours 9 to 17`.

    Not said are second 0, and all hours around what comes in every minute. So it is an empty text
    for second 0 alone.
    """
    fields = [(seconds, "second"), (minutes, "minute"), (hours, "hour")]
    given = [(values, noun) for values, noun in fields if values is not None]
    if list(seconds) == [0]:
        del given[0]
    phrases = [say.units(values, noun) for values, noun in given]
    if phrases[-2:] == ["every minute", "every hour"]:
        phrases.pop()
    if phrases:
        phrases[0] = _leading(*given[0])
    return " of ".join(phrases)


def _leading(values: Sequence[int], noun: str) -> str:
    step = say.step_of(values)
    if step is not None and values[0] == 0 and step * len(values) == say.UNITS[noun]:
        return say.every(step, noun)
    return f"at {say.units(values, noun)}"


def _every(seconds: int) -> str:
    return f"every {say.length(seconds).removeprefix('1 ')}"
