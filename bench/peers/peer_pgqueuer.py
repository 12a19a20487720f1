"""PGQueuer over asyncpg and uvloop. The concurrency is its batch size, whose default is 10."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from adapter import BULK_ROWS, CONCURRENCY, POSTGRES_URL, Peer, mark


class Adapter(Peer):
    packages = ("pgqueuer", "asyncpg", "uvloop")
    is_async = True

    async def setup(self) -> None:
        connection = await asyncpg.connect(POSTGRES_URL)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self) -> None:
        self._connection = await asyncpg.connect(POSTGRES_URL)
        self._queries = Queries(AsyncpgDriver(self._connection))

    async def close(self) -> None:
        await self._connection.close()

    async def enqueue(self, number: int) -> None:
        await self._queries.enqueue("noop", b"%d" % number)

    async def enqueue_bulk(self, numbers: Iterable[int]) -> None:
        payloads = [b"%d" % number for number in numbers]
        while payloads:
            batch, payloads = payloads[:BULK_ROWS], payloads[BULK_ROWS:]
            await self._queries.enqueue(["noop"] * len(batch), batch, [0] * len(batch))

    async def pending(self) -> int:
        return await self._connection.fetchval("SELECT count(*) FROM pgqueuer")

    def worker(self) -> None:
        uvloop.run(work())


async def work() -> None:
    """Run one worker with one connection, as its documentation shows."""
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(POSTGRES_URL)))

    @pgq.entrypoint("noop")
    async def noop(task: Job) -> None:
        mark(int(task.payload or b"0"))

    await pgq.run(**({"batch_size": CONCURRENCY} if CONCURRENCY else {}))
