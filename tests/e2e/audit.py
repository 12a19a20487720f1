"""Hold a store, and the ledger, against what must be true whatever happened.

Called by the tests of this folder and by tests/examples. Reads the tables directly, so that a
fault in Tenure's own reading cannot hide one in its writing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec
import psycopg

from tests.e2e.ledger import Ledger, Mark

SQLITE = "sqlite:///"

# What each finds must not be. Both databases understand them.
INVARIANTS = {
    "running if and only if leased": """
        SELECT id FROM task
        WHERE (CASE WHEN state = 'running' THEN 1 ELSE 0 END)
            <> (CASE WHEN lease_expires_at_us IS NULL THEN 0 ELSE 1 END)""",
    "ended if and only if it has an end": """
        SELECT id FROM task
        WHERE (CASE WHEN state IN ('completed', 'failed', 'cancelled') THEN 1 ELSE 0 END)
            <> (CASE WHEN ended_at_us IS NULL THEN 0 ELSE 1 END)""",
    "one attempt for each claim, but for the one that runs": """
        SELECT id FROM task
        WHERE claim_no - (CASE WHEN state = 'running' THEN 1 ELSE 0 END)
            <> (SELECT COUNT(*) FROM attempt
                WHERE attempt.tenant = task.tenant AND attempt.task_id = task.id)""",
    "no attempt of a claim that was never made": """
        SELECT attempt.task_id FROM attempt LEFT JOIN task
            ON task.tenant = attempt.tenant AND task.id = attempt.task_id
        WHERE task.id IS NULL OR attempt.claim_no > task.claim_no OR attempt.claim_no < 1""",
    "attempts are spent by claims, and given back by releases": """
        SELECT id FROM task
        WHERE attempt <> claim_no - (
            SELECT COUNT(*) FROM attempt
            WHERE attempt.tenant = task.tenant AND attempt.task_id = task.id
              AND attempt.event IN ('release', 'snooze', 'wait'))""",
    "completed once, by the last claim, or not at all": """
        SELECT id FROM task
        WHERE (SELECT COUNT(*) FROM attempt
               WHERE attempt.tenant = task.tenant AND attempt.task_id = task.id
                 AND attempt.event = 'complete')
            <> (CASE WHEN state = 'completed' THEN 1 ELSE 0 END)
          OR state = 'completed' AND NOT EXISTS (
            SELECT 1 FROM attempt
            WHERE attempt.tenant = task.tenant AND attempt.task_id = task.id
              AND attempt.event = 'complete' AND attempt.claim_no = task.claim_no)""",
    "no body without its task": """
        SELECT task_body.task_id FROM task_body LEFT JOIN task
            ON task.tenant = task_body.tenant AND task.id = task_body.task_id
        WHERE task.id IS NULL""",
}


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement on a store of either kind."""
    if url.startswith(SQLITE):
        connection = apsw.Connection(url.removeprefix(SQLITE))
        try:
            connection.set_busy_timeout(10_000)
            return list(connection.execute(statement))
        finally:
            connection.close()
    with psycopg.connect(url, autocommit=True) as postgres:
        cursor = postgres.execute(statement)
        return cursor.fetchall() if cursor.description else []


def findings(url: str) -> list[str]:
    """Return what is wrong with a store, at rest or in the middle of things."""
    found = []
    if url.startswith(SQLITE):
        found = [f"integrity: {row[0]}" for row in ask(url, "PRAGMA integrity_check")]
        found = [] if found == ["integrity: ok"] else found
    for name, statement in INVARIANTS.items():
        ids = [row[0] for row in ask(url, statement)]
        found += [f"{name}: {len(ids)} are not, such as {ids[0]}"] if ids else []
    return found


def states(url: str) -> dict[str, int]:
    """Return how many tasks are in each state."""
    return {str(row[0]): row[1] for row in ask(url, "SELECT state, COUNT(*) FROM task GROUP BY 1")}


def unfinished(url: str) -> int:
    """Return how many tasks have not ended."""
    return sum(count for state, count in states(url).items() if state in ("pending", "running"))


def events(url: str) -> Counter[str]:
    """Return how many attempts ended in which way."""
    return Counter(dict(ask(url, "SELECT event, COUNT(*) FROM attempt GROUP BY 1")))


def unproven(url: str, ledger: Ledger, ids: Sequence[str]) -> list[str]:
    """Return what speaks against all tasks being done: at least once, and recorded once.

    That a task is recorded once is an invariant above; that it was done is in the ledger, where
    the very attempt of which the result is kept has come to its end.
    """
    results = dict(ask(url, "SELECT id, result FROM task WHERE state = 'completed'"))
    ended = set(ledger.marks("end"))
    found = findings(url)
    for task_id in ids:
        if task_id not in results:
            found.append(f"{task_id} is not completed")
        elif (task_id, _mark(results[task_id])) not in ended:
            found.append(f"{task_id} is completed, and nobody ended it")
    return found


def _mark(result: bytes | memoryview | None) -> Mark | None:
    try:
        return msgspec.json.decode(result or b"null", type=Mark | None)
    except msgspec.ValidationError:
        return None
