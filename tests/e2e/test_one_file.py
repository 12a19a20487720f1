"""Several worker processes, and those who enqueue, all busy on one SQLite file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, until
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e

WORKERS = 4
CALLERS = 3
EACH = 400
# Whoever finds the file locked waits for it, and nobody hears of that.
TROUBLE = ("locked", "busy", "ERROR", "Traceback")


def test_nobody_hears_that_the_file_is_locked(sqlite_crew: Crew, ledger: Ledger) -> None:
    url = sqlite_crew.url
    workers = sqlite_crew.start_many(WORKERS, "--slots", "4")

    with ThreadPoolExecutor(CALLERS) as callers:
        asked = list(callers.map(lambda _: _enqueue_one_by_one(url, ledger), range(CALLERS)))
    ids = [task_id for some in asked for task_id in some]
    until(lambda: not audit.unfinished(url), what="all is done", within_s=60)

    assert audit.unproven(url, ledger, ids) == []
    assert audit.events(url) == {"complete": CALLERS * EACH}
    assert {mark.pid for _, mark in ledger.marks("end")} == {worker.pid for worker in workers}
    assert [(worker.pid, text) for worker in workers for text in TROUBLE if worker.says(text)] == []


def _enqueue_one_by_one(url: str, ledger: Ledger) -> list[str]:
    with tenure.Client(url) as client:
        return [
            client.enqueue(handlers.in_coroutine, str(ledger.path), number % 5).id
            for number in range(EACH)
        ]
