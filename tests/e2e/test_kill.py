"""Workers are ended by SIGKILL, at random moments, while there is much to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, seeded, until, until_more_ended
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e

SEED = 20_260_101
TASKS = 400
KILLS = 5
OPTIONS = ("--slots", "8", "--threads", "4", "--processes", "2")


def test_every_task_is_done_and_recorded_once_though_workers_are_killed(
    crew: Crew, ledger: Ledger
) -> None:
    rng = seeded(SEED)
    ids = _enqueue(crew.url, ledger, TASKS, rng)

    crew.start_many(3, *OPTIONS)
    for _ in range(KILLS):
        until_more_ended(ledger, rng.randint(10, 50), most=TASKS)
        rng.choice(crew.alive).kill()
        crew.start(*OPTIONS, is_waited_for=len(crew.alive) == 0)
    until(lambda: not audit.unfinished(crew.url), what="the rest is done", within_s=60)

    assert audit.unproven(crew.url, ledger, ids) == []
    assert audit.events(crew.url)["expire"], "no kill hit a task"


def test_a_task_that_only_seems_done_is_found(
    sqlite_url: str, crew_for: Callable[[str], Crew], ledger: Ledger, tmp_path: Path
) -> None:
    """The planted fault: what a dead worker held is recorded as completed."""
    crew = crew_for(sqlite_url)
    gate = str(tmp_path / "never")
    with tenure.Client(sqlite_url) as client:
        handle = client.enqueue(handlers.in_thread, str(ledger.path), 0, gate)

    victim = crew.start()
    until(lambda: ledger.marks("begin"), what="the attempt begins")
    victim.kill()
    crew.start(fault="crashes-complete")
    until(lambda: not audit.unfinished(sqlite_url), what="the task is said to be done")

    assert audit.unproven(sqlite_url, ledger, [handle.id]) == [
        f"{handle.id} is completed, and nobody ended it"
    ]


def _enqueue(url: str, ledger: Ledger, count: int, rng: Random) -> list[str]:
    kinds = [*handlers.BY_RUNTIME.values()]
    with tenure.Client(url) as client:
        calls = (
            kinds[number % len(kinds)].call(str(ledger.path), rng.randint(0, 40))
            for number in range(count)
        )
        return [handle.id for handle in client.enqueue_many(calls)]
