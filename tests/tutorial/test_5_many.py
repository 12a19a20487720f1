"""Many tasks at once, from plain functions and from coroutines."""

from __future__ import annotations

import asyncio

import tenure


@tenure.task
async def square(n: int) -> int:
    return n * n


@tenure.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


def test_many_tasks_are_stored_in_a_few_commits(client: tenure.Client) -> None:
    """A generator will do; it is read batch by batch, however long it is."""
    handles = client.enqueue_many(square.call(n) for n in range(2_000))

    with tenure.Worker(client):
        squares = [handle.result(timeout=30) for handle in handles]

    assert squares == [n * n for n in range(2_000)]


def test_kinds_and_options_may_differ(client: tenure.Client) -> None:
    handles = client.enqueue_many(
        [
            square.call(3),
            total.call([1, 2]),
            square.options(priority=tenure.Lane.URGENT).call(4),
        ]
    )

    with tenure.Worker(client):
        assert [handle.result(timeout=30) for handle in handles] == [9, 3, 16]


def test_coroutines_have_a_client_of_their_own(sqlite_url: str) -> None:
    async def main() -> int:
        async with tenure.AsyncClient(sqlite_url) as client, tenure.Worker(client):
            handles = await client.enqueue_many(square.call(n) for n in range(10))
            squares = await asyncio.gather(*(handle.result(timeout=30) for handle in handles))
            reduced = await client.enqueue(total, squares)
            return await reduced.result(timeout=30)

    assert asyncio.run(main()) == 285
