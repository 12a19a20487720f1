"""The wall clock: gaps and repeated times by name, and random rules against the slow reading."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings, strategies as st

from tenure.kernel.schedules.cron import parse_cron
from tenure.kernel.schedules.rule import LAST_S, LocalRule
from tenure.kernel.schedules.wallclock import SECOND_US, Fold, Gap, Mark, WallClock
from tenure.kernel.schedules.zones import FIRST_S, zone
from tests.kernel.schedules import reference
from tests.kernel.schedules.agree import SPECIAL_ZONES, Case, assert_agrees, cases

DAY_S = 86_400


@dataclass(frozen=True)
class Listed:
    """A rule that names just these local seconds."""

    times_s: tuple[int, ...]
    is_dense: bool = False

    def at_or_after(self, local_s: int) -> int | None:
        """Return the first of them from there on."""
        index = bisect_left(self.times_s, local_s)
        return self.times_s[index] if index < len(self.times_s) else None


def at(text: str) -> int:
    """Return the instant of a text in UTC, in microseconds, or the local second times a million."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_US


def listed(*texts: str) -> Listed:
    """Return the rule that names these local times."""
    return Listed(tuple(at(text) // SECOND_US for text in texts))


def a_clock(name: str, *, gap: str = "shift", fold: str = "first") -> WallClock:
    return WallClock(zone=zone(name), gap=Gap(gap), fold=Fold(fold))


def fires(clock: WallClock, rule: LocalRule, start: str, *, count: int = 9) -> list[str]:
    """Return the next instants after a start in UTC, up to three days on."""
    found: list[str] = []
    at_us = clock.next_after(rule, at(start))
    while at_us is not None and at_us <= at(start) + 3 * DAY_S * SECOND_US and len(found) < count:
        found.append(f"{datetime.fromtimestamp(at_us // SECOND_US, UTC):%d %H:%M}")
        at_us = clock.next_after(rule, at_us)
    return found


SPRING = "2026-03-28T12:00"
AUTUMN = "2026-10-24T12:00"


@pytest.mark.parametrize(
    ("text", "gap", "expected"),
    [
        ("30 2 * * *", "skip", "30 00:30|31 00:30"),
        ("30 2 * * *", "shift", "29 01:30|30 00:30|31 00:30"),
        ("0 2 * * *", "shift", "29 01:00|30 00:00|31 00:00"),
        ("0 2 * * *", "skip", "30 00:00|31 00:00"),
        ("0 3 * * *", "skip", "29 01:00|30 01:00|31 01:00"),
        ("59 1 * * *", "skip", "29 00:59|29 23:59|30 23:59"),
        ("30 2,3 29 * *", "shift", "29 01:30"),
        ("30 2,3 29 * *", "skip", "29 01:30"),
        ("0,30 2,3 29 * *", "shift", "29 01:00|29 01:30"),
        ("15 2 29 * *", "shift", "29 01:15"),
        ("15 2,4 29 * *", "shift", "29 01:15|29 02:15"),
        ("0 3 29 * *", "shift", "29 01:00"),
        ("45 2 29 3 *", "skip", ""),
    ],
)
def test_a_time_that_the_spring_skips_is_left_out_or_shifted(
    text: str, gap: str, expected: str
) -> None:
    clock = a_clock("Europe/Berlin", gap=gap)

    assert expected == "|".join(fires(clock, parse_cron(text), SPRING))


@pytest.mark.parametrize(
    ("text", "fold", "expected"),
    [
        ("30 2 25 * *", "first", "25 00:30"),
        ("30 2 25 * *", "second", "25 01:30"),
        ("30 2 25 * *", "both", "25 00:30|25 01:30"),
        ("0 2 25 * *", "first", "25 00:00"),
        ("0 2 25 * *", "second", "25 01:00"),
        ("0 2 25 * *", "both", "25 00:00|25 01:00"),
        ("0 3 25 * *", "first", "25 02:00"),
        ("0 3 25 * *", "second", "25 02:00"),
        ("59 1,2 25 * *", "second", "24 23:59|25 01:59"),
        ("59 1,2 25 * *", "first", "24 23:59|25 00:59"),
        ("59 1,2 25 * *", "both", "24 23:59|25 00:59|25 01:59"),
    ],
)
def test_a_time_that_the_autumn_repeats_fires_at_the_showings_that_are_meant(
    text: str, fold: str, expected: str
) -> None:
    clock = a_clock("Europe/Berlin", fold=fold)

    assert expected == "|".join(fires(clock, parse_cron(text), AUTUMN))


@pytest.mark.parametrize(
    ("after", "fold", "expected"),
    [
        ("2026-10-25T00:30", "both", "25 01:30"),
        ("2026-10-25T00:30", "first", "26 01:30"),
        ("2026-10-25T01:30", "both", "26 01:30"),
        ("2026-10-25T00:45", "second", "25 01:30"),
    ],
)
def test_asking_inside_a_repeated_hour_goes_on_from_there(
    after: str, fold: str, expected: str
) -> None:
    clock = a_clock("Europe/Berlin", fold=fold)

    assert [expected] == fires(clock, parse_cron("30 2 * * *"), after, count=1)


@pytest.mark.parametrize(
    ("name", "text", "start", "gap", "fold", "expected"),
    [
        ("Australia/Lord_Howe", "*/15 2 * * *", "2026-10-03T12:00", "skip", "first",
         "03 15:30|03 15:45|04 15:00"),
        ("Australia/Lord_Howe", "*/15 2 * * *", "2026-10-03T12:00", "shift", "first",
         "03 15:30|03 15:45|04 15:00"),
        ("Australia/Lord_Howe", "10,40 2 * * *", "2026-10-03T12:00", "shift", "first",
         "03 15:40|04 15:10|04 15:40"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", "shift", "both",
         "04 14:45|04 15:15|05 15:15"),
        ("Pacific/Apia", "0 9 * * *", "2011-12-29T12:00", "skip", "first",
         "29 19:00|30 19:00|31 19:00"),
        ("Pacific/Apia", "0 9 30 12 *", "2011-12-29T12:00", "shift", "first", "30 19:00"),
        ("Pacific/Apia", "0 9 30 12 *", "2011-12-29T12:00", "skip", "first", ""),
        ("Africa/Casablanca", "30 2 * * *", "2026-02-14T12:00", "skip", "both",
         "15 01:30|15 02:30|16 02:30"),
        ("Antarctica/Troll", "30 1-3 * * *", "2026-03-28T12:00", "shift", "first",
         "29 01:30|29 02:30|29 23:30"),
        ("Asia/Kathmandu", "5 0 1 1 *", "1985-12-31T12:00", "shift", "first", "31 18:35"),
        ("America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00", "shift", "first",
         "04 03:00|05 02:00|06 02:00"),
        ("America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00", "skip", "first",
         "05 02:00|06 02:00"),
    ],
)  # fmt: skip
def test_zones_with_changes_of_their_own(
    name: str, text: str, start: str, gap: str, fold: str, expected: str
) -> None:
    clock = a_clock(name, gap=gap, fold=fold)

    assert expected == "|".join(fires(clock, parse_cron(text), start, count=3))


@pytest.mark.parametrize("offset_us", [-1, 0, 1])
def test_the_next_instant_is_strictly_after_to_the_microsecond(offset_us: int) -> None:
    clock = a_clock("UTC")
    noon_us = at("2026-06-01T12:00")

    found_us = clock.next_after(parse_cron("0 12 * * *"), noon_us + offset_us)

    assert (noon_us if offset_us < 0 else noon_us + DAY_S * SECOND_US) == found_us


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("0 12 29 2 *", "2096-03-01T00:00", "2104-02-29T11:00"),
        ("30 2 29 3 *", "2026-03-29T02:00", "2027-03-29T00:30"),
        ("0 0 1 1 *", "2026-01-01T00:00", "2026-12-31T23:00"),
    ],
)
def test_a_rare_rule_is_found_years_ahead(text: str, after: str, expected: str) -> None:
    clock = a_clock("Europe/Berlin", gap="skip")

    assert at(expected) == clock.next_after(parse_cron(text), at(after))


