"""Handlers that ignore that their time is over."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, until
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e


def test_a_stubborn_thread_is_reported_and_keeps_its_slot_while_others_go_on(
    sqlite_crew: Crew, ledger: Ledger, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    before, after = Ledger(tmp_path / "before"), Ledger(tmp_path / "after")
    with tenure.Client(sqlite_crew.url) as client:
        stubborn = client.enqueue(handlers.stubborn_thread, str(ledger.path), str(gate))
        worker = sqlite_crew.start("--slots", "2", "--threads", "2")
        until(lambda: worker.says("handler ignores that its time is over"), what="it is reported")
        _work_in(client, before)
        gate.with_suffix(".1").touch()
        until(lambda: ledger.marks("end"), what="it ends after all")
        _work_in(client, after)

        story = client.story(stubborn.id)

    assert before.busiest() == 1
    assert after.busiest() == 2
    assert (story.task.state, story.task.cause) == (tenure.State.FAILED, "timeout")
    assert [attempt.event.value for attempt in story.attempts] == ["fail"]
    assert audit.findings(sqlite_crew.url) == []


def test_a_worker_without_a_thread_gives_its_tasks_to_others(
    sqlite_crew: Crew, ledger: Ledger, tmp_path: Path
) -> None:
    """They waited for its only thread, with their leases renewed, for as long as that was stuck."""
    with tenure.Client(sqlite_crew.url) as client:
        client.enqueue(handlers.stubborn_thread, str(ledger.path), str(tmp_path / "gate"))
        worker = sqlite_crew.start("--slots", "4", "--threads", "1", "--lease", "3600")
        until(lambda: ledger.marks("begin"), what="the thread is taken")
        waiting = client.enqueue_many([handlers.in_thread.call(str(ledger.path))] * 3)
        until(lambda: worker.says("handler ignores that its time is over"), what="it is stuck")
        sqlite_crew.start()
        marks = [handle.result(timeout=10) for handle in waiting]

    assert all(mark.pid != worker.pid for mark in marks)
    assert worker.is_alive


def test_a_stubborn_process_is_killed(sqlite_crew: Crew, ledger: Ledger, tmp_path: Path) -> None:
    with tenure.Client(sqlite_crew.url) as client:
        stubborn = client.enqueue(
            handlers.stubborn_process, str(ledger.path), str(tmp_path / "gate")
        )
        worker = sqlite_crew.start("--processes", "1")
        with pytest.raises(tenure.TaskFailedError, match="timeout"):
            stubborn.result(timeout=30)
        [(_, killed)] = ledger.marks("begin")
        until(lambda: not _lives(killed.pid), what="its process is gone")
        mark = client.enqueue(handlers.in_process, str(ledger.path)).result(timeout=30)

    assert mark.pid not in (killed.pid, worker.pid)
    assert ledger.marks("end", stubborn.id) == []


def test_a_process_that_dies_at_rest_is_replaced(sqlite_crew: Crew, ledger: Ledger) -> None:
    """Its slot was handed to the next task, which then waited for an answer for ever."""
    with tenure.Client(sqlite_crew.url) as client:
        sqlite_crew.start("--processes", "1")
        first = client.enqueue(handlers.in_process, str(ledger.path)).result(timeout=30)
        psutil.Process(first.pid).kill()
        second = client.enqueue(handlers.in_process, str(ledger.path)).result(timeout=30)

    assert second.pid != first.pid


def _work_in(client: tenure.Client, ledger: Ledger) -> None:
    call = handlers.in_coroutine.call(str(ledger.path), 20)
    for handle in client.enqueue_many([call] * 10):
        handle.result(timeout=30)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
