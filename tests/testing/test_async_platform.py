"""For tests that are coroutines: handlers run on the platform's loop, not on the test's."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import tenure
import tenure.testing
from tests.testing.conftest import START, Log, sleep


def test_a_coroutine_travels_and_everything_comes_due(registry: tenure.Registry, log: Log) -> None:
    note = registry.task(log.note)

    async def test() -> None:
        async with tenure.testing.async_platform(registry=registry) as platform:
            await platform.enqueue(note.options(delay=86_400), "daily")
            await platform.client.enqueue_many([note.call("now")])
            await platform.run_until_idle()

            assert ["now"] == log.words
            await platform.travel("30d")
            assert START + timedelta(days=30) == platform.now
            assert [] == await platform.failures()

    asyncio.run(test())

    assert [0, 86_400] == log.seconds


def test_waiting_for_a_result_lets_virtual_time_pass(registry: tenure.Registry) -> None:
    @registry.task
    async def slow() -> str:
        await sleep(7200)
        return "done"

    async def test() -> timedelta:
        async with tenure.testing.async_platform(registry=registry) as platform:
            handle = await platform.enqueue(slow)
            with pytest.raises(tenure.WaitTimeoutError):
                await handle.result(timeout=3600)
            assert timedelta(hours=1) == platform.now - START
            assert "done" == await handle.result()
            return platform.now - START

    assert timedelta(hours=2) == asyncio.run(test())


def test_the_client_works_in_the_test_and_in_handlers(registry: tenure.Registry, log: Log) -> None:
    async def test() -> None:
        async with tenure.testing.async_platform(registry=registry) as platform:
            note = registry.task(log.note)

            @registry.task
            async def parent(seconds: float) -> None:
                handle = await platform.client.enqueue(note.options(delay=seconds), "child")
                await handle.result()
                log.note("parent")

            @registry.task
            def plain() -> None:
                platform.sync_client.enqueue(note, "of a plain function")

            async with platform.client as client:
                await client.enqueue(parent, 60)
                await client.enqueue(plain)
            await platform.travel("1h")

    asyncio.run(test())

    assert ["of a plain function", "child", "parent"] == log.words
    assert [0, 60, 60] == log.seconds


def test_the_loop_of_the_test_goes_on_while_the_platform_travels(registry: tenure.Registry) -> None:
    turns: list[str] = []

    async def beside() -> None:
        turns.append("beside")

    async def test() -> None:
        async with (
            asyncio.TaskGroup() as group,
            tenure.testing.async_platform(registry=registry) as platform,
        ):
            group.create_task(beside())
            await platform.travel(days=365)
            turns.append("arrived")

    asyncio.run(test())

    assert ["beside", "arrived"] == turns


def test_failures_of_handlers_are_listed(registry: tenure.Registry) -> None:
    @registry.task(retry=tenure.retry(attempts=1))
    async def fails() -> None:
        raise ValueError("no luck")

    async def test() -> str:
        async with tenure.testing.async_platform(registry=registry) as platform:
            await platform.enqueue(fails)
            await platform.travel(until="2026-02-01T00:00Z")
            return repr(await platform.failures())

    assert "ValueError: no luck" in asyncio.run(test())


def test_a_handler_cannot_travel(registry: tenure.Registry) -> None:
    async def test() -> str:
        async with tenure.testing.async_platform(registry=registry) as platform:

            @registry.task(retry=tenure.retry(attempts=1))
            async def travels() -> None:
                await platform.travel("1d")

            await platform.enqueue(travels)
            await platform.run_until_idle()
            return repr(await platform.failures())

    assert "a handler cannot travel" in asyncio.run(test())


def test_it_is_used_inside_of_async_with_only(registry: tenure.Registry) -> None:
    async def test() -> None:
        closed = tenure.testing.async_platform(registry=registry)
        with pytest.raises(tenure.ConfigError, match="inside of 'async with'"):
            await closed.travel("1d")
        async with closed:
            with pytest.raises(tenure.ConfigError, match="one 'async with' is enough"):
                await closed.__aenter__()
            await closed.run_until_idle()

    asyncio.run(test())


def test_a_platform_that_cannot_be_opened_leaves_no_thread(registry: tenure.Registry) -> None:
    def handler(what: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821 - it is the point
        pass

    registry.task(handler)

    async def test() -> None:
        platform = tenure.testing.async_platform(registry=registry)
        for _ in range(2):
            with pytest.raises(tenure.ConfigError, match="Missing"):
                await platform.__aenter__()

    asyncio.run(test())
