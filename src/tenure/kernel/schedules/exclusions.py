"""Days and times that are taken out of schedules: what a named holiday calendar holds.

`parse_exclusion` reads the stored document, which `ics.py` also writes from a calendar file:

    {"dates": ["2026-12-25", "2026-12-28/2027-01-02"],
     "rules": ["FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=1", {"rule": "…", "days": 3},
               {"rule": "…", "seconds": 3600}],
     "periods": ["2026-12-24T18:00:00Z/2026-12-24T20:00:00Z"]}

Dates and ranges (both ends included) are whole days in the zone of the schedule. So is the date
of each time that a rule names, with as many days as said. A rule with `seconds` takes out that
long on the wall clock, from each of its times: in the zone that its DTSTART names, else in that
of the schedule. Periods are instants, from the first to before the second.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.delta import SECOND_US, instant_us
from tenure.kernel.schedules.rrule import RRule, parse_rrule
from tenure.kernel.schedules.rrule_days import DAY_S, EPOCH_ORDINAL
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import Zone, zone as zone_of

ENTRIES_MAX = 10_000
# Each is asked for every instant, unlike dates.
RULES_MAX = 500
DAYS_MAX = 3_660
# So many exclusions that follow upon one another are taken to go on for ever: ten years of days.
CHAIN_MAX = 4_000
NEVER_US = (LAST_S + 1) * SECOND_US

_KEYS = ("dates", "rules", "periods")
_DATES = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRule:
    """So many whole days from the date of each time that the rule names."""

    rule: RRule
    days: int

    def end_s(self, local_s: int) -> int | None:
        """Return the local second at which the exclusion of *local_s* ends, or None."""
        day = local_s // DAY_S
        found_s = self.rule.at_or_after((day - self.days + 1) * DAY_S)
        if found_s is None or found_s // DAY_S > day:
            return None
        return (found_s // DAY_S + self.days) * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """So many seconds of the wall clock from each time that the rule names.

    Without a zone, the wall clock is that of the schedule.
    """

    rule: RRule
    length_s: int
    zone: Zone | None

    def end_s(self, local_s: int) -> int | None:
        """Return the local second at which the exclusion of *local_s* ends, or None."""
        found_s = self.rule.at_or_after(local_s - self.length_s + 1)
        return None if found_s is None or found_s > local_s else found_s + self.length_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """What is excluded. Equal if `text` is, the canonical JSON of the document.

    `spans` are first and last days; `periods` are instants in microseconds, the end not included.
    Both are sorted and do not touch.
    """

    text: str
    spans: Spans = field(default=(), compare=False)
    day_rules: tuple[DayRule, ...] = field(default=(), compare=False)
    windows: tuple[Window, ...] = field(default=(), compare=False)
    periods: Spans = field(default=(), compare=False)

    def excludes(self, local_s: int) -> bool:
        """Whether a local time of the schedule is excluded, by a day or a window without a zone."""
        return self._local_end_s(local_s) > local_s

    def next_allowed_day(self, local_s: int) -> int | None:
        """Return *local_s*, or the first local second after it that is not excluded.

        Days are skipped in one step for each range. None if there are more than 4,000 steps.
        """
        for _ in range(CHAIN_MAX):
            end_s = self._local_end_s(local_s)
            if end_s <= local_s:
                return local_s
            local_s = end_s
        return None

    def allowed_from(self, at_us: int, zone: Zone) -> int:
        """Return *at_us*, or the first instant after it that is not excluded in this zone.

        The end of the year 9999 if there are more than 4,000 exclusions in a row.
        """
        for _ in range(CHAIN_MAX):
            end_us = max(self._period_end_us(at_us), self._wall_end_us(at_us, zone))
            if end_us <= at_us:
                return at_us
            at_us = end_us
        return NEVER_US

    def _local_end_s(self, local_s: int) -> int:
        """Return where one of the exclusions that hold *local_s* ends, or itself."""
        day = local_s // DAY_S
        place = bisect_right(self.spans, (day, LAST_S)) - 1
        if place >= 0 and self.spans[place][1] >= day:
            return (self.spans[place][1] + 1) * DAY_S
        floating = [window for window in self.windows if window.zone is None]
        holders: list[DayRule | Window] = [*self.day_rules, *floating]
        for each in holders:
            end_s = each.end_s(local_s)
            if end_s is not None:
                return end_s
        return local_s

    def _period_end_us(self, at_us: int) -> int:
        place = bisect_right(self.periods, (at_us, NEVER_US)) - 1
        if place >= 0 and self.periods[place][1] > at_us:
            return self.periods[place][1]
        return at_us

    def _wall_end_us(self, at_us: int, zone: Zone) -> int:
        local_s = zone.local_s(at_us // SECOND_US)
        end_us = _ahead_us(at_us, local_s, self._local_end_s(local_s), zone)
        for window in self.windows:
            if window.zone is not None:
                local_s = window.zone.local_s(at_us // SECOND_US)
                end_s = window.end_s(local_s)
                if end_s is not None:
                    end_us = max(end_us, _ahead_us(at_us, local_s, end_s, window.zone))
        return end_us


def parse_exclusion(document: Mapping[str, object]) -> Exclusion:
    """Read a document of the form at the head of this module; every key may be left out.

    Raises:
        InvalidError: a key or a value is not of that form, a rule never fires, or there are more
            than 10,000 entries or 500 rules; `field` is "exclusion".
    """
    for key in document:
        if key not in _KEYS:
            raise _invalid(f"exclusion has the key {key!r}; only {', '.join(_KEYS)} are allowed")
    dates, rules, periods = (_listed(document, key) for key in _KEYS)
    if len(dates) + len(rules) + len(periods) > ENTRIES_MAX:
        raise _invalid(
            f"exclusion has {len(dates) + len(rules) + len(periods):,} entries; at most "
            f"{ENTRIES_MAX:,} are allowed"
        )
    if len(rules) > RULES_MAX:
        raise _invalid(f"exclusion has {len(rules):,} rules; at most {RULES_MAX} are allowed")
    read = [_rule(entry) for entry in rules]
    return _exclusion(
        spans=_joined((first, last + 1) for first, last in map(_span, dates)),
        day_rules=_distinct(each for each in read if isinstance(each, DayRule)),
        windows=_distinct(each for each in read if isinstance(each, Window)),
        periods=_joined(map(_period, periods)),
    )


def _exclusion(
    *,
    spans: Spans,
    day_rules: tuple[DayRule, ...],
    windows: tuple[Window, ...],
    periods: Spans,
) -> Exclusion:
    """Return the exclusion of these parts, spans with their ends not included, with its text."""
    days = [(first, end - 1) for first, end in spans]
    document: dict[str, list[object]] = {
        "dates": [written_days(first, last) for first, last in days],
        "rules": [
            each.rule.text if each.days == 1 else {"rule": each.rule.text, "days": each.days}
            for each in day_rules
        ],
        "periods": [written_period(start, end) for start, end in periods],
    }
    document["rules"] += [{"rule": each.rule.text, "seconds": each.length_s} for each in windows]
    return Exclusion(
        text=json.dumps({key: entries for key, entries in document.items() if entries}),
        spans=tuple(days),
        day_rules=day_rules,
        windows=windows,
        periods=periods,
    )


def _ahead_us(at_us: int, local_s: int, end_s: int, zone: Zone) -> int:
    """Return the instant of a local end, after *at_us* whenever *end_s* is after *local_s*."""
    if end_s <= local_s:
        return at_us
    if end_s > LAST_S:
        return NEVER_US
    end_us = instant_us(end_s * SECOND_US, zone)
    # In an hour that is shown for the second time, the first showing of the end has passed.
    return end_us if end_us > at_us else at_us + (end_s - local_s) * SECOND_US


def _listed(document: Mapping[str, object], key: str) -> Sequence[object]:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        raise _invalid(f"exclusion {key} is {entries!r}; it must be a list")
    return entries


def _span(entry: object) -> tuple[int, int]:
    """Read a date or a range of dates as first and last day."""
    texts = entry.split("/") if isinstance(entry, str) and _DATES.fullmatch(entry) else []
    try:
        first, last = date.fromisoformat(texts[0]), date.fromisoformat(texts[-1])
    except (IndexError, ValueError):
        raise _invalid(
            f"exclusion date {entry!r} must be like '2026-12-25' or '2026-12-24/2027-01-01'"
        ) from None
    if last < first:
        raise _invalid(f"exclusion date {entry!r} ends before it begins; exchange the two")
    return first.toordinal() - EPOCH_ORDINAL, last.toordinal() - EPOCH_ORDINAL


def _period(entry: object) -> tuple[int, int]:
    start_text, _, end_text = str(entry).partition("/")
    try:
        start, end = datetime.fromisoformat(start_text), datetime.fromisoformat(end_text)
        start_us, end_us = ((each - _EPOCH) // timedelta(microseconds=1) for each in (start, end))
    except (ValueError, TypeError):
        raise _invalid(
            f"exclusion period {entry!r} must be two times with their offset, like "
            "'2026-12-24T18:00:00Z/2026-12-24T20:00:00Z'"
        ) from None
    if end_us <= start_us:
        raise _invalid(f"exclusion period {entry!r} does not end after it begins")
    return start_us, end_us


def _rule(entry: object) -> DayRule | Window:
    document = entry if isinstance(entry, dict) else {"rule": entry}
    text, days, seconds = (document.get(key) for key in ("rule", "days", "seconds"))
    is_known = document.keys() <= {"rule", "days", "seconds"} and isinstance(text, str)
    if not is_known or (days is not None and seconds is not None):
        raise _invalid(
            f"exclusion rule {entry!r} must be a text, or an object with 'rule' and either 'days' "
            "or 'seconds'"
        )
    try:
        rule, where = zoned_rule(str(text))
    except InvalidError as error:
        raise _invalid(f"exclusion rule {entry!r}: {error}") from error
    if seconds is None:
        return DayRule(rule=rule, days=_amount("days", 1 if days is None else days, DAYS_MAX))
    length_s = _amount("seconds", seconds, DAYS_MAX * DAY_S)
    return Window(rule=rule, length_s=length_s, zone=where)


def zoned_rule(text: str) -> tuple[RRule, Zone | None]:
    """Read a rule that begins in 1970 unless it says when, with the zone that it names.

    Raises:
        InvalidError: as `parse_rrule`, or the zone is unknown.
    """
    rule = parse_rrule(text, start_local_s=0)
    if rule.tzid is None and rule.until_utc_s is None:
        return rule, None
    where = zone_of(rule.tzid or "UTC")
    rule = parse_rrule(text, start_local_s=0, zone=where)
    return rule, where if rule.tzid is not None else None


def _amount(name: str, value: object, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise _invalid(f"exclusion rule has {name} {value!r}; it must be from 1 to {high:,}")
    return value


def _joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sort spans whose ends are not included, and join those that touch."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


_Entry = TypeVar("_Entry", DayRule, Window)


def _distinct(entries: Iterable[_Entry]) -> tuple[_Entry, ...]:
    return tuple(dict.fromkeys(entries))


def written_days(first: int, last: int) -> str:
    """Write a range of days, both ends included, as the document has it."""
    texts = [date.fromordinal(day + EPOCH_ORDINAL).isoformat() for day in (first, last)]
    return "/".join(dict.fromkeys(texts))


def written_period(start_us: int, end_us: int) -> str:
    """Write a period, its end not included, as the document has it."""
    times = (_EPOCH + timedelta(microseconds=each) for each in (start_us, end_us))
    return "/".join(each.isoformat().replace("+00:00", "Z") for each in times)


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="exclusion")
