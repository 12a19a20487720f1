"""Verbs on tasks from the side of workers: claim, renew, settle, expire.

Called by the engine's loops. Every write names the `claim_no` it got with its claim, so a
worker that slept through its lease finds no row to write to.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tenure.kernel.model import Claim, Lease
from tenure.kernel.ports import (
    ANYTHING,
    Batch,
    Row,
    Rows,
    Statement,
    Steps,
    read,
    single,
    soft,
    transaction,
)
from tenure.kernel.settle import EFFECTS, Settlement
from tenure.kernel.states import ENDED, LIVE, TRANSITIONS, Event, State
from tenure.store import history, rows, run_ends

# More than any queue has slots.
UNLIMITED = 2**31 - 1
_ENDED = frozenset(state.value for state in ENDED)

ClaimKey = tuple[str, str, int]  # tenant, task id, claim_no


class Settled(Enum):
    """What became of a settlement."""

    WRITTEN = "written"
    ALREADY = "already"  # by this same claim: the answer to an earlier try was lost
    LOST = "lost"  # the claim is not ours any more


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What a worker can take now: at most `limit` tasks of a total cost of `spare`.

    `slots` is all that the worker has; a task that costs more counts as all of them.
    """

    queue: str
    worker_id: str
    lease_us: int
    limit: int
    spare: int
    slots: int


@soft
@single
def claim(request: ClaimRequest) -> Steps[list[Claim]]:
    """Claim due tasks of a queue, most urgent first, then longest due.

    Finds nothing in a queue that is paused or has a limit of its own; `claim_limited` is for
    the latter. Payloads kept aside are empty; `fill_bodies` brings them.
    """
    found = yield _claim(request, limited=False)
    return _in_order(found)


@soft
@transaction
def claim_limited(request: ClaimRequest) -> Steps[list[Claim]]:
    """Claim as `claim` does, within the slots that all workers share in this queue."""
    locked = yield Statement("lock_queue", {"queue": request.queue})
    slots = locked[0][1] if locked else None
    if slots is None:
        # Without a row there is nothing to lock: if one has come meanwhile, find nothing now.
        found = yield _claim(request, limited=bool(locked))
        return _in_order(found)
    used = yield Statement("queue_use", {"queue": request.queue, "slots": slots})
    free = slots - used[0][0]
    if free <= 0:
        return []
    found = yield _claim(request, limited=True, queue_spare=free, queue_slots=slots)
    return _in_order(found)


@read
def fill_bodies(claims: Sequence[Claim]) -> Steps[list[Claim]]:
    """Return the claims with the payloads that are kept aside put in."""
    found = yield Batch(
        "payload_bodies",
        {"tenant": [claim.tenant for claim in claims], "id": [claim.id for claim in claims]},
        {},
    )
    bodies = {(row[0], row[1], row[2]): bytes(row[3]) for row in found}
    return [
        claim._replace(
            payload=bodies.get((claim.tenant, claim.id, "payload"), claim.payload),
            carry=bodies.get((claim.tenant, claim.id, "carry"), claim.carry),
        )
        for claim in claims
    ]


@read
def next_dues(queues: Sequence[str]) -> Steps[dict[str, int]]:
    """Return in how many microseconds the next task of each queue is due; negative if it is.

    Queues with nothing pending are left out.
    """
    found = yield Statement("next_dues", {"queues": json.dumps(list(queues))})
    return {row[0]: row[1] for row in found if row[1] is not None}


@read
def claims_of_worker(worker_id: str, queue: str, *, limit: int) -> Steps[list[Claim]]:
    """Return what the store thinks the worker runs in a queue."""
    found = yield Statement(
        "claims_of_worker", {"worker_id": worker_id, "queue": queue, "limit": limit}
    )
    return [rows.claim(row) for row in found]


@read
def cancels_asked(worker_id: str, *, limit: int) -> Steps[set[ClaimKey]]:
    """Return the worker's claims whose tasks were asked to cancel."""
    found = yield Statement("cancels_asked", {"worker_id": worker_id, "limit": limit})
    return {_key(row) for row in found}


@soft
@single
def renew(leases: Sequence[Lease], *, lease_us: int) -> Steps[set[ClaimKey]]:
    """Push the end of leases out. Those missing in the answer are lost."""
    found = yield Batch("renew_leases", _lease_columns(leases), {"lease_us": lease_us})
    return {_key(row) for row in found}


