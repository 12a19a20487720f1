"""Instants as people see them: the local time with its offset, and what is special about it.

Called by `preview.py` and `left_out.py`, for some thousands of instants at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.definition import SECOND_US, OnWallClock, Plan
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import DAY_S, Segment, Zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Special(StrEnum):
    """What can be special about the local time of a fire."""

    SHIFTED = "shifted"
    """It is moved out of a gap that a clock change makes."""

    FIRST = "first"
    """The wall clock will show this time again."""

    SECOND = "second"
    """The wall clock has shown this time before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMark:
    """That a fire is special; `from_local` is the local time it was shifted from."""

    special: Special
    from_local: str | None = None

    @property
    def words(self) -> str:
        """Say it."""
        match self.special:
            case Special.SHIFTED:
                return f"shifted from {self.from_local}, which the clocks skip"
            case Special.FIRST:
                return "the first of two times that the clocks show alike"
            case Special.SECOND:
                return "the second of two times that the clocks show alike"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One fire. `local` is ISO 8601 with the offset; a jitter makes it due up to `latest_us`."""

    at_us: int
    local: str
    weekday: str
    marks: tuple[ClockMark, ...]
    latest_us: int


def shown(plan: Plan, instants: Iterable[int]) -> tuple[Occurrence, ...]:
    """Return the fires at some instants of the plan, which are best in order of time."""
    # The jitter is less than what is given.
    jitter_us = max(0, plan.definition.policies.jitter_us - 1)
    wall = Wall(plan.zone)
    found = []
    for at_us in instants:
        local, weekday = wall.show(at_us)
        marks = () if wall.is_plain(at_us) else _marks(plan, wall.segment, at_us)
        found.append(
            Occurrence(
                at_us=at_us,
                local=local,
                weekday=weekday,
                marks=marks,
                latest_us=at_us + jitter_us,
            )
        )
    return tuple(found)


class Wall:
    """What the wall clock of a zone shows, quick for instants in order of time."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._move(zone.segment(0))
        self._day, self._date, self._name = -1, "", ""

    def show(self, at_us: int) -> tuple[str, str]:
        """Return the local time as ISO 8601 with its offset, and the weekday."""
        utc_s, rest_us = divmod(at_us, SECOND_US)
        if not self.segment.start_s <= utc_s < self.segment.end_s:
            self._move(self._zone.segment(utc_s))
        offset_s, offset = self._offset_s, self._offset
        if utc_s + offset_s > LAST_S:
            # The year 10000 cannot be named.
            offset_s, offset = 0, say.offset(0)
        day, second = divmod(utc_s + offset_s, DAY_S)
        if day != self._day:
            self._day, self._date, self._name = day, _date(day), weekday_of(day)
        rest = f".{rest_us:06}" if rest_us else ""
        return f"{self._date}T{_time(second)}{rest}{offset}", self._name

    def is_plain(self, at_us: int) -> bool:
        """Return whether the instant shown last is far from clock changes."""
        return self._plain_from_us <= at_us < self._plain_until_us

    def _move(self, segment: Segment) -> None:
        self.segment = segment
        self._offset_s, self._offset = segment.offset_s, say.offset(segment.offset_s)
        self._plain_from_us = max(segment.gap_until_s, segment.second_until_s) * SECOND_US
        self._plain_until_us = segment.first_from_s * SECOND_US


def iso(local_s: int) -> str:
    """Write a local second as ISO 8601, without an offset."""
    day, second = divmod(local_s, DAY_S)
    return f"{_date(day)}T{_time(second)}"


def weekday_of(day: int) -> str:
    """Return the name of the weekday of a day since 1970."""
    # The first of January 1970 was a Thursday.
    return say.WEEKDAYS[(day + 3) % 7]


def _marks(plan: Plan, segment: Segment, at_us: int) -> tuple[ClockMark, ...]:
    utc_s = at_us // SECOND_US
    marks = []
    if isinstance(plan.rule, OnWallClock):
        from_s = plan.rule.clock.mark(plan.rule.rule, at_us).shifted_from_s
        if from_s is not None:
            marks.append(ClockMark(special=Special.SHIFTED, from_local=iso(from_s)))
    if utc_s < segment.second_until_s:
        marks.append(ClockMark(special=Special.SECOND))
    elif utc_s >= segment.first_from_s:
        marks.append(ClockMark(special=Special.FIRST))
    return tuple(marks)


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


# Most schedules have a few times of day only.
@lru_cache(maxsize=2_000)
def _time(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
