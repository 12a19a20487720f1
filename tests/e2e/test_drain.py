"""SIGTERM: what runs may end, what waits is given back, and nobody pays an attempt for it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, until
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e

# Two threads and four slots: of four tasks, two run and two wait for a thread.
NARROW = ("--threads", "2", "--slots", "4", "--lease", "3600")
OF_FOUR = "SELECT COUNT(*) FROM task WHERE state = 'pending' AND attempt = 0 AND claim_no = 1"


def test_a_worker_told_to_stop_ends_what_runs_and_gives_back_what_waits(
    crew: Crew, ledger: Ledger, tmp_path: Path
) -> None:
    ids = _enqueue_four(crew.url, ledger, tmp_path)
    worker = crew.start(*NARROW)
    until(lambda: len(ledger.marks("begin")) == 2 and _claimed(crew.url) == 4, what="all claimed")

    worker.ask_to_stop()
    until(lambda: _given_back(crew.url) == 2, what="two are given back at once", within_s=5)
    (tmp_path / "gate.1").touch()

    assert worker.exit_code() == 0
    assert audit.events(crew.url) == {"release": 2, "complete": 2}
    assert audit.ask(crew.url, "SELECT COUNT(*) FROM worker") == [(0,)]
    crew.start()
    until(lambda: not audit.unfinished(crew.url), what="another worker does the rest")
    assert {row[0] for row in audit.ask(crew.url, "SELECT attempt FROM task")} == {1}
    assert audit.unproven(crew.url, ledger, ids) == []


@pytest.mark.parametrize("signals", [1, 2], ids=["grace is over", "second signal"])
def test_a_hurried_worker_gives_back_what_runs(
    crew: Crew, ledger: Ledger, tmp_path: Path, signals: int
) -> None:
    with tenure.Client(crew.url) as client:
        for kind in handlers.BY_RUNTIME.values():
            client.enqueue(kind, str(ledger.path), 0, str(tmp_path / "gate"))
    worker = crew.start("--lease", "3600", "--grace", "0.2" if signals == 1 else "3600")
    until(lambda: len(ledger.marks("begin")) == 3, what="all run")

    worker.ask_to_stop()
    until(lambda: worker.says("worker stopping"), what="it has heard")
    if signals == 2:
        worker.ask_to_stop()

    assert worker.exit_code(within_s=10) == 0
    assert audit.events(crew.url) == {"release": 3}
    assert {row[0] for row in audit.ask(crew.url, "SELECT attempt FROM task")} == {0}
    assert audit.findings(crew.url) == []
    (tmp_path / "gate.1").touch()
    crew.start()
    until(lambda: not audit.unfinished(crew.url), what="another worker does it")


def test_a_worker_that_keeps_what_waits_is_found(
    sqlite_crew: Crew, ledger: Ledger, tmp_path: Path
) -> None:
    """The planted fault: nothing is given back while something runs."""
    _enqueue_four(sqlite_crew.url, ledger, tmp_path)
    worker = sqlite_crew.start(*NARROW, fault="no-release")
    until(lambda: len(ledger.marks("begin")) == 2, what="two run")

    worker.ask_to_stop()

    with pytest.raises(AssertionError, match="given back"):
        until(lambda: _given_back(sqlite_crew.url) == 2, what="two given back", within_s=2)


def _enqueue_four(url: str, ledger: Ledger, tmp_path: Path) -> list[str]:
    with tenure.Client(url) as client:
        call = handlers.in_thread.call(str(ledger.path), 0, str(tmp_path / "gate"))
        return [handle.id for handle in client.enqueue_many([call] * 4)]


def _claimed(url: str) -> int:
    return audit.states(url).get("running", 0)


def _given_back(url: str) -> int:
    return int(audit.ask(url, OF_FOUR)[0][0])