@soft
@single
def report_progress(leases: Sequence[Lease], progress: Sequence[bytes]) -> Steps[set[ClaimKey]]:
    """Keep what handlers said of their progress. Return the claims that still hold."""
    reports = sorted(zip(leases, progress, strict=True), key=lambda report: _place(report[0]))
    columns = _lease_columns([lease for lease, _ in reports])
    found = yield Batch(
        "report_progress", {**columns, "progress": [said for _, said in reports]}, {}
    )
    return {_key(row) for row in found}


@transaction
def settle(
    settlements: Sequence[Settlement], *, worker_id: str, inline_bytes_max: int
) -> Steps[list[Settled]]:
    """Write what came of claims, all in one transaction. Answer for each, in order."""
    if not settlements:
        return []
    # A claim ends once: of two settlements for one, the first given stands.
    first = {each[:3]: each for each in reversed(settlements)}
    # One order for all, so that two writers of the same rows do not wait for one another.
    ordered = [first[key] for key in sorted(first)]
    states = yield from _write(ordered, inline_bytes_max=inline_bytes_max)
    written = [each for each in ordered if each[:3] in states]
    yield from history.log_attempts(written, states, worker_id=worker_id)
    yield from _end_runs(written, states)
    for each in written:
        if each.also is not None:
            yield from each.also
    if len(written) == len(settlements):
        return [Settled.WRITTEN] * len(settlements)
    refused = [each for each in settlements if not _stands(each, first, states)]
    events = yield from _settled_events(refused)
    return [
        Settled.WRITTEN if _stands(each, first, states) else _repeated(each, events)
        for each in settlements
    ]


@transaction
def expire(
    decide: Callable[[Claim, bool], Settlement], *, limit: int
) -> Steps[list[tuple[Claim, Settlement]]]:
    """Take back leases that ran out, oldest first, as *decide* says for each.

    *decide* is given the claim and whether its task was asked to cancel.
    """
    found = yield Statement("expired_claims", {"limit": limit})
    expired = [(rows.claim(row[:-1]), row[-1] is not None) for row in found]
    pairs = [(claim, decide(claim, cancel_asked)) for claim, cancel_asked in expired]
    if not pairs:
        return []
    states = yield from _write([settlement for _, settlement in pairs], inline_bytes_max=0)
    by_worker: dict[str, list[Settlement]] = defaultdict(list)
    for claim, settlement in pairs:
        if settlement[:3] in states:
            by_worker[claim.worker_id].append(settlement)
    for worker_id, written in by_worker.items():
        yield from history.log_attempts(written, states, worker_id=worker_id)
    # All together, since schedules too are locked in one order.
    taken = [pair for pair in pairs if pair[1][:3] in states]
    yield from _end_runs([settlement for _, settlement in taken], states)
    return taken


@transaction
def prune(state: State, *, keep_us: int, limit: int) -> Steps[int]:
    """Delete tasks that ended in *state* longer ago than *keep_us*, with all that is theirs."""
    pruned = yield Statement(
        "prune_tasks", {"state": state.value, "keep_us": keep_us, "limit": limit}
    )
    if pruned:
        columns = {"tenant": [row[0] for row in pruned], "id": [row[1] for row in pruned]}
        for name in ("prune_attempts", "prune_events", "prune_bodies"):
            yield Batch(name, columns, {})
    return len(pruned)


def _claim(
    request: ClaimRequest,
    *,
    limited: bool,
    queue_spare: int = UNLIMITED,
    queue_slots: int = UNLIMITED,
) -> Statement:
    return Statement(
        "claim_tasks",
        {
            "queue": request.queue,
            "worker_id": request.worker_id,
            "lease_us": request.lease_us,
            "limit": request.limit,
            "spare": request.spare,
            "slots": request.slots,
            "queue_spare": queue_spare,
            "queue_slots": queue_slots,
            "limited": int(limited),
        },
    )


def _in_order(found: Rows) -> list[Claim]:
    claims = [rows.claim(row) for row in found]
    claims.sort(key=lambda claim: (claim.lane, claim.run_at_us, claim.id))
    return claims


