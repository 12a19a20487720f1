"""A worker stands still for longer than its leases, and wakes up when others have its tasks.

Two things protect a task from such a worker. It drops what it holds when, by its own clock, the
lease is over; and its writes name their claim, so that they find no row once another claim was
made. The first test lets real time pass, so that either may come first. The others leave the
worker in the belief that all is well, so that only the second is left, and take even that away to
see the check fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, WorkerProcess, until
from tests.e2e.ledger import Ledger, Mark

pytestmark = pytest.mark.e2e

RUNTIMES = tuple(handlers.BY_RUNTIME)


@dataclass(frozen=True)
class Scene:
    """One task for each runtime, all begun by a worker that now stands still."""

    crew: Crew
    ledger: Ledger
    gate: Path
    ids: dict[str, str]
    stale: WorkerProcess

    def open_gate(self, attempt: int) -> None:
        """Let attempts of this number end."""
        self.gate.with_suffix(f".{attempt}").touch()

    def begun(self, attempt: int) -> int:
        """Return how many attempts of this number have begun."""
        return sum(mark.attempt == attempt for _, mark in self.ledger.marks("begin"))

    def results(self) -> dict[str, int]:
        """Return which attempt's result each runtime's task has, once all have ended."""
        until(lambda: not audit.unfinished(self.crew.url), what="all tasks end")
        with tenure.Client(self.crew.url) as client:
            return {
                runtime: msgspec.json.decode(client.result(task_id), type=Mark).attempt
                for runtime, task_id in self.ids.items()
            }

    def take_over(self) -> None:
        """Have another worker begin the second attempts."""
        self.crew.start()
        until(lambda: self.begun(2) == len(self.ids), what="another worker has the tasks")


Setter = Callable[..., Scene]


@pytest.fixture
def scene(crew_for: Callable[[str], Crew], ledger: Ledger, tmp_path: Path) -> Setter:
    def make(url: str, *options: str, fault: str = "") -> Scene:
        crew, gate = crew_for(url), tmp_path / "gate"
        with tenure.Client(url) as client:
            ids = {
                runtime: str(client.enqueue(kind, str(ledger.path), 0, str(gate)).id)
                for runtime, kind in handlers.BY_RUNTIME.items()
            }
        stale = crew.start(*options, fault=fault)
        made = Scene(crew, ledger, gate, ids, stale)
        until(lambda: made.begun(1) == len(ids), what="the first attempts begin")
        stale.freeze()
        return made

    return make


def test_a_worker_that_slept_through_its_leases_changes_nothing(scene: Setter, url: str) -> None:
    made = scene(url)

    made.take_over()
    made.open_gate(1)
    made.stale.thaw()
    until(lambda: made.stale.says("lease lost") >= len(RUNTIMES), what="it learns of its loss")
    made.open_gate(2)

    assert made.results() == dict.fromkeys(RUNTIMES, 2)
    assert audit.events(url) == {"expire": 3, "complete": 3}
    assert audit.findings(url) == []
    made.stale.ask_to_stop()
    assert made.stale.exit_code() == 0


def test_the_write_of_an_older_claim_finds_no_row(scene: Setter, url: str) -> None:
    made = scene(url, "--lease", "3600")

    _settle_late(made)
    until(lambda: made.stale.says("lease lost") == len(RUNTIMES), what="its writes are refused")
    made.open_gate(2)

    assert made.results() == dict.fromkeys(RUNTIMES, 2)
    assert audit.events(url) == {"expire": 3, "complete": 3}
    assert audit.unproven(url, made.ledger, [*made.ids.values()]) == []


def test_without_the_fence_an_older_claim_ends_the_task(scene: Setter, url: str) -> None:
    """The planted fault: the statement that settles does not name the claim."""
    made = scene(url, "--lease", "3600", fault="no-fence")

    _settle_late(made)

    assert made.results() == dict.fromkeys(RUNTIMES, 1)
    assert audit.findings(url) != []


def _settle_late(made: Scene) -> None:
    """Let the stale worker end its attempts while the second ones run.

    Its lease is ended in the store, as by a database whose clock is ahead of the worker's: the
    worker itself sees nothing wrong until it writes.
    """
    audit.ask(made.crew.url, "UPDATE task SET lease_expires_at_us = 1 WHERE state = 'running'")
    made.take_over()
    made.open_gate(1)
    made.stale.thaw()
    until(lambda: len(made.ledger.marks("end")) == len(RUNTIMES), what="the first attempts end")
