"""Faults put in on purpose, one for each invariant and each guard that the simulator watches.

A check that has never failed is not yet a check: `test_faults.py` demands that each of these
turns a run red, with the sentence that it is here for, within a few seeds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from tenure.engine.claimer import Claimer
from tenure.engine.executor import Executor
from tenure.engine.pruner import Pruner
from tenure.engine.reaper import Reaper
from tenure.engine.renewer import Renewer
from tenure.engine.running import Run, Stop
from tenure.engine.settler import Settler
from tenure.engine.slots import Slots
from tenure.engine.supervisor import Supervisor
from tenure.kernel.model import Claim, NewTask, TaskId
from tenure.kernel.ports import Statement, Steps, read
from tenure.observe.events import AttemptsSettled
from tenure.store import claims, tasks
from tenure.store.sqlite import SqliteStore
from tests.sim.clocks import SECOND_US
from tests.sim.faults_made import Fault, instead, never
from tests.sim.faults_of_schedules import IN_SCHEDULES
from tests.sim.menu import LONG

# Much to do for workers that live long and hear of nothing.
CROWDED: dict[str, Any] = {
    "workers": 4,
    "requests_every_us": 120_000,
    "kill_every_us": 0,
    "active_us": 15 * SECOND_US,
    "drop_notice": 1.0,
    "shares_process": 0.0,
    "refuse": 0.02,
    "delay": 0.0,
}

FENCE = ("AND claim_no = ?", r"AND \1 IS NOT NULL")

IN_STATEMENTS = (
    Fault(
        name="settle without its fence",
        # The row of the attempt, which is there already, is a second guard.
        tells="settler of",
        emphasis=CROWDED,
        statements={"settle_tasks": instead(*FENCE)},
    ),
    Fault(
        name="renew without its fence",
        tells="is fenced",
        emphasis=CROWDED,
        statements={"renew_leases": instead(*FENCE)},
    ),
    Fault(
        name="progress without its fence",
        tells="is fenced",
        emphasis=CROWDED | {"moves": ("progress:1000", "progress:1500")},
        statements={"report_progress": instead(*FENCE)},
    ),
    Fault(
        name="settle of what does not run",
        tells="settler of",
        statements={"settle_tasks": instead("AND state = 'running'", "")},
    ),
    Fault(
        name="reaper that does not compare leases",
        tells="keeps its lease until that is over",
        statements={"expired_claims": instead("lease_expires_at_us <= ?", r"\1 IS NOT NULL")},
    ),
    Fault(
        name="retry after a wish to cancel",
        tells="does not come back once it was asked to cancel",
        statements={"settle_tasks": instead("OR cancel_asked_at_us IS NULL", "OR 1 = 1")},
    ),
    Fault(
        name="snooze that costs two attempts",
        tells="attempt",
        statements={
            "settle_tasks": instead("attempt = attempt - ?", r"attempt = attempt - 1 + 0 * \1")
        },
    ),
    Fault(
        name="claim of more than there is room for",
        tells="were claimed by",
        statements={"claim_tasks": instead("spent <= ?", r"\1 IS NOT NULL")},
    ),
    Fault(
        name="claim of more than the queue has slots",
        tells="keeps within its queue's slots",
        statements={"claim_tasks": instead("used <= ?", r"\1 IS NOT NULL")},
    ),
    Fault(
        name="claim from a paused queue",
        emphasis={"pause_every_us": SECOND_US},
        tells="is not claimed from a paused queue",
        statements={"claim_tasks": instead("queue.paused_at_us IS NOT NULL OR", "")},
    ),
    Fault(
        name="claim of what is not due",
        tells="is claimed when due",
        statements={"claim_tasks": instead("run_at_us <= ?", r"\1 IS NOT NULL")},
    ),
    Fault(
        name="claim of the least urgent first",
        tells="is more urgent than what was claimed",
        statements={"claim_tasks": instead("ORDER BY lane, run_at_us", "ORDER BY lane DESC")},
    ),
    Fault(
        name="claim without a new number",
        tells="counts its claims",
        statements={"claim_tasks": instead("claim_no = claim_no + 1", "claim_no = claim_no")},
    ),
    Fault(
        name="claim that spends no attempt",
        tells="spends an attempt",
        statements={"claim_tasks": instead("attempt = attempt + 1", "attempt = attempt")},
    ),
    Fault(
        name="settle without the attempt's row",
        tells="without a row of the attempt",
        statements={"log_attempts": never},
    ),
    Fault(
        name="forced cancel without the attempt's row",
        tells="without a row of the attempt",
        statements={"log_attempt": never},
    ),
    Fault(
        name="pruner that leaves bodies",
        tells="task_body has rows of tasks that are gone",
        statements={"prune_bodies": never},
    ),
    Fault(
        name="pruner that leaves attempts",
        tells="attempt has rows of tasks that are gone",
        statements={"prune_attempts": never},
    ),
    Fault(
        name="pruner that is too early",
        tells="is deleted after its retention",
        statements={"prune_tasks": instead("ended_at_us <= ? - ?", r"\1 + \2 IS NOT NULL")},
    ),
    Fault(
        name="revive that keeps the large result",
        tells="has no result once it is revived",
        statements={"drop_result_body": never},
    ),
    Fault(
        name="large payload that is not stored",
        tells="",
        statements={"put_bodies": never},
    ),
    Fault(
        name="two live tasks with one key",
        tells="is the only one with its key",
        schema=("DROP INDEX task_unique_key",),
    ),
    Fault(
        name="settle and log in two transactions",
        tells="without a row of the attempt",
        splits_verbs=True,
    ),
)


def forget_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def release_nothing(self: Claimer) -> None:
        self._owns_unheard = False

    monkeypatch.setattr(Claimer, "_release_unheard", release_nothing)


def count_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Settler._write

    async def write_late(self: Settler, batch: Sequence[tuple[Run, Any]]) -> Any:
        for run, _ in batch:
            self._running.drop(run)
        self.emit(AttemptsSettled(count=len(batch)))
        return await write(self, list(batch))

    monkeypatch.setattr(Settler, "_write", write_late)


def stop_no_lost_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Executor.stop

    def stop_others(self: Executor, run: Run, why: Stop) -> None:
        if why is not Stop.LOST:
            stop(self, run, why)

    monkeypatch.setattr(Executor, "stop", stop_others)


def renew_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def renew(self: Renewer) -> None:
        self._renewed_us = self._clock.monotonic_us()

    monkeypatch.setattr(Renewer, "_renew", renew)


def bound_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "_bound", lambda self, run: None)


def pass_no_wish_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "ask_to_cancel", lambda self, run: None)


def leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_for_nobody(self: Supervisor, patience_us: int, *, may_be_hurried: bool) -> None:
        return

    monkeypatch.setattr(Supervisor, "_until_idle", wait_for_nobody)


def give_no_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_back(self: Slots, taken: int, *, has_begun: bool) -> None:
        self._busy -= taken if has_begun else 0
        self._pace.note()

    monkeypatch.setattr(Slots, "give_back", give_back)


def begin_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "has_room", lambda self, cost: True)


def promise_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def promise(self: Slots, wanted: int) -> int:
        self._promised += wanted
        return wanted

    monkeypatch.setattr(Slots, "promise", promise)


def commit_sometimes(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = SqliteStore._commit
    count = 0

    def commit_most(self: SqliteStore) -> Exception | None:
        nonlocal count
        count += 1
        if count % 50:
            return commit(self)
        self._session.connection.execute("ROLLBACK")
        return None

    monkeypatch.setattr(SqliteStore, "_commit", commit_most)


def mix_progress_up(monkeypatch: pytest.MonkeyPatch) -> None:
    report = claims.report_progress
    monkeypatch.setattr(
        claims, "report_progress", lambda leases, said: report(leases, list(reversed(said)))
    )


def start_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Executor.start

    def start_again(self: Executor, claims: Sequence[Claim], *, lease_ends_us: int) -> None:
        start(self, claims, lease_ends_us=lease_ends_us)
        start(self, claims, lease_ends_us=lease_ends_us)

    monkeypatch.setattr(Executor, "start", start_again)


def assert_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tick(self: Pruner) -> int:
        raise AssertionError("a mistake of ours")

    monkeypatch.setattr(Pruner, "tick", tick)


def wake_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claimer, "wake", lambda self: None)


def reap_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tick(self: Reaper) -> int:
        return self._settings.every_us

    monkeypatch.setattr(Reaper, "tick", tick)


IN_CODE = (
    Fault(
        name="claimer that forgets what it did not hear",
        tells="was claimed and forgotten",
        patch=forget_unheard,
    ),
    Fault(
        name="settler that counts before the commit",
        tells="counts as settled",
        patch=count_before_commit,
    ),
    Fault(
        name="lost run that goes on",
        tells="but its claim ended",
        patch=stop_no_lost_run,
        emphasis=CROWDED | {"moves": (LONG, "ok:100")},
    ),
    Fault(name="renewer that does not renew", tells="in trouble only", patch=renew_nothing),
    Fault(
        name="timeout that nobody keeps",
        tells="after its timeout",
        patch=bound_nothing,
        emphasis={"moves": (LONG, "ok:100")},
    ),
    Fault(name="wish to cancel that is lost", tells="asked to cancel at", patch=pass_no_wish_on),
    Fault(
        name="drain that waits for nobody",
        tells="has drained and left claims",
        patch=leave_at_once,
        emphasis={"moves": ("ok:1200", "ok:2500"), "requests_every_us": 80_000},
    ),
    Fault(name="slots that are not given back", tells="", patch=give_no_room_back),
    Fault(name="executor that ignores its slots", tells=" slots", patch=begin_everything),
    Fault(name="claimer that takes all there is", tells=" takes ", patch=promise_everything),
    Fault(name="commit that is undone", tells="", patch=commit_sometimes),
    Fault(name="progress of another task", tells="shows its own progress", patch=mix_progress_up),
    Fault(name="claim that is run twice", tells="started twice", patch=start_twice),
    Fault(
        name="assertion that fails in the background",
        tells="pruner of",
        patch=assert_in_the_background,
    ),
    Fault(
        name="reaper that sleeps",
        tells="no rest",
        patch=reap_nothing,
        emphasis={"kill_every_us": 2 * SECOND_US, "active_us": 6 * SECOND_US},
    ),
    Fault(name="claimer that nobody wakes", tells="idle while", patch=wake_nobody),
)


def count_by_the_worker(statement: str) -> str:
    """Let a task count for no more in its queue than in the worker."""
    clips = re.findall(r"MIN\(cost, (\?\d+)\)", statement)
    assert 2 == len(clips)
    return statement.replace(f"MIN(cost, {clips[1]})", f"MIN(cost, {clips[0]}, {clips[1]})")


def promise_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    promise = Slots.promise
    monkeypatch.setattr(Slots, "promise", lambda self, wanted: promise(self, min(wanted, 1)))


def bar_the_settler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settler, "_can_go_on", lambda self, batch, error: False)


def look_at_one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    look = claims.claims_of_worker
    monkeypatch.setattr(
        claims,
        "claims_of_worker",
        lambda worker_id, queue, *, limit: look(worker_id, queue, limit=1),
    )


def look_at_the_key_first(monkeypatch: pytest.MonkeyPatch) -> None:
    @read
    def taken_by(task: NewTask) -> Steps[TaskId | None]:
        if task.unique_key is not None:
            key = {"tenant": task.tenant, "unique_key": task.unique_key}
            found = yield Statement("live_task_with_key", key)
            if found:
                return TaskId(found[0][0])
        found = yield Statement("get_task", {"tenant": task.tenant, "id": task.id})
        return task.id if found else None

    monkeypatch.setattr(tasks, "taken_by", taken_by)


# What the simulator found in earlier versions of the engine and the store, put back.
FOUND = (
    Fault(
        name="queue's slots counted as the worker's",
        tells="keeps within its queue's slots",
        statements={"claim_tasks": count_by_the_worker},
        emphasis={"queue_slots": 8},
    ),
    Fault(
        name="task that costs more than a batch counts",
        tells="idle while",
        patch=promise_a_batch,
    ),
    Fault(
        name="verb of a settlement that bars all others",
        tells="settler of",
        patch=bar_the_settler,
    ),
    Fault(
        name="unheard claim behind those that are known",
        tells="was claimed and forgotten",
        patch=look_at_one_claim,
    ),
    Fault(
        name="id that is refused for its key",
        tells="stored all the same",
        patch=look_at_the_key_first,
    ),
)

FAULTS = (*IN_STATEMENTS, *IN_CODE, *FOUND, *IN_SCHEDULES)
