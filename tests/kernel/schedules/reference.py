"""A slow and obvious reading of cron texts in time zones, to hold the quick one against.

Walks the wall clock hour by hour, asks of each time whether every field allows it, and asks
zoneinfo what instants it is. Shares no code with `tenure.kernel.schedules`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split()
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall clock's own, which has no zone
HOUR_S = 3_600
DAY_S = 86_400


def fires(
    text: str, zone_name: str, *, after_us: int, until_s: int, count: int, gap: str, fold: str
) -> list[int]:
    """Return the first *count* instants, in seconds, after *after_us* and up to *until_s*."""
    zone = ZoneInfo(zone_name)
    after_s = after_us // 1_000_000
    near_s = [offset_s(zone, after_s + hours * HOUR_S) for hours in range(-25, 50)]
    found: set[int] = set()
    hour_s = (after_s + min(near_s)) // HOUR_S * HOUR_S
    while hour_s <= until_s + DAY_S:
        if not day_is_meant(text, (EPOCH + timedelta(seconds=hour_s)).date()):
            hour_s = (hour_s // DAY_S + 1) * DAY_S
            continue
        for local_s in times_of_hour(text, hour_s):
            for instant_s in instants(local_s, zone, gap=gap, fold=fold):
                if instant_s * 1_000_000 > after_us and instant_s <= until_s:
                    found.add(instant_s)
        hour_s += HOUR_S
        if len(found) >= count:
            # No later local time can be an earlier instant than those, whatever its offset.
            nearest_s = hour_s - max(
                offset_s(zone, hour_s + hours * HOUR_S) for hours in range(-50, 50)
            )
            if sorted(found)[count - 1] < nearest_s:
                break
    return sorted(found)[:count]


def offset_s(zone: ZoneInfo, utc_s: int) -> int:
    """Return the offset of a zone at an instant."""
    offset = datetime.fromtimestamp(utc_s, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def instants(local_s: int, zone: ZoneInfo, *, gap: str, fold: str) -> list[int]:
    """Return the instants that a local second is, under the policies."""
    local = EPOCH + timedelta(seconds=local_s)
    readings = [local.replace(tzinfo=zone, fold=showing).astimezone(UTC) for showing in (0, 1)]
    shown = [
        reading
        for reading in readings
        if reading.astimezone(zone).replace(tzinfo=None, fold=0) == local
    ]
    if not shown:
        # Outside of fold, Python reads a time in a gap with the offset before the change.
        shown = readings[:1] if gap == "shift" else []
    elif readings[0] != readings[1]:
        shown = {"first": readings[:1], "second": readings[1:], "both": readings}[fold]
    return [int(reading.timestamp()) for reading in shown]


def times_of_hour(text: str, hour_s: int) -> Iterator[int]:
    """Return the local seconds in one hour that the fields for times allow."""
    second, minute, hour = fields(text)[:3]
    if hour_s // HOUR_S % 24 not in allowed(hour, 0, 23):
        return
    for minute_value in range(60):
        if minute_value in allowed(minute, 0, 59):
            for second_value in range(60):
                if second_value in allowed(second, 0, 59):
                    yield hour_s + minute_value * 60 + second_value


def fields(text: str) -> list[str]:
    """Return the six fields."""
    parts = text.upper().split()
    return parts if len(parts) == 6 else ["0", *parts]


@cache
def allowed(field: str, low: int, high: int, *, modulus: int = 1_000) -> set[int]:
    """Return the numbers that a field without the special signs of days allows."""
    values: set[int] = set()
    for entry in field.split(","):
        body, _, step = entry.partition("/")
        if re.fullmatch(r"\w+-\w+", body):
            start, end = (number(word) for word in body.split("-"))
        elif re.fullmatch(r"\w+", body):
            start = number(body)
            end = high if step else start
        else:
            assert body in {"*", "?"}
            start, end = low, high
        while end < start:
            end += modulus
        position = start
        while position <= end:
            values.add(position % modulus)
            position += int(step or 1)
    return values


def number(word: str) -> int:
    """Return what a number or a name stands for."""
    if word in MONTHS:
        return MONTHS.index(word) + 1
    return WEEKDAYS.index(word) if word in WEEKDAYS else int(word)


@cache
def day_is_meant(text: str, day: date) -> bool:
    """Say whether the three fields for days allow a date."""
    _, _, _, dates, months, weekdays = fields(text)
    if day.month not in allowed(months, 1, 12):
        return False
    by_date = any(date_entry_means(entry, day) for entry in dates.split(","))
    by_weekday = any(weekday_entry_means(entry, day) for entry in weekdays.split(","))
    if dates[0] in "*?" or weekdays[0] in "*?":
        return by_date and by_weekday
    return by_date or by_weekday


def date_entry_means(entry: str, day: date) -> bool:
    """Say whether one entry of the field for the day of the month allows a date."""
    last = calendar.monthrange(day.year, day.month)[1]
    working = [
        number
        for number in range(1, last + 1)
        if calendar.weekday(day.year, day.month, number) <= calendar.FRIDAY
    ]
    if entry == "L":
        return day.day == last
    if entry.startswith("L-"):
        return day.day == last - int(entry[2:])
    if entry == "LW":
        return day.day == working[-1]
    if entry.endswith("W"):
        target = int(entry[:-1])
        nearest = min(working, key=lambda number: abs(number - target))
        return target <= last and day.day == nearest
    return day.day in allowed(entry, 1, 31)


def weekday_entry_means(entry: str, day: date) -> bool:
    """Say whether one entry of the field for the weekday allows a date."""
    weekday = day.isoweekday() % 7
    if entry.endswith("L"):
        next_week = day + timedelta(days=7)
        return number(entry[:-1]) % 7 == weekday and next_week.month != day.month
    if "#" in entry:
        name, place = entry.split("#")
        earlier = [day - timedelta(days=7 * weeks) for weeks in range(6)]
        in_month = [other for other in earlier if other.month == day.month]
        return number(name) % 7 == weekday and len(in_month) == int(place)
    return weekday in allowed(entry, 0, 7, modulus=7)


@cache
def changes(zone_name: str, year: int) -> list[int]:
    """Return the instants in a year at which a zone changes its offset, found day by day."""
    zone = ZoneInfo(zone_name)
    start_s = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    found = []
    for day in range(366):
        low_s, high_s = start_s + day * DAY_S, start_s + (day + 1) * DAY_S
        before_s = offset_s(zone, low_s)
        if offset_s(zone, high_s) == before_s:
            continue
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            if offset_s(zone, middle_s) == before_s:
                low_s = middle_s
            else:
                high_s = middle_s
        found.append(high_s)
    return found