def test_years_without_a_fire_are_jumped_over() -> None:
    """Only the segments beside the rule's own times may be looked into."""
    asked = []
    times = listed("2026-06-01T00:00", "9998-06-01T00:00")

    @dataclass(frozen=True)
    class Counting:
        is_dense: bool = False

        def at_or_after(self, local_s: int) -> int | None:
            asked.append(local_s)
            return times.at_or_after(local_s)

    found_us = a_clock("Europe/Berlin").next_after(Counting(), at("2026-06-01T12:00"))

    assert at("9998-05-31T22:00") == found_us
    assert len(asked) <= 4


def test_a_rule_whose_times_all_fall_into_gaps_is_taken_never_to_fire() -> None:
    rule = parse_cron("30 2 * 3 SUNL")

    assert a_clock("Europe/Berlin", gap="skip").next_after(rule, at("2026-01-01")) is None
    assert at("2026-03-29T01:30") == a_clock("Europe/Berlin").next_after(rule, at("2026-01-01"))


def test_four_hundred_times_lost_in_gaps_do_not_hide_the_one_after_them() -> None:
    lasts = [date(year, 3, 31) for year in range(2000, 2400)]
    sundays = [day - timedelta(days=day.isoweekday() % 7) for day in lasts]
    rule = listed(*(f"{sunday}T02:30" for sunday in sundays), "2400-06-01T12:00")

    found_us = a_clock("Europe/Berlin", gap="skip").next_after(rule, at("1999-12-01"))

    assert at("2400-06-01T10:00") == found_us


