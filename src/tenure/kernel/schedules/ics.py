"""Calendar files (iCalendar, RFC 5545) as exclusions: each event takes its time out.

Called where somebody gives a file of holidays. An all-day event takes out its days, in the zone
of the schedule. An event with times takes out the time from its start to before its end, in the
zone that it names; without one, on the wall clock of the schedule. Cancelled events and those
without a length take out nothing. An event that replaces one time of a repeating event
(RECURRENCE-ID) moves that time.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.content_lines import ContentLine, Stamp, content_line, stamp, unfold
from tenure.kernel.schedules.delta import SECOND_US, instant_us
from tenure.kernel.schedules.exclusions import (
    Exclusion,
    parse_exclusion,
    written_days,
    written_period,
    zoned_rule,
)
from tenure.kernel.schedules.rrule_days import DAY_S
from tenure.kernel.schedules.zones import Zone, zone as zone_of

CHARS_MAX = 1_000_000
EVENTS_MAX = 10_000

_DURATION = re.compile(
    r"\+?P(?:([0-9]{1,4})W|(?:([0-9]{1,5})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,7})M)?"
    r"(?:([0-9]{1,8})S)?)?)",
    re.IGNORECASE,
)
_DURATION_UNITS_S = (7 * DAY_S, DAY_S, 3600, 60, 1)
# What an event may have once only.
_SINGLE = ("DTSTART", "DTEND", "DURATION", "UID", "STATUS", "RECURRENCE-ID")
_EVENT = ["VCALENDAR", "VEVENT"]
_REPEATING = ("RRULE", "RDATE", "EXDATE", "EXRULE")


@dataclass(slots=True, kw_only=True)
class _Event:
    """The lines of one event that say when it is; `texts` are the raw ones of its rules."""

    number: int
    lines: dict[str, ContentLine] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    @property
    def uid(self) -> str:
        return self.lines["UID"].value if "UID" in self.lines else f"line {self.number}"

    @property
    def is_cancelled(self) -> bool:
        status = self.lines.get("STATUS")
        return status is not None and status.value.strip().upper() == "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Length:
    """How long an event lasts: on the wall clock, unless hours that pass are meant."""

    seconds: int
    is_elapsed: bool = False

    @property
    def days(self) -> int:
        return -(-self.seconds // DAY_S)


def parse_ics(text: str) -> Exclusion:
    """Read the events of a calendar file; its time zones go by their IANA names.

    Raises:
        InvalidError: it is no calendar, breaks a rule of RFC 5545 that matters here, names a zone
            that is unknown, or has more than a million characters or 10,000 events; the message
            names the line, and `field` is "ics".
    """
    if len(text) > CHARS_MAX:
        raise _invalid(f"ics has {len(text):,} characters; at most {CHARS_MAX:,} are allowed")
    events = list(_events(text))
    replaced = _replaced(events)
    dates: list[object] = []
    rules: list[object] = []
    periods: list[object] = []
    for event in events:
        if event.is_cancelled:
            continue
        try:
            _add(event, replaced.get(event.uid, []), dates=dates, rules=rules, periods=periods)
        except InvalidError as error:
            raise _invalid(f"ics event in line {event.number}: {error}") from error
    try:
        return parse_exclusion({"dates": dates, "rules": rules, "periods": periods})
    except InvalidError as error:
        raise _invalid(f"ics: {error}") from error


def _events(text: str) -> Iterator[_Event]:
    """Yield the events, without what is nested in them."""
    event: _Event | None = None
    count = 0
    for line, raw, inside in _placed(text.removeprefix("\ufeff")):
        if inside == _EVENT and line.name == "BEGIN":
            event, count = _Event(number=line.number), count + 1
            _refuse_many(count)
        elif event is not None and inside == _EVENT and line.name == "END":
            yield event
        elif event is not None and inside == _EVENT:
            _take(event, line, raw)


def _placed(text: str) -> Iterator[tuple[ContentLine, str, list[str]]]:
    """Yield each line, also as it was written, with the names of what it is in."""
    inside: list[str] = []
    number = 0
    for number, raw in unfold(text):
        line = content_line(number, raw, field="ics")
        name = line.value.strip().upper()
        if not inside and (line.name, name) != ("BEGIN", "VCALENDAR"):
            raise _invalid(f"ics line {number} is {raw[:40]!r}; a calendar is BEGIN:VCALENDAR")
        if line.name == "BEGIN":
            inside = [*inside, name]
        yield line, raw, inside
        if line.name == "END":
            if name != inside[-1]:
                raise _invalid(f"ics line {number} ends {name}, which is not the last that began")
            inside = inside[:-1]
    if not number:
        raise _invalid("ics has no BEGIN:VCALENDAR; give the text of a calendar file")
    if inside:
        raise _invalid(f"ics ends before its {inside[-1]} does; the file is cut off")


def _refuse_many(count: int) -> None:
    if count > EVENTS_MAX:
        raise _invalid(f"ics has more than {EVENTS_MAX:,} events; split it into several calendars")


def _take(event: _Event, line: ContentLine, raw: str) -> None:
    if line.name in _REPEATING:
        event.texts.append(raw.strip())
    elif line.name in _SINGLE:
        if line.name in event.lines:
            raise _invalid(f"ics line {line.number} gives the event a second {line.name}")
        event.lines[line.name] = line


def _replaced(events: list[_Event]) -> dict[str, list[str]]:
    """Return, by the name of a repeating event, exceptions for its times that others replace."""
    replaced: dict[str, list[str]] = {}
    for event in events:
        line = event.lines.get("RECURRENCE-ID")
        if line is None:
            continue
        if "RANGE" in line.parameters:
            raise _invalid(
                f"ics line {line.number} changes an event from one time on (RANGE), which is not "
                "supported; write two events"
            )
        replaced.setdefault(event.uid, []).append(_written("EXDATE", line))
    return replaced


def _written(name: str, line: ContentLine) -> str:
    """Write the time of one line under the name of another."""
    parameters = "".join(
        f';{key}="{line.parameters[key]}"' for key in ("TZID", "VALUE") if key in line.parameters
    )
    return f"{name}{parameters}:{line.value}"


def _add(
    event: _Event,
    exceptions: list[str],
    *,
    dates: list[object],
    rules: list[object],
    periods: list[object],
) -> None:
    """Add the event to the lists of an exclusion document."""
    line = event.lines.get("DTSTART")
    if line is None:
        raise _invalid("it has no DTSTART")
    start = stamp(line.value, field="ics", what="DTSTART")
    where = _zone_of(line, start)
    length = _length(event, start, where)
    repeats = bool(event.texts)
    if "RECURRENCE-ID" in event.lines:
        repeats, exceptions = False, []
    if exceptions and not repeats:
        # Its one time is replaced by another event.
        return
    if not length.seconds:
        return
    if start.is_date and not repeats:
        first = start.second // DAY_S
        dates.append(written_days(first, first + length.days - 1))
    elif where is not None and not repeats:
        periods.append(written_period(*_period(start, length, where)))
    else:
        texts = [*event.texts, *exceptions] if repeats else []
        amount = {"days": length.days} if start.is_date else {"seconds": length.seconds}
        rules.append({"rule": _rule_text(line, texts), **amount})


def _rule_text(line: ContentLine, texts: list[str]) -> str:
    # The start of an event is always one of its times.
    text = "\n".join([_written("DTSTART", line), _written("RDATE", line), *texts])
    # For its errors, while the line of the event is known.
    zoned_rule(text)
    return text


def _zone_of(line: ContentLine, at: Stamp) -> Zone | None:
    """Return the zone of a time, None for a date or a time of any wall clock."""
    if at.is_utc:
        return zone_of("UTC")
    if at.is_date or "TZID" not in line.parameters:
        return None
    return zone_of(line.parameters["TZID"])


def _length(event: _Event, start: Stamp, where: Zone | None) -> _Length:
    if "DTEND" in event.lines and "DURATION" in event.lines:
        raise _invalid("it has both DTEND and DURATION; keep one")
    if "DURATION" in event.lines:
        return _duration(event.lines["DURATION"].value.strip())
    if "DTEND" not in event.lines:
        return _Length(seconds=DAY_S if start.is_date else 0)
    line = event.lines["DTEND"]
    end = stamp(line.value, field="ics", what="DTEND")
    end_where = _zone_of(line, end)
    if end.is_date is not start.is_date or (end_where is None) is not (where is None):
        raise _invalid("its DTSTART and DTEND are of different kinds; write both in the same way")
    seconds, is_elapsed = end.second - start.second, False
    if where is not None and end_where is not None and end_where is not where:
        end_us = instant_us(end.second * SECOND_US, end_where)
        seconds = (end_us - instant_us(start.second * SECOND_US, where)) // SECOND_US
        is_elapsed = True
    if seconds < 0:
        raise _invalid(f"its DTEND {line.value} is before its DTSTART")
    # Some programs write a single day with its end on the same day.
    return _Length(seconds=max(seconds, DAY_S) if start.is_date else seconds, is_elapsed=is_elapsed)


def _duration(text: str) -> _Length:
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise _invalid(f"its DURATION {text!r} must be like P1D or PT1H30M")
    counts = [int(group or 0) for group in found.groups()]
    seconds = sum(map(operator.mul, counts, _DURATION_UNITS_S))
    return _Length(seconds=seconds, is_elapsed=any(counts[2:]))


def _period(start: Stamp, length: _Length, where: Zone) -> tuple[int, int]:
    start_us = instant_us(start.second * SECOND_US, where)
    if length.is_elapsed:
        return start_us, start_us + length.seconds * SECOND_US
    return start_us, instant_us((start.second + length.seconds) * SECOND_US, where)


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="ics")
