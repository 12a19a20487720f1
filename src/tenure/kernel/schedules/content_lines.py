"""Lines and times as iCalendar (RFC 5545) writes them.

Called by what reads recurrence rules and by what reads calendar files. A content line is
`NAME;PARAMETER=VALUE:VALUE`; long ones are folded, so that a line beginning with a space goes on
with the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rrule_days import DAY_S, EPOCH_ORDINAL

# The first whole year of the calendar that we count in.
YEAR_FIRST = 1583

_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(
    r'(?P<name>[A-Za-z0-9-]+)(?P<rest>(?:;[^=;:"]+=(?:"[^"]*"|[^";:])*)*):(?P<value>.*)'
)
_PARAMETER = re.compile(r';(?P<name>[^=;:"]+)=(?P<value>(?:"[^"]*"|[^";:])*)')
_STAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[Tt]([0-9]{2})([0-9]{2})([0-9]{2})([Zz]?))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLine:
    """A line after unfolding: names in upper case, `number` of its first line in the text."""

    number: int
    name: str
    value: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A date or a time. `second` counts on the clock it was written for, or UTC if `is_utc`."""

    second: int
    is_date: bool = False
    is_utc: bool = False


def unfold(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank, folded ones joined, with the number of its first."""
    number, parts = 0, list[str]()
    for index, line in enumerate(_LINE_END.split(text), start=1):
        if parts and line[:1] in (" ", "\t"):
            parts.append(line[1:])
            continue
        if parts:
            yield number, "".join(parts)
        number, parts = index, [line] if line.strip() else []
    if parts:
        yield number, "".join(parts)


def content_line(number: int, text: str, *, field: str) -> ContentLine:
    """Take a line apart.

    Raises:
        InvalidError: it has no name and value; `field` is as given.
    """
    found = _LINE.fullmatch(text.strip())
    if found is None:
        raise InvalidError(
            f"{field} line {number} is {text[:60]!r}; it must be a name, a colon and a value",
            field=field,
        )
    parameters = {
        each["name"].upper(): each["value"].strip('"')
        for each in _PARAMETER.finditer(found["rest"])
    }
    return ContentLine(
        number=number, name=found["name"].upper(), value=found["value"], parameters=parameters
    )


def stamp(text: str, *, field: str, what: str) -> Stamp:
    """Read `20261224`, `20261224T180000` or `20261224T180000Z`; *what* names it in errors.

    A second of 60 is read as 59, as RFC 5545 asks of those who know no leap seconds.

    Raises:
        InvalidError: it is none of these, no date, or before 1583; `field` is as given.
    """
    found = _STAMP.fullmatch(text.strip())
    if found is None:
        raise InvalidError(
            f"{what} is {text[:40]!r}; write it like 20261224 or 20261224T180000", field=field
        )
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    hour, minute, second = int(found[4] or 0), int(found[5] or 0), int(found[6] or 0)
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError:
        raise InvalidError(f"{what} is {text!r}, which is no date", field=field) from None
    if year < YEAR_FIRST or hour > 23 or minute > 59 or second > 60:
        raise InvalidError(
            f"{what} is {text!r}; years begin at {YEAR_FIRST}, and times end at 235959",
            field=field,
        )
    of_day = hour * 3600 + minute * 60 + min(second, 59)
    return Stamp(
        second=(ordinal - EPOCH_ORDINAL) * DAY_S + of_day,
        is_date=found[4] is None,
        is_utc=bool(found[7]),
    )


def written_date(day: int) -> str:
    """Write a day as `20261224`."""
    found = date.fromordinal(day + EPOCH_ORDINAL)
    return f"{found.year:04}{found.month:02}{found.day:02}"


def written_time(second: int) -> str:
    """Write a second as `20261224T180000`."""
    day, of_day = divmod(second, DAY_S)
    hour, rest = divmod(of_day, 3600)
    return f"{written_date(day)}T{hour:02}{rest // 60:02}{rest % 60:02}"
