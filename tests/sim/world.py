"""What all parts of one simulation share: time, chance, trace, ledger, and what went wrong."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from tenure.kernel.states import State
from tests.sim.audit import Deed, Reader, Row
from tests.sim.checker import Checker
from tests.sim.clocks import SECOND_US, START_US, SimClock, SimIds
from tests.sim.ledger import ClaimKey, Ledger, TaskKey
from tests.sim.loop import Host, VirtualLoop
from tests.sim.plan import Plan

if TYPE_CHECKING:
    from tests.sim.workers import SimWorker

VIOLATIONS_MAX = 20
# Clock steps may have put ends into the future, so that everything is old enough.
ANY_AGE_US = -2 * 366 * 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class Plant:
    """Faults put in on purpose: edits of statements, and verbs without their transaction."""

    statements: dict[str, Callable[[str], str]] = field(default_factory=dict)
    splits_verbs: bool = False
    schema: tuple[str, ...] = ()
    emphasis: dict[str, Any] = field(default_factory=dict)  # fields of the plan


NOTHING_PLANTED = Plant()


@dataclass
class Counts:
    """What a report tells."""

    workers: int = 0
    deaths: int = 0
    freezes: int = 0
    drains: int = 0
    clock_steps: int = 0
    leases_lost: int = 0
    expired: int = 0
    requests: int = 0
    handler_runs: int = 0


class World:
    """One simulation's common ground."""

    def __init__(
        self, plan: Plan, rng: random.Random, loop: VirtualLoop, path: Path, plant: Plant
    ) -> None:
        self.plan = plan
        self.rng = rng
        self.loop = loop
        self.path = path
        self.plant = plant
        self.ids = SimIds(rng)
        self.store_clock = SimClock(loop, wall_offset_us=plan.epoch_us - START_US)
        self.ahead_us = 0  # by which the store's clock has leapt
        self.ledger = Ledger()
        self.counts = Counts()
        self.workers: list[SimWorker] = []
        self.violations: list[str] = []
        self.is_troubled = False
        self.is_over = False
        self.calm_since_us: int | None = None
        self.kept_waiting: tuple[Row, int] | None = None  # a task, since when
        self.prunes_all = False  # at the very end, whatever its age
        self.says: Callable[[str], None] | None = None
        self.watcher = apsw.Connection(str(path))
        self.checker = Checker(self, Reader(self.watcher))
        self._deeds: dict[int, Deed] = {}
        self._deed_number = 0
        self._digest = hashlib.sha256()
        self._lines = 0

    @property
    def fingerprint(self) -> str:
        """What tells one run from another: a hash over the whole trace."""
        return f"{self._lines}-{self._digest.hexdigest()[:16]}"

    def note(self, who: Host | str, text: str) -> None:
        """Write a line of the trace."""
        if self.is_over:
            return
        line = f"{self.loop.now_us / 1_000_000:11.6f} {who!s:>8} {text}"
        self._digest.update(line.encode())
        self._lines += 1
        if self.says is not None:
            self.says(line)

    def blame(self, text: str) -> None:
        """Note what must never be."""
        if len(self.violations) < VIOLATIONS_MAX and not self.is_over:
            at = f"at {self.loop.now_us / 1_000_000:.6f}: {text}"
            self.violations.append(at)
            self.note("RED", text)

    def begin_deed(self, make: Callable[[int], Deed]) -> None:
        """A statement is about to be executed."""
        self._deed_number += 1
        self._deeds[self._deed_number] = make(self._deed_number)

    def current_deed(self) -> int:
        """Return whose statement is being executed; the triggers ask."""
        return self._deed_number

    def take_deeds(self) -> dict[int, Deed]:
        """Return the deeds since the last commit."""
        taken, self._deeds = self._deeds, {}
        return taken

    def worker(self, worker_id: str) -> SimWorker:
        """Return a worker by the id it is registered under."""
        return next(worker for worker in self.workers if worker.worker_id == worker_id)

    def is_calm_since(self, us: int) -> bool:
        """Return whether there has been no trouble since an instant of virtual time."""
        return self.calm_since_us is not None and self.calm_since_us <= us

    def heard(self, host_name: str) -> set[ClaimKey]:
        """Return the claims that a host knows of."""
        for worker in self.workers:
            if worker.host.name == host_name:
                return worker.store.heard
        return set()

    def has_result_body(self, key: TaskKey) -> bool:
        """Return whether a result of the task is kept aside."""
        text = "SELECT 1 FROM task_body WHERE tenant = ? AND task_id = ? AND part = 'result'"
        return bool(self.watcher.execute(text, key).fetchall())

    def keeps_us(self, state: str) -> int:
        """Return for how long tasks of an ended state are kept."""
        pruner = self.plan.settings.pruner
        if self.prunes_all:
            return ANY_AGE_US
        keep_us = {
            State.COMPLETED: pruner.keep_completed_us,
            State.FAILED: pruner.keep_failed_us,
            State.CANCELLED: pruner.keep_cancelled_us,
        }
        return keep_us.get(State(state), 0)
