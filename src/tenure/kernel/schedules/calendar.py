"""Schedules counted by the calendar: an anchor, and a delta applied to it again and again.

`parse_calendar` reads the delta, whose arithmetic is in `delta.py`; `CalendarRule` finds the next
instant. Every instant comes from the one before it, so that a time which a gap moved stays moved.
To find one far ahead takes leaps: between two clock changes the steps are regular.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum, auto

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules.delta import (
    AMOUNTS_MAX,
    DAY_US,
    RESET_KEY,
    RESETS,
    SECOND_US,
    Delta,
    Reset,
    applied,
    local_date,
)
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import Zone, zone as zone_of

TEXT_CHARS_MAX = 500
# How many steps a rule whose steps differ in length is followed from a known instant.
STEPS_MAX = 100_000
_LAST_US = LAST_S * SECOND_US
# How often a rule is tried whose reset might take back what it adds.
_TRIALS = 1_000
# A clock that is set back can undo a step of up to some hours; more of them together pass it.
_REPEATS_MAX = 50
# Of every so many instants that were passed, one is remembered.
_REMEMBER_EVERY = 4


def parse_calendar(source: str | Mapping[str, object]) -> Delta:
    """Read a delta, such as `{"months": 1, "resetTo": {"day": 31, "hour": 0}}`.

    Raises:
        InvalidError: it is no JSON object, has a key that is not known, or a value that is no
            whole number within its bounds; `field` is "calendar".
    """
    document = _decoded(source) if isinstance(source, str) else source
    amounts = _numbers(document, known=[*AMOUNTS_MAX, RESET_KEY], where="calendar")
    reset = document.get(RESET_KEY)
    if reset is None and RESET_KEY not in document:
        return _delta(amounts, None)
    if not isinstance(reset, Mapping):
        raise _invalid(
            f'calendar {RESET_KEY} is {reset!r}; it must be an object such as {{"day": 1}}'
        )
    numbers = _numbers(reset, known=[*RESETS], where=f"calendar {RESET_KEY}")
    return _delta(amounts, Reset(**numbers))


class _Stride(Enum):
    """How a rule is passed through faster than step by step."""

    EXACT = auto()  # Elapsed time alone: by division, across clock changes.
    STEADY = auto()  # Equal steps while the offset stays the same.
    MONTHS = auto()  # So many months at once while the offset stays the same.
    NONE = auto()


class CalendarRule:
    """The anchor, the delta applied to it, the delta applied to that, and so on.

    An `InstantRule`. The day of the month is kept, so that a monthly rule from 31 January goes on
    with 29 February and 31 March: it is *execution_day*, or the local day of the anchor, and from
    the first step on that of the reset, if it sets one.

    Where a clock is set back and the reset takes back a whole step, it goes on with the first of
    two, three or more steps together that leads ahead.

    Raises:
        InvalidError: the delta never moves on; `field` is "calendar".
    """

    def __init__(
        self, delta: Delta, anchor_us: int, zone: Zone, *, execution_day: int | None = None
    ) -> None:
        _refuse_standstill(delta, anchor_us)
        self.delta: Delta = delta
        self.anchor_us: int = anchor_us
        self.zone: Zone = zone
        self.execution_day: int = execution_day or local_date(anchor_us, zone).day
        reset_day = delta.reset.day if delta.reset is not None else None
        self._later_day = reset_day or self.execution_day
        self._stride = _stride_of(delta)
        # Instants of this rule that were passed, oldest first: any search can begin at one.
        self._passed_us = [anchor_us]

    def next_after(self, after_us: int, *, from_us: int | None = None) -> int | None:
        """Return its first instant after *after_us*, or None after the year 9999.

        *from_us* may be an instant of this rule that is known already, from where to go on.

        Raises:
            LimitError: more than 100,000 steps of different lengths lie between; give *from_us*.
        """
        if after_us < self.anchor_us:
            return self.anchor_us
        if after_us >= _LAST_US:
            return None
        at_us = self._known_us(after_us, from_us)
        for number in range(1, STEPS_MAX + 1):
            next_us = self._step(at_us)
            if next_us is None or next_us > after_us:
                return next_us
            at_us = self._leap(next_us, after_us)
            if number % _REMEMBER_EVERY == 0 and at_us > self._passed_us[-1]:
                self._passed_us.append(at_us)
        raise LimitError(
            f"calendar {self.delta.text} needs more than {STEPS_MAX:,} steps from its anchor; "
            "begin at a later one",
            bound=STEPS_MAX,
        )

    def _known_us(self, after_us: int, from_us: int | None) -> int:
        known_us = self._passed_us[bisect_right(self._passed_us, after_us) - 1]
        if from_us is not None and known_us < from_us <= after_us:
            return from_us
        # Threads can append in the wrong order, so that the search misses.
        return known_us if known_us <= after_us else self.anchor_us

    def _step(self, at_us: int) -> int | None:
        day = self.execution_day if at_us == self.anchor_us else self._later_day
        for factor in range(1, _REPEATS_MAX + 1):
            found_us = applied(self.delta, at_us, self.zone, factor=factor, execution_day=day)
            if found_us is None or found_us > at_us:
                return found_us
        raise LimitError(
            f"calendar {self.delta.text} stands still: even {_REPEATS_MAX} steps together do not "
            "lead ahead",
            bound=_REPEATS_MAX,
        )

    def _leap(self, at_us: int, after_us: int) -> int:
        """Return a later instant of this rule up to *after_us* if one is easily found."""
        if self._stride is _Stride.NONE:
            return at_us
        until_us = after_us
        if self._stride is not _Stride.EXACT:
            segment = self.zone.segment(at_us // SECOND_US)
            until_us = min(after_us, segment.end_s * SECOND_US - 1)
        if self._stride is _Stride.MONTHS:
            return self._leap_months(at_us, until_us)
        # The first step may be of another length: what the change of the clock moved, it resets.
        first_us = self._step(at_us)
        if first_us is None or first_us > until_us:
            return at_us
        second_us = self._step(first_us)
        if second_us is None or second_us > until_us:
            return first_us
        step_us = second_us - first_us
        return first_us + (until_us - first_us) // step_us * step_us

    def _leap_months(self, at_us: int, until_us: int) -> int:
        low, high = local_date(at_us, self.zone), local_date(until_us, self.zone)
        between = (high.year - low.year) * 12 + high.month - low.month
        factor = between // self.delta.all_months
        while factor > 0:
            found_us = applied(
                self.delta, at_us, self.zone, factor=factor, execution_day=self._later_day
            )
            if found_us is not None and found_us <= until_us:
                return found_us
            factor -= 1
        return at_us


def _stride_of(delta: Delta) -> _Stride:
    reset = delta.reset or Reset()
    has_elapsed, has_days = delta.elapsed_us > 0, delta.days > 0
    has_date = reset.month is not None or reset.day is not None
    if delta.all_months:
        # With a month to set, a step is a year or more: longer than an offset stays the same.
        is_regular = not has_elapsed and not has_days and reset.month is None and reset.hour != 24
        return _Stride.MONTHS if is_regular else _Stride.NONE
    if has_days:
        return _Stride.NONE if has_elapsed or has_date else _Stride.STEADY
    if delta.reset is None:
        return _Stride.EXACT
    # A minute that is kept would differ from step to step.
    return _Stride.NONE if has_date or reset.minute is None else _Stride.STEADY


def _refuse_standstill(delta: Delta, anchor_us: int) -> None:
    if not (delta.all_months or delta.days or delta.elapsed_us):
        raise _invalid(
            f"calendar {delta.text} adds nothing, so it never moves on; add months, days or hours"
        )
    if delta.reset is None or _is_ahead(delta, delta.reset):
        return
    # In UTC, so that only the delta itself is judged and not the clock changes of a zone.
    utc, at_us = zone_of("UTC"), anchor_us
    day = delta.reset.day or local_date(anchor_us, utc).day
    for _ in range(_TRIALS):
        next_us = applied(delta, at_us, utc, factor=1, execution_day=day)
        if next_us is None:
            return
        if next_us <= at_us:
            raise _invalid(
                f"calendar {delta.text} stands still: {RESET_KEY} takes back all that it adds; "
                "add more or reset less"
            )
        at_us = next_us


def _is_ahead(delta: Delta, reset: Reset) -> bool:
    """Whether it surely adds more than the reset can take back."""
    days = delta.days + delta.elapsed_us // DAY_US
    if reset.month is not None:
        return delta.all_months >= 12 or days >= 366
    if reset.day is not None:
        return delta.all_months >= 1 or days >= 31
    return delta.all_months >= 1 or days >= 1


def _decoded(text: str) -> Mapping[str, object]:
    if len(text) > TEXT_CHARS_MAX:
        raise _invalid(f"calendar has {len(text)} characters; at most {TEXT_CHARS_MAX} are allowed")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _invalid(f"calendar {text!r} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _invalid(f'calendar {text!r} must be an object such as {{"months": 1}}')
    return document


def _delta(amounts: dict[str, int], reset: Reset | None) -> Delta:
    return Delta(
        years=amounts.get("years", 0),
        months=amounts.get("months", 0),
        days=amounts.get("days", 0),
        hours=amounts.get("hours", 0),
        minutes=amounts.get("minutes", 0),
        reset=reset,
    )


def _numbers(document: Mapping[str, object], *, known: list[str], where: str) -> dict[str, int]:
    numbers = {}
    for name, value in document.items():
        if name not in known:
            nearest = get_close_matches(str(name), known, n=1)
            advice = f"did you mean {nearest[0]!r}?" if nearest else f"use {', '.join(known)}"
            raise _invalid(f"{where} has the key {name!r}, which is unknown; {advice}")
        if name == RESET_KEY:
            continue
        # True would be 1.
        if not isinstance(value, int) or isinstance(value, bool):
            raise _invalid(f"{where} {name} is {value!r}; it must be a whole number")
        numbers[name] = value
    return numbers


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="calendar")
