"""The client for coroutines, on both stores. What both clients share is tested in test_client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

import tenure
from tenure import (
    AsyncClient,
    ConfigError,
    DuplicateError,
    InvalidError,
    NotFoundError,
    Registry,
    State,
    StoreDownError,
    TaskFailedError,
    WaitTimeoutError,
)

registry = Registry()


@dataclass
class Sum:
    total: int


@registry.task
def add(*parts: int) -> Sum:
    return Sum(sum(parts))


@registry.task(retry=tenure.retry(1))
async def fail(why: str) -> None:
    raise RuntimeError(why)


Test = Callable[[AsyncClient], Coroutine[Any, Any, None]]


def on(url: str, test: Test) -> None:
    """Run a test with an open client."""

    async def main() -> None:
        async with AsyncClient(url) as client:
            await test(client)

    asyncio.run(main())


def test_a_task_is_stored_and_looked_up(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        handle = await client.enqueue(add.options(queue="sums", tags=["a"]), 1, 2)

        task = await handle.task()

        assert (task.kind, task.queue, task.tags) == ("add", "sums", ("a",))
        assert task.payload == b'{"parts":[1,2]}'
        assert [found.id for found in await client.find(queue="sums")] == [handle.id]
        assert (await client.get(handle.id)).id == handle.id
        assert (await client.story(handle.id)).attempts == []
        assert [each.queue.name for each in await client.queues()] == ["sums"]
        assert await client.workers() == []
        assert repr(handle) == f"<task {handle.id} of kind add>"

    on(url, test)


def test_results_and_errors_come_back(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        async with tenure.Worker(client, registry=registry):
            good = await client.enqueue(add, 1, 2)
            bad = await client.enqueue(fail, "no luck")

            assert await good.result(timeout=30) == Sum(3)
            assert await client.result(good.id) == b'{"total":3}'
            with pytest.raises(TaskFailedError, match="RuntimeError: no luck"):
                await bad.result(timeout=30)

    on(url, test)


def test_many_are_stored(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        handles = await client.enqueue_many(add.call(n) for n in range(2_500))
        unique = add.options(unique="k", return_existing=True)
        twice = await client.enqueue_many([unique.call(1), fail.call("x"), unique.call(2)])

        assert len({handle.id for handle in handles}) == 2_500
        assert (await handles[2_499].task()).payload == b'{"parts":[2499]}'
        assert twice[0].id == twice[2].id != twice[1].id
        with pytest.raises(DuplicateError):
            await client.enqueue(add.options(unique="k"), 1)

    on(url, test)


def test_a_task_is_cancelled_and_revived(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        handle = await client.enqueue(add, 1)

        assert await handle.cancel() is State.CANCELLED
        await client.revive(handle.id)

        assert (await handle.task()).state is State.PENDING
        with pytest.raises(WaitTimeoutError):
            await handle.result(timeout=0)
        with pytest.raises(NotFoundError):
            await client.get("gone")

    on(url, test)


def test_callers_at_once_share_a_client(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        handles = await asyncio.gather(*(client.enqueue(add, n) for n in range(100)))

        assert len({handle.id for handle in handles}) == 100
        assert len(await client.find(limit=200)) == 100

    on(url, test)


def test_what_is_refused_is_not_stored(url: str) -> None:
    async def test(client: AsyncClient) -> None:
        wrong: Any = "one"

        with pytest.raises(InvalidError):
            await client.enqueue(add, wrong)

        assert await client.find() == []

    on(url, test)


def test_a_client_that_is_not_open_says_so(url: str) -> None:
    async def main() -> None:
        client = AsyncClient(url)
        with pytest.raises(StoreDownError, match="not open: use it inside of 'async with'"):
            await client.enqueue(add, 1)
        async with client:
            handle = await client.enqueue(add, 1)
            with pytest.raises(StoreDownError, match="open already"):
                async with client:
                    pass
        with pytest.raises(StoreDownError, match="not open"):
            await handle.task()
        async with client:
            assert (await handle.task()).id == handle.id

    asyncio.run(main())


def test_a_url_of_no_store_is_refused() -> None:
    async def main() -> None:
        async with AsyncClient("mysql://localhost/x"):
            pass

    with pytest.raises(ConfigError, match="it must be sqlite:///file"):
        asyncio.run(main())


def test_an_async_client_needs_an_async_worker(sqlite_url: str) -> None:
    with (
        pytest.raises(ConfigError, match="a worker on an AsyncClient needs 'async with'"),
        tenure.Worker(AsyncClient(sqlite_url), registry=registry),
    ):
        pass
