"""Tenure. Variants: "sqlite", "postgres"; durable defaults, one worker process.

With `tenure_scene.py`, which fills a store for the claim cost, all that the benchmarks know of
Tenure: SDK, command line and tables.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import meter
import tenure
from adapter import (
    DATA,
    POSTGRES_URL,
    QUEUES,
    SERVER_PID,
    START_WAIT_S,
    VARIANT,
    WARM_UP,
    Peer,
    drop_marks,
    latency_figures,
    mark,
    mark_count,
)
from tenure.kernel.outcome import Completed
from tenure.kernel.retry import RetryPolicy
from tenure.kernel.settle import settle
from tenure.store import claims, health

IS_SQLITE = VARIANT == "sqlite"
FILE = DATA / "tenure.db"
URL = f"sqlite:///{FILE}" if IS_SQLITE else POSTGRES_URL
# Each part is answered from an index that holds nothing else, and so at once when all is done.
# A no-op task never waits for anything.
UNFINISHED = """
SELECT (SELECT count(*) FROM task WHERE state = 'pending' AND queue = 'default')
  + (SELECT count(*) FROM task WHERE state = 'running' AND queue = 'default')
"""
SYNCHRONOUS = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}
PRODUCERS = 100
LOOK_EVERY_S = 0.0005


@tenure.task
async def noop(number: int) -> int:
    mark(number)
    return number


class Adapter(Peer):
    packages = ("tenure", "apsw" if IS_SQLITE else "asyncpg", "msgspec", "uvloop")
    is_async = True

    def setup(self) -> None:
        migrate = ["tenure", "db", "migrate", "--url", URL]
        subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)

    async def open(self) -> None:
        self._client = await tenure.AsyncClient(URL).__aenter__()
        self._watcher = await _open_watcher()

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)

    async def enqueue(self, number: int) -> None:
        await self._client.enqueue(noop, number)

    async def enqueue_bulk(self, numbers: Iterable[int]) -> None:
        await self._client.enqueue_many(noop.call(number) for number in numbers)

    async def pending(self) -> int:
        return await self._watcher()

    def worker(self) -> None:
        queues = [f"--queue=q{number}" for number in range(QUEUES)] if QUEUES > 1 else []
        os.execvp("tenure", ["tenure", "worker", __file__, "--url", URL, *queues])

    def durability(self) -> str:
        return asyncio.run(_levels())

    def extras(self) -> dict[str, Callable[[int], Any]]:
        return {
            "enqueue_concurrent": self.enqueue_concurrent,
            "enqueue_sync": self.enqueue_sync,
            "latency_local": self.latency_local,
        }

    async def enqueue_concurrent(self, tasks: int) -> dict[str, Any]:
        """A hundred producers, each of which awaits every one of its enqueues."""

        async def produce(numbers: range) -> None:
            for number in numbers:
                await self._client.enqueue(noop, number)

        with meter.Window([os.getpid()], SERVER_PID) as window:
            shares = [range(first, tasks, PRODUCERS) for first in range(PRODUCERS)]
            await asyncio.gather(*(produce(share) for share in shares))
        return _rate(tasks, window)

    async def enqueue_sync(self, tasks: int) -> dict[str, Any]:
        """One producer with the sync client, one task after the other."""
        with tenure.Client(URL) as client, meter.Window([os.getpid()], SERVER_PID) as window:
            for number in range(tasks):
                client.enqueue(noop, number)
        return _rate(tasks, window)

    async def latency_local(self, tasks: int) -> dict[str, Any]:
        """Enqueue to start, one at a time, with the worker on the producer's own event loop."""
        async with tenure.Worker(self._client):
            with meter.Window([os.getpid()], SERVER_PID) as window:
                for turn in range(tasks + WARM_UP):
                    if turn == WARM_UP:
                        drop_marks()
                    before = mark_count()
                    await self.enqueue(time.monotonic_ns())
                    await _started(before + 1)
                    await asyncio.sleep(random.uniform(0.02, 0.06))
        return {**latency_figures(tasks), "foreign": window.foreign}


async def _started(count: int) -> None:
    """Return when there are *count* marks, or after a while."""
    for _ in range(int(START_WAIT_S / LOOK_EVERY_S)):
        if mark_count() >= count:
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def _open_watcher() -> Callable[[], Awaitable[int]]:
    """Return a function that counts unfinished tasks on a connection of its own."""
    if IS_SQLITE:
        import apsw

        store = apsw.Connection(str(FILE), flags=apsw.SQLITE_OPEN_READONLY)
        store.set_busy_timeout(5000)

        async def count() -> int:
            return store.execute(UNFINISHED).fetchone()[0]

        return count
    import asyncpg

    # Statistics from before the drain say that all are pending, and so to read the whole table.
    connection = await asyncpg.connect(URL, server_settings={"enable_seqscan": "off"})

    async def count_rows() -> int:
        return await connection.fetchval(UNFINISHED)

    return count_rows


async def _levels() -> str:
    """Enqueue, claim and settle a task; say what its connection had in force for each."""
    async with tenure.AsyncClient(URL) as client:
        store = client.store
        await client.enqueue(noop, 0)
        enqueued = await store.run(health.server())
        request = claims.ClaimRequest(
            queue="default", worker_id="bench", lease_us=60_000_000, limit=1, spare=1, slots=1
        )
        (claim,) = await store.run(claims.claim(request))
        claimed = await store.run(health.server())
        settlement = settle(claim, Completed(result=b"0"), RetryPolicy(), u=0.0)
        await store.run(claims.settle([settlement], worker_id="bench", inline_bytes_max=4096))
        settled = await store.run(health.server())
    steps = {"enqueue": enqueued, "claim": claimed, "settle": settled}
    if not IS_SQLITE:
        levels = ", ".join(f"{name} {each['synchronous_commit']}" for name, each in steps.items())
        return f"fsync {enqueued['fsync']}, synchronous_commit: {levels}"
    levels = ", ".join(f"{name} {SYNCHRONOUS[each['synchronous']]}" for name, each in steps.items())
    mode = enqueued["journal_mode"].upper()
    return f"SQLite {enqueued['version']}, {mode}, synchronous: {levels}"


def _rate(tasks: int, window: meter.Window) -> dict[str, Any]:
    figures = window.per_thousand(tasks)
    return {"tasks": tasks, "seconds": window.seconds, "rate": tasks / window.seconds, **figures}
