"""The time stands until the test travels, and what comes due runs at its own moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tenure
import tenure.testing
from tenure.settings import ClaimerSettings, PrunerSettings, WorkerSettings
from tenure.testing import Platform
from tests.testing.conftest import START, Log, sleep

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_S = 86_400
DAY_US = DAY_S * 1_000_000


def test_the_time_stands_until_the_test_travels(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    platform.enqueue(note, "now")
    platform.enqueue(note.options(delay=0.000001), "later")

    platform.run_until_idle()
    platform.run_until_idle()

    assert ["now"] == log.words
    assert START == platform.now


def test_nothing_runs_before_the_test_lets_it(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    handle = platform.enqueue(registry.task(log.note), "word")

    assert tenure.State.PENDING == handle.task().state
    assert [] == log.words


def test_each_task_runs_at_its_own_moment_and_in_order(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    platform.enqueue(note.options(at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC)), "march")
    platform.enqueue(note.options(delay=timedelta(days=31)), "february")
    platform.enqueue(note.options(delay=0.25), "at once")

    platform.travel(days=400)

    assert [
        ("at once", START + timedelta(milliseconds=250)),
        ("february", datetime(2026, 2, 1, tzinfo=UTC)),
        ("march", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
    ] == log.entries
    assert START + timedelta(days=400) == platform.now


def test_what_is_due_at_the_end_of_a_journey_runs_and_what_is_due_later_does_not(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    platform.enqueue(note.options(delay=60), "at the end")
    platform.enqueue(note.options(delay=60.000001), "after it")

    platform.travel("1m")

    assert ["at the end"] == log.words
    assert START + timedelta(minutes=1) == platform.now


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(
    delays_us=st.lists(
        st.one_of(
            st.integers(0, 5),
            st.integers(0, 400 * DAY_US),
            # The engine's own periods, which no task may be confused with.
            st.sampled_from([1_000_000, 5_000_000, 60_000_000, DAY_US]),
        ),
        max_size=8,
    ),
    stops_us=st.lists(st.integers(1, 100 * DAY_US), max_size=4),
)
def test_however_one_travels_tasks_run_when_they_are_due(
    delays_us: list[int], stops_us: list[int]
) -> None:
    registry, log = tenure.Registry(), Log()
    note = registry.task(log.note)

    with tenure.testing.platform(registry=registry) as platform:
        for us in delays_us:
            platform.enqueue(note.options(delay=timedelta(microseconds=us)), str(us))
        for us in stops_us:
            platform.travel(timedelta(microseconds=us))
        platform.travel(days=400)

    expected = [(str(us), START + timedelta(microseconds=us)) for us in sorted(delays_us)]
    assert expected == log.entries


def test_a_year_of_daily_tasks_takes_few_turns(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    """The loops of a worker look every second; a year of that would be a hundred million looks."""
    note = registry.task(log.note)
    for day in range(365):
        platform.enqueue(note.options(delay=DAY_S * day), str(day))
    worker = platform._stage._worker
    turns: list[str] = []
    for each in worker._loops:
        _count(each, turns)

    platform.travel(days=366)

    assert [str(day) for day in range(365)] == log.words
    assert len(turns) < 20 * 365
    # One at each moment, and none to be asked when it wants to come again.
    assert turns.count("pruner") < 380


def test_an_empty_year_takes_no_turns_to_speak_of(platform: Platform) -> None:
    turns: list[str] = []
    for each in platform._stage._worker._loops:
        _count(each, turns)

    platform.travel(days=3650)

    assert len(turns) < 200


def _count(each: object, turns: list[str]) -> None:
    tick = each.tick  # type: ignore[attr-defined]  # any loop of the engine

    async def counted() -> int:
        turns.append(each.name)  # type: ignore[attr-defined]  # any loop of the engine
        wait_us: int = await tick()
        return wait_us

    each.tick = counted  # type: ignore[attr-defined]  # put before the class's own


def test_a_retry_waits_its_virtual_time(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task(retry=tenure.retry(attempts=3, wait=[60, 3600]))
    def fails(word: str) -> None:
        log.note(word)
        raise ValueError("no luck")

    platform.enqueue(fails, "try")
    platform.travel(days=1)

    assert [0, 60, 3660] == log.seconds


def test_what_a_handler_enqueues_runs_at_the_same_moment(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)

    @registry.task
    def spread(depth: int) -> None:
        log.note(str(depth))
        platform.client.enqueue(spread, depth - 1) if depth else platform.client.enqueue(
            note, "end"
        )

    platform.enqueue(spread.options(delay=90), 3)
    platform.travel("2m")

    assert ["3", "2", "1", "0", "end"] == log.words
    assert [90, 90, 90, 90, 90] == log.seconds


def test_a_task_that_enqueues_itself_at_once_is_told_to_wait(
    platform: Platform, registry: tenure.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.testing.stepped.ROUNDS_MAX", 50)

    @registry.task
    def again() -> None:
        platform.client.enqueue(again)

    platform.enqueue(again)

    with pytest.raises(tenure.LimitError, match="no end to what is due at 2026-01-01"):
        platform.travel("1s")


def test_a_coroutine_that_never_waits_is_told_so(
    platform: Platform, registry: tenure.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.testing.loop.TURNS_MAX", 1_000)

    @registry.task
    async def spins() -> None:
        while True:
            await sleep(0)

    platform.enqueue(spins)

    with pytest.raises(tenure.LimitError, match="1,000 turns without a moment of time"):
        platform.run_until_idle()


def test_too_many_moments_on_the_way_are_refused(
    platform: Platform, registry: tenure.Registry, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.testing.stepped.MOMENTS_MAX", 10)

    @registry.task
    def every_second(word: str) -> None:
        platform.client.enqueue(every_second.options(delay=1), word)

    platform.enqueue(every_second, "tick")

    with pytest.raises(tenure.LimitError, match="more than 10 moments"):
        platform.travel("1m")


def test_a_lease_is_renewed_while_its_handler_sleeps(registry: tenure.Registry, log: Log) -> None:
    @registry.task
    async def slow(word: str) -> None:
        await sleep(600)
        log.note(word)

    chosen = tenure.Settings(worker=WorkerSettings(lease_us=5_000_000))
    with tenure.testing.platform(registry=registry, settings=chosen) as platform:
        platform.enqueue(slow, "slept")
        platform.travel("1h")

        assert [("slept", START + timedelta(minutes=10))] == log.entries


def test_ended_tasks_are_kept_unless_the_settings_say_otherwise(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    kept = platform.enqueue(note, "kept")
    platform.travel(days=400)
    chosen = tenure.Settings(pruner=PrunerSettings(keep_completed_us=DAY_US))

    with tenure.testing.platform(registry=registry, settings=chosen) as other:
        pruned = other.enqueue(note, "pruned")
        other.travel("2d")

        assert tenure.State.COMPLETED == kept.task().state
        with pytest.raises(tenure.NotFoundError):
            pruned.task()


def test_the_other_settings_are_those_that_were_given(registry: tenure.Registry, log: Log) -> None:
    note = registry.task(log.note)
    chosen = tenure.Settings(claimer=ClaimerSettings(unknown_kind_us=7_200_000_000))

    with tenure.testing.platform(registry=tenure.Registry(), settings=chosen) as platform:
        handle = platform.enqueue(note, "unknown")
        platform.run_until_idle()

        due_us = handle.task().run_at_us
    assert 7_200_000_000 == due_us - int(START.timestamp()) * 1_000_000


@pytest.mark.parametrize("us", [1, 2, 3, 999_999, 1_000_001, 86_400_000_001])
@pytest.mark.parametrize("days", [0, 1000, 36_000])
def test_a_sleep_is_as_long_as_asked_for_to_the_microsecond(
    platform: Platform, registry: tenure.Registry, log: Log, us: int, days: int
) -> None:
    @registry.task
    async def sleeper() -> None:
        await sleep(us / 1_000_000)
        log.note("awake")

    platform.travel(days=days)
    began = platform.now
    handle = platform.enqueue(sleeper)
    platform.travel("2d")

    expected = began + timedelta(microseconds=us)
    assert [("awake", expected)] == log.entries
    assert (expected - EPOCH) // timedelta(microseconds=1) == handle.task().ended_at_us


@pytest.mark.parametrize("us", [0, 1, 2, 3])
def test_a_task_ends_at_the_moment_it_is_due(
    platform: Platform, registry: tenure.Registry, log: Log, us: int
) -> None:
    due_us = (START - EPOCH) // timedelta(microseconds=1) + us
    handle = platform.enqueue(registry.task(log.note).options(delay=us / 1_000_000), "word")

    platform.travel("1d")

    assert due_us == handle.task().ended_at_us


def test_a_year_of_sleep_is_one_handler_of_a_year(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def sleeper() -> None:
        await sleep(365 * DAY_S)
        log.note("awake")

    platform.enqueue(sleeper)
    platform.travel(days=364)
    before = list(log.words)
    platform.travel(days=1)

    assert [] == before
    assert [365 * DAY_S] == log.seconds
