"""Previews: what fires and what does not, against a slow walk; and what an edit changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules import preview as module
from tenure.kernel.schedules.cron import parse_cron
from tenure.kernel.schedules.definition import (
    Definition,
    Plan,
    RuleKind,
    parse_instant,
    plan_for,
)
from tenure.kernel.schedules.exclusions import Exclusion, parse_exclusion
from tenure.kernel.schedules.left_out import LeftOut, Reason
from tenure.kernel.schedules.policies import Drift, Policies
from tenure.kernel.schedules.preview import Preview, difference, occurrences
from tenure.kernel.schedules.shown import Occurrence
from tenure.kernel.schedules.wallclock import Fold, Gap
from tests.kernel.schedules.agree import DAY_S, Case, cases

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
SECOND_US = 1_000_000
# More local times than these in a window are not walked through.
WALKED_MAX = 1_500


def us(text: str) -> int:
    """Return the instant of a time in UTC."""
    return parse_instant(f"{text}Z", field="test")


def cron(
    text: str,
    *,
    zone: str = BERLIN,
    start: str | None = None,
    end: str | None = None,
    exclusions: tuple[Exclusion, ...] = (),
    policies: Policies | None = None,
) -> Plan:
    """Return the plan of a cron text."""
    definition = Definition(
        rule=RuleKind.CRON,
        text=text,
        zone=zone,
        start_us=None if start is None else us(start),
        end_us=None if end is None else us(end),
        policies=policies or Policies(),
    )
    return plan_for(definition, exclusions)


def interval(text: str, *, start: str | None, drift: Drift = Drift.RATE) -> Plan:
    """Return the plan of an interval."""
    start_us = None if start is None else us(start)
    policies = Policies(drift=drift)
    return plan_for(
        Definition(rule=RuleKind.INTERVAL, text=text, start_us=start_us, policies=policies)
    )


def seen(plan: Plan, after: str, until: str, *, limit: int = 100) -> Preview:
    """Return the preview of a window."""
    return occurrences(plan, after_us=us(after), until_us=us(until), limit=limit)


def locals_of(found: tuple[Occurrence, ...] | tuple[LeftOut, ...]) -> list[str]:
    """Return the local times, without seconds."""
    return [each.local.replace(":00+", "+") for each in found]


SPRING = ("2026-03-28T12:00:00", "2026-03-30T12:00:00")
AUTUMN = ("2026-10-24T12:00:00", "2026-10-26T12:00:00")


def test_a_time_shifted_out_of_a_gap_is_marked_with_where_it_comes_from() -> None:
    found = seen(cron("30 2 * * *"), *SPRING)

    assert ["2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"] == locals_of(found.occurrences)
    assert ["Sunday", "Monday"] == [each.weekday for each in found.occurrences]
    shifted, plain = (each.marks for each in found.occurrences)
    assert ["shifted from 2026-03-29T02:30:00, which the clocks skip"] == [
        mark.words for mark in shifted
    ]
    assert () == plain
    assert () == found.left_out


def test_a_time_skipped_in_a_gap_is_listed_as_left_out() -> None:
    found = seen(cron("30 2 * * *", policies=Policies(gap=Gap.SKIP)), *SPRING)

    assert ["2026-03-30T02:30+02:00"] == locals_of(found.occurrences)
    (left,) = found.left_out
    assert ("2026-03-29T02:30:00", "Sunday", Reason.GAP) == (left.local, left.weekday, left.reason)
    assert us("2026-03-29T01:30:00") == left.at_us
    assert "the clocks skip it" == left.words


@pytest.mark.parametrize(
    ("fold", "fires", "left"),
    [
        (Fold.FIRST, [("+02:00", "first")], ["+01:00"]),
        (Fold.SECOND, [("+01:00", "second")], ["+02:00"]),
        (Fold.BOTH, [("+02:00", "first"), ("+01:00", "second")], []),
    ],
)
def test_a_repeated_time_is_marked_and_its_other_half_left_out(
    fold: Fold, fires: list[tuple[str, str]], left: list[str]
) -> None:
    found = seen(cron("30 2 * * *", policies=Policies(fold=fold)), *AUTUMN)

    marked = [each for each in found.occurrences if each.marks]
    assert fires == [(each.local[-6:], each.marks[0].special.value) for each in marked]
    assert [f"2026-10-25T02:30{offset}" for offset in left] == locals_of(found.left_out)
    assert all(each.reason is Reason.FOLD for each in found.left_out)
    assert all("the other time" in each.words for each in found.left_out)
    assert {mark.words for each in marked for mark in each.marks} == {
        f"the {word} of two times that the clocks show alike" for _, word in fires
    }


def test_an_excluded_time_is_left_out_with_the_calendars_that_exclude_it() -> None:
    days = [["2026-12-25"], ["2026-12-24/2026-12-25"], ["2027-12-25"]]
    plan = cron(
        "0 9 * * *",
        policies=Policies(exclude=("state", "firm", "later")),
        exclusions=tuple(parse_exclusion({"dates": dates}) for dates in days),
    )

    found = seen(plan, "2026-12-23T00:00:00", "2026-12-26T23:00:00")

    assert ["2026-12-23T09:00+01:00", "2026-12-26T09:00+01:00"] == locals_of(found.occurrences)
    assert [
        ("2026-12-24T09:00:00+01:00", "Thursday", "excluded by 'firm'"),
        ("2026-12-25T09:00:00+01:00", "Friday", "excluded by 'state' and 'firm'"),
    ] == [(each.local, each.weekday, each.words) for each in found.left_out]
    assert [Reason.CALENDAR] * 2 == [each.reason for each in found.left_out]


def test_what_is_left_out_keeps_within_start_and_end() -> None:
    policies = Policies(gap=Gap.SKIP, exclude=("firm",))
    plan = cron(
        "*/30 * * * *",
        start="2026-03-29T01:30:00",
        end="2026-03-29T06:00:00",
        policies=policies,
        exclusions=(parse_exclusion({"periods": ["2026-03-29T05:30:00Z/2026-03-29T09:00:00Z"]}),),
    )

    found = seen(plan, *SPRING)

    assert [
        "2026-03-29T02:30:00",
        "2026-03-29T07:30:00+02:00",
        "2026-03-29T08:00:00+02:00",
    ] == [each.local for each in found.left_out]


def test_nothing_in_a_gap_is_left_out_once_the_schedule_has_ended() -> None:
    policies = Policies(gap=Gap.SKIP)

    over = seen(cron("30 2 * * *", end="2026-03-29T01:29:59", policies=policies), *SPRING)
    going = seen(cron("30 2 * * *", end="2026-03-29T01:30:00", policies=policies), *SPRING)

    assert [0, 1] == [len(over.left_out), len(going.left_out)]


def test_what_is_left_out_at_the_last_instant_of_the_window_is_listed() -> None:
    plan = cron("30 2 * * *", policies=Policies(fold=Fold.FIRST))

    found = seen(plan, AUTUMN[0], "2026-10-25T01:30:00")

    assert ["2026-10-25T02:30+01:00"] == locals_of(found.left_out)


def test_what_is_left_out_for_different_reasons_comes_in_order_of_time() -> None:
    plan = cron(
        "30 2 * * *",
        policies=Policies(gap=Gap.SKIP, exclude=("firm",)),
        exclusions=(parse_exclusion({"dates": ["2026-03-28", "2026-03-30"]}),),
    )

    found = seen(plan, "2026-03-27T12:00:00", "2026-03-30T12:00:00")

    assert [Reason.CALENDAR, Reason.GAP, Reason.CALENDAR] == [
        each.reason for each in found.left_out
    ]


def test_the_window_begins_after_its_first_instant_and_includes_its_last() -> None:
    found = seen(cron("0 * * * *", zone="UTC"), "2026-01-01T09:00:00", "2026-01-01T11:00:00")

    assert ["2026-01-01T10:00+00:00", "2026-01-01T11:00+00:00"] == locals_of(found.occurrences)
    assert not found.truncated
    assert "UTC" == found.zone


@pytest.mark.parametrize(("limit", "truncated"), [(1, True), (2, False), (3, False)])
def test_a_preview_is_truncated_only_if_there_is_more(limit: int, truncated: bool) -> None:
    window = ("2026-01-01T09:00:00", "2026-01-01T11:00:00")

    found = seen(cron("0 * * * *", zone="UTC"), *window, limit=limit)

    assert truncated == found.truncated
    assert min(2, limit) == len(found.occurrences)


@pytest.mark.parametrize(("limit", "truncated"), [(9, True), (10, False)])
def test_what_is_left_out_counts_for_truncation_too(limit: int, truncated: bool) -> None:
    plan = cron(
        "0 9 * * *",
        policies=Policies(exclude=("firm",)),
        exclusions=(parse_exclusion({"dates": ["2026-02-01/2026-02-10"]}),),
    )

    found = seen(plan, "2026-01-31T12:00:00", "2026-02-11T12:00:00", limit=limit)

    assert truncated == found.truncated
    assert limit == len(found.left_out)
    assert "2026-02-01T09:00:00+01:00" == found.left_out[0].local


def test_nothing_is_left_out_after_the_last_fire_of_a_truncated_preview() -> None:
    plan = cron("30 2 * * *", policies=Policies(gap=Gap.SKIP))

    before = seen(plan, "2026-03-26T12:00:00", "2026-04-30T00:00:00", limit=2)
    beyond = seen(plan, "2026-03-26T12:00:00", "2026-04-30T00:00:00", limit=3)

    assert [] == locals_of(before.left_out)
    assert ["2026-03-29T02:30:00"] == locals_of(beyond.left_out)


def test_a_jitter_makes_each_fire_due_within_a_range() -> None:
    found = seen(cron("0 9 * * *", policies=Policies(jitter_us=30_000_000)), *SPRING)
    plain = seen(cron("0 9 * * *"), *SPRING)

    assert {29_999_999} == {each.latest_us - each.at_us for each in found.occurrences}
    assert {0} == {each.latest_us - each.at_us for each in plain.occurrences}
    assert 30_000_000 == found.jitter_us


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        ("2026-01-01T09:00:00", "2026-01-01T08:00:00", ["2026-01-01T09:00:00+00:00"]),
        ("2026-01-01T09:00:00", "2026-01-01T09:00:00", []),
        ("2026-01-09T09:00:00", "2026-01-01T09:00:00", []),
        (None, "2026-01-01T09:00:00", []),
    ],
)
def test_of_a_schedule_counted_from_ends_only_the_first_fire_is_shown(
    start: str | None, after: str, expected: list[str]
) -> None:
    plan = interval("5m", start=start, drift=Drift.DELAY)

    found = seen(plan, after, "2026-01-02T00:00:00")

    assert expected == [each.local for each in found.occurrences]
    assert found.counts_from_ends
    assert "from the end of the one before" in found.sentence
    assert not seen(cron("0 9 * * *"), *SPRING).counts_from_ends
    assert "" == seen(cron("0 9 * * *"), *SPRING).sentence


def test_an_interval_is_shown_to_the_microsecond_and_its_repeated_hours_marked() -> None:
    start_us = us("2026-10-25T00:00:00") + 1
    plan = plan_for(Definition(rule=RuleKind.INTERVAL, text="1h", zone=BERLIN, start_us=start_us))

    found = seen(plan, "2026-10-24T00:00:00", "2026-10-25T02:30:00")

    assert [
        ("2026-10-25T02:00:00.000001+02:00", ["first"]),
        ("2026-10-25T02:00:00.000001+01:00", ["second"]),
        ("2026-10-25T03:00:00.000001+01:00", []),
    ] == [(each.local, [mark.special.value for mark in each.marks]) for each in found.occurrences]


def test_an_instant_whose_local_year_is_10000_is_shown_in_utc() -> None:
    plan = plan_for(
        Definition(rule=RuleKind.ONCE, text="9999-12-31T23:00:00Z", zone="Pacific/Kiritimati")
    )

    found = seen(plan, "9999-01-01T00:00:00", "9999-12-31T23:59:59")

    assert ["9999-12-31T23:00:00+00:00"] == [each.local for each in found.occurrences]


@pytest.mark.parametrize(
    ("until", "limit", "field"),
    [("2026-01-01T08:59:59", 1, "until"), ("2026-01-02T00:00:00", 0, "limit")],
)
def test_a_window_or_limit_out_of_range_is_refused(until: str, limit: int, field: str) -> None:
    plan = cron("0 9 * * *")
    after_us = us("2026-01-01T09:00:00")

    with pytest.raises(InvalidError) as previewed:
        occurrences(plan, after_us=after_us, until_us=us(until), limit=limit)
    with pytest.raises(InvalidError) as compared:
        difference(plan, plan, after_us=after_us, until_us=us(until), limit=limit)

    assert {field} == {previewed.value.field, compared.value.field}


def walked(case: Case, until_us: int) -> Iterator[tuple[int, str, Reason | None]]:
    """Yield every local time that the text names near a window: where it is, and what becomes.

    It takes zoneinfo's word for what each local time means.
    """
    rule, where = parse_cron(case.text), ZoneInfo(case.zone_name)
    local_s = case.after_us // SECOND_US - DAY_S
    for _ in range(WALKED_MAX):
        found_s = rule.at_or_after(local_s)
        if found_s is None or found_s > until_us // SECOND_US + DAY_S:
            return
        local_s = found_s + 1
        naive = EPOCH + timedelta(seconds=found_s)
        first, second = (naive.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1))
        is_named = first.astimezone(where).replace(tzinfo=UTC) == naive
        first_us, second_us = (
            (each - EPOCH) // timedelta(microseconds=1) for each in (first, second)
        )
        if not is_named:
            yield first_us, naive.isoformat()[:-6], Reason.GAP if case.gap is Gap.SKIP else None
            continue
        shown = naive.replace(tzinfo=where, fold=0).isoformat()
        is_twice = first_us != second_us
        is_silent = is_twice and case.fold is Fold.SECOND
        yield first_us, shown, Reason.FOLD if is_silent else None
        if is_twice:
            shown = naive.replace(tzinfo=where, fold=1).isoformat()
            yield second_us, shown, Reason.FOLD if case.fold is Fold.FIRST else None
    assume(False)


@given(cases(), st.integers(0, 5 * DAY_S))
@example(
    Case(
        text="*/30 * * * *",
        zone_name="Australia/Lord_Howe",
        after_us=us("2026-10-03T12:00:00"),
        gap=Gap.SKIP,
        fold=Fold.FIRST,
    ),
    2 * DAY_S,
)
@example(
    Case(
        text="*/30 * * * *",
        zone_name="Australia/Lord_Howe",
        after_us=us("2026-04-04T12:00:00"),
        gap=Gap.SKIP,
        fold=Fold.SECOND,
    ),
    2 * DAY_S,
)
@example(
    Case(
        text="0 12 30 12 *",
        zone_name="Pacific/Apia",
        after_us=us("2011-12-25T00:00:00"),
        gap=Gap.SKIP,
        fold=Fold.SECOND,
    ),
    10 * DAY_S,
)
@settings(max_examples=250, deadline=None)
def test_fires_and_what_is_left_out_are_all_that_a_slow_walk_finds(
    case: Case, length_s: int
) -> None:
    try:
        parse_cron(case.text)
    except InvalidError:
        assume(False)
    after_us = max(0, case.after_us)
    until_us = after_us + length_s * SECOND_US
    policies = Policies(gap=case.gap, fold=case.fold)
    plan = cron(case.text, zone=case.zone_name, policies=policies)
    expected = [each for each in walked(case, until_us) if after_us < each[0] <= until_us]

    found = occurrences(plan, after_us=after_us, until_us=until_us, limit=5_000)

    # Two local times can meet in one instant, where one of them is shifted.
    assert sorted({at for at, _, reason in expected if reason is None}) == [
        each.at_us for each in found.occurrences
    ]
    assert sorted((at, shown, reason) for at, shown, reason in expected if reason) == sorted(
        (each.at_us, each.local, each.reason) for each in found.left_out
    )
    assert_shown_as_zoneinfo_does(found, ZoneInfo(case.zone_name))


def assert_shown_as_zoneinfo_does(found: Preview, where: ZoneInfo) -> None:
    """Compare local times, weekdays and marks of repeated hours."""
    for each in found.occurrences:
        moment = (EPOCH + timedelta(microseconds=each.at_us)).astimezone(where)
        other = moment.replace(fold=1 - moment.fold)
        is_twice = moment.utcoffset() != other.utcoffset()
        is_twice = is_twice and other.astimezone(UTC).astimezone(where).replace(
            tzinfo=UTC
        ) == moment.replace(tzinfo=UTC)
        specials = [mark.special.value for mark in each.marks if mark.from_local is None]
        assert moment.isoformat() == each.local
        assert f"{moment:%A}" == each.weekday
        assert ([("first", "second")[moment.fold]] if is_twice else []) == specials


YEAR = ("2026-01-01T00:00:00", "2026-12-31T23:59:59")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("0 9 * * 1", "0 9 * * *", "Of 52 fires until 2026-12-31, 52 stay, 0 go and 313 are new."),
        ("0 9 1 1 *", "0 9 2 1 *", "Of 1 fire until 2026-12-31, 0 stay, 1 goes and 1 is new."),
        ("0 9 1,2 1 *", "0 9 1 1 *", "Of 2 fires until 2026-12-31, 1 stays, 1 goes and 0 are new."),
        (
            "0 * * * *",
            "0 9 * * *",
            "Of 8,760 fires until 2026-12-31, 365 stay, 8,395 go and 0 are new.",
        ),
    ],
)
def test_a_difference_is_said_in_one_sentence(before: str, after: str, sentence: str) -> None:
    plans = [cron(text, zone="UTC") for text in (before, after)]

    found = difference(plans[0], plans[1], after_us=us(YEAR[0]) - 1, until_us=us(YEAR[1]), limit=10)

    assert sentence == found.sentence


def test_a_difference_lists_what_goes_and_what_is_new_up_to_the_limit() -> None:
    before = cron("0 9 * * *", zone="UTC")
    after = cron("0 10,11 * * *", policies=Policies(jitter_us=2))
    until_us = us("2026-01-03T23:59:59")

    found = difference(before, after, after_us=us(YEAR[0]), until_us=until_us, limit=3)

    # 10:00 in Berlin is 09:00 in UTC.
    assert (3, 0, 3) == (found.kept, found.removed_count, found.added_count)
    assert not found.truncated
    assert ["2026-01-01T11:00:00+01:00", "2026-01-02T11:00:00+01:00"] == [
        each.local for each in found.added[:2]
    ]
    assert {1} == {each.latest_us - each.at_us for each in found.added}
    swapped = difference(after, before, after_us=us(YEAR[0]), until_us=until_us, limit=2)
    assert (3, 3, 0, 2) == (
        swapped.kept,
        swapped.removed_count,
        swapped.added_count,
        len(swapped.removed),
    )
    assert swapped.truncated
    assert until_us == swapped.compared_until_us


def test_a_difference_of_too_many_fires_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMPARED_MAX", 5)
    plans = [cron(text, zone="UTC") for text in ("0 9 * * *", "0 9,12 * * *")]

    found = difference(plans[0], plans[1], after_us=us(YEAR[0]), until_us=us(YEAR[1]), limit=100)

    assert (3, 0, 2) == (found.kept, found.removed_count, found.added_count)
    assert us("2026-01-03T12:00:00") - 1 == found.compared_until_us
    assert found.truncated
    assert "until 2026-01-03 11:59:59 UTC" in found.sentence


def test_a_difference_with_times_counted_from_ends_says_that_it_knows_only_the_first() -> None:
    rate = interval("5m", start=YEAR[0])
    delay = interval("5m", start=YEAR[0], drift=Drift.DELAY)
    window = {"after_us": us(YEAR[0]) - 1, "until_us": us("2026-01-01T01:00:00")}

    found = difference(rate, delay, **window, limit=100)

    assert (1, 12, 0) == (found.kept, found.removed_count, found.added_count)
    assert found.sentence.endswith("so only the first time is known.")
    assert difference(delay, rate, **window, limit=9).sentence.endswith("time is known.")
    assert not difference(rate, rate, **window, limit=9).sentence.endswith("time is known.")


HOURLY = st.builds(
    "{} {} * * *".format, st.sampled_from(["0", "30", "*/20"]), st.sampled_from(["*", "9", "2-5"])
)


@given(HOURLY, HOURLY, st.sampled_from(["UTC", BERLIN]), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_a_difference_counts_as_sets_do(one: str, other: str, zone: str, limit: int) -> None:
    before, after = cron(one, zone="UTC"), cron(other, zone=zone)
    window = {"after_us": us(SPRING[0]), "until_us": us(SPRING[1])}
    sets = [
        {each.at_us for each in occurrences(plan, **window, limit=5_000).occurrences}
        for plan in (before, after)
    ]

    found = difference(before, after, **window, limit=limit)

    gone, new = sorted(sets[0] - sets[1]), sorted(sets[1] - sets[0])
    assert (len(sets[0] & sets[1]), len(gone), len(new)) == (
        found.kept,
        found.removed_count,
        found.added_count,
    )
    assert gone[:limit] == [each.at_us for each in found.removed]
    assert new[:limit] == [each.at_us for each in found.added]
    assert (max(len(gone), len(new)) > limit) == found.truncated
