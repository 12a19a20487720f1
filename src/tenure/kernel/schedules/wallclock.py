"""What a time of the wall clock means in a zone: which instants it is, if any.

Called by whoever asks a rule of local times for its next fire. Clock changes cut the line of
time into segments of constant offset. Inside one, a rule's local seconds and its instants run in
step; only at the ends of segments do the written policies for gaps and repeated times matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tenure.kernel.schedules.rule import LAST_S, LocalRule
from tenure.kernel.schedules.zones import DAY_S, FIRST_S, Segment, Zone

SECOND_US = 1_000_000

# How many segments are looked into before a rule is taken never to fire. A rule that names only
# times which fall into gaps (02:30 on the last Sunday of March) costs at most four a year, and
# after 400 years the calendar repeats.
_SEGMENTS_MAX = 1_600


class Gap(StrEnum):
    """What becomes of a local time that a clock change skips."""

    SKIP = "skip"
    """It does not fire."""

    SHIFT = "shift"
    """It fires moved forward by the length of the gap: read with the offset before the change."""


class Fold(StrEnum):
    """Which instants of a local time are meant that the wall clock shows twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is special about an instant at which a rule fires, for previews.

    `local_s` is what the wall clock shows. `shifted_from_s` is the skipped local second that the
    rule named instead, or None. `showing` is FIRST or SECOND where the wall clock shows this time
    twice, or None.
    """

    local_s: int
    shifted_from_s: int | None
    showing: Fold | None


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock on the wall of a zone, with policies for the times it skips and repeats."""

    zone: Zone
    gap: Gap
    fold: Fold

    def next_after(self, rule: LocalRule, after_us: int) -> int | None:
        """Return the first instant after *after_us* that the rule names, or None if none comes.

        It is a whole second. A time shifted out of a gap onto another time of the rule fires
        once. A rule all of whose times fall into gaps is taken never to fire after 400 years.
        """
        utc_s = max(after_us // SECOND_US + 1, FIRST_S)
        for _ in range(_SEGMENTS_MAX):
            if utc_s > LAST_S:
                return None
            segment = self.zone.segment(utc_s)
            found_s = self._first_in(segment, rule, utc_s)
            if found_s is not None:
                return found_s * SECOND_US
            lower_offset_s = min(segment.offset_s, segment.offset_after_s)
            local_s = rule.at_or_after(segment.end_s + lower_offset_s)
            if local_s is None:
                return None
            # No offset reaches a whole day, so no instant of this local second is earlier.
            utc_s = max(segment.end_s, local_s - DAY_S)
        return None

    def mark(self, rule: LocalRule, at_us: int) -> Mark:
        """Say what is special about an instant that `next_after` returned for the rule."""
        utc_s = at_us // SECOND_US
        segment = self.zone.segment(utc_s)
        local_s = utc_s + segment.offset_s
        shifted_from_s = None
        if utc_s < segment.gap_until_s and rule.at_or_after(local_s) != local_s:
            shifted_from_s = utc_s + segment.offset_before_s
        showing = None
        if utc_s < segment.second_until_s:
            showing = Fold.SECOND
        elif utc_s >= segment.first_from_s:
            showing = Fold.FIRST
        return Mark(local_s=local_s, shifted_from_s=shifted_from_s, showing=showing)

    def _first_in(self, segment: Segment, rule: LocalRule, utc_s: int) -> int | None:
        """Return the first instant of the rule from *utc_s* to the segment's end."""
        low_s, high_s = utc_s, segment.end_s
        if self.fold is Fold.FIRST:
            low_s = max(low_s, segment.second_until_s)
        elif self.fold is Fold.SECOND:
            high_s = segment.first_from_s
        found_s = _read(rule, low_s, high_s, offset_s=segment.offset_s)
        if self.gap is Gap.SHIFT and utc_s < segment.gap_until_s:
            # The skipped times, as if the clock had not been changed yet.
            high_s = min(segment.gap_until_s, segment.end_s)
            shifted_s = _read(rule, utc_s, high_s, offset_s=segment.offset_before_s)
            if shifted_s is not None and (found_s is None or shifted_s < found_s):
                return shifted_s
        return found_s


def _read(rule: LocalRule, low_s: int, high_s: int, *, offset_s: int) -> int | None:
    """Return the rule's first instant from *low_s* to before *high_s*, read with one offset."""
    if low_s >= high_s:
        return None
    local_s = rule.at_or_after(low_s + offset_s)
    if local_s is None or local_s - offset_s >= high_s:
        return None
    return local_s - offset_s
