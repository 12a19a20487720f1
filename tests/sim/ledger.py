"""What handlers really did, kept outside of the database.

Written by the handlers of `handlers.py`, read by the invariants. A run is one call of a handler
for one claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sim.loop import Host

TaskKey = tuple[str, str]  # tenant, task id
ClaimKey = tuple[str, str, int]  # tenant, task id, claim_no


@dataclass(eq=False)
class HandlerRun:
    """One call of a handler."""

    key: ClaimKey
    host: Host
    cost: int
    began_us: int
    frozen_before_us: int
    timeout_us: int | None
    ended_us: int | None = None
    how: str = ""
    handed: str | None = None  # the state for the next run of its schedule, as it is stored

    def awake_us(self, now_us: int) -> int:
        """Return for how long it has been able to run."""
        return now_us - self.began_us - (self.host.frozen_us - self.frozen_before_us)


@dataclass
class Ledger:
    """All runs, and what was told to handlers to do."""

    runs: dict[ClaimKey, HandlerRun] = field(default_factory=dict)
    open: dict[ClaimKey, HandlerRun] = field(default_factory=dict)
    starts: dict[TaskKey, int] = field(default_factory=dict)
    repeated: list[ClaimKey] = field(default_factory=list)
    is_closed: bool = False

    def begin(self, run: HandlerRun) -> int:
        """Note a start; return how often the task was started before."""
        if run.key in self.runs:
            self.repeated.append(run.key)
        self.runs[run.key] = self.open[run.key] = run
        task = run.key[:2]
        before = self.starts.get(task, 0)
        self.starts[task] = before + 1
        return before

    def end(self, run: HandlerRun, how: str, now_us: int) -> None:
        """Note an end, in whatever way."""
        if self.is_closed or run.host.is_dead:
            return
        run.ended_us, run.how = now_us, how
        self.open.pop(run.key, None)

    def forget(self, task: TaskKey) -> None:
        """The task was deleted; a new one may come under the same id."""
        self.starts.pop(task, None)
        for key in [key for key in self.runs if key[:2] == task and key not in self.open]:
            del self.runs[key]

    def bury(self, host: Host) -> None:
        """The host died, and its runs with it."""
        for run in [run for run in self.open.values() if run.host is host]:
            run.how = "died"
            del self.open[run.key]

    def load(self, host: Host) -> int:
        """Return the cost of what really runs on a host now."""
        return sum(run.cost for run in self.open.values() if run.host is host)
