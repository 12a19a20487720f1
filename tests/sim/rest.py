"""What must be true once the troubles are over, and of runs of handlers at any time.

Checked at rest by `simulation.py`, with the tables themselves; `watch_runs` also while it runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tenure.kernel.states import ENDED, Event, State
from tests.sim.audit import Row
from tests.sim.checker import GIVES_BACK
from tests.sim.clocks import SECOND_US
from tests.sim.handlers import STUBBORN_MS_MAX
from tests.sim.ledger import HandlerRun

if TYPE_CHECKING:
    from tests.sim.workload import Client
    from tests.sim.world import World

# For how long the renewer may sleep after errors, and wait for a store that does not answer.
SLACK_US = 5 * SECOND_US
# Loops that failed in the trouble sleep no longer than this, and then look at least so often.
RECOVERY_US = 12 * SECOND_US
PROMPT_US = 4 * SECOND_US
ERROR_TYPES = {
    *("timeout", "heartbeat", "lease_expired", "SystemExit", "ValueError"),
    *("asyncio.exceptions.CancelledError", "tests.sim.handlers.TroubleInHandler"),
    *("tenure.sdk.retrying.GiveUp", "tenure.sdk.retrying.RetryLater"),
    *("tenure.kernel.errors.LimitError", "tenure.kernel.errors.ConflictError"),
    "tenure.kernel.errors.LeaseLostError",
}
_OWNED = {"attempt": "task_id", "task_event": "task_id", "task_body": "task_id"}


def watch_runs(world: World) -> None:
    """No handler goes on for long after its claim ended, its time was up or it was cancelled."""
    settings = world.plan.settings
    now_us = world.loop.now_us
    for run in list(world.ledger.open.values()):
        if run.host.is_frozen:
            continue
        stubborn_us = STUBBORN_MS_MAX * 1_000
        patience_us = SLACK_US + stubborn_us + settings.worker.lease_us
        ended_us = world.checker.ended_us.get(run.key)
        if ended_us is not None and _awake_since(run, ended_us, now_us) > patience_us:
            world.blame(f"{run.key} still runs on {run.host}, but its claim ended at {ended_us}")
        if run.timeout_us is not None and (
            run.awake_us(now_us) > run.timeout_us + stubborn_us + SECOND_US
        ):
            world.blame(f"{run.key} runs on {run.host} long after its timeout")
        asked_us = world.checker.asked_us.get(run.key[:2])
        grace_us = settings.worker.cancel_grace_us
        if (
            asked_us is not None
            and asked_us >= run.began_us
            and _awake_since(run, asked_us, now_us) > SLACK_US + stubborn_us + grace_us
        ):
            world.blame(f"{run.key} runs on {run.host} and was asked to cancel at {asked_us}")


def watch_idleness(world: World) -> None:
    """Undisturbed, what is due does not wait for long beside a worker that has room for it."""
    if not world.is_calm_since(world.loop.now_us - RECOVERY_US):
        return
    now_us = world.store_clock.now_us()
    due = [
        row
        for row in world.checker.tasks.values()
        if row.state == State.PENDING and row.queue == "default" and row.run_at_us <= now_us
    ]
    head = min(due, key=lambda row: (row.lane, row.run_at_us), default=None)
    if head is None or not any(worker.has_room(head.cost) for worker in world.workers):
        world.kept_waiting = None
    elif world.kept_waiting is None or world.kept_waiting[0] != head:
        world.kept_waiting = (head, world.loop.now_us)
    elif world.loop.now_us - world.kept_waiting[1] > PROMPT_US:
        world.blame(f"workers idle while a task is due: {head}")


def _awake_since(run: HandlerRun, since_us: int, now_us: int) -> int:
    """Return at least how long the run's host was awake after an instant."""
    return now_us - since_us - (run.host.frozen_us - run.frozen_before_us)


def check_rest(world: World, client: Client) -> None:
    """Check everything that is checked at the end, before the tables are emptied."""
    checker = world.checker
    for key in client.acknowledged:
        if key not in checker.tasks and key not in checker.pruned:
            world.blame(f"{key[1]} was acknowledged and is lost")
    rows = _stored(world)
    if rows != checker.tasks:
        different = [key for key in rows | checker.tasks if rows.get(key) != checker.tasks.get(key)]
        world.blame(f"the tables are not what the audit says: {different}")
    for row in rows.values():
        _check_attempts(world, row)
        if row.state == State.COMPLETED:
            _check_result(world, row)
    _check_bodies(world)
    _check_errors(world)
    _check_orphans(world)


