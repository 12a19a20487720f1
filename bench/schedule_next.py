"""Time the next instant of typical rules from 1990, asked about 2026, beside other libraries.

Started by `schedules.py` in an environment that has all of them, with the time for each rule and
library in seconds. Every ask is timed by itself, at an instant of its own, and is independent of
the ask before it. *Cold* is the same with everything forgotten that is known of the rule: its text
is read anew. A library that takes a new object for each ask is as slow warm as it is cold.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr

from adapter import percentile, report
from tenure.kernel.schedules import cron, definition
from tenure.kernel.schedules.definition import Definition, Plan, RuleKind

ZONES = ("UTC", "Europe/Berlin")
RULES = {
    "cron": (
        "* * * * *",
        "*/5 * * * *",
        "30 2 * * *",
        "0 9 * * 1-5",
        "0 0 1 * *",
        "0 18 L * *",
        "0 9 * * 1#1",
        "0 0 29 2 *",
    ),
    "rrule": (
        "FREQ=DAILY",
        "FREQ=HOURLY;INTERVAL=7",
        "FREQ=MINUTELY;INTERVAL=25",
        "FREQ=WEEKLY;BYDAY=MO,WE,FR",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=YEARLY;BYMONTH=3,9;BYDAY=1SU",
        "FREQ=DAILY;COUNT=20000",
    ),
}
FIRST = datetime(1990, 1, 1, 9)  # noqa: DTZ001 - a time of the wall clock, in whatever zone
ASKED = datetime(2026, 1, 1, tzinfo=UTC)
YEAR_S = 365 * 86_400
ASKS = 2_000
# A library that is slower than this is asked once, and not cold as well.
PATIENCE_US = 500_000
# What is remembered of rules. The zones' tables are no part of a rule, and stay.
MEMORIES = [
    value.cache_clear
    for module in (cron, definition)
    for value in vars(module).values()
    if hasattr(value, "cache_clear") and value.__module__ == module.__name__
]

Ask = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Library:
    """How a library is asked. `prepare` reads the rule; `argument` and `answer` are not timed."""

    name: str
    prepare: Callable[[], Ask]
    argument: Callable[[datetime], Any]
    answer: Callable[[Any], datetime | None]
    forget: Callable[[], None] = lambda: None


def main() -> None:
    seconds = float(sys.argv[1])
    draw = random.Random(1990)
    asks = [ASKED + timedelta(seconds=draw.randrange(YEAR_S)) for _ in range(ASKS)]
    cases = []
    for zone in ZONES:
        local = [at.astimezone(ZoneInfo(zone)) for at in asks]
        for kind, texts in RULES.items():
            for text in texts:
                cases += measured(kind, text, zone, local, seconds)
    packages = {name: metadata.version(name) for name in ("cronsim", "croniter", "python-dateutil")}
    report(cases=cases, packages={"python": sys.version.split()[0], **packages})


def measured(
    kind: str, text: str, zone: str, asks: Sequence[datetime], seconds: float
) -> list[dict[str, Any]]:
    """Return the figures of all libraries for one rule, and how often they agree with Tenure."""
    records = []
    ours: list[datetime | None] = []
    for library in libraries(kind, text, zone):
        arguments = [library.argument(at) for at in asks]
        warm_us, answers = warm(library, arguments, seconds)
        cold_us = [] if warm_us[0] > PATIENCE_US else cold(library, arguments, seconds)
        ours = ours or answers
        same = [mine == other for mine, other in zip(ours, answers, strict=False)]
        records.append(
            {
                "rule": kind,
                "text": text,
                "zone": zone,
                "library": library.name,
                "asks": len(warm_us),
                "warm_us": median(warm_us),
                "warm_p99_us": percentile(warm_us, 0.99),
                "cold_us": median(cold_us) if cold_us else None,
                "agrees": sum(same) / len(same),
            }
        )
    return records


def warm(
    library: Library, arguments: Sequence[Any], seconds: float
) -> tuple[list[float], list[datetime | None]]:
    """Ask the same rule again and again; return the times and the answers."""
    ask = library.prepare()
    times_us, answers = [], []
    end_ns = time.perf_counter_ns() + int(seconds * 1e9)
    for argument in arguments:
        started_ns = time.perf_counter_ns()
        found = ask(argument)
        ended_ns = time.perf_counter_ns()
        times_us.append((ended_ns - started_ns) / 1e3)
        answers.append(library.answer(found))
        if ended_ns > end_ns:
            break
    return times_us, answers


def cold(library: Library, arguments: Sequence[Any], seconds: float) -> list[float]:
    """Read the rule anew for each ask; return the times of both together."""
    times_us = []
    end_ns = time.perf_counter_ns() + int(seconds * 1e9)
    for argument in arguments:
        library.forget()
        started_ns = time.perf_counter_ns()
        library.prepare()(argument)
        ended_ns = time.perf_counter_ns()
        times_us.append((ended_ns - started_ns) / 1e3)
        if ended_ns > end_ns:
            break
    return times_us


def libraries(kind: str, text: str, zone: str) -> list[Library]:
    """Return who can be asked about a rule, Tenure first."""
    if kind == "cron":
        return [tenure(RuleKind.CRON, text, zone), by_cronsim(text), by_croniter(text)]
    written = f"DTSTART:{FIRST:%Y%m%dT%H%M%S}\nRRULE:{text}"
    return [tenure(RuleKind.RRULE, written, zone), by_dateutil(text, zone)]


def tenure(kind: RuleKind, text: str, zone: str) -> Library:
    start_us = int(FIRST.replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000
    rule = Definition(rule=kind, text=text, zone=zone, start_us=start_us)

    def forget() -> None:
        for clear in MEMORIES:
            clear()

    return Library(
        name="Tenure",
        prepare=lambda: Plan(rule).next_after,
        argument=lambda at: int(at.timestamp()) * 1_000_000,
        answer=lambda us: None if us is None else datetime.fromtimestamp(us / 1e6, UTC),
        forget=forget,
    )


def by_cronsim(text: str) -> Library:
    # It goes on from where it began, and so has to be made anew for another instant.
    return Library(
        name="cronsim",
        prepare=lambda: lambda at: next(CronSim(text, at)),
        argument=_same,
        answer=_in_utc,
    )


def by_croniter(text: str) -> Library:
    def prepare() -> Ask:
        rule = croniter(text, ASKED)

        def ask(at: datetime) -> datetime:
            rule.set_current(at)
            return rule.get_next(datetime)

        return ask

    return Library(name="croniter", prepare=prepare, argument=_same, answer=_in_utc)


def by_dateutil(text: str, zone: str) -> Library:
    first = FIRST.replace(tzinfo=ZoneInfo(zone))
    return Library(
        name="dateutil",
        prepare=lambda: rrulestr(text, dtstart=first).after,
        argument=_same,
        answer=_in_utc,
    )


def _same(value: Any) -> Any:
    return value


def _in_utc(at: datetime) -> datetime:
    # Times of two zones are never equal where one of them comes twice.
    return at.astimezone(UTC)


if __name__ == "__main__":
    main()
