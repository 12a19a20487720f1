"""Enqueueing, for plain functions: what comes back is known from the handler."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import assert_type

import tenure
from tenure import Call, Client, Enqueueable, Enqueuer, Handle, State, Task
from tests.typing.handlers import Report, count, crunch, fetch, mine, send


def enqueue(client: Client) -> None:
    """One task, of either kind of handler."""
    assert_type(client.enqueue(count, "a.txt"), Handle[Report])
    assert_type(client.enqueue(count, path="a.txt", limit=3), Handle[Report])
    assert_type(client.enqueue(fetch, "http://a", retries=1), Handle[bytes])
    assert_type(client.enqueue(send, "ada", "hello", "bye", size=1), Handle[None])
    assert_type(client.enqueue(crunch, [1.5, 2]).result(timeout=5), float)
    assert_type(client.enqueue(mine, 1).task(), Task)
    assert_type(client.enqueue(mine, 1).cancel(force=True), State)


def with_options(client: Client) -> None:
    """Options keep the handler's signature."""
    later = fetch.options(delay=timedelta(minutes=5), priority=0, tags=["a"], unique=True)
    assert_type(client.enqueue(later, "http://a"), Handle[bytes])
    assert_type(
        client.enqueue(mine.options(at=datetime(2030, 1, 2, tzinfo=UTC), unique="x"), 1),
        Handle[int],
    )


def many(client: Client) -> None:
    """Calls are checked when they are made."""
    assert_type(mine.call(1), Call[int])
    assert_type(fetch.options(cost=2).call("http://a"), Call[bytes])
    assert_type(client.enqueue_many(mine.call(n) for n in range(9)), list[Handle[int]])
    mixed: list[Call[int | bytes]] = [mine.call(1), fetch.call("http://a")]
    assert_type(client.enqueue_many(mixed), list[Handle[int | bytes]])


def generated(client: Client, paths: list[str]) -> int:
    """A generator of calls."""

    def calls() -> Iterator[Call[Report]]:
        for path in paths:
            yield count.call(path, limit=len(paths))

    return sum(handle.result().rows for handle in client.enqueue_many(calls()))


def options_of_ones_own(kind: Enqueueable[[int], int], client: Client) -> Handle[int]:
    """A kind with options is a value like others."""
    return client.enqueue(kind, 1)


def place_order(enqueuer: Enqueuer, order_id: int) -> str:
    """A function that works on a client, and in a transaction."""
    handle = enqueuer.enqueue(mine, order_id)
    assert_type(handle, Handle[int])
    return handle.id


def main() -> None:
    """A whole program."""
    with Client("sqlite:///tenure.db") as client, tenure.Worker(client):
        enqueue(client)
        place_order(client, 1)
        assert_type(client.find(state="failed", limit=5), list[Task])