def check_idle(world: World) -> None:
    """Check that workers which have nothing to do hold nothing."""
    for worker in world.workers:
        if not worker.is_up or worker.is_draining:
            continue
        executor = worker.supervisor.executor
        left = {
            "room taken": executor.slots._taken,
            "room promised": executor.slots._promised,
            "room in use": executor.slots._busy,
            "waiting": len(executor._waiting),
            "held": len(worker.supervisor.running),
            "unwritten": 0 if worker.supervisor.settler.is_empty else 1,
        }
        for what, count in left.items():
            if count:
                world.blame(f"{worker.host} is idle and has {what}: {count}")


def check_empty(world: World) -> None:
    """Check that nothing is left once every task was pruned."""
    for table in ("task", *_OWNED):
        count = _ask(world, f"SELECT COUNT(*) FROM {table}")[0][0]
        if count:
            world.blame(f"{count} rows of {table} are left after all tasks were pruned")


def _stored(world: World) -> dict[tuple[str, str], Row]:
    special = {
        "payload_bytes": "length(payload)",
        "result_bytes": "length(result)",
        "progress": "CAST(progress AS TEXT)",
        "carry": "CAST(carry AS TEXT)",
    }
    columns = ", ".join(special.get(name, name) for name in Row._fields)
    rows = [Row(*row) for row in _ask(world, f"SELECT {columns} FROM task")]
    return {(row.tenant, row.id): row for row in rows}


def _check_attempts(world: World, row: Row) -> None:
    """Every claim has exactly one row, and the budget is what the rows say."""
    found = _ask(
        world,
        "SELECT claim_no, event FROM attempt WHERE tenant = ? AND task_id = ? ORDER BY claim_no",
        row.tenant,
        row.id,
    )
    if [claim_no for claim_no, _ in found] != list(range(1, row.claim_no + 1)):
        world.blame(f"{row.id} was claimed {row.claim_no} times, with attempts {found}")
    events = [Event(event) for _, event in found]
    spent = sum(event not in GIVES_BACK for event in events)
    cancelled = events.count(Event.CANCEL)  # may have given the attempt back
    if not spent - cancelled <= row.attempt <= spent:
        world.blame(f"{row.id} has spent {row.attempt} attempts, with {found}")
    if row.state not in ENDED:
        world.blame(f"{row.id} has not ended")


def _check_result(world: World, row: Row) -> None:
    """The result is that of the claim that completed, and its handler did run."""
    body = _ask(
        world,
        "SELECT COALESCE(task.result, task_body.body) FROM task LEFT JOIN task_body "
        "ON task_body.tenant = task.tenant AND task_body.task_id = task.id AND part = 'result' "
        "WHERE task.tenant = ? AND task.id = ?",
        row.tenant,
        row.id,
    )[0][0]
    result: dict[str, Any] = json.loads(body) if body is not None else {}
    if (result.get("task"), result.get("claim")) != (row.id, row.claim_no):
        world.blame(f"{row.id} completed in claim {row.claim_no} with the result {str(body)[:80]}")
    run = world.ledger.runs.get((row.tenant, row.id, row.claim_no))
    if run is None or run.how != "returned":
        world.blame(f"{row.id} completed in claim {row.claim_no}, which no handler did: {run}")


def _check_bodies(world: World) -> None:
    missing = _ask(
        world,
        "SELECT id FROM task WHERE payload IS NULL AND NOT EXISTS (SELECT 1 FROM task_body "
        "WHERE task_body.tenant = task.tenant AND task_id = id AND part = 'payload')",
    )
    superfluous = _ask(
        world,
        "SELECT id, part FROM task JOIN task_body ON task_body.tenant = task.tenant "
        "AND task_id = id WHERE (part = 'payload' AND payload IS NOT NULL) "
        "OR (part = 'result' AND (result IS NOT NULL OR state <> 'completed'))",
    )
    if missing or superfluous:
        world.blame(f"bodies are missing ({missing}) or left over ({superfluous})")


def _check_errors(world: World) -> None:
    for task_id, event, error in _ask(world, "SELECT task_id, event, error FROM attempt"):
        if error is not None:
            report = json.loads(error)
            if report["type"] not in ERROR_TYPES:
                world.blame(f"{task_id} came to {event} by {report['type']}: {report['message']}")
        elif event in ("fail", "retry", "expire", "exhaust"):
            world.blame(f"{task_id} came to {event} without an error")


def _check_orphans(world: World) -> None:
    for table, column in _OWNED.items():
        orphans = _ask(
            world,
            f"SELECT {column} FROM {table} AS own WHERE NOT EXISTS "
            f"(SELECT 1 FROM task WHERE task.tenant = own.tenant AND id = own.{column})",
        )
        if orphans:
            world.blame(f"{table} has rows of tasks that are gone: {orphans}")
    half = _ask(world, "SELECT task_id FROM task_event WHERE event = 'half'")
    if half:
        world.blame(f"half of a refused transaction was written: {half}")


def _ask(world: World, text: str, *values: object) -> list[tuple[Any, ...]]:
    return world.watcher.execute(text, values).fetchall()
