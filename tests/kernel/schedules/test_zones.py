"""Zones: names, and tables of changes held against zoneinfo and against its compiled files."""

from __future__ import annotations

import struct
import zoneinfo
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rule import LAST_S
from tenure.kernel.schedules.zones import DAY_S, FIRST_S, Segment, zone
from tests.kernel.schedules import reference
from tests.kernel.schedules.agree import SPECIAL_ZONES, ZONES, assert_table_agrees

HOUR_S = 3_600
SPAN_S = 366 * DAY_S


def at(text: str) -> int:
    """Return the instant of a text in UTC, in seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def written_changes(name: str) -> list[tuple[int, int, int]]:
    """Return each change written down in a zone's compiled file: when, from and to what offset.

    Changes after the last one written follow from a rule in the file, which zoneinfo applies.
    """
    paths = [Path(folder) / name for folder in zoneinfo.TZPATH]
    found = next((path for path in paths if path.is_file()), None)
    content = found.read_bytes() if found else resources.read_binary("tzdata.zoneinfo", name)
    start = 0
    counts = struct.unpack(">6L", content[20:44])
    if content[4:5] != b"\0":
        # The first block has 32-bit times, for old readers; the second is the true one.
        utc, standard, leaps, times, types, characters = counts
        start = 44 + times * 5 + types * 6 + characters + leaps * 8 + standard + utc
        counts = struct.unpack(">6L", content[start + 20 : start + 44])
    _, _, _, times, types, _ = counts
    width = 8 if start else 4
    body = content[start + 44 :]
    instants = struct.unpack(f">{times}{'q' if start else 'l'}", body[: times * width])
    kinds = body[times * width : times * (width + 1)]
    kinds_end = times * (width + 1)
    offsets = [
        struct.unpack(">lBB", body[kinds_end + 6 * kind : kinds_end + 6 * kind + 6])[0]
        for kind in range(types)
    ]
    in_force = [offsets[0], *(offsets[kind] for kind in kinds)]
    return [
        (instant, before, after)
        for instant, (before, after) in zip(instants, pairwise(in_force), strict=True)
        if before != after
    ]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Europe/Lisboa", "Europe/Lisbon"),
        ("europe/berlin", "Europe/Berlin"),
        ("America/NewYork", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("UTCC", "UTC"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(InvalidError) as caught:
        zone(name)

    assert f"zone '{name}' is unknown; did you mean '{nearest}'?" == str(caught.value)
    assert "zone" == caught.value.field


@pytest.mark.parametrize(
    "name",
    [
        *["", "/etc/localtime", "../zoneinfo/UTC", "Europe", "Europe/", "localtime", "zone.tab"],
        *["UTC\0", "UTC ", "right/UTC", "Z" * 101, "Ünknown/Zöne"],
    ],
)
def test_what_is_not_the_name_of_a_zone_is_unknown(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        zone(name)

    assert "zone" == caught.value.field
    assert len(str(caught.value)) < 250


def test_a_name_too_long_is_not_repeated() -> None:
    with pytest.raises(InvalidError, match=r"^zone has 101 characters"):
        zone("Z" * 101)

    with pytest.raises(InvalidError, match=r"^zone 'Z{100}' is unknown"):
        zone("Z" * 100)


def test_a_zone_is_the_same_object_each_time() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
    assert "Europe/Berlin" == zone("Europe/Berlin").name
    assert "zone('Europe/Berlin')" == repr(zone("Europe/Berlin"))


@pytest.mark.parametrize("utc_s", [FIRST_S, -1, 0, at("2026-07-01"), LAST_S])
def test_utc_never_changes(utc_s: int) -> None:
    segment = zone("UTC").segment(utc_s)

    assert (0, 0, 0) == (segment.offset_s, segment.offset_before_s, segment.offset_after_s)
    assert utc_s == zone("UTC").local_s(utc_s)
    assert segment.start_s <= utc_s < segment.end_s <= LAST_S + 1


def test_a_summer_is_a_segment() -> None:
    expected = Segment(
        start_s=at("2026-03-29T01:00"),
        end_s=at("2026-10-25T01:00"),
        offset_s=2 * HOUR_S,
        offset_before_s=HOUR_S,
        offset_after_s=HOUR_S,
    )

    assert expected == zone("Europe/Berlin").segment(expected.start_s)
    assert expected == zone("Europe/Berlin").segment(expected.end_s - 1)
    assert expected != zone("Europe/Berlin").segment(expected.start_s - 1)
    assert expected != zone("Europe/Berlin").segment(expected.end_s)


def test_the_ends_of_a_segment_say_what_the_clock_skips_and_repeats() -> None:
    summer = zone("Europe/Berlin").segment(at("2026-07-01"))
    winter = zone("Europe/Berlin").segment(at("2026-12-01"))

    assert at("2026-03-29T02:00") == summer.gap_until_s
    assert summer.start_s == summer.second_until_s
    assert at("2026-10-25T00:00") == summer.first_from_s
    assert winter.start_s == winter.gap_until_s
    assert at("2026-10-25T02:00") == winter.second_until_s
    assert winter.end_s == winter.first_from_s


@pytest.mark.parametrize(
    ("name", "change", "before_s", "after_s"),
    [
        ("Pacific/Apia", "2011-12-30T10:00", -10 * HOUR_S, 14 * HOUR_S),
        ("Pacific/Kwajalein", "1993-08-21T12:00", -12 * HOUR_S, 12 * HOUR_S),
        ("Australia/Lord_Howe", "2026-04-04T15:00", 11 * HOUR_S, 10 * HOUR_S + 1_800),
        ("Africa/Casablanca", "2026-02-15T02:00", HOUR_S, 0),
        ("Africa/Casablanca", "2026-03-22T02:00", 0, HOUR_S),
        ("Antarctica/Troll", "2026-03-29T01:00", 0, 2 * HOUR_S),
        ("America/Boa_Vista", "2000-10-15T03:00", -3 * HOUR_S, -4 * HOUR_S),
        ("Europe/Berlin", "2190-10-31T01:00", 2 * HOUR_S, HOUR_S),
        ("Africa/Monrovia", "1972-01-07T00:44:30", -2_670, 0),
    ],
)
def test_a_change_is_found_to_the_second(
    name: str, change: str, before_s: int, after_s: int
) -> None:
    segment = zone(name).segment(at(change))

    assert at(change) == segment.start_s
    assert (before_s, after_s) == (segment.offset_before_s, segment.offset_s)


@pytest.mark.parametrize("year", [1, 1_000, 1_899, 2_500, 9_999])
def test_years_far_away_agree_with_zoneinfo(year: int) -> None:
    from_s = max(at(f"{year:04}-01-01"), FIRST_S + 2 * DAY_S)

    for name in ("Europe/Berlin", "America/New_York", "Pacific/Apia"):
        until_s = min(from_s + 360 * DAY_S, LAST_S - 2 * DAY_S)
        assert_table_agrees(name, from_s=from_s, until_s=until_s, step_s=7 * HOUR_S)


@pytest.mark.parametrize("utc_s", [FIRST_S - 10**12, FIRST_S, LAST_S, LAST_S + 10**12])
def test_an_instant_outside_of_all_years_has_the_offset_of_the_nearest(utc_s: int) -> None:
    inside_s = min(max(utc_s, FIRST_S + 2 * DAY_S), LAST_S - 2 * DAY_S)

    assert zone("Asia/Tokyo").offset_s(inside_s) == zone("Asia/Tokyo").offset_s(utc_s)


def test_no_table_goes_on_after_the_year_9999() -> None:
    assert LAST_S + 1 == zone("Europe/Berlin").segment(LAST_S).end_s


@pytest.mark.parametrize("name", SPECIAL_ZONES)
def test_the_tables_of_difficult_zones_agree_with_zoneinfo(name: str) -> None:
    assert_table_agrees(name, from_s=at("1965-01-01"), until_s=at("2050-01-01"), step_s=DAY_S)


def test_every_zone_has_the_changes_of_its_compiled_file() -> None:
    """Some of each zone; `agree --zones` holds whole tables against zoneinfo."""
    missed = []
    for number, name in enumerate(ZONES):
        changes = [change for change in written_changes(name) if change[0] > at("1900-01-02")]
        for instant_s, before_s, after_s in changes[number % 30 :: 30]:
            segment = zone(name).segment(instant_s)
            if (instant_s, before_s, after_s) != (
                segment.start_s,
                segment.offset_before_s,
                segment.offset_s,
            ):
                missed.append((name, instant_s))

    assert not missed


def test_changes_lie_further_apart_than_a_step_of_the_scan_and_than_their_own_gaps() -> None:
    """The scan and the wall clock both lean on it, so a new release of the database must keep it.

    Were two changes nearer, one could undo the other between two looks.
    """
    too_near = []
    for name in ZONES:
        changes = written_changes(name)
        for (first_s, _, _), (second_s, _, _) in pairwise(changes):
            if second_s - first_s < 2 * DAY_S:
                too_near.append((name, first_s))
        too_near += [(name, at_s) for at_s, before, after in changes if abs(after - before) > DAY_S]

    assert not too_near


@settings(deadline=None, max_examples=200)
@given(name=st.sampled_from(ZONES), utc_s=st.integers(at("1900-01-01"), at("2200-01-01")))
def test_offsets_agree_with_zoneinfo_at_any_instant_in_any_zone(name: str, utc_s: int) -> None:
    segment = zone(name).segment(utc_s)

    assert reference.offset_s(zone(name).zoneinfo, utc_s) == segment.offset_s
    assert utc_s + segment.offset_s == zone(name).local_s(utc_s)
    assert segment.start_s <= utc_s < segment.end_s


def test_a_change_near_the_edge_of_a_table_is_seen_from_both_sides() -> None:
    """Tables end every 366 days; the times a change repeats or skips may lie beyond."""
    seen_from_before = seen_from_after = 0
    for name in ZONES:
        for instant_s, before_s, after_s in written_changes(name):
            edge_s = (instant_s + DAY_S) // SPAN_S * SPAN_S
            if abs(instant_s - edge_s) >= DAY_S:
                continue
            for segment in (zone(name).segment(edge_s - 1), zone(name).segment(edge_s)):
                if instant_s >= edge_s:
                    assert (instant_s, after_s) == (segment.end_s, segment.offset_after_s)
                    seen_from_before += 1
                    break
                assert (instant_s, before_s) == (segment.start_s, segment.offset_before_s)
                seen_from_after += 1

    assert seen_from_before > 0
    assert seen_from_after > 0
