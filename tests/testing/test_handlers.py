"""Handlers are the real ones: coroutines on virtual time, plain functions one at a time."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from datetime import timedelta

import pytest

import tenure
import tenure.testing
from tenure.settings import LimitsSettings
from tenure.testing import Platform
from tenure.testing.inline import Aside, InlineRegistry
from tests.testing.conftest import START, Log, sleep


def test_sleep_in_a_handler_takes_virtual_time_only(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def slow(seconds: float) -> None:
        await sleep(seconds)
        log.note(str(seconds))

    platform.enqueue(slow, 30)
    platform.enqueue(slow, 10)
    platform.travel("1m")

    assert ["10.0", "30.0"] == log.words
    assert [10, 30] == log.seconds


def test_an_attempt_that_overruns_its_timeout_fails(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task(timeout=60, retry=tenure.retry(attempts=1))
    async def slow() -> None:
        try:
            await sleep(3600)
        finally:
            log.note("cut short")

    platform.enqueue(slow)
    platform.travel("1h")

    (failure,) = platform.failures()
    assert [60] == log.seconds
    assert failure.error is not None
    assert "timeout" == failure.error.type


def test_a_running_task_that_is_cancelled_is_asked_and_then_cut_short(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def slow() -> None:
        try:
            await sleep(3600)
        except asyncio.CancelledError:
            log.note(str(tenure.context().cancel_asked))
            raise

    handle = platform.enqueue(slow)
    platform.travel(5)
    handle.cancel()
    platform.travel("1m")

    assert tenure.State.CANCELLED == handle.task().state
    assert ["True"] == log.words
    assert [5 + platform.client.settings.worker.cancel_grace_us / 1_000_000] == log.seconds


def test_plain_functions_run_in_order_and_without_an_event_loop(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    async def two() -> int:
        return 2

    @registry.task
    def plain() -> int:
        log.note(threading.current_thread().name)
        return asyncio.run(two())

    handles = [platform.enqueue(plain) for _ in range(3)]
    platform.run_until_idle()

    assert [2, 2, 2] == [handle.result(timeout=0) for handle in handles]
    assert [True] * 3 == [name.startswith("tenure-testing") for name in log.words]


def test_a_handler_for_a_process_runs_here_too(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task(runtime="process")
    def compute(number: int, *, factor: int = 2) -> int:
        log.note("computed")
        return number * factor

    handle = platform.enqueue(compute, 3, factor=7)

    assert 21 == handle.result()
    assert ["computed"] == log.words


def test_a_plain_function_sees_its_context(platform: Platform, registry: tenure.Registry) -> None:
    @registry.task
    def plain() -> list[object]:
        context = tenure.context()
        return [context.attempt, context.started_at.isoformat(), tenure.testing.now().isoformat()]

    handle = platform.enqueue(plain.options(delay=60))

    expected = (START + timedelta(minutes=1)).isoformat()
    assert [1, expected, expected] == handle.result()


def test_what_one_handler_sets_in_its_context_no_other_sees(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    seen: ContextVar[str] = ContextVar("seen", default="nothing")

    @registry.task
    def plain(word: str) -> None:
        log.note(seen.get())
        seen.set(word)

    platform.enqueue(plain, "first")
    platform.enqueue(plain, "second")
    platform.run_until_idle()

    assert ["nothing", "nothing"] == log.words


def test_a_function_that_a_coroutine_sends_to_a_thread_is_waited_for(
    platform: Platform, registry: tenure.Registry
) -> None:
    def fails() -> None:
        raise ValueError("in the thread")

    @registry.task
    async def sends(number: int) -> str:
        doubled = await asyncio.to_thread(lambda: number * 2)
        try:
            await asyncio.to_thread(fails)
        except ValueError as error:
            return f"{doubled}, {error}"
        return "no error"

    assert "8, in the thread" == platform.enqueue(sends, 4).result()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), StopIteration()])
def test_what_a_plain_function_raises_fails_its_attempt(
    platform: Platform, registry: tenure.Registry, error: BaseException
) -> None:
    @registry.task(retry=tenure.retry(attempts=1))
    def raises() -> None:
        raise error

    platform.enqueue(raises)
    platform.run_until_idle()

    assert 1 == len(platform.failures())


def test_the_traceback_of_a_failure_begins_with_the_users_own_code(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task(retry=tenure.retry(attempts=1))
    def raises() -> None:
        raise ValueError("no luck")

    platform.enqueue(raises)
    platform.run_until_idle()

    (failure,) = platform.failures()
    assert failure.error is not None
    assert "ValueError" == failure.error.type
    first = failure.error.traceback.splitlines()[1]
    assert "test_handlers.py" in first


def test_failures_are_listed_oldest_first_with_their_last_error(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task(retry=tenure.retry(attempts=2, wait=[60]))
    def fails(word: str) -> None:
        raise ValueError(f"{word} {tenure.context().attempt}")

    @registry.task
    def works() -> None:
        pass

    first = platform.enqueue(fails, "first")
    platform.enqueue(works)
    platform.enqueue(fails, "second")
    before = platform.failures()
    platform.travel("1h")

    failures = platform.failures()
    assert [] == before
    assert ["first 2", "second 2"] == [each.error.message for each in failures if each.error]
    assert f"<task {first.id} of kind fails failed: ValueError: first 2>" == repr(failures[0])


def test_more_failures_than_a_page_are_all_listed(
    registry: tenure.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    @registry.task(retry=tenure.retry(attempts=1))
    def fails(number: int) -> None:
        raise ValueError(str(number))

    chosen = tenure.Settings(limits=LimitsSettings(page_rows_max=2))
    with tenure.testing.platform(registry=registry, settings=chosen) as platform:
        for number in range(4):
            platform.enqueue(fails, number)
        platform.run_until_idle()

        messages = [each.error.message for each in platform.failures() if each.error]
    assert ["0", "1", "2", "3"] == messages


def test_a_coroutine_waits_for_another_task_with_the_async_client(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def child() -> str:
        await sleep(120)
        return "grown"

    @registry.task
    async def parent() -> str:
        handle = await platform.async_client.enqueue(child.options(delay=3600))
        word = await handle.result()
        log.note(word)
        return word

    platform.enqueue(parent)
    platform.travel("2h")

    assert [("grown", START + timedelta(seconds=3720))] == log.entries


def test_a_coroutine_that_waits_too_long_for_another_task_is_told(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    def child() -> None:
        pass

    @registry.task
    async def parent() -> None:
        handle = await platform.async_client.enqueue(child.options(delay=3600))
        try:
            await handle.result(timeout=60)
        except tenure.WaitTimeoutError:
            log.note("too long")

    platform.enqueue(parent)
    platform.travel("2h")

    assert [60] == log.seconds


def test_a_coroutine_that_waits_hears_of_a_cancellation(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def parent(task_id: str) -> None:
        try:
            await platform.async_client.result(task_id)
        except tenure.TaskFailedError as error:
            log.note(error.state)

    @registry.task
    def child() -> None:
        pass

    handle = platform.enqueue(child.options(delay=3600))
    platform.enqueue(parent, handle.id)
    platform.travel(10)
    handle.cancel()
    platform.run_until_idle()

    assert [("cancelled", START + timedelta(seconds=10))] == log.entries


@pytest.mark.parametrize("act", ["travel", "run_until_idle", "wait"])
def test_a_handler_cannot_make_time_pass(
    platform: Platform, registry: tenure.Registry, act: str
) -> None:
    @registry.task(retry=tenure.retry(attempts=1))
    def travels() -> None:
        match act:
            case "travel":
                platform.travel("1d")
            case "wait":
                platform.client.result(tenure.context().task_id)
            case _:
                platform.run_until_idle()

    platform.enqueue(travels)
    platform.run_until_idle()

    (failure,) = platform.failures()
    assert "a handler cannot travel" in repr(failure)


def test_a_handler_that_never_ends_is_cut_short_with_the_platform(
    registry: tenure.Registry, log: Log
) -> None:
    @registry.task
    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.note("cut short")

    with tenure.testing.platform(registry=registry) as platform:
        handle = platform.enqueue(waits)
        platform.travel("30d")
        state = handle.task().state

    assert tenure.State.RUNNING == state
    assert ["cut short"] == log.words


def test_a_kind_that_is_registered_later_is_found(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    platform.run_until_idle()

    assert "late" == platform.enqueue(registry.task(_echo), "late").result()


def test_whatever_else_a_registry_has_the_worker_finds() -> None:
    class Richer(tenure.Registry):
        def __init__(self) -> None:
            super().__init__()
            self.more = "something"

    aside = Aside()
    inline = InlineRegistry(Richer(), aside)
    aside.close()

    assert "something" == inline.more
    assert 0 == len(inline)
    with pytest.raises(tenure.UnknownKindError):
        inline.get("missing")


def _echo(word: str) -> str:
    return word


def test_progress_is_written_by_the_end_of_a_journey(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task
    async def slow() -> None:
        tenure.context().progress(0.5)
        await sleep(3600)

    handle = platform.enqueue(slow)
    platform.travel(1)

    assert b'{"fraction":0.5}' == handle.task().progress
