"""The audit finds what it is there to find: each invariant, with a row that breaks it."""

from __future__ import annotations

import apsw
import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e

ATTEMPT = "(tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event)"

DAMAGE = {
    "running if and only if leased": "UPDATE task SET state = 'running'",
    "ended if and only if it has an end": "UPDATE task SET ended_at_us = 1",
    "one attempt for each claim, but for the one that runs": "UPDATE task SET claim_no = 1",
    "no attempt of a claim that was never made": (
        f"INSERT INTO attempt {ATTEMPT} SELECT '', id, 1, 1, '', 1, 1, 'retry' FROM task"
    ),
    "attempts are spent by claims, and given back by releases": "UPDATE task SET attempt = 1",
    "completed once, by the last claim, or not at all": (
        "UPDATE task SET state = 'completed', ended_at_us = 1"
    ),
    "no body without its task": "INSERT INTO task_body VALUES ('', 'nobody', 'result', x'00')",
}


@pytest.mark.parametrize("invariant", audit.INVARIANTS)
def test_the_audit_finds_what_breaks_an_invariant(
    sqlite_url: str, ledger: Ledger, invariant: str
) -> None:
    with tenure.Client(sqlite_url) as client:
        client.enqueue(handlers.in_thread, str(ledger.path))
    assert audit.findings(sqlite_url) == []

    connection = apsw.Connection(sqlite_url.removeprefix(audit.SQLITE))
    connection.pragma("ignore_check_constraints", True)
    connection.execute(DAMAGE[invariant])
    connection.close()

    assert any(found.startswith(invariant) for found in audit.findings(sqlite_url))
