"""What becomes of due instants: missed ones, overlaps, turns, ends of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tenure.kernel.model import TaskId
from tenure.kernel.schedules.definition import Definition, RuleKind, plan_for
from tenure.kernel.schedules.firing import (
    MISSED_LISTED,
    WAITING_MAX,
    Decision,
    LiveRun,
    decide,
    decide_one,
)
from tenure.kernel.schedules.model import Schedule, Template, Verdict, fire_id, jitter_us
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies

MINUTE_US = 60_000_000
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00Z
LATE_US = MINUTE_US


def a_schedule(*, text: str = "1m", next_us: int = START_US, **policies: Any) -> Schedule:
    """A schedule that fires every minute from START_US, due at *next_us*."""
    return Schedule(
        tenant="",
        id="s",
        definition=Definition(
            rule=RuleKind.INTERVAL, text=text, start_us=START_US, policies=Policies(**policies)
        ),
        template=Template(kind="k", payload=b"{}"),
        carry=None,
        origin="",
        paused_at_us=None,
        trouble=None,
        cursor_us=next_us - 1,
        steered_us=None,
        next_fire_at_us=next_us,
        last_fired_at_us=None,
        held_by=None,
        floor_us=0,
        fired=0,
        revision=1,
        created_at_us=START_US,
        updated_at_us=START_US,
    )


def decided(
    schedule: Schedule, now_us: int, live: Sequence[LiveRun] = (), *, late_us: int = LATE_US
) -> Decision:
    return decide(schedule, plan_for(schedule.definition), live, now_us=now_us, late_us=late_us)


def minutes(decision: Decision, verdict: Verdict) -> list[int]:
    """Return which minutes came to a verdict."""
    return [
        (entry.instant_us - START_US) // MINUTE_US
        for entry in decision.entries
        if entry.verdict is verdict
    ]


def busy(name: str = "old") -> LiveRun:
    return LiveRun(TaskId(name), waits_for_turn=False)


def waiting(name: str = "next") -> LiveRun:
    return LiveRun(TaskId(name), waits_for_turn=True)


def test_an_instant_in_time_fires_and_the_next_is_planned() -> None:
    decision = decided(a_schedule(), START_US + 5)

    (entry,) = decision.entries
    assert (Verdict.FIRED, START_US, START_US, False) == (
        entry.verdict, entry.instant_us, entry.run_at_us, entry.waits,
    )  # fmt: skip
    assert fire_id("", "s", START_US) == entry.task_id
    assert (START_US, START_US + MINUTE_US) == (decision.cursor_us, decision.next_fire_at_us)
    assert (None, ()) == (decision.held_by, tuple(decision.to_cancel))


@pytest.mark.parametrize(
    ("policies", "fired"),
    [
        ({"missed": Missed.LATEST}, [10]),
        ({"missed": Missed.NONE}, [10]),
        ({"missed": Missed.ALL, "overlap": Overlap.ALLOW}, list(range(11))),
        ({"missed": Missed.ALL, "overlap": Overlap.ALLOW, "missed_max": 3}, [8, 9, 10]),
        (
            {
                "missed": Missed.ALL,
                "overlap": Overlap.ALLOW,
                "missed_within_us": 4 * MINUTE_US + MINUTE_US // 2,
            },
            [6, 7, 8, 9, 10],
        ),
    ],
    ids=str,
)
def test_of_missed_instants_those_fire_that_the_policy_names(
    policies: dict[str, Any], fired: list[int]
) -> None:
    decision = decided(a_schedule(**policies), START_US + 10 * MINUTE_US + MINUTE_US // 2)

    assert fired == minutes(decision, Verdict.FIRED)
    assert sorted(set(range(11)) - set(fired)) == minutes(decision, Verdict.MISSED)
    assert START_US + 11 * MINUTE_US == decision.next_fire_at_us
    assert START_US + 10 * MINUTE_US == decision.cursor_us


@pytest.mark.parametrize(
    ("late_us", "verdict"), [(30_000_000, Verdict.FIRED), (29_999_999, Verdict.MISSED)]
)
def test_with_none_made_up_an_instant_fires_until_it_is_late(
    late_us: int, verdict: Verdict
) -> None:
    schedule = a_schedule(missed=Missed.NONE)

    decision = decided(schedule, START_US + 30_000_000, late_us=late_us)

    assert [verdict] == [entry.verdict for entry in decision.entries]


def test_what_is_older_than_the_window_is_let_go_altogether() -> None:
    schedule = a_schedule(text="1d", missed_within_us=3600 * 1_000_000)

    decision = decided(schedule, START_US + 2 * 3600 * 1_000_000)

    assert ([], [0]) == (minutes(decision, Verdict.FIRED), minutes(decision, Verdict.MISSED))


def test_a_year_of_missed_seconds_is_one_run_and_a_bounded_list() -> None:
    schedule = a_schedule(text="1s")
    now_us = START_US + 365 * 86_400 * 1_000_000

    decision = decided(schedule, now_us)

    verdicts = [entry.verdict for entry in decision.entries]
    assert (1, MISSED_LISTED) == (verdicts.count(Verdict.FIRED), verdicts.count(Verdict.MISSED))
    assert now_us + 1_000_000 == decision.next_fire_at_us


@pytest.mark.parametrize(
    ("overlap", "live", "verdict", "waits"),
    [
        (Overlap.SKIP, [busy()], Verdict.SKIPPED, False),
        (Overlap.SKIP, [waiting()], Verdict.SKIPPED, False),
        (Overlap.ALLOW, [busy()], Verdict.FIRED, False),
        (Overlap.QUEUE_ONE, [busy()], Verdict.FIRED, True),
        (Overlap.QUEUE_ONE, [busy(), waiting()], Verdict.SKIPPED, False),
        (Overlap.QUEUE_ALL, [busy(), waiting()], Verdict.FIRED, True),
        (Overlap.QUEUE_ALL, [busy(), *[waiting()] * WAITING_MAX], Verdict.SKIPPED, False),
        (Overlap.CANCEL_OLD, [busy(), waiting()], Verdict.FIRED, True),
        (Overlap.CANCEL_OLD, [], Verdict.FIRED, False),
    ],
)
def test_an_overlap_is_as_the_policy_says(
    overlap: Overlap, live: list[LiveRun], verdict: Verdict, waits: object
) -> None:
    decision = decided(a_schedule(overlap=overlap), START_US, live)

    (entry,) = decision.entries
    assert (verdict, waits) == (entry.verdict, entry.waits)
    assert (verdict is Verdict.FIRED) == (entry.task_id is not None)
    to_cancel = [run.task_id for run in live] if overlap is Overlap.CANCEL_OLD else []
    assert to_cancel == list(decision.to_cancel)
    assert ("old" in entry.note or "next" in entry.note) == (verdict is Verdict.SKIPPED)


def test_several_made_up_runs_take_turns_among_themselves() -> None:
    schedule = a_schedule(missed=Missed.ALL, overlap=Overlap.QUEUE_ALL)

    decision = decided(schedule, START_US + 2 * MINUTE_US)

    assert [False, True, True] == [entry.waits for entry in decision.entries]


def test_counted_from_ends_the_next_is_not_planned_before_the_end() -> None:
    schedule = a_schedule(drift=Drift.DELAY)

    decision = decided(schedule, START_US + 90_000_000)

    (entry,) = decision.entries
    assert (None, entry.task_id) == (decision.next_fire_at_us, decision.held_by)
    assert START_US == decision.cursor_us


def test_counted_from_ends_a_run_asked_for_by_hand_is_waited_for() -> None:
    decision = decided(a_schedule(drift=Drift.DELAY), START_US, [busy("by hand")])

    assert ([], "by hand", None) == (
        list(decision.entries), decision.held_by, decision.next_fire_at_us,
    )  # fmt: skip


def test_counted_from_ends_nothing_is_waited_for_when_the_next_would_be_after_the_end() -> None:
    schedule = a_schedule(drift=Drift.DELAY)
    last = replace(schedule.definition, end_us=START_US + MINUTE_US - 1)

    decision = decided(replace(schedule, definition=last), START_US)

    assert (1, None, None) == (
        len(decision.entries), decision.held_by, decision.next_fire_at_us,
    )  # fmt: skip


def test_after_the_last_instant_there_is_no_next() -> None:
    schedule = a_schedule()
    ending = replace(schedule.definition, end_us=START_US)

    assert decided(replace(schedule, definition=ending), START_US).next_fire_at_us is None


def test_an_instant_of_somebodys_choice_fires_though_no_rule_names_it() -> None:
    at_us = START_US + 12_345
    schedule = replace(a_schedule(next_us=at_us), steered_us=at_us)

    decision = decided(schedule, at_us + 1)

    assert [at_us] == [entry.instant_us for entry in decision.entries]
    assert START_US + MINUTE_US == decision.next_fire_at_us


def test_a_steered_instant_before_others_that_were_decided_upon_comes_alone() -> None:
    schedule = a_schedule(next_us=START_US + 1)
    schedule = replace(schedule, steered_us=START_US + 1, cursor_us=START_US + MINUTE_US)

    decision = decided(schedule, START_US + MINUTE_US + 5)

    assert [START_US + 1] == [entry.instant_us for entry in decision.entries]
    assert START_US + MINUTE_US == decision.cursor_us


def test_a_window_shorter_than_what_counts_as_late_lets_nothing_go_that_is_in_time() -> None:
    decision = decided(a_schedule(missed_within_us=10), START_US + 30, late_us=30)

    assert [0] == minutes(decision, Verdict.FIRED)


def test_a_run_asked_for_by_hand_keeps_to_the_policy() -> None:
    schedule = a_schedule(overlap=Overlap.CANCEL_OLD)

    entry, to_cancel = decide_one(schedule, [busy()], instant_us=START_US + 7, note="asked for")

    assert (Verdict.FIRED, True, "asked for") == (entry.verdict, entry.waits, entry.note)
    assert ["old"] == list(to_cancel)


@given(st.integers(0, 10**17), st.integers(1, 10**12))
def test_jitter_is_the_same_every_time_and_below_its_bound(instant_us: int, most_us: int) -> None:
    first = jitter_us("t", "s", instant_us, most_us=most_us)

    assert first == jitter_us("t", "s", instant_us, most_us=most_us)
    assert 0 <= first < most_us


def test_jitter_spreads() -> None:
    seen = {jitter_us("", "s", START_US + n, most_us=10) for n in range(200)}

    assert set(range(10)) == seen


@given(
    st.tuples(st.text(max_size=3), st.text(max_size=3), st.integers(0, 10**16)),
    st.integers(1, 10**9),
)
def test_ids_of_fires_differ_and_sort_by_time(key: tuple[str, str, int], later_ms: int) -> None:
    tenant, schedule_id, instant_us = key
    first = fire_id(tenant, schedule_id, instant_us)
    second = fire_id(tenant, schedule_id, instant_us + later_ms * 1000)

    assert first < second
    assert first != fire_id(tenant, schedule_id, instant_us + 1)
    assert (36, "8") == (len(first), first[14])
    assert first[19] in "89ab"
