"""Procrastinate over psycopg 3. It keeps finished tasks, which is its default."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import procrastinate
import psycopg

from adapter import BULK_ROWS, CONCURRENCY, POSTGRES_URL, Peer, mark

UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=POSTGRES_URL))


@app.task(name="noop")
async def noop(number: int) -> int:
    mark(number)
    return 1


class Adapter(Peer):
    packages = ("procrastinate", "psycopg")
    is_async = True

    async def setup(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()
        self._connection = await psycopg.AsyncConnection.connect(POSTGRES_URL, autocommit=True)

    async def close(self) -> None:
        await app.close_async()
        await self._connection.close()

    async def enqueue(self, number: int) -> None:
        await noop.defer_async(number=number)

    async def enqueue_bulk(self, numbers: Iterable[int]) -> None:
        rows = [{"number": number} for number in numbers]
        while rows:
            batch, rows = rows[:BULK_ROWS], rows[BULK_ROWS:]
            await noop.batch_defer_async(*batch)

    async def pending(self) -> int:
        cursor = await self._connection.execute(UNFINISHED)
        row = await cursor.fetchone()
        return row[0]

    def worker(self) -> None:
        asyncio.run(work())


async def work() -> None:
    """Run one worker until a signal."""
    async with app.open_async():
        await app.run_worker_async(wait=True, concurrency=CONCURRENCY or 1)
