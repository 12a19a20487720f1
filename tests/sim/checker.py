"""The invariants that are checked after every commit.

Fed by the audit: it holds a copy of all tasks, moves it along with every entry, and refuses any
move that the transition table, the fence, the queues or the budgets do not allow. The checks for
a system at rest are in `rest.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tenure.kernel.states import ENDED, LIVE, TRANSITIONS, Event, State
from tests.sim import claiming
from tests.sim.audit import Change, Deed, Reader, Row
from tests.sim.fires import Fires, waits
from tests.sim.ledger import ClaimKey, TaskKey

if TYPE_CHECKING:
    from tests.sim.world import World

# Which statement may make which moves between states.
MOVES = {
    "claim_tasks": {Event.CLAIM},
    "settle_tasks": {event for state, event in TRANSITIONS if state is State.RUNNING},
    "settle_cancelled": {Event.CANCEL},
    "cancel_task": {Event.CANCEL},
    "wake_task": {Event.WAKE},
    "wake_turns": {Event.WAKE},
    "revive_task": {Event.REVIVE},
}
STAYS = {"renew_leases", "report_progress", "ask_task_to_cancel"}
FENCED = {"settle_tasks", "settle_cancelled", "renew_leases", "report_progress"}
GIVES_BACK = {Event.SNOOZE, Event.RELEASE, Event.WAIT}


@dataclass
class Commit:
    """What one commit has brought, for the checks that need all of it."""

    ended_claims: dict[ClaimKey, Row] = field(default_factory=dict)
    attempts: dict[ClaimKey, Event] = field(default_factory=dict)
    claimed: list[Row] = field(default_factory=list)  # by the present statement


@dataclass(frozen=True)
class Must:
    """What must be so of a task, in this deed."""

    world: World
    deed: Deed
    row: Row

    def __call__(self, is_so: bool, rule: str) -> None:
        """Note it if it is not so."""
        if not is_so:
            self.world.blame(f"a task {rule}: {self.row} by {self.deed}")


class Checker:
    """A copy of the tasks, and what must be true of it."""

    def __init__(self, world: World, reader: Reader) -> None:
        self.tasks: dict[TaskKey, Row] = {}
        self.pruned: set[TaskKey] = set()
        self.claimed_by: dict[ClaimKey, str] = {}
        self.claimed_us: dict[ClaimKey, int] = {}  # virtual time
        self.ended_us: dict[ClaimKey, int] = {}  # virtual time
        self.asked_us: dict[TaskKey, int] = {}  # virtual time
        self.attempts: dict[TaskKey, dict[int, Event]] = {}
        self.completions: dict[TaskKey, int] = {}
        self.revivals: dict[TaskKey, int] = {}
        self.queues: dict[str, tuple[int | None, int | None]] = {}
        self.checked = 0
        self.fires = Fires(world)
        self._world = world
        self._reader = reader

    def after_commit(self) -> None:
        """Check what was committed since the last time."""
        commit = Commit()
        deeds = self._world.take_deeds()
        for number, changes in groupby(self._reader.changes(), key=lambda change: change.deed):
            deed = deeds.get(number)
            claimed = self._check_deed(deed, list(changes), commit)
            if deed is not None and claimed:
                claiming.check(self._world, deed, claimed)
        for key, row in commit.ended_claims.items():
            if key not in commit.attempts:
                self._blame(f"{_name(key)} ended as {row.state} without a row of the attempt")
        self.fires.end_commit()

    def running(self, worker_id: str = "") -> list[Row]:
        """Return what the store says is running, of one worker or of all."""
        return [
            row
            for row in self.tasks.values()
            if row.state == State.RUNNING and worker_id in ("", row.worker_id)
        ]

    def _check_deed(self, deed: Deed | None, changes: list[Change], commit: Commit) -> list[Row]:
        """Follow what one statement did; return what it claimed."""
        self.checked += len(changes)
        commit.claimed = []
        for change in changes:
            if deed is None:
                self._blame(f"{change.what} by nobody: {change}")
            else:
                self._check(deed, change, commit)
        return commit.claimed

    def _check(self, deed: Deed, change: Change, commit: Commit) -> None:
        match change.what:
            case "insert task":
                self._inserted(deed, _row(change.new))
            case "update task":
                self._updated(deed, _row(change.old), _row(change.new), commit)
            case "delete task":
                self._deleted(deed, _row(change.old))
            case "insert attempt":
                assert change.new is not None
                self._logged(deed, change.new, commit)
            case "insert queue" | "update queue":
                assert change.new is not None
                name, paused_at_us, slots = change.new[:3]
                self.queues[name] = (paused_at_us, slots)
            case _ if change.what.endswith((" schedule", " fire")):
                self.fires.follow(deed, change)
            case _:
                self._blame(f"nothing may {change.what}")

    def _inserted(self, deed: Deed, new: Row) -> None:
        key = (new.tenant, new.id)
        Must(self._world, deed, new)(new.state == State.PENDING or waits(new), "is born pending")
        Must(self._world, deed, new)(key not in self.tasks, "is born once")
        Must(self._world, deed, new)(
            new.claim_no == new.attempt == new.crashes == 0, "is born unused"
        )
        self.tasks[key] = new
        self._check_unique(deed, new)
        if new.schedule_id is not None:
            self.fires.run_born(deed, new)

    def _deleted(self, deed: Deed, old: Row) -> None:
        key = (old.tenant, old.id)
        keep_us = self._world.keeps_us(old.state)
        Must(self._world, deed, old)(
            deed.statement == "prune_tasks", "is deleted by the pruner only"
        )
        Must(self._world, deed, old)(old.state in ENDED, "is deleted after its end")
        is_old = old.ended_at_us is not None and old.ended_at_us <= deed.now_us - keep_us
        Must(self._world, deed, old)(is_old, "is deleted after its retention")
        self.pruned.add(key)
        # An id that a caller gave may come again, and is another task then.
        for known in (self.tasks, self.attempts, self.completions, self.revivals, self.asked_us):
            known.pop(key, None)
        for claim_no in range(1, old.claim_no + 1):
            self.ended_us.pop((*key, claim_no), None)
        self._world.ledger.forget(key)

    def _updated(self, deed: Deed, old: Row, new: Row, commit: Commit) -> None:
        key = (old.tenant, old.id)
        claim = (*key, old.claim_no)
        must = Must(self._world, deed, new)
        must(self.tasks.get(key) == old, "changes with the audit only")
        self.tasks[key] = new
        if new.schedule_id is not None:
            self.fires.run_changed(deed, old, new)
        if deed.statement in FENCED:
            must(old.state == State.RUNNING, "is written by workers while it runs only")
            must(claim in deed.keys, f"is fenced: claim {old.claim_no} was not named")
            if deed.verb != "expire":
                must(old.worker_id == deed.worker_id, "is written by its own worker only")
        if old.cancel_asked_at_us is None and new.cancel_asked_at_us is not None:
            self.asked_us[key] = self._world.loop.now_us
        if old.state == new.state:
            must(deed.statement in STAYS, "does not change without a move")
            must(old.state == State.RUNNING, "changes without a move only while it runs")
            must(old[:13] == new[:13], "keeps its numbers while it runs")
            self._check_progress(deed, new)
        else:
            self._moved(deed, old, new, commit)

    def _moved(self, deed: Deed, old: Row, new: Row, commit: Commit) -> None:
        key = (old.tenant, old.id)
        must = Must(self._world, deed, new)
        moves = {
            event
            for event in MOVES.get(deed.statement, ())
            if TRANSITIONS.get((State(old.state), event)) == new.state
        }
        must(bool(moves), f"does not go from {old.state} to {new.state} by {deed.statement}")
        must(
            new.state not in LIVE or new.state == State.RUNNING or new.cancel_asked_at_us is None,
            "does not come back once it was asked to cancel",
        )
        if Event.CLAIM in moves:
            self._claimed(deed, old, new, commit)
        else:
            must(new.claim_no == old.claim_no, "keeps its claim number")
        if old.state == State.RUNNING:
            self._ended_claim(deed, old, new, commit)
        if Event.REVIVE in moves:
            self.revivals[key] = self.revivals.get(key, 0) + 1
            must(new.attempts_max > new.attempt, "has an attempt left when revived")
            must(not self._world.has_result_body(key), "has no result once it is revived")
            self._check_unique(deed, new)

    def _claimed(self, deed: Deed, old: Row, new: Row, commit: Commit) -> None:
        must = Must(self._world, deed, new)
        must(new.claim_no == old.claim_no + 1, "counts its claims")
        must(new.attempt == old.attempt + 1, "spends an attempt")
        must(new.attempt <= new.attempts_max, "keeps within its attempts")
        must(old.run_at_us <= deed.now_us, "is claimed when due")
        must(new.worker_id == deed.worker_id, "belongs to whoever claims it")
        lease_us = self._world.plan.settings.worker.lease_us
        must(new.lease_expires_at_us == deed.now_us + lease_us, "is leased for as long as asked")
        paused_at_us, slots = self.queues.get(new.queue, (None, None))
        must(paused_at_us is None, "is not claimed from a paused queue")
        if slots is not None:
            used = sum(min(row.cost, slots) for row in self.running() if row.queue == new.queue)
            must(used <= slots, f"keeps within its queue's slots: {used} of {slots}")
        claim = (new.tenant, new.id, new.claim_no)
        self.claimed_by[claim] = deed.worker_id
        self.claimed_us[claim] = self._world.loop.now_us
        commit.claimed.append(old)

    def _ended_claim(self, deed: Deed, old: Row, new: Row, commit: Commit) -> None:
        must = Must(self._world, deed, new)
        claim = (old.tenant, old.id, old.claim_no)
        commit.ended_claims[claim] = new
        self.ended_us[claim] = self._world.loop.now_us
        must(new.attempt in (old.attempt, old.attempt - 1), "gives back one attempt at most")
        must(new.crashes - old.crashes in (0, 1), "counts its crashes")
        if deed.verb == "expire":
            must(not self._world.is_calm_since(self.claimed_us[claim]), "expires in trouble only")
            assert old.lease_expires_at_us is not None
            must(old.lease_expires_at_us <= deed.now_us, "keeps its lease until that is over")
            must(new.attempt == old.attempt, "spends an attempt when its worker is lost")
        else:
            must(new.crashes == old.crashes, "does not crash by settling")
        if new.state == State.COMPLETED:
            key = (new.tenant, new.id)
            self.completions[key] = self.completions.get(key, 0) + 1
            may = self.revivals.get(key, 0) + 1
            must(self.completions[key] <= may, "completes once")

    def _logged(self, deed: Deed, logged: tuple[Any, ...], commit: Commit) -> None:
        tenant, task_id, claim_no, event_name, worker_id, attempt = logged[:6]
        claim = (tenant, task_id, claim_no)
        event = Event(event_name)
        commit.attempts[claim] = event
        row = commit.ended_claims.get(claim)
        if row is None:
            self._blame(f"{_name(claim)}: an attempt is logged that did not end now ({deed})")
            return
        must = Must(self._world, deed, row)
        must(TRANSITIONS.get((State.RUNNING, event)) == row.state, f"is logged as it is: {event}")
        must(worker_id == row.worker_id, "is logged under its worker")
        spent = attempt if event not in GIVES_BACK else attempt - 1
        is_counted = row.attempt == spent or (event is Event.CANCEL and row.attempt == spent - 1)
        must(is_counted, f"counts attempts as logged: {event} of {attempt}")
        known = self.attempts.setdefault((tenant, task_id), {})
        must(claim_no not in known, "logs a claim once")
        known[claim_no] = event

    def _check_unique(self, deed: Deed, new: Row) -> None:
        if new.unique_key is None:
            return
        holders = [
            row.id
            for row in self.tasks.values()
            if row.unique_key == new.unique_key and row.tenant == new.tenant and row.state in LIVE
        ]
        Must(self._world, deed, new)(len(holders) == 1, f"is the only one with its key: {holders}")

    def _check_progress(self, deed: Deed, new: Row) -> None:
        if new.progress is not None:
            is_its_own = f"{new.id}/{new.claim_no}" in new.progress
            Must(self._world, deed, new)(is_its_own, f"shows its own progress: {new.progress}")

    def _blame(self, text: str) -> None:
        self._world.blame(text)


def _row(values: tuple[Any, ...] | None) -> Row:
    assert values is not None
    return Row(*values)


def _name(claim: ClaimKey) -> str:
    return f"{claim[1]}/{claim[2]}"