def _write(
    settlements: Sequence[Settlement], *, inline_bytes_max: int
) -> Steps[dict[ClaimKey, str]]:
    """Move the tasks; return those that moved and the states they came to."""
    columns = dict(zip(Settlement._fields, zip(*settlements, strict=True), strict=True))
    effects = [EFFECTS[event] for event in columns["event"]]
    inline = columns["result"]
    is_large = max((len(result) for result in inline if result), default=0) > inline_bytes_max
    if is_large:
        inline = [body if body and len(body) <= inline_bytes_max else None for body in inline]
    found = yield Batch(
        "settle_tasks",
        {
            **_key_columns(settlements),
            "state": [effect.state for effect in effects],
            "outlives": [effect.outlives for effect in effects],
            "delay_us": columns["delay_us"],
            "give_back": [effect.gives_back for effect in effects],
            "crashed": [effect.crashed for effect in effects],
            "cause": columns["cause"],
            "waiting_for": columns["waiting_for"],
            "result": inline,
            "carry": columns["carry"],
        },
        {},
        # What a worker gives back as it goes, others can have at once.
        notice=ANYTHING if Event.RELEASE in columns["event"] else None,
    )
    moved = {_key(row) for row in found}
    states = {
        each[:3]: effect.state
        for each, effect in zip(settlements, effects, strict=True)
        if each[:3] in moved
    }
    if len(moved) < len(settlements):
        # A task that was asked to cancel does not come back to life, whatever was decided.
        left = [each for each in settlements if each[:3] not in moved]
        ended = yield Batch("settle_cancelled", _key_columns(left), {})
        states |= {_key(row): State.CANCELLED.value for row in ended}
    if is_large:
        yield from history.put_bodies(
            [
                (each.tenant, each.task_id, "result", each.result)
                for each, kept in zip(settlements, inline, strict=True)
                if each.result is not None and kept is None and each[:3] in states
            ]
        )
    return states


def _end_runs(written: Sequence[Settlement], states: Mapping[ClaimKey, str]) -> Steps[None]:
    """Tell the schedules of the runs that have ended."""
    yield from run_ends.ended(
        [
            run_ends.EndedRun(
                each.tenant,
                each.schedule_id,
                each.task_id,
                each.carry if states[each[:3]] == State.COMPLETED.value else None,
            )
            for each in written
            if each.schedule_id is not None and states[each[:3]] in _ENDED
        ]
    )


def _stands(
    settlement: Settlement, first: Mapping[ClaimKey, Settlement], states: Mapping[ClaimKey, str]
) -> bool:
    """Return whether it is this very settlement that was written for its claim."""
    key = settlement[:3]
    return key in states and first[key] is settlement


def _settled_events(settlements: Sequence[Settlement]) -> Steps[dict[ClaimKey, Event]]:
    """Return how the claims ended of which there is nothing left to settle."""
    found = yield Batch("settled_attempts", _key_columns(settlements), {})
    return {_key(row): Event(row[3]) for row in found}


def _repeated(settlement: Settlement, events: dict[ClaimKey, Event]) -> Settled:
    """Tell the repeat of a settlement that was written from one that came too late.

    Too late is also the settlement of a claim that the reaper, or a forced cancel, has ended.
    """
    event = events.get(settlement[:3])
    comes_back = TRANSITIONS[State.RUNNING, settlement.event] in LIVE
    # What would have brought a task back that was asked to cancel has ended it instead.
    if event is settlement.event or (event is Event.CANCEL and comes_back):
        return Settled.ALREADY
    return Settled.LOST


def _key_columns(settlements: Sequence[Settlement]) -> dict[str, Sequence[object]]:
    tenants, ids, claim_nos = zip(*(each[:3] for each in settlements), strict=True)
    return {"tenant": tenants, "id": ids, "claim_no": claim_nos}


def _lease_columns(leases: Sequence[Lease]) -> dict[str, Sequence[object]]:
    ordered = sorted(leases, key=_place)
    return {
        "tenant": [lease.tenant for lease in ordered],
        "id": [lease.task_id for lease in ordered],
        "claim_no": [lease.claim_no for lease in ordered],
    }


def _place(lease: Lease) -> tuple[str, str]:
    # One order for all, so that two writers of the same rows do not wait for one another.
    return (lease.tenant, lease.task_id)


def _key(row: Row) -> ClaimKey:
    return (row[0], row[1], row[2])
