"""Random cron texts in random zones near clock changes: do we fire when the reference does?

The tests run some of it. For a large run, `python -m tests.kernel.schedules.agree --rules 100000
--seed 7`; with `--zones`, the table of every zone is first compared with zoneinfo over three
centuries.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import available_timezones

from hypothesis import HealthCheck, given, seed, settings, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.cron import parse_cron
from tenure.kernel.schedules.wallclock import SECOND_US, Fold, Gap, WallClock
from tenure.kernel.schedules.zones import zone
from tests.kernel.schedules import reference

DAY_S = reference.DAY_S
FIRES = 5
WINDOW_DAYS = 45
YEARS = (1971, 2076)
ZONES = sorted(available_timezones() - {"localtime"})
SPECIAL_ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Asia/Kathmandu",
]
MONTHS = reference.MONTHS
WEEKDAYS = reference.WEEKDAYS


@dataclass(frozen=True)
class Case:
    """One rule in one zone, asked from one instant."""

    text: str
    zone_name: str
    after_us: int
    gap: Gap
    fold: Fold


def plain_entries(low: int, high: int) -> st.SearchStrategy[str]:
    """Values, ranges and steps of one field."""
    value = st.integers(low, high)
    steps = st.integers(1, 20)
    bounds = st.tuples(value, value).map(sorted).filter(lambda pair: pair[0] < pair[1])
    return st.one_of(
        value.map(str),
        bounds.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(bounds, steps).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
        st.tuples(value, steps).map(lambda both: f"{both[0]}/{both[1]}"),
        steps.map(lambda step: f"*/{step}"),
    )


def lists(entries: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One to three entries, with commas."""
    return st.lists(entries, min_size=1, max_size=3).map(",".join)


DATES = lists(
    st.one_of(
        plain_entries(1, 31),
        st.sampled_from(["L", "LW", "L-1", "L-3", "L-30"]),
        st.integers(1, 31).map(lambda day: f"{day}W"),
    )
)
WEEKDAY_VALUES = st.one_of(st.sampled_from(WEEKDAYS), st.integers(0, 7).map(str))
WEEKDAY_FIELDS = lists(
    st.one_of(
        plain_entries(0, 7),
        WEEKDAY_VALUES,
        st.tuples(WEEKDAY_VALUES, WEEKDAY_VALUES).map("-".join),
        WEEKDAY_VALUES.map(lambda weekday: f"{weekday}L"),
        st.tuples(WEEKDAY_VALUES, st.integers(1, 5)).map(lambda both: f"{both[0]}#{both[1]}"),
    )
)
# Clocks change in the small hours, so that is where most of the rules are to fire.
HOURS = st.one_of(
    st.just("*"),
    st.sampled_from(["0", "1", "2", "3", "1-3", "0-4/2", "23", "2,3"]),
    lists(plain_entries(0, 23)),
)
MINUTES = st.one_of(st.just("*"), st.sampled_from(["0", "30", "*/15"]), lists(plain_entries(0, 59)))
MONTH_FIELDS = st.one_of(
    st.just("*"), st.just("*"), lists(st.one_of(plain_entries(1, 12), st.sampled_from(MONTHS)))
)
SECONDS = st.one_of(
    st.just(""), st.just(""), st.just("30 "), lists(plain_entries(0, 59)).map("{} ".format)
)
TEXTS = st.builds(
    "{}{} {} {} {} {}".format,
    SECONDS,
    MINUTES,
    HOURS,
    st.one_of(st.just("*"), st.just("?"), DATES),
    MONTH_FIELDS,
    st.one_of(st.just("*"), st.just("*"), WEEKDAY_FIELDS),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A rule, asked shortly before or after a clock change if the zone has one in that year."""
    zone_name = draw(st.one_of(st.sampled_from(SPECIAL_ZONES), st.sampled_from(ZONES)))
    year = draw(st.integers(*YEARS))
    year_s = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    nearby = reference.changes(zone_name, year)
    if nearby and draw(st.integers(0, 9)) > 0:
        distance_s = st.one_of(
            st.integers(-3 * DAY_S, DAY_S), st.integers(-8, 8).map(lambda halves: halves * 1_800)
        )
        after_s = draw(st.sampled_from(nearby)) + draw(distance_s)
    else:
        after_s = year_s + draw(st.integers(0, 365 * DAY_S))
    return Case(
        text=draw(TEXTS),
        zone_name=zone_name,
        after_us=after_s * SECOND_US + draw(st.sampled_from([0, 0, 1, 999_999, -1])),
        gap=draw(st.sampled_from(Gap)),
        fold=draw(st.sampled_from(Fold)),
    )


def assert_agrees(case: Case) -> None:
    """Compare the next fires, as far as they lie within the window."""
    until_s = case.after_us // SECOND_US + WINDOW_DAYS * DAY_S
    expected = reference.fires(
        case.text,
        case.zone_name,
        after_us=case.after_us,
        until_s=until_s,
        count=FIRES,
        gap=case.gap.value,
        fold=case.fold.value,
    )
    assert expected == our_fires(case, until_s)


def our_fires(case: Case, until_s: int) -> list[int]:
    """Return the next fires up to *until_s*; none if the text is refused as impossible."""
    try:
        rule = parse_cron(case.text)
    except InvalidError as error:
        if "can never fire" in str(error):
            return []
        raise
    clock = WallClock(zone=zone(case.zone_name), gap=case.gap, fold=case.fold)
    found: list[int] = []
    at_us = clock.next_after(rule, case.after_us)
    while at_us is not None and at_us // SECOND_US <= until_s and len(found) < FIRES:
        assert at_us % SECOND_US == 0
        found.append(at_us // SECOND_US)
        at_us = clock.next_after(rule, at_us)
    return found


def assert_table_agrees(zone_name: str, *, from_s: int, until_s: int, step_s: int) -> None:
    """Compare a zone's table with zoneinfo, at steps and on both sides of every change."""
    table = zone(zone_name)
    for utc_s in range(from_s, until_s, step_s):
        assert reference.offset_s(table.zoneinfo, utc_s) == table.offset_s(utc_s), (
            zone_name,
            utc_s,
        )
    utc_s = from_s
    while utc_s < until_s:
        segment = table.segment(utc_s)
        assert segment.start_s <= utc_s < segment.end_s
        end_s = segment.end_s
        if end_s >= until_s:
            break
        assert reference.offset_s(table.zoneinfo, end_s - 1) == segment.offset_s, (zone_name, end_s)
        assert reference.offset_s(table.zoneinfo, end_s) == segment.offset_after_s, (
            zone_name,
            end_s,
        )
        utc_s = end_s


def main() -> None:
    """Run as many cases as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--zones", action="store_true", help="compare the tables of every zone")
    options = parser.parse_args()
    if options.zones:
        years = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1900, 2200)]
        for zone_name in ZONES:
            assert_table_agrees(zone_name, from_s=years[0], until_s=years[1], step_s=31 * 3_600)
        sys.stdout.write(f"the tables of {len(ZONES)} zones agree\n")
    run = seed(options.seed)(
        settings(
            max_examples=options.rules,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(given(cases())(assert_agrees))
    )
    run()
    sys.stdout.write(f"{options.rules} rules agree, seed {options.seed}\n")


if __name__ == "__main__":
    main()
