"""The client is the ordinary one, but whoever waits lets time pass, and nobody sleeps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

import tenure
import tenure.testing
from tenure.service.program import Now, Pause, Program
from tenure.testing import Platform
from tests.testing.conftest import START, Log


def test_waiting_for_a_result_lets_just_so_much_time_pass(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    platform.enqueue(note.options(delay=86_400), "before")
    handle = platform.enqueue(note.options(delay=2 * 86_400), "awaited")
    platform.enqueue(note.options(delay=3 * 86_400), "after")

    handle.result()

    assert ["before", "awaited"] == log.words
    assert timedelta(days=2) == platform.now - START


def test_a_wait_of_no_time_runs_what_is_due_now(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task
    def word() -> str:
        return "word"

    handle = platform.enqueue(word)

    assert "word" == handle.result(timeout=0)
    assert START == platform.now


def test_a_wait_with_a_timeout_ends_with_it(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    handle = platform.enqueue(registry.task(log.note).options(delay=61), "late")

    with pytest.raises(tenure.WaitTimeoutError):
        handle.result(timeout=60)

    assert [] == log.words
    assert timedelta(seconds=60) == platform.now - START


def test_a_task_that_is_due_just_when_the_wait_ends_is_waited_for(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    handle = platform.enqueue(registry.task(log.note).options(delay=60), "in time")

    handle.result(timeout=60)

    assert ["in time"] == log.words


def test_waiting_for_what_nothing_will_end_is_an_error_and_takes_no_time(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    handle = platform.enqueue(registry.task(log.note).options(queue="unserved"), "never")

    with pytest.raises(tenure.WaitTimeoutError, match="nothing that is known of will end it"):
        handle.result()

    assert platform.now - START < timedelta(seconds=1)


def test_waiting_for_an_unknown_task_is_an_error(platform: Platform) -> None:
    with pytest.raises(tenure.NotFoundError):
        platform.client.result("no-such-task")


def test_a_failed_task_raises_as_ever(platform: Platform, registry: tenure.Registry) -> None:
    @registry.task(retry=tenure.retry(attempts=2, wait=[3600]))
    def fails() -> None:
        raise KeyError("lost")

    with pytest.raises(tenure.TaskFailedError, match="failed after 2 attempts: KeyError"):
        platform.enqueue(fails).result()

    assert timedelta(hours=1) == platform.now - START


def test_a_program_of_ones_own_that_pauses_lets_time_pass(platform: Platform) -> None:
    def program() -> Program[int]:
        before_us: int = yield Now()
        yield Pause(90_000_000)
        after_us: int = yield Now()
        return after_us - before_us

    assert 90_000_000 == platform.client.run(program())
    assert timedelta(seconds=90) == platform.now - START


def test_a_task_of_ones_own_transaction_goes_by_the_virtual_time(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    path = Path(platform.client.settings.url.removeprefix("sqlite:///"))
    connection = apsw.Connection(str(path))

    with connection:
        platform.client.within(connection).enqueue(note.options(delay=60), "within")
    connection.close()
    platform.travel("1h")

    assert [60] == log.seconds


def test_closing_the_client_leaves_the_platform_open(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    with platform.client as client:
        client.enqueue(registry.task(log.note), "word")
    client.close()
    platform.run_until_idle()

    assert ["word"] == log.words


def test_the_same_test_makes_the_same_ids_in_order(registry: tenure.Registry, log: Log) -> None:
    note = registry.task(log.note)

    def ids() -> list[str]:
        with tenure.testing.platform(registry=registry) as platform:
            made = [handle.id for handle in platform.client.enqueue_many([note.call("a")] * 20)]
            made.append(platform.enqueue(note, "b").id)
            platform.travel("1s")
            return [*made, platform.enqueue(note, "c").id]

    first = ids()

    assert ids() == first
    assert sorted(set(first)) == first


def test_the_async_client_works_in_handlers_only(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)

    with pytest.raises(tenure.ConfigError, match="async_platform"):
        asyncio.run(_enqueue(platform, note))


async def _enqueue(platform: Platform, note: tenure.SyncKind[[str], None]) -> None:
    await platform.async_client.enqueue(note, "word")


def test_a_platform_is_not_used_beside_a_running_event_loop(registry: tenure.Registry) -> None:
    async def opens() -> None:
        with tenure.testing.platform(registry=registry):
            pass

    with pytest.raises(tenure.ConfigError, match="async with"):
        asyncio.run(opens())


def test_a_platform_is_used_inside_of_with_only(registry: tenure.Registry) -> None:
    closed = tenure.testing.platform(registry=registry)

    with pytest.raises(tenure.ConfigError, match="inside of 'with'"):
        closed.travel("1d")
    with closed, pytest.raises(tenure.ConfigError, match="one 'with' is enough"):
        closed.__enter__()


def test_a_platform_can_be_opened_again_and_is_empty_then(
    registry: tenure.Registry, log: Log
) -> None:
    platform = tenure.testing.platform(registry=registry)
    with platform:
        platform.enqueue(registry.task(log.note), "word")
        platform.travel("1d")
    with platform:
        found = platform.client.find()

        assert START == platform.now
    assert [] == found


def test_nothing_is_left_on_the_disk(registry: tenure.Registry) -> None:
    with tenure.testing.platform(registry=registry) as platform:
        folder = Path(platform.client.settings.url.removeprefix("sqlite:///")).parent

        assert folder.is_dir()
    assert not folder.exists()


def test_a_worker_that_cannot_begin_is_told_when_the_platform_is_opened(
    registry: tenure.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(worker: object) -> None:
        raise tenure.StoreDownError("a planted failure")

    monkeypatch.setattr("tenure.store.workers.register", refuse)

    with pytest.raises(tenure.StoreDownError, match="a planted failure"):
        tenure.testing.platform(registry=registry).__enter__()


def test_a_bad_annotation_is_told_when_the_platform_is_opened(registry: tenure.Registry) -> None:
    def handler(what: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821 - it is the point
        pass

    registry.task(handler)

    with pytest.raises(tenure.ConfigError, match="Missing"):
        tenure.testing.platform(registry=registry).__enter__()


def test_the_time_outside_of_a_platform_is_an_error(registry: tenure.Registry) -> None:
    with pytest.raises(tenure.ConfigError, match="no platform is open"):
        tenure.testing.now()


def test_the_time_is_that_of_the_platform_opened_last(registry: tenure.Registry) -> None:
    with tenure.testing.platform(registry=registry, now="2030-06-01T12:00+02:00") as outer:
        with tenure.testing.platform(registry=registry, now=datetime(1999, 1, 1, tzinfo=UTC)):
            inner = tenure.testing.now()

        assert datetime(1999, 1, 1, tzinfo=UTC) == inner
        assert datetime(2030, 6, 1, 10, tzinfo=UTC) == tenure.testing.now() == outer.now


def test_a_handler_sees_the_time_of_its_own_platform(registry: tenure.Registry, log: Log) -> None:
    note = registry.task(log.note)
    with tenure.testing.platform(registry=registry) as outer:
        outer.enqueue(note, "outer")
        with tenure.testing.platform(registry=registry, now="1999-01-01T00:00Z"):
            outer.run_until_idle()

    assert [0] == log.seconds
