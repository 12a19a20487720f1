"""Time zones by name, with their changes of offset as plain integers.

Owns the tables that `wallclock.py` searches: for each zone and each span of 366 days, the
segments of constant offset, found by asking zoneinfo and kept for good. All times are whole
seconds of UTC since 1970; zoneinfo alone decides what an offset is.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rule import LAST_S

# The first second of the year 1, the earliest that datetime can hold.
FIRST_S = -62_135_596_800
DAY_S = 86_400
NAME_CHARS_MAX = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN_S = 366 * DAY_S
# A change this close to a span's edge belongs to the span as well, because a change repeats or
# skips up to a day of the wall clock beside it.
_MARGIN_S = 2 * DAY_S
# The shortest time between two changes in the whole database is four days (Africa/Freetown,
# 1939), so that a change and its undoing cannot both fall into one step.
_STEP_S = DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The instants from `start_s` to before `end_s`, in all of which the offset is `offset_s`.

    Where the zone changes its offset at an end, the offset beyond is another one. A segment may
    also end without a change, where its table does: then the offset beyond is the same.
    """

    start_s: int
    end_s: int
    offset_s: int
    offset_before_s: int
    offset_after_s: int

    @property
    def gap_until_s(self) -> int:
        """Where the times that the wall clock skipped at the start end, if they go on from there.

        The start itself if it skipped none.
        """
        return self.start_s + max(0, self.offset_s - self.offset_before_s)

    @property
    def second_until_s(self) -> int:
        """The end of the second showing of times that were shown before the start already.

        The start itself if nothing is shown twice there.
        """
        return self.start_s + max(0, self.offset_before_s - self.offset_s)

    @property
    def first_from_s(self) -> int:
        """The start of the first showing of times that are shown again after the end.

        The end itself if nothing is shown twice there.
        """
        return self.end_s - max(0, self.offset_s - self.offset_after_s)


class Zone:
    """A time zone; take it from `zone`, so that there is one for each name.

    Right for the years 1 to 9999. An instant outside of them gets the segment nearest to it.
    """

    __slots__ = ("_spans", "name", "zoneinfo")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.zoneinfo: ZoneInfo = ZoneInfo(name)
        self._spans: dict[int, tuple[list[int], list[Segment]]] = {}

    def __repr__(self) -> str:
        return f"zone({self.name!r})"

    def offset_s(self, utc_s: int) -> int:
        """Return how far the wall clock is ahead of UTC at an instant, in seconds."""
        return self.segment(utc_s).offset_s

    def local_s(self, utc_s: int) -> int:
        """Return the local second that the wall clock shows at an instant."""
        return utc_s + self.segment(utc_s).offset_s

    def segment(self, utc_s: int) -> Segment:
        """Return the segment of constant offset that an instant lies in."""
        number = min(max(utc_s, FIRST_S), LAST_S) // _SPAN_S
        span = self._spans.get(number)
        if span is None:
            # Two threads may both build it; they build the same.
            span = self._spans[number] = self._build(number)
        starts_s, segments = span
        return segments[max(0, bisect_right(starts_s, utc_s) - 1)]

    def _build(self, number: int) -> tuple[list[int], list[Segment]]:
        """Return the segments that touch a span, with the list of their starts."""
        span_start_s = number * _SPAN_S
        span_end_s = min(span_start_s + _SPAN_S, LAST_S + 1)
        low_s = span_start_s - _MARGIN_S
        changes = self._changes(low_s, span_end_s + _MARGIN_S)
        start_s, offset_s = low_s, self._ask(low_s)
        offset_before_s = offset_s
        segments = []
        for end_s, offset_after_s in [*changes, (span_end_s, None)]:
            if start_s < span_end_s:
                segments.append(
                    Segment(
                        start_s=start_s,
                        end_s=end_s,
                        offset_s=offset_s,
                        offset_before_s=offset_before_s,
                        offset_after_s=offset_s if offset_after_s is None else offset_after_s,
                    )
                )
            if offset_after_s is not None:
                start_s, offset_before_s, offset_s = end_s, offset_s, offset_after_s
        return [segment.start_s for segment in segments], segments

    def _changes(self, low_s: int, high_s: int) -> list[tuple[int, int]]:
        """Return each change in (low_s, high_s] with the offset it brings."""
        changes = []
        offset_s = self._ask(low_s)
        for step_s in range(low_s, high_s, _STEP_S):
            until_s = min(step_s + _STEP_S, high_s)
            from_s = step_s
            while offset_s != self._ask(until_s):
                from_s = self._first_change(from_s, until_s)
                offset_s = self._ask(from_s)
                changes.append((from_s, offset_s))
        return changes

    def _first_change(self, low_s: int, high_s: int) -> int:
        """Return an instant in (low_s, high_s] at which the offset of *low_s* ends."""
        offset_s = self._ask(low_s)
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            if self._ask(middle_s) == offset_s:
                low_s = middle_s
            else:
                high_s = middle_s
        return high_s

    def _ask(self, utc_s: int) -> int:
        """Return the offset as zoneinfo has it."""
        # The first and the last day would be shown in years that datetime cannot hold.
        asked_s = min(max(utc_s, FIRST_S + DAY_S), LAST_S - DAY_S)
        moment = _EPOCH + timedelta(seconds=asked_s)
        offset = moment.astimezone(self.zoneinfo).utcoffset()
        assert offset is not None
        return offset.days * DAY_S + offset.seconds


@cache
def zone(name: str) -> Zone:
    """Return the zone of an IANA name, always the same object for the same name.

    Raises:
        InvalidError: the database has no such zone; `field` is "zone".
    """
    names = _names()
    if name in names:
        return Zone(name)
    if len(name) > NAME_CHARS_MAX:
        raise InvalidError(
            f"zone has {len(name)} characters; give the name of an IANA zone such as "
            "'Europe/Berlin' or 'UTC'",
            field="zone",
        )
    nearest = get_close_matches(name, sorted(names), n=1)
    advice = (
        f"did you mean {nearest[0]!r}?"
        if nearest
        else "give the name of an IANA zone such as 'Europe/Berlin' or 'UTC'"
    )
    raise InvalidError(f"zone {name!r} is unknown; {advice}", field="zone")


@cache
def _names() -> frozenset[str]:
    # On some systems "localtime" is a link to the zone of the machine, so that two workers could
    # read one schedule differently.
    return frozenset(available_timezones()) - {"localtime"}
