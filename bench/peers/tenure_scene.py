"""A store of Tenure's with very many tasks, and claims from it: the scenes of `claim_cost.py`.

`tenure_scene.py fill SIZES` makes the store, with rows made by the database itself.
`tenure_scene.py claim BATCH TURNS` claims through Tenure's own store, as the engine does, and
reports how long that took. What was claimed is put back at the end of the line, so that the store
keeps its size, while the claims walk through the table as they do in life.

The store is opened with `durability = "relaxed"`: a commit that waits for the disk takes longer
than a claim, and would hide what is to be found out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from statistics import median

import apsw

import meter
import tenure
from adapter import DATA, POSTGRES_URL, SERVER_PID, VARIANT, report
from tenure.kernel.model import Claim
from tenure.kernel.ports import Script, Steps, transaction
from tenure.settings import StoreSettings
from tenure.store.claims import ClaimRequest, claim

IS_SQLITE = VARIANT == "sqlite"
FILE = DATA / "tenure.db"
URL = f"sqlite:///{FILE}" if IS_SQLITE else POSTGRES_URL
WARM_UP = 20
SPARE = 1_000

NUMBERS = {
    "sqlite": """WITH RECURSIVE numbers (number) AS (
        SELECT {first} UNION ALL SELECT number + 1 FROM numbers WHERE number < {last})""",
    "postgres": "WITH numbers (number) AS (SELECT generate_series({first}, {last}))",
}
# As long and as much in order as the ids that Tenure makes.
ID = {
    "sqlite": "printf('01980000-0000-7000-8000-%012x', number)",
    "postgres": "'01980000-0000-7000-8000-' || lpad(to_hex(number), 12, '0')",
}
BYTES = {"sqlite": "CAST({} AS BLOB)", "postgres": "CAST({} AS bytea)"}
PAYLOAD = '\'[[12345],{"to":"someone@example.org","subject":"a line of text"}]\''
INSERT = """{numbers} INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, created_at_us, ended_at_us, payload, result)
SELECT '', {id}, 'noop', 'default', '{state}', {lane}, 1, {run_at_us}, {tries}, 5, 0, {tries},
  0, {now_us}, {ended_at_us}, {payload}, {result} FROM numbers"""
ATTEMPTS = """INSERT INTO attempt
  (tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event)
SELECT tenant, id, claim_no, attempt, 'worker-1', run_at_us, ended_at_us, 'complete'
FROM task WHERE state = 'completed'"""
# Those that are due stand in the table as they came. The times of the others are shuffled, so that
# their index entries are not in the order of the table.
SHUFFLED = "(number * 7654321 % 99999989)"
HOUR_US = 3_600_000_000


def fill(*, pending: int, future: int, finished: int) -> None:
    """Make the store: finished tasks came first, then those for later, then those that are due."""
    # Opened by Tenure first, which makes the tables.
    with tenure.Client(URL):
        now_us = time.time_ns() // 1000
    due = {"state": "pending", "lane": "2", "run_at_us": f"{now_us} - 50000000 + number"}
    # For later: more urgent, as urgent, and less.
    later = {"state": "pending", "lane": "number % 4"}
    later["run_at_us"] = f"{now_us} + {24 * HOUR_US} + {SHUFFLED}"
    ended = {"state": "completed", "lane": "2", "tries": "1", "result": "'12345'"}
    ended |= {"ended_at_us": f"{now_us} - {HOUR_US} + {SHUFFLED}"}
    ended["run_at_us"] = f"{now_us} - {2 * HOUR_US} + {SHUFFLED}"
    first, texts = 1, []
    for count, values in ((finished, ended), (future, later), (pending, due)):
        if count:
            texts.append(_insert(first, count, now_us, values))
        first += count
    _execute([*texts, ATTEMPTS])


def _insert(first: int, count: int, now_us: int, values: dict[str, str]) -> str:
    plain = {"tries": "0", "ended_at_us": "NULL", "result": "NULL"}
    values = {**plain, **values, "payload": PAYLOAD}
    for name in ("payload", "result"):
        values[name] = BYTES[VARIANT].format(values[name])
    numbers = NUMBERS[VARIANT].format(first=first, last=first + count - 1)
    return INSERT.format(numbers=numbers, id=ID[VARIANT], now_us=now_us, **values)


def _execute(texts: Sequence[str]) -> None:
    """Run statements fast: what a power cut would leave of them does not matter here."""
    if IS_SQLITE:
        store = apsw.Connection(str(FILE))
        store.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
        for text in texts:
            store.execute(text)
        # Nothing else, because nobody runs ANALYZE on a file of Tenure's.
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        return
    asyncio.run(_execute_on_postgres(texts))


async def _execute_on_postgres(texts: Sequence[str]) -> None:
    import asyncpg

    server_settings = {"synchronous_commit": "off", "work_mem": "64MB"}
    store = await asyncpg.connect(URL, server_settings=server_settings)
    # A row and its attempt come at about the same time in life; here in one go, so the bigint.
    for text in texts:
        await store.execute(text.replace("number *", "number::bigint *"))
    # What autovacuum does after so many inserts, by the thresholds that Tenure's tables set.
    await store.execute("VACUUM (ANALYZE)")
    await store.execute("CHECKPOINT")
    await store.close()


async def claim_often(batch: int, turns: int) -> list[float]:
    """Claim again and again; return how long each claim took, in milliseconds."""
    request = ClaimRequest(
        queue="default",
        worker_id="bench",
        lease_us=HOUR_US,
        limit=batch,
        spare=SPARE,
        slots=SPARE,
    )
    settings = tenure.Settings(url=URL, store=StoreSettings(durability="relaxed"))
    times_ms = []
    async with tenure.AsyncClient(settings=settings) as client:
        for turn in range(WARM_UP + turns):
            started = time.perf_counter()
            found = await client.store.run(claim(request))
            spent_ms = (time.perf_counter() - started) * 1e3
            assert len(found) == batch, f"claimed {len(found)} of {batch}"
            if turn >= WARM_UP:
                times_ms.append(spent_ms)
            await client.store.run(put_back(found))
    return times_ms


@transaction
def put_back(found: Sequence[Claim]) -> Steps[None]:
    """Make claimed tasks pending again, as if they had just come."""
    ids = ", ".join(f"'{each.id}'" for each in found)
    now_us = time.time_ns() // 1000
    yield Script(
        "UPDATE task SET state = 'pending', attempt = 0, worker_id = NULL, "
        f"lease_expires_at_us = NULL, deadline_us = NULL, run_at_us = {now_us} "
        f"WHERE tenant = '' AND id IN ({ids})"
    )


def main() -> None:
    if sys.argv[1] == "fill":
        fill(**json.loads(sys.argv[2]))
        return
    batch, turns = map(int, sys.argv[2:])
    with meter.Window([os.getpid()], SERVER_PID) as window:
        times_ms = asyncio.run(claim_often(batch, turns))
    report(
        claims=len(times_ms),
        p50_ms=median(times_ms),
        min_ms=min(times_ms),
        max_ms=max(times_ms),
        foreign=window.foreign,
    )


if __name__ == "__main__":
    main()
