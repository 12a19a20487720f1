"""Recurrence rules of RFC 5545, for schedules: several rules, added dates and excluded dates.

`parse_rrule` reads the text; `RRule` is a `LocalRule`. What one rule means is in `recurrence.py`.

Where the standard leaves a choice: DTSTART fires only if a rule or RDATE names it, an RDATE that
is a date has the time of DTSTART, an EXDATE that is a date takes the whole day away, and an UNTIL
that is a date includes that day.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.content_lines import (
    YEAR_FIRST,
    ContentLine,
    Stamp,
    content_line,
    stamp,
    unfold,
    written_date,
    written_time,
)
from tenure.kernel.schedules.recurrence import Recurrence, recurrence
from tenure.kernel.schedules.rrule_days import DAY_S, first_of_year
from tenure.kernel.schedules.rrule_text import parse_parts, written_parts
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import Zone

TEXT_CHARS_MAX = 200_000
RULES_MAX = 20
DATES_MAX = 10_000
UTC_NAMES = frozenset({"UTC", "Etc/UTC"})

_FIRST_S = first_of_year(YEAR_FIRST) * DAY_S
_NAMES = ("DTSTART", "RRULE", "RDATE", "EXDATE", "EXRULE")


@dataclass(frozen=True, slots=True, kw_only=True)
class RRule:
    """All times that a recurrence text names, in local seconds; a `LocalRule`.

    `text` is canonical: it begins with the start, and reads back to an equal rule. `tzid` is the
    zone that the text itself names ("UTC" for times with a Z), None if it names none.
    """

    text: str
    start_s: int = field(hash=False)
    tzid: str | None = field(hash=False)
    recurrences: tuple[Recurrence, ...] = field(hash=False)
    dates: tuple[int, ...] = field(default=(), hash=False)
    excluded: frozenset[int] = field(default=frozenset(), hash=False)
    excluded_days: frozenset[int] = field(default=frozenset(), hash=False)

    @property
    def is_dense(self) -> bool:
        """Whether one of its rules goes by the hour or finer."""
        return any(each.is_dense for each in self.recurrences)

    @property
    def until_utc_s(self) -> int | None:
        """The last UNTIL in UTC that is not applied, because no zone was given; None if none."""
        open_ends = [
            each.parts.until_utc_s
            for each in self.recurrences
            if each.last_s is None and each.parts.until_utc_s is not None
        ]
        return max(open_ends, default=None)

    def at_or_after(self, local_s: int) -> int | None:
        """Return its first time that is not before *local_s*, or None after its last.

        Raises:
            LimitError: an interval and times of day meet too seldom to be searched for.
        """
        # Each step passes one exclusion, so that this ends.
        for _ in range(len(self.excluded) + len(self.excluded_days) + 1):
            found_s = self._named(local_s)
            if found_s is None:
                return None
            if found_s // DAY_S in self.excluded_days:
                local_s = (found_s // DAY_S + 1) * DAY_S
            elif found_s in self.excluded:
                local_s = found_s + 1
            else:
                return found_s
        return None

    def _named(self, local_s: int) -> int | None:
        """Return the first time, excluded or not."""
        earliest_s: int | None = None
        place = bisect_left(self.dates, local_s)
        if place < len(self.dates):
            earliest_s = self.dates[place]
        for each in self.recurrences:
            found_s = each.at_or_after(local_s)
            if found_s is not None and (earliest_s is None or found_s < earliest_s):
                earliest_s = found_s
        return earliest_s


def parse_rrule(text: str, *, start_local_s: int | None = None, zone: Zone | None = None) -> RRule:
    """Read a recurrence text: the parts of one rule, or lines of an iCalendar event.

    The lines are at most one DTSTART, RRULE (several are joined), RDATE and EXDATE. Without
    DTSTART, *start_local_s* is the start. With a *zone*, a zone that the text names must be this
    one, and times in UTC are turned into its local times. Without, only UNTIL may be in UTC
    beside local times, and it is left to the caller, who finds it as `until_utc_s`.

    Raises:
        InvalidError: the text breaks a rule of RFC 5545 or a bound, names another zone, or would
            never fire; `field` is "rrule".
    """
    lines = _lines(text)
    tzid = _tzid(lines)
    if zone is not None and tzid is not None and not _is_same(tzid, zone.name):
        raise _invalid(
            f"rrule is in the zone {tzid!r}, but the schedule is in {zone.name!r}; use one for both"
        )
    start_s = _start_s(lines, start_local_s)
    dates = _stamps(lines, "RDATE", tzid=tzid, zone=zone)
    exceptions = _stamps(lines, "EXDATE", tzid=tzid, zone=zone)
    of_day_s = start_s % DAY_S
    return joined(
        start_s=start_s,
        tzid=tzid,
        recurrences=_recurrences(lines, start_s=start_s, tzid=tzid, zone=zone),
        dates={each.second + (of_day_s if each.is_date else 0) for each in dates},
        excluded={each.second for each in exceptions if not each.is_date},
        excluded_days={each.second // DAY_S for each in exceptions if each.is_date},
    )


def named_zone(text: str) -> str | None:
    """Return the zone that a text itself names, as `RRule.tzid`, before its start is known.

    Raises:
        InvalidError: a line is not one that `parse_rrule` takes. Rules are not looked into.
    """
    return _tzid(_lines(text))


def joined(
    *,
    start_s: int,
    tzid: str | None,
    recurrences: tuple[Recurrence, ...],
    dates: set[int],
    excluded: set[int],
    excluded_days: set[int],
) -> RRule:
    """Return the rule of these parts, with its text.

    Raises:
        InvalidError: it has neither rules nor dates, or all its times are excluded.
    """
    if not recurrences and not dates:
        raise _invalid("rrule has neither RRULE nor RDATE; give a rule such as FREQ=DAILY")
    zone_part = f";TZID={tzid}" if tzid is not None and tzid != "UTC" else ""
    mark = "Z" if tzid == "UTC" else ""
    lines = [f"DTSTART{zone_part}:{written_time(start_s)}{mark}"]
    lines += [f"RRULE:{written_parts(each.parts)}" for each in recurrences]
    for name, seconds in (("RDATE", dates), ("EXDATE", excluded)):
        if seconds:
            written = ",".join(f"{written_time(second)}{mark}" for second in sorted(seconds))
            lines.append(f"{name}{zone_part}:{written}")
    if excluded_days:
        days = ",".join(written_date(day) for day in sorted(excluded_days))
        lines.append(f"EXDATE;VALUE=DATE:{days}")
    rule = RRule(
        text="\n".join(lines),
        start_s=start_s,
        tzid=tzid,
        recurrences=recurrences,
        dates=tuple(sorted(dates)),
        excluded=frozenset(excluded),
        excluded_days=frozenset(excluded_days),
    )
    if rule.at_or_after(_FIRST_S) is None:
        raise _invalid("rrule never fires: EXDATE takes away all of its times")
    return rule


def in_zone(rule: Recurrence, zone: Zone) -> Recurrence:
    """Return the rule ended by its UNTIL in UTC as the wall clock of the zone shows it.

    Raises:
        InvalidError: it ends before its first time.
    """
    if rule.parts.until_utc_s is None:
        return rule
    until_s = rule.parts.until_utc_s
    segment = zone.segment(until_s)
    # While the clock shows times for the second time, all that it showed first have passed.
    last_utc_s = max(until_s, segment.second_until_s - 1)
    ended = replace(rule, last_s=last_utc_s + segment.offset_s)
    if ended.at_or_after(ended.start_s) is None:
        raise _invalid("rrule never fires: its UNTIL is before its first time")
    return ended


def _lines(text: str) -> list[ContentLine]:
    if len(text) > TEXT_CHARS_MAX:
        raise _invalid(
            f"rrule has {len(text):,} characters; at most {TEXT_CHARS_MAX:,} are allowed"
        )
    return [_line(number, line) for number, line in unfold(text)]


def _line(number: int, text: str) -> ContentLine:
    if ":" not in text:
        return ContentLine(number=number, name="RRULE", value=text)
    line = content_line(number, text, field="rrule")
    if line.name == "EXRULE":
        raise _invalid(
            "rrule has EXRULE, which RFC 5545 has withdrawn; list the times in EXDATE, or exclude "
            "a calendar"
        )
    if line.name not in _NAMES:
        raise _invalid(f"rrule has a line {line.name!r}; only {', '.join(_NAMES[:-1])} are allowed")
    if line.parameters.get("VALUE", "DATE").upper() not in ("DATE", "DATE-TIME"):
        raise _invalid(
            f"rrule {line.name} has VALUE={line.parameters['VALUE']}; only DATE and DATE-TIME are "
            "allowed"
        )
    return line


def _tzid(lines: list[ContentLine]) -> str | None:
    """Return the zone that DTSTART names, or without DTSTART the first RDATE or EXDATE."""
    starts = [line for line in lines if line.name == "DTSTART"]
    if len(starts) > 1:
        raise _invalid("rrule has more than one DTSTART; keep one")
    for line in starts or [line for line in lines if line.name != "RRULE"]:
        return _zone_of(line, stamp(line.value.split(",")[0], field="rrule", what=line.name))
    return None


def _zone_of(line: ContentLine, at: Stamp) -> str | None:
    return "UTC" if at.is_utc else line.parameters.get("TZID")


def _is_same(one: str, other: str) -> bool:
    return one == other or {one, other} <= UTC_NAMES


def _start_s(lines: list[ContentLine], start_local_s: int | None) -> int:
    for line in lines:
        if line.name == "DTSTART":
            return stamp(line.value, field="rrule", what="rrule DTSTART").second
    if start_local_s is None:
        raise _invalid("rrule has no DTSTART; add a line such as DTSTART:20260101T090000")
    if not _FIRST_S <= start_local_s <= LAST_S:
        raise _invalid(f"rrule starts before the year {YEAR_FIRST} or after the year 9999")
    return start_local_s


def _stamps(
    lines: list[ContentLine], name: str, *, tzid: str | None, zone: Zone | None
) -> list[Stamp]:
    """Return the times of all lines of a name, in the time of DTSTART."""
    values = [
        (line, value) for line in lines if line.name == name for value in line.value.split(",")
    ]
    if len(values) > DATES_MAX:
        raise _invalid(
            f"rrule has {len(values):,} values of {name}; at most {DATES_MAX:,} are allowed"
        )
    found = []
    for line, value in values:
        at = stamp(value, field="rrule", what=f"rrule {name}")
        own = _zone_of(line, at)
        if own is None or (tzid is not None and _is_same(own, tzid)):
            found.append(at)
        elif at.is_utc and zone is not None:
            found.append(Stamp(second=zone.local_s(at.second)))
        else:
            raise _invalid(
                f"rrule {name} {value} is in the zone {own!r}, but DTSTART is in "
                f"{tzid or 'local time'}; write both in one zone"
            )
    return found


def _recurrences(
    lines: list[ContentLine], *, start_s: int, tzid: str | None, zone: Zone | None
) -> tuple[Recurrence, ...]:
    texts = [line.value for line in lines if line.name == "RRULE"]
    if len(texts) > RULES_MAX:
        raise _invalid(f"rrule has {len(texts)} RRULE lines; at most {RULES_MAX} are allowed")
    found = [recurrence(parse_parts(text), start_s=start_s) for text in dict.fromkeys(texts)]
    if zone is not None:
        return tuple(in_zone(each, zone) for each in found)
    if tzid in UTC_NAMES:
        return tuple(
            each if each.parts.until_utc_s is None else replace(each, last_s=each.parts.until_utc_s)
            for each in found
        )
    return tuple(found)


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="rrule")
