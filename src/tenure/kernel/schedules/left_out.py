"""What the words of a rule name and a schedule does not fire, and why.

Called by `preview.py`, so that people see what their policies and calendars take away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.definition import SECOND_US, OnWallClock, Plan, plan_for
from tenure.kernel.schedules.rule import LocalRule
from tenure.kernel.schedules.shown import Wall, iso, weekday_of
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.kernel.schedules.zones import DAY_S, Segment

# What clock changes take away is looked for so far ahead.
CHANGES_MAX_US = 50 * 366 * DAY_S * SECOND_US


class Reason(StrEnum):
    """Why a time that the rule names does not fire."""

    GAP = "gap"
    """The clocks skip it."""

    FOLD = "fold"
    """The clocks show it twice, and the other one is meant."""

    CALENDAR = "calendar"
    """A calendar takes it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A time that the rule names and that does not fire.

    One in a gap has no instant and its `local` no offset; `at_us` is where it would be shifted.
    """

    at_us: int
    local: str
    weekday: str
    reason: Reason
    calendars: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say why."""
        match self.reason:
            case Reason.GAP:
                return "the clocks skip it"
            case Reason.FOLD:
                return "the clocks show it twice, and it fires the other time"
            case Reason.CALENDAR:
                return f"excluded by {say.joined([repr(name) for name in self.calendars])}"


def left_out(
    plan: Plan, fires: Sequence[int], *, after_us: int, reach_us: int, limit: int
) -> list[LeftOut]:
    """Return what does not fire after one instant up to another, in order of time.

    *fires* are all instants that do. If there is more than the limit, one more is returned. What
    clock changes take away is looked for 50 years ahead.
    """
    definition = plan.definition
    if definition.start_us is not None:
        after_us = max(after_us, definition.start_us - 1)
    if definition.end_us is not None:
        reach_us = min(reach_us, definition.end_us)
    found = list(islice(_by_calendars(plan, fires, after_us, reach_us), limit + 1))
    if isinstance(plan.rule, OnWallClock):
        until_us = min(reach_us, after_us + CHANGES_MAX_US)
        found += islice(_by_clock_changes(plan.rule, after_us, until_us), limit + 1)
    found.sort(key=lambda each: each.at_us)
    return found[: limit + 1]


def _by_calendars(
    plan: Plan, fires: Sequence[int], after_us: int, reach_us: int
) -> Iterator[LeftOut]:
    if not plan.definition.policies.exclude:
        return
    do_fire = frozenset(fires)
    wall = Wall(plan.zone)
    bare = plan_for(plan.definition)
    at_us = bare.next_after(after_us)
    while at_us is not None and at_us <= reach_us:
        if at_us not in do_fire:
            local, weekday = wall.show(at_us)
            yield LeftOut(
                at_us=at_us,
                local=local,
                weekday=weekday,
                reason=Reason.CALENDAR,
                calendars=plan.excluded_by(at_us),
            )
        at_us = bare.next_after(at_us)


def _by_clock_changes(on_clock: OnWallClock, after_us: int, until_us: int) -> Iterator[LeftOut]:
    rule, clock = on_clock.rule, on_clock.clock
    low_s, high_s = after_us // SECOND_US + 1, until_us // SECOND_US + 1
    while low_s < high_s:
        segment = clock.zone.segment(low_s)
        for reason, offset_s, from_s, to_s in _silent_spans(segment, clock.gap, clock.fold):
            to_s = min(to_s, segment.end_s, high_s)
            utc_s = _named(rule, max(from_s, low_s), offset_s)
            while utc_s is not None and utc_s < to_s:
                yield _silent(utc_s, offset_s, reason)
                utc_s = _named(rule, utc_s + 1, offset_s)
        # The next segment that is worth a look; no offset reaches a whole day.
        beyond_s = segment.end_s + min(segment.offset_s, segment.offset_after_s)
        local_s = rule.at_or_after(beyond_s)
        if local_s is None:
            return
        low_s = max(segment.end_s, local_s - DAY_S)


def _silent_spans(segment: Segment, gap: Gap, fold: Fold) -> Iterator[tuple[Reason, int, int, int]]:
    """Yield spans of a segment in which rules are not heard: why, the offset, from, to before."""
    if gap is Gap.SKIP:
        yield Reason.GAP, segment.offset_before_s, segment.start_s, segment.gap_until_s
    if fold is Fold.FIRST:
        yield Reason.FOLD, segment.offset_s, segment.start_s, segment.second_until_s
    if fold is Fold.SECOND:
        yield Reason.FOLD, segment.offset_s, segment.first_from_s, segment.end_s


def _named(rule: LocalRule, utc_s: int, offset_s: int) -> int | None:
    """Return the first second from *utc_s* on that the rule names, read with one offset."""
    local_s = rule.at_or_after(utc_s + offset_s)
    return None if local_s is None else local_s - offset_s


def _silent(utc_s: int, offset_s: int, reason: Reason) -> LeftOut:
    local_s = utc_s + offset_s
    local = iso(local_s)
    if reason is Reason.FOLD:
        local += say.offset(offset_s)
    return LeftOut(
        at_us=utc_s * SECOND_US, local=local, weekday=weekday_of(local_s // DAY_S), reason=reason
    )
