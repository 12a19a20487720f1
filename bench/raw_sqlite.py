"""SQLite's own limit through apsw: `raw_sqlite.py CASE TASKS`, started by the runner.

No handlers, no engine: the least that a durable queue must write, in a table of ordinary shape.
A case is SYNC/WORK/BATCH, for example `FULL/claim/100` or `NORMAL/insert/1`.
"""

from __future__ import annotations

import json
import os
import sys

import apsw

import meter
from adapter import DATA, report

DDL = """
CREATE TABLE task (
  id INTEGER PRIMARY KEY, queue TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL,
  state INT NOT NULL DEFAULT 0, lane INT NOT NULL DEFAULT 0, run_at INT NOT NULL DEFAULT 0,
  attempt INT NOT NULL DEFAULT 0, lease_end INT, worker TEXT, result BLOB,
  created_at INT NOT NULL, ended_at INT
);
CREATE INDEX task_due ON task (queue, lane, run_at, id) WHERE state = 0;
CREATE INDEX task_lease ON task (lease_end) WHERE state = 1;
"""
INSERT = "INSERT INTO task (queue, kind, payload, created_at) VALUES ('default', 'noop', ?, ?)"
INSERT_JSON = (
    "INSERT INTO task (queue, kind, payload, created_at) "
    "SELECT 'default', 'noop', value, 1 FROM json_each(?)"
)
CLAIM = """
UPDATE task SET state = 1, attempt = attempt + 1, lease_end = ?1, worker = 'w1'
WHERE id IN (
  SELECT id FROM task WHERE queue = 'default' AND state = 0 AND run_at <= ?1
  ORDER BY lane, run_at, id LIMIT ?2
)
RETURNING id, kind, payload, attempt
"""
SETTLE = """
UPDATE task SET state = 2, result = ?, ended_at = ?, lease_end = NULL WHERE id = ? AND state = 1
"""
NOW = 10**12
PAYLOAD = json.dumps(
    {"i": 123456, "kwargs": {"user": "someone@example.org", "path": "/a/b/c", "n": 42}}
).encode()


def open_store(synchronous: str) -> apsw.Connection:
    """Return a connection to a new file with the schema in it."""
    store = apsw.Connection(str(DATA / "raw.sqlite"))
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "cache_size=-65536"):
        store.execute(f"PRAGMA {pragma}")
    store.execute(DDL)
    return store


def insert(store: apsw.Connection, tasks: int, batch: int) -> None:
    """Insert in transactions of *batch* rows."""
    for _ in range(0, tasks, batch):
        store.execute("BEGIN IMMEDIATE")
        store.executemany(INSERT, [(PAYLOAD, NOW)] * batch)
        store.execute("COMMIT")


def insert_json(store: apsw.Connection, tasks: int, batch: int) -> None:
    """Insert through one statement that unpacks a JSON array of *batch* payloads."""
    text = json.dumps([PAYLOAD.decode()] * batch)
    for _ in range(0, tasks, batch):
        store.execute(INSERT_JSON, (text,))


def claim_and_settle(store: apsw.Connection, _tasks: int, batch: int) -> None:
    """Settle the last batch and claim the next in one transaction, until nothing is left."""
    claimed: list[tuple] = []
    while True:
        store.execute("BEGIN IMMEDIATE")
        store.executemany(SETTLE, [(b"1", NOW, row[0]) for row in claimed])
        claimed = list(store.execute(CLAIM, (NOW, batch)))
        store.execute("COMMIT")
        if not claimed:
            return


WORKS = {"insert": insert, "json": insert_json, "claim": claim_and_settle}


def main(case: str, tasks: int) -> None:
    synchronous, work, batch = case.split("/")
    store = open_store(synchronous)
    if work == "claim":
        insert(store, tasks, 1000)
        store.execute("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
    with meter.Window([os.getpid()], None) as window:
        WORKS[work](store, tasks, int(batch))
    wanted = 2 if work == "claim" else 0
    ((found,),) = store.execute("SELECT count(*) FROM task WHERE state = ?", (wanted,))
    if found != tasks:
        raise SystemExit(f"{found} of {tasks} tasks are in the state they should be in")
    figures = window.per_thousand(tasks)
    report(tasks=tasks, seconds=window.seconds, rate=tasks / window.seconds, **figures)


def describe() -> None:
    versions = {"apsw": apsw.apsw_version(), "sqlite": apsw.sqlite_lib_version()}
    report(has_bulk=True, packages=versions, python=sys.version.split()[0])


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        describe()
    else:
        main(sys.argv[1], int(sys.argv[2]))
