"""Hold random recurrence rules against dateutil: `python -m tests.kernel.schedules.agree_rrule`.

The tests use the same comparison for a few hundred rules; by hand it runs for as many as asked,
with `--rules N --seed S`. Where dateutil is known to differ from RFC 5545, the rules keep away
from it; `test_rrule.py` names each place.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from random import Random  # noqa: TID251 - seeded, and given by the caller
from types import SimpleNamespace
from unittest import mock

import dateutil.rrule

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rrule import RRule, parse_rrule

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the wall clock of no zone
FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
# How many years of dateutil's walk are affordable.
YEARS = {"YEARLY": 60, "MONTHLY": 12, "WEEKLY": 6, "DAILY": 5, "HOURLY": 1}
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FIRES = 8


def local_s(moment: datetime) -> int:
    """Return a time without a zone as a local second."""
    return (moment - EPOCH) // timedelta(seconds=1)


def moment_of(second: int) -> datetime:
    """Return a local second as a time without a zone."""
    return EPOCH + timedelta(seconds=second)


def second(text: str) -> int:
    """Return a time such as "2026-01-01T09:00" as a local second."""
    return local_s(datetime.fromisoformat(text))


def fires(rule: RRule, number: int) -> list[str]:
    """Return the first times of a rule, to the minute."""
    found: list[str] = []
    at_s = rule.at_or_after(second("1583-01-01"))
    while at_s is not None and len(found) < number:
        found.append(f"{moment_of(at_s):%Y-%m-%d %H:%M}")
        at_s = rule.at_or_after(at_s + 1)
    return found


def dates(year: int, *days: str) -> list[str]:
    """Return days such as "09-02", all of them at nine, as `fires` does."""
    return [f"{year}-{day} 09:00" for day in days]


def listed(random: Random, numbers: Sequence[int], most: int = 4) -> str:
    """Return some of the numbers, joined by commas."""
    return ",".join(str(random.choice(numbers)) for _ in range(random.randint(1, most)))


def random_start(random: Random, frequency: str) -> datetime:
    """Return a start; for the finest frequencies late in a year, where dateutil is stopped."""
    year = random.randint(1990, 2040)
    first = datetime(year, 1, 1)  # noqa: DTZ001 - the wall clock of no zone
    length = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    least = {"MINUTELY": length - 20, "SECONDLY": length - 2}.get(frequency, 0)
    day = first + timedelta(days=random.randint(least, length - 1))
    second = random.choice((0, 9 * 3600, random.randint(0, 86_399)))
    return day + timedelta(seconds=second)


def random_case(random: Random) -> tuple[str, datetime]:
    """Return the text of a rule that RFC 5545 allows, and a start."""
    frequency = random.choice(FREQUENCIES)
    start = random_start(random, frequency)
    parts = {"FREQ": frequency, "INTERVAL": str(random.choice((1, 1, 2, 3, 4, 5, 7, 12, 25, 90)))}
    if random.random() < 0.4:
        parts["WKST"] = random.choice(WEEKDAYS)
    _add_days(random, frequency, parts)
    for name, high in (("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59)):
        if random.random() < 0.25:
            parts[name] = listed(random, range(high + 1))
    if len(parts) > 3 and any(name.startswith("BY") for name in parts) and random.random() < 0.3:
        parts["BYSETPOS"] = listed(random, (1, 2, 3, 5, -1, -2, -4, 20, -30), 2)
        if frequency == "WEEKLY":
            # dateutil begins the set of the first week at DTSTART.
            first = WEEKDAYS.index(parts.get("WKST", "MO"))
            start -= timedelta(days=(start.weekday() - first) % 7)
    if random.random() < 0.2:
        parts["COUNT"] = str(random.randint(1, FIRES))
    elif random.random() < 0.2:
        parts["UNTIL"] = f"{start + timedelta(days=random.randint(1, 900)):%Y%m%dT%H%M%S}"
    return ";".join(f"{name}={value}" for name, value in parts.items()), start


def _add_days(random: Random, frequency: str, parts: dict[str, str]) -> None:
    def is_wanted(*allowed: str) -> bool:
        return frequency in allowed and random.random() < 0.3

    fine = ("HOURLY", "MINUTELY", "SECONDLY")
    if is_wanted(*FREQUENCIES):
        parts["BYMONTH"] = listed(random, range(1, 13))
    if is_wanted("YEARLY"):
        # dateutil miscounts the weeks of the year before, and of the year after from the end.
        parts["BYWEEKNO"] = listed(random, [*range(1, 52), *range(-51, 0)])
    if is_wanted("YEARLY", *fine):
        parts["BYYEARDAY"] = listed(random, [*range(1, 367), *range(-366, 0)], 9)
    if is_wanted("YEARLY", "MONTHLY", "DAILY", *fine):
        parts["BYMONTHDAY"] = listed(random, [*range(1, 32), *range(-31, 0)], 9)
    if is_wanted(*FREQUENCIES) or "BYWEEKNO" in parts:
        # dateutil takes plain and numbered weekdays together as both at once.
        numbers: Sequence[str] = ("",)
        if frequency in ("YEARLY", "MONTHLY") and "BYWEEKNO" not in parts:
            numbers = random.choice((("",), ("1", "2", "-1", "4", "5", "-5")))
        days = [random.choice(numbers) + random.choice(WEEKDAYS) for _ in range(3)]
        parts["BYDAY"] = ",".join(days)


def expected(text: str, start: datetime) -> list[datetime]:
    """Return the first fires as dateutil has them, within the years that it is let walk."""
    frequency = text.split(";")[0].removeprefix("FREQ=")
    last_year = start.year + YEARS.get(frequency, 0)
    bounded = SimpleNamespace(
        datetime=datetime, date=date, time=time, timedelta=timedelta, MAXYEAR=last_year
    )
    with mock.patch.object(dateutil.rrule, "datetime", bounded):
        try:
            found = list(islice(dateutil.rrule.rrulestr(text, dtstart=start), FIRES))
        except ValueError:
            # It refuses rules whose interval never meets their times.
            return []
    return [moment for moment in found if moment.year <= last_year]


def actual(text: str, start: datetime) -> list[datetime]:
    """Return the first fires as we have them, within the same years."""
    frequency = text.split(";")[0].removeprefix("FREQ=")
    try:
        rule = parse_rrule(text, start_local_s=local_s(start))
    except InvalidError as error:
        if "never fires" in str(error):
            return []
        raise
    found: list[datetime] = []
    at_s = rule.at_or_after(local_s(start) - 1)
    while at_s is not None and len(found) < FIRES:
        found.append(moment_of(at_s))
        at_s = rule.at_or_after(at_s + 1)
    last_year = start.year + YEARS.get(frequency, 0)
    return [moment for moment in found if moment.year <= last_year]


def main() -> int:
    """Compare as many rules as asked; print each that differs, and return 1 if one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random, differing, empty = Random(options.seed), 0, 0
    for _ in range(options.rules):
        text, start = random_case(random)
        theirs, ours = expected(text, start), actual(text, start)
        empty += not theirs
        if theirs != ours:
            differing += 1
            sys.stdout.write(f"{text} from {start}\n  dateutil {theirs}\n  ours     {ours}\n")
    sys.stdout.write(f"{options.rules} rules, {empty} without a fire, {differing} differ\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
