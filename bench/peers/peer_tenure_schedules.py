"""Tenure's schedules. Variants: a store, "sqlite" or "postgres", and maybe ", scheduler only".

With the last, the worker serves another queue: it fires schedules and runs nothing. The interval
is longer than a measurement, so that no run is skipped because another one has not ended.

The schedules are made through the SDK, by many producers at once, with a start that is far away.
When all is ready, their times are moved to the present in the tables themselves, since making
100,000 of them takes longer than what is to be measured.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import meter
import tenure
from adapter import DATA, POSTGRES_URL, SERVER_PID, VARIANT, Peer
from schedule_scene import counts, lateness, load_scene

STORE, _, REST = VARIANT.partition(", ")
IS_SQLITE = STORE == "sqlite"
IS_SCHEDULER_ONLY = REST == "scheduler only"
FILE = DATA / "tenure.db"
URL = f"sqlite:///{FILE}" if IS_SQLITE else POSTGRES_URL
PRODUCERS = 100
FAR = datetime(2100, 1, 1, tzinfo=UTC)
FAR_US = int(FAR.timestamp()) * 1_000_000

MOVE = """UPDATE schedule
SET start_us = start_us - {0}, next_fire_at_us = next_fire_at_us - {0}"""
# A task is made in the transaction that enters its instant in the ledger.
FIRES = """
SELECT fire.schedule_id, fire.instant_us, fire.verdict, task.created_at_us,
  (SELECT MIN(attempt.started_at_us) FROM attempt
    WHERE attempt.tenant = fire.tenant AND attempt.task_id = fire.task_id)
FROM fire LEFT JOIN task ON task.tenant = fire.tenant AND task.id = fire.task_id
"""


@tenure.task
async def noop(number: int) -> None:
    """Do nothing, so that the scheduler's own work is what is measured."""


class Adapter(Peer):
    packages = ("tenure", "apsw" if IS_SQLITE else "asyncpg", "msgspec", "uvloop")
    is_async = True

    def setup(self) -> None:
        migrate = ["tenure", "db", "migrate", "--url", URL]
        subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)

    async def open(self) -> None:
        self._client = await tenure.AsyncClient(URL).__aenter__()

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)

    def worker(self) -> None:
        queues = ["--queue=another"] if IS_SCHEDULER_ONLY else []
        os.execvp("tenure", ["tenure", "worker", __file__, "--url", URL, *queues])

    def durability(self) -> str:
        return "SQLite WAL, synchronous FULL" if IS_SQLITE else "PostgreSQL defaults"

    def extras(self) -> dict[str, Callable[[int], Any]]:
        return {"make": self.make, "begin": self.begin, "lateness": self.lateness}

    async def make(self, count: int) -> dict[str, Any]:
        """Make the schedules, each by a call of its own, and report how long that took."""
        scene = load_scene()

        async def produce(numbers: range) -> None:
            for number in numbers:
                start = FAR + timedelta(microseconds=scene.offset_us(number))
                when = tenure.every(f"{scene.every_s}s", start=start)
                await self._client.schedules.create(str(number), when, noop.call(number))

        with meter.Window([os.getpid()], SERVER_PID) as window:
            shares = [range(first, count, PRODUCERS) for first in range(PRODUCERS)]
            await asyncio.gather(*(produce(share) for share in shares))
        return {"make_s": window.seconds, "made_per_s": count / window.seconds}

    async def begin(self, count: int) -> dict[str, Any]:
        """Move the schedules' times to the present."""
        await _execute(MOVE.format(FAR_US - load_scene().begin_us))
        return {}

    async def lateness(self, count: int) -> dict[str, Any]:
        """Compare the instants with the times when their tasks were made, and when they began."""
        scene, read_at_us = load_scene(), time.time_ns() // 1000
        found = await _execute(FIRES)
        fired, started = {}, {}
        verdicts = {"missed": 0, "skipped": 0}
        for schedule_id, instant_us, verdict, made_at_us, started_at_us in found:
            number = int(schedule_id)
            if instant_us != scene.instant_us(number) or number in fired:
                raise SystemExit(f"schedule {number} fired at {instant_us}, which is not its time")
            if verdict == "fired":
                fired[number] = made_at_us
            else:
                verdicts[verdict] += 1
            if started_at_us is not None:
                started[number] = started_at_us
        figures = counts(scene, fired) | lateness(scene, fired, read_at_us=read_at_us)
        if not IS_SCHEDULER_ONLY:
            figures |= lateness(scene, started, read_at_us=read_at_us, prefix="start")
        return figures | verdicts


async def _execute(text: str) -> list[tuple[Any, ...]]:
    if IS_SQLITE:
        import apsw

        store = apsw.Connection(str(FILE))
        store.set_busy_timeout(10_000)
        found = store.execute(text).fetchall()
        store.close()
        return found
    import asyncpg

    store = await asyncpg.connect(URL)
    try:
        return [tuple(row) for row in await store.fetch(text)]
    finally:
        await store.close()
