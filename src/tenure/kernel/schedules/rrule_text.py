"""The grammar of one recurrence rule: `FREQ=WEEKLY;BYDAY=MO,WE` to `Parts`, and back.

Called by `rrule.py` for each rule line. Everything that RFC 5545 (section 3.3.10) forbids is
refused here with the part and the value in the message; whether a rule ever fires is asked
later, when its start is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.content_lines import stamp, written_time
from tenure.kernel.schedules.rrule_days import DAY_S

INTERVAL_MAX = 1_000_000_000
COUNT_MAX = 100_000
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

# The lists of numbers: the bound of each, and whether it is counted from 1 and also backwards.
_BOUNDS = {
    "BYSECOND": (0, 60, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
_NAMES = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_BOUNDS)
_NUMBER = re.compile(r"[+-]?[0-9]{1,10}")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_ORDINAL_MAX = 53


class Frequency(IntEnum):
    """The kinds of period, longest first."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a rule as they were written: lists sorted, empty where not given.

    Weekdays are 0 (Monday) to 6; `ordinals` are those with a number before them. At most one of
    `count`, `until_local_s` and `until_utc_s` is set.
    """

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until_local_s: int | None = None
    until_utc_s: int | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    ordinals: tuple[tuple[int, int], ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    def lists(self) -> dict[str, str]:
        """Return the parts that are lists, by their names in RFC 5545, as they are written."""
        days = [WEEKDAYS[weekday] for weekday in self.weekdays]
        days += [f"{number}{WEEKDAYS[weekday]}" for number, weekday in self.ordinals]
        lists = {
            "BYMONTH": self.months,
            "BYWEEKNO": self.weeks,
            "BYYEARDAY": self.year_days,
            "BYMONTHDAY": self.month_days,
            "BYDAY": days,
            "BYHOUR": self.hours,
            "BYMINUTE": self.minutes,
            "BYSECOND": self.seconds,
            "BYSETPOS": self.positions,
        }
        return {name: ",".join(map(str, values)) for name, values in lists.items() if values}


def parse_parts(text: str) -> Parts:
    """Read the parts of a rule, in any order and case.

    An UNTIL that is only a date means the whole of that day. BYSECOND=60 is read as 59.

    Raises:
        InvalidError: a part is unknown, missing, given twice, out of its range, or not allowed
            beside another; `field` is "rrule".
    """
    given = _given(text)
    if "FREQ" not in given:
        raise _invalid(f"rrule {text!r} has no FREQ; begin it with one, such as FREQ=DAILY")
    frequency = given["FREQ"].upper()
    if frequency not in Frequency.__members__:
        raise _invalid(f"rrule FREQ={frequency} is none of {', '.join(Frequency.__members__)}")
    until_s, is_utc = _until(given["UNTIL"]) if "UNTIL" in given else (None, False)
    weekdays, ordinals = _weekdays(given["BYDAY"]) if "BYDAY" in given else ((), ())
    lists = {name: _numbers(name, given[name]) for name in _BOUNDS if name in given}
    parts = Parts(
        frequency=Frequency[frequency],
        interval=_number("INTERVAL", given.get("INTERVAL", "1"), high=INTERVAL_MAX),
        count=_number("COUNT", given["COUNT"], high=COUNT_MAX) if "COUNT" in given else None,
        until_local_s=None if is_utc else until_s,
        until_utc_s=until_s if is_utc else None,
        week_start=_week_start(given.get("WKST", "MO").upper()),
        months=lists.get("BYMONTH", ()),
        weeks=lists.get("BYWEEKNO", ()),
        year_days=lists.get("BYYEARDAY", ()),
        month_days=lists.get("BYMONTHDAY", ()),
        weekdays=weekdays,
        ordinals=ordinals,
        hours=lists.get("BYHOUR", ()),
        minutes=lists.get("BYMINUTE", ()),
        seconds=tuple(sorted({min(second, 59) for second in lists.get("BYSECOND", ())})),
        positions=lists.get("BYSETPOS", ()),
    )
    _refuse_contradictions(parts)
    return parts


def written_parts(parts: Parts) -> str:
    """Write the parts in one fixed order, without those that say what holds anyway."""
    written = [f"FREQ={parts.frequency.name}"]
    if parts.interval != 1:
        written.append(f"INTERVAL={parts.interval}")
    if parts.count is not None:
        written.append(f"COUNT={parts.count}")
    if parts.until_local_s is not None:
        written.append(f"UNTIL={written_time(parts.until_local_s)}")
    if parts.until_utc_s is not None:
        written.append(f"UNTIL={written_time(parts.until_utc_s)}Z")
    written += [f"{name}={value}" for name, value in parts.lists().items()]
    if parts.week_start:
        written.append(f"WKST={WEEKDAYS[parts.week_start]}")
    return ";".join(written)


def _given(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in text.strip().rstrip(";").split(";"):
        name, separator, value = part.partition("=")
        name = name.strip().upper()
        if not separator or not value.strip():
            raise _invalid(f"rrule part {part!r} must be a name, '=' and a value")
        if name not in _NAMES:
            nearest = get_close_matches(name, _NAMES, n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else f"use {', '.join(_NAMES)}"
            raise _invalid(f"rrule part {name!r} is unknown; {advice}")
        if name in given:
            raise _invalid(f"rrule part {name} is given twice; put all its values into one list")
        given[name] = value.strip()
    return given


def _number(name: str, text: str, *, high: int) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= high:
        raise _invalid(f"rrule {name}={text} must be a whole number from 1 to {high:,}")
    return int(text)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    low, high, is_signed = _BOUNDS[name]
    numbers = set()
    for part in text.split(","):
        number = int(part) if _NUMBER.fullmatch(part.strip()) else None
        if number is None or not low <= (abs(number) if is_signed else number) <= high:
            backwards = f", or from -{high} to -{low}" if is_signed else ""
            raise _invalid(
                f"rrule {name} has the value {part!r}; it must be from {low} to {high}{backwards}"
            )
        numbers.add(number)
    return tuple(sorted(numbers))


def _weekdays(text: str) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    plain, numbered = set(), set()
    for part in text.upper().split(","):
        found = _WEEKDAY.fullmatch(part.strip())
        if found is None or (found[1] and not 1 <= abs(int(found[1])) <= _ORDINAL_MAX):
            raise _invalid(
                f"rrule BYDAY has the value {part!r}; it must be one of {', '.join(WEEKDAYS)}, "
                f"with a number from 1 to {_ORDINAL_MAX} or from -{_ORDINAL_MAX} to -1 before it "
                "or none"
            )
        weekday = WEEKDAYS.index(found[2])
        if found[1]:
            numbered.add((int(found[1]), weekday))
        else:
            plain.add(weekday)
    return tuple(sorted(plain)), tuple(sorted(numbered))


def _week_start(text: str) -> int:
    if text not in WEEKDAYS:
        raise _invalid(f"rrule WKST={text} is none of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _until(text: str) -> tuple[int, bool]:
    found = stamp(text, field="rrule", what="rrule UNTIL")
    return found.second + (DAY_S - 1 if found.is_date else 0), found.is_utc


def _refuse_contradictions(parts: Parts) -> None:
    frequency = parts.frequency
    is_bounded = parts.until_local_s is not None or parts.until_utc_s is not None
    has_numbers = bool(parts.ordinals)
    days = parts.lists().get("BYDAY")
    refused = {
        "both COUNT and UNTIL; only one of them can end it": is_bounded and parts.count is not None,
        f"BYWEEKNO, which needs FREQ=YEARLY and not {frequency.name}": (
            bool(parts.weeks) and frequency is not Frequency.YEARLY
        ),
        f"BYYEARDAY, which FREQ={frequency.name} does not allow; use FREQ=YEARLY": (
            bool(parts.year_days) and Frequency.MONTHLY <= frequency <= Frequency.DAILY
        ),
        "BYMONTHDAY, which FREQ=WEEKLY does not allow; use FREQ=MONTHLY": (
            bool(parts.month_days) and frequency is Frequency.WEEKLY
        ),
        f"BYDAY={days}, but FREQ={frequency.name} allows no numbers before weekdays; use "
        "FREQ=MONTHLY or YEARLY": has_numbers and frequency > Frequency.MONTHLY,
        f"BYDAY={days} beside BYWEEKNO, which allows no numbers before weekdays": (
            has_numbers and bool(parts.weeks)
        ),
        "BYSETPOS, which needs another BY part to choose from": (
            bool(parts.positions) and len(parts.lists()) == 1
        ),
    }
    for sentence, is_wrong in refused.items():
        if is_wrong:
            raise _invalid(f"rrule has {sentence}")


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="rrule")