def test_a_rule_that_is_spent_has_no_next() -> None:
    rule = listed("2026-01-01T00:00")

    assert a_clock("Asia/Tokyo").next_after(rule, at("2025-12-31T15:00")) is None
    assert at("2025-12-31T15:00") == a_clock("Asia/Tokyo").next_after(rule, at("2025-12-31T14:59"))


@pytest.mark.parametrize("name", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_end_of_the_year_9999_is_the_end(name: str) -> None:
    clock = a_clock(name)
    rule = parse_cron("* * * * * *")

    found_us = clock.next_after(rule, (LAST_S - DAY_S) * SECOND_US)

    assert (LAST_S - DAY_S + 1) * SECOND_US == found_us
    assert clock.next_after(rule, LAST_S * SECOND_US) is None
    if name != "America/New_York":
        # West of Greenwich the year 9999 of the wall clock ends after that of UTC; it is the
        # other way round in the east, where the rule has ended by then.
        is_named = name == "UTC"
        last_us = clock.next_after(rule, (LAST_S - 1) * SECOND_US)
        assert (LAST_S * SECOND_US if is_named else None) == last_us


def test_the_last_second_of_utc_fires_in_utc_and_no_later_one_anywhere() -> None:
    last = Listed((LAST_S,))

    assert LAST_S * SECOND_US == a_clock("UTC").next_after(last, 0)
    assert a_clock("America/New_York").next_after(last, 0) is None
    assert (LAST_S - 9 * 3_600) * SECOND_US == a_clock("Asia/Tokyo").next_after(last, 0)


def test_an_instant_before_all_years_is_answered_from_the_first() -> None:
    found_us = a_clock("UTC").next_after(parse_cron("* * * * * *"), (FIRST_S - 10**9) * SECOND_US)

    assert FIRST_S * SECOND_US == found_us


@pytest.mark.parametrize(
    ("text", "instant", "expected"),
    [
        ("30 2 * * *", "2026-03-29T01:30", ("2026-03-29T03:30", "2026-03-29T02:30", None)),
        ("30 2,3 * * *", "2026-03-29T01:30", ("2026-03-29T03:30", None, None)),
        ("0 2 * * *", "2026-03-29T01:00", ("2026-03-29T03:00", "2026-03-29T02:00", None)),
        ("0 4 * * *", "2026-03-29T02:00", ("2026-03-29T04:00", None, None)),
        ("59 1 * * *", "2026-03-29T00:59", ("2026-03-29T01:59", None, None)),
        ("30 2 * * *", "2026-10-25T00:30", ("2026-10-25T02:30", None, Fold.FIRST)),
        ("0 2 * * *", "2026-10-25T00:00", ("2026-10-25T02:00", None, Fold.FIRST)),
        ("59 1 * * *", "2026-10-24T23:59", ("2026-10-25T01:59", None, None)),
        ("30 2 * * *", "2026-10-25T01:30", ("2026-10-25T02:30", None, Fold.SECOND)),
        ("0 2 * * *", "2026-10-25T01:00", ("2026-10-25T02:00", None, Fold.SECOND)),
        ("0 3 * * *", "2026-10-25T02:00", ("2026-10-25T03:00", None, None)),
        ("0 3 * * *", "2026-06-01T01:00", ("2026-06-01T03:00", None, None)),
    ],
)
def test_a_mark_says_what_is_special_about_an_instant(
    text: str, instant: str, expected: tuple[str, str | None, Fold | None]
) -> None:
    shown, skipped, showing = expected

    mark = a_clock("Europe/Berlin").mark(parse_cron(text), at(instant))

    shifted_from_s = None if skipped is None else at(skipped) // SECOND_US
    assert (
        Mark(local_s=at(shown) // SECOND_US, shifted_from_s=shifted_from_s, showing=showing) == mark
    )


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(SPECIAL_ZONES),
    year=st.integers(1971, 2040),
    pick=st.integers(0, 5),
    around_s=st.lists(st.integers(-5_400, 5_400), min_size=1, max_size=12, unique=True),
    gap=st.sampled_from(Gap),
    fold=st.sampled_from(Fold),
)
def test_any_times_around_a_change_fire_at_the_instants_zoneinfo_gives_them(
    name: str, year: int, pick: int, around_s: list[int], gap: Gap, fold: Fold
) -> None:
    changes = reference.changes(name, year) or [at(f"{year}-06-01") // SECOND_US]
    change_s = changes[pick % len(changes)]
    middle_s = change_s + reference.offset_s(ZoneInfo(name), change_s)
    rule = Listed(tuple(sorted(middle_s + distance_s for distance_s in around_s)))
    expected = sorted(
        {
            instant_s
            for local_s in rule.times_s
            for instant_s in reference.instants(
                local_s, ZoneInfo(name), gap=gap.value, fold=fold.value
            )
        }
    )

    clock = WallClock(zone=zone(name), gap=gap, fold=fold)
    found = []
    at_us = clock.next_after(rule, (change_s - 5 * DAY_S) * SECOND_US)
    while at_us is not None:
        found.append(at_us // SECOND_US)
        at_us = clock.next_after(rule, at_us)

    assert expected == found


@settings(deadline=None, max_examples=700)
@given(case=cases())
@example(
    case=Case(
        text="0 */2 30,31 12 *",
        zone_name="Pacific/Apia",
        after_us=at("2011-12-28T20:00"),
        gap=Gap.SHIFT,
        fold=Fold.BOTH,
    )
)
@example(
    case=Case(
        text="0 12 * * *",
        zone_name="Pacific/Kwajalein",
        after_us=at("1993-08-19T20:00"),
        gap=Gap.SHIFT,
        fold=Fold.FIRST,
    )
)
def test_random_rules_near_changes_fire_when_the_slow_reading_does(case: Case) -> None:
    assert_agrees(case)
