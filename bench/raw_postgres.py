"""PostgreSQL's own limit through asyncpg: `raw_postgres.py CASE TASKS`, started by the runner.

No handlers, no engine: the least that a durable queue must write, in a table of ordinary shape.
A case is WORK/BATCH/CONNECTIONS: `claim/100/4`, `insert/1/1`, `unnest/1000/1`, `copy/1000/1`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib import metadata

import asyncpg
import uvloop

import meter
from adapter import POSTGRES_URL, SERVER_PID, report

DDL = """
CREATE TABLE task (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue text NOT NULL, kind text NOT NULL, payload bytea NOT NULL,
  state smallint NOT NULL DEFAULT 0, lane smallint NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(), attempt smallint NOT NULL DEFAULT 0,
  lease_end timestamptz, worker text, result bytea,
  created_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX task_due ON task (queue, lane, run_at, id) WHERE state = 0;
"""
INSERT = "INSERT INTO task (queue, kind, payload) VALUES ($1, $2, $3)"
INSERT_UNNEST = "INSERT INTO task (queue, kind, payload) SELECT $1, $2, unnest($3::bytea[])"
# ANY(ARRAY(...)) keeps the planner on the primary key. A join with a LIMIT parameter becomes a
# scan of the whole table in the generic plan, which guesses that the limit returns 10 % of it.
CLAIM = """
UPDATE task
SET state = 1, attempt = attempt + 1, lease_end = now() + interval '30 s', worker = $3
WHERE id = ANY(ARRAY(
  SELECT id FROM task WHERE queue = $1 AND state = 0 AND run_at <= now()
  ORDER BY lane, run_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING task.id, kind, payload, attempt
"""
SETTLE = """
UPDATE task SET state = 2, result = done.result, ended_at = now(), lease_end = NULL
FROM unnest($1::bigint[], $2::bytea[]) AS done (id, result)
WHERE task.id = done.id AND worker = $3
"""
COLUMNS = ["queue", "kind", "payload"]
PAYLOAD = json.dumps(
    {"i": 123456, "kwargs": {"user": "someone@example.org", "path": "/a/b/c", "n": 42}}
).encode()
ROW = ("default", "noop", PAYLOAD)


async def connect() -> asyncpg.Connection:
    """Return a connection that plans each prepared statement once."""
    settings = {"plan_cache_mode": "force_generic_plan"}
    return await asyncpg.connect(POSTGRES_URL, server_settings=settings)


async def insert(connection: asyncpg.Connection, tasks: int, batch: int) -> None:
    """Insert one row per transaction, awaiting each."""
    assert batch == 1
    statement = await connection.prepare(INSERT)
    for _ in range(tasks):
        await statement.fetch(*ROW)


async def insert_unnest(connection: asyncpg.Connection, tasks: int, batch: int) -> None:
    """Insert through one statement that unpacks an array of *batch* payloads."""
    for _ in range(0, tasks, batch):
        await connection.execute(INSERT_UNNEST, *ROW[:2], [PAYLOAD] * batch)


async def copy(connection: asyncpg.Connection, tasks: int, batch: int) -> None:
    """Insert by COPY, *batch* rows in each."""
    for _ in range(0, tasks, batch):
        await connection.copy_records_to_table("task", columns=COLUMNS, records=[ROW] * batch)


async def claim_and_settle(connection: asyncpg.Connection, _tasks: int, batch: int) -> None:
    """Claim a batch, settle it in a second transaction, until nothing is left."""
    claim, settle = await connection.prepare(CLAIM), await connection.prepare(SETTLE)
    worker = f"w{id(connection)}"
    while rows := await claim.fetch("default", batch, worker):
        await settle.fetch([row[0] for row in rows], [b"1"] * len(rows), worker)


WORKS = {"insert": insert, "unnest": insert_unnest, "copy": copy, "claim": claim_and_settle}


async def main(case: str, tasks: int) -> None:
    work, batch, count = case.split("/")
    first = await connect()
    await first.execute(DDL)
    if work == "claim":
        await copy(first, tasks, tasks)
        await first.execute("VACUUM ANALYZE task")
    await first.execute("CHECKPOINT")
    connections = [first] + [await connect() for _ in range(int(count) - 1)]
    share = tasks // len(connections)
    with meter.Window([os.getpid()], SERVER_PID) as window:
        works = [WORKS[work](connection, share, int(batch)) for connection in connections]
        await asyncio.gather(*works)
    wanted = 2 if work == "claim" else 0
    found = await first.fetchval("SELECT count(*) FROM task WHERE state = $1", wanted)
    if found != tasks:
        raise SystemExit(f"{found} of {tasks} tasks are in the state they should be in")
    figures = window.per_thousand(tasks)
    report(tasks=tasks, seconds=window.seconds, rate=tasks / window.seconds, **figures)
    await asyncio.gather(*(connection.close() for connection in connections))


def describe() -> None:
    names = ("asyncpg", "uvloop")
    versions = {name: metadata.version(name) for name in names}
    report(has_bulk=True, packages=versions, python=sys.version.split()[0])


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        describe()
    else:
        uvloop.run(main(sys.argv[1], int(sys.argv[2])))
