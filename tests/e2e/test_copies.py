"""A SQLite file is copied at random moments under load, and the work goes on from the copy.

Three ways to copy, and what each stands for:

* *frozen*: the workers stand still between two instructions and the file and its log are copied
  as they are. It is what a power cut of the whole machine leaves, if the disk kept all it took.
* *behind a reader*: the workers go on. A reader's open snapshot keeps the log from being begun
  anew and the file from being written beyond it, so first the file and then the log can be
  copied. It is what a careful file-level backup does. The copy is made by another process: to
  close a file gives up all locks that a process has on it.
* *backup*: SQLite's own way, page by page, begun again whenever somebody writes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import tenure
from tenure.config import load
from tests.e2e import audit, handlers
from tests.e2e.harness import HASTE, Crew, seeded, until, until_more_ended
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e

SEED = 20_260_103
TASKS = 600
COPIES_EACH = 2
PAGES_AT_ONCE = 20

Copier = Callable[[Crew, Path, Path], None]


def frozen(crew: Crew, source: Path, target: Path) -> None:
    for worker in crew.workers:
        worker.freeze()
    _copy(source, target)
    _copy(_log_of(source), _log_of(target))
    for worker in crew.workers:
        worker.thaw()


def behind_a_reader(_: Crew, source: Path, target: Path) -> None:
    reader = apsw.Connection(str(source))
    reader.set_busy_timeout(10_000)
    reader.execute("BEGIN; SELECT id FROM task LIMIT 1")
    _copy(source, target)
    _copy(_log_of(source), _log_of(target))
    reader.execute("COMMIT")
    reader.close()


def backup(_: Crew, source: Path, target: Path) -> None:
    origin, copy = apsw.Connection(str(source)), apsw.Connection(str(target))
    origin.set_busy_timeout(10_000)
    with copy.backup("main", origin, "main") as under_way:
        while not under_way.done:
            under_way.step(PAGES_AT_ONCE)
    copy.close()
    origin.close()


@pytest.mark.parametrize("copier", [frozen, behind_a_reader, backup])
def test_the_work_goes_on_from_a_copy(
    sqlite_crew: Crew, ledger: Ledger, tmp_path: Path, copier: Copier
) -> None:
    rng = seeded(SEED)
    source = Path(sqlite_crew.url.removeprefix(audit.SQLITE))
    copies = [tmp_path / f"copy-{number}.db" for number in range(COPIES_EACH)]
    with tenure.Client(sqlite_crew.url) as client:
        calls = (handlers.in_coroutine.call(str(ledger.path), 20) for _ in range(TASKS))
        ids = [handle.id for handle in client.enqueue_many(calls)]

    sqlite_crew.start_many(2, "--slots", "8")
    for copy in copies:
        until_more_ended(ledger, rng.randint(20, 120), most=TASKS)
        copier(sqlite_crew, source, copy)
    sqlite_crew.close()

    for copy in copies:
        url = f"{audit.SQLITE}{copy}"
        assert audit.findings(url) == []
        assert 0 < audit.unfinished(url) < TASKS
        _finish(url)
        assert audit.unproven(url, ledger, ids) == []


def _finish(url: str) -> None:
    settings = load(environment={**HASTE, "TENURE_URL": url}).settings
    with tenure.Worker(settings=settings, registry=handlers.app):
        until(lambda: not audit.unfinished(url), what="the rest is done from the copy")


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", str(source), str(target)], check=True)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
