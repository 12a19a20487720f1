"""Enqueueing, for coroutines."""

from __future__ import annotations

from typing import assert_type

import tenure
from tenure import AsyncClient, AsyncEnqueuer, AsyncHandle, State, Task
from tests.typing.handlers import Report, count, fetch, mine, send


async def enqueue(client: AsyncClient) -> None:
    """One task, of either kind of handler."""
    assert_type(await client.enqueue(count, "a.txt", limit=3), AsyncHandle[Report])
    assert_type(await client.enqueue(send.options(delay=5), "ada"), AsyncHandle[None])
    handle = await client.enqueue(fetch, "http://a")
    assert_type(handle, AsyncHandle[bytes])
    assert_type(await handle.result(timeout=5), bytes)
    assert_type(await handle.task(), Task)
    assert_type(await handle.cancel(), State)


async def many(client: AsyncClient) -> None:
    """Many at once."""
    handles = await client.enqueue_many(mine.call(n) for n in range(9))
    assert_type(handles, list[AsyncHandle[int]])
    assert_type(sum([await handle.result() for handle in handles]), int)


async def place_order(enqueuer: AsyncEnqueuer, order_id: int) -> str:
    """A function that works on a client, and in a transaction."""
    return (await enqueuer.enqueue(mine, order_id)).id


async def main() -> None:
    """A whole program."""
    async with AsyncClient() as client, tenure.Worker(client):
        await enqueue(client)
        await place_order(client, 1)
        assert_type(await client.find(), list[Task])
