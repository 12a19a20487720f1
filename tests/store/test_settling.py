"""Settling: what is written for each outcome, the fence, repeats, and leases that ran out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenure.kernel.errors import ConflictError, InvalidError
from tenure.kernel.model import Attempt, Claim, ErrorReport, TaskId, WorkerId
from tenure.kernel.ports import Steps, transaction
from tenure.kernel.settle import Settlement
from tenure.kernel.states import LIVE, SETTLING, TRANSITIONS, Event, State
from tenure.store import claims, history, tasks
from tenure.store.claims import Settled
from tests.store.builders import (
    ERROR,
    LARGE,
    LEASE_US,
    a_settlement,
    a_task,
    bring_to,
    claim_all,
    claim_one,
    expire_all,
    get,
    insert,
    last_claim,
    settle,
    settle_all,
)
from tests.store.drivers import SECOND_US, START_US, Driver

COMES_BACK = sorted(event for event in SETTLING if TRANSITIONS[State.RUNNING, event] in LIVE)
ENDS = sorted(SETTLING - {*COMES_BACK})
GIVES_BACK = {Event.SNOOZE, Event.RELEASE, Event.WAIT}
CRASHES = {Event.EXPIRE, Event.EXHAUST}


def attempts(store: Driver, id: str = "task-1") -> list[Attempt]:
    return store.run(history.attempts("", TaskId(id), limit=10))


@pytest.mark.parametrize("event", sorted(SETTLING))
def test_a_settlement_is_written_as_it_says(store: Driver, event: Event) -> None:
    insert(store, a_task(attempts_max=3))
    claim = claim_one(store)
    store.clock.pass_s(2)
    now_us = START_US + 2 * SECOND_US

    settled = settle(store, claim, event, delay_us=7, cause="why", carry=b"carried")

    task = get(store)
    state = TRANSITIONS[State.RUNNING, event]
    assert (Settled.WRITTEN, state) == (settled, task.state)
    assert (now_us + 7 if state is State.PENDING else START_US) == task.run_at_us
    assert (None if state in LIVE else now_us) == task.ended_at_us
    assert ("signal" if state is State.WAITING else None) == task.waiting_for
    assert (int(event not in GIVES_BACK), int(event in CRASHES)) == (task.attempt, task.crashes)
    assert (None, None, 1) == (task.lease_expires_at_us, task.deadline_us, task.claim_no)
    assert ("why", b"carried", 1) == (task.cause, task.carry, task.revision)


@pytest.mark.parametrize("event", sorted(SETTLING))
def test_each_settled_attempt_is_in_the_history(store: Driver, event: Event) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    store.clock.pass_s(2)

    settle(store, claim, event, error=ERROR)

    expected = Attempt(
        tenant="",
        task_id=TaskId("task-1"),
        claim_no=1,
        attempt=1,
        worker_id=WorkerId("worker-1"),
        started_at_us=START_US,
        ended_at_us=START_US + 2 * SECOND_US,
        event=event,
        error=ERROR,
    )
    assert [expected] == attempts(store)


def test_a_carry_stays_if_a_settlement_brings_none(store: Driver) -> None:
    insert(store, a_task(carry=b"carried"))

    settle(store, claim_one(store), Event.COMPLETE)

    assert b"carried" == get(store).carry


@pytest.mark.parametrize("result", [None, b"", b"small", LARGE], ids=["none", "empty", "s", "l"])
def test_a_result_comes_back_whatever_its_size(store: Driver, result: bytes | None) -> None:
    insert(store, a_task())

    settle(store, claim_one(store), Event.COMPLETE, result=result)

    assert result == get(store).result
    is_aside = bool(store.rows("SELECT * FROM task_body"))
    assert (result == LARGE) == is_aside


def test_a_large_result_of_a_lost_claim_is_not_kept(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    settle(store, claim, Event.SNOOZE)

    settle(store, claim, Event.COMPLETE, result=LARGE)

    assert [] == store.rows("SELECT * FROM task_body")


def test_a_text_that_no_encoding_knows_is_kept_in_an_error(store: Driver) -> None:
    insert(store, a_task())
    error = ErrorReport(type="E", message="nul \0, half \udcff, ü", traceback="")

    settle(store, claim_one(store), Event.FAIL, error=error)

    assert [error] == [attempt.error for attempt in attempts(store)]


def test_many_claims_are_settled_at_once_and_answered_in_order(store: Driver) -> None:
    insert(store, *(a_task(id) for id in "dacb"))
    by_id = {claim.id: claim for claim in claim_all(store)}
    events = [Event.COMPLETE, Event.RETRY, Event.FAIL, Event.WAIT]
    lost = by_id[TaskId("c")]._replace(claim_no=9)

    settled = settle_all(
        store,
        [
            a_settlement(by_id[TaskId(id)], event, result=id.encode(), delay_us=place)
            for place, (id, event) in enumerate(zip("dacb", events, strict=True))
        ]
        + [a_settlement(lost, Event.COMPLETE)],
    )

    assert [*[Settled.WRITTEN] * 4, Settled.LOST] == settled
    states = [TRANSITIONS[State.RUNNING, event] for event in events]
    assert states == [get(store, id).state for id in "dacb"]
    assert [id.encode() for id in "dacb"] == [get(store, id).result for id in "dacb"]
    assert events == [attempts(store, id)[0].event for id in "dacb"]


def test_nothing_is_settled_for_nobody(store: Driver) -> None:
    assert [] == settle_all(store, [])


@pytest.mark.parametrize("event", sorted(SETTLING))
def test_the_repeat_of_a_settlement_changes_nothing(store: Driver, event: Event) -> None:
    insert(store, a_task())
    settlement = a_settlement(claim_one(store), event, result=LARGE)
    settle_all(store, [settlement])
    before = store.tables()
    store.clock.pass_s(1)

    assert [Settled.ALREADY] == settle_all(store, [settlement])
    assert before == store.tables()


@pytest.mark.parametrize("event", COMES_BACK)
def test_the_repeat_of_a_settlement_does_not_end_the_next_claim(
    store: Driver, event: Event
) -> None:
    """A worker that repeated a snooze after losing the answer made another one's task pending."""
    insert(store, a_task(attempts_max=9))
    settlement = a_settlement(claim_one(store), event)
    settle_all(store, [settlement])
    if event is Event.WAIT:
        store.run(tasks.wake("", TaskId("task-1")))
    second = claim_one(store, worker_id="worker-2")
    before = store.tables()

    repeated = settle_all(store, [settlement])

    assert [Settled.ALREADY] == repeated
    assert before == store.tables()
    assert Settled.WRITTEN is settle(store, second, Event.COMPLETE)


@pytest.mark.parametrize("event", sorted(SETTLING - {Event.EXPIRE}))
def test_a_late_settle_is_refused_after_the_lease_expired(store: Driver, event: Event) -> None:
    """A worker whose result came after the reaper was told that it had been written."""
    insert(store, a_task(attempts_max=9))
    claim = claim_one(store)
    store.clock.pass_s(3600)
    expire_all(store)
    before = store.tables()

    settled = settle(store, claim, event)

    assert Settled.LOST is settled
    assert before == store.tables()


@pytest.mark.parametrize("event", sorted(SETTLING - {Event.EXPIRE}))
def test_a_late_settle_is_refused_after_another_worker_claimed(store: Driver, event: Event) -> None:
    insert(store, a_task(attempts_max=9))
    old = claim_one(store)
    store.clock.pass_s(3600)
    expire_all(store)
    new = claim_one(store, worker_id="worker-2")
    before = store.tables()

    settled = settle(store, old, event, result=LARGE)

    assert Settled.LOST is settled
    assert before == store.tables()
    assert Settled.WRITTEN is settle(store, new, Event.COMPLETE)


def test_a_settle_counts_as_long_as_nobody_took_the_lease_back(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    store.clock.pass_s(3600)

    assert Settled.WRITTEN is settle(store, claim, Event.COMPLETE)


def test_of_two_settlements_of_one_claim_the_first_given_stands(store: Driver) -> None:
    """A batch with the same claim twice could never be written."""
    insert(store, a_task("a"), a_task("b"))
    a, b = claim_all(store)

    settled = settle_all(
        store,
        [
            a_settlement(a, Event.COMPLETE, result=b"first"),
            a_settlement(b, Event.COMPLETE),
            a_settlement(a, Event.COMPLETE, result=b"second"),
            a_settlement(a, Event.FAIL),
        ],
    )

    assert [Settled.WRITTEN, Settled.WRITTEN, Settled.ALREADY, Settled.LOST] == settled
    assert b"first" == get(store, "a").result
    assert [Event.COMPLETE] == [attempt.event for attempt in attempts(store, "a")]


@pytest.mark.parametrize("event", COMES_BACK)
def test_a_task_that_was_asked_to_cancel_does_not_come_back(store: Driver, event: Event) -> None:
    claim = last_claim(bring_to(store, State.RUNNING))
    store.run(tasks.cancel("", claim.id, force=False, reason=""))
    store.clock.pass_s(1)
    settlement = a_settlement(claim, event, delay_us=9, cause="why")

    settled = settle_all(store, [settlement])

    task = get(store)
    assert ([Settled.WRITTEN], State.CANCELLED) == (settled, task.state)
    assert ("cancelled", START_US + SECOND_US, None) == (
        *(task.cause, task.ended_at_us),
        task.waiting_for,
    )
    assert [Event.CANCEL] == [attempt.event for attempt in attempts(store)]
    assert [Settled.ALREADY] == settle_all(store, [settlement])


@pytest.mark.parametrize("event", ENDS)
def test_a_task_that_was_asked_to_cancel_may_end_in_its_own_way(
    store: Driver, event: Event
) -> None:
    claim = last_claim(bring_to(store, State.RUNNING))
    store.run(tasks.cancel("", claim.id, force=False, reason=""))

    settle(store, claim, event, result=b"done", cause="why")

    task = get(store)
    assert (TRANSITIONS[State.RUNNING, event], b"done", "why") == (
        *(task.state, task.result),
        task.cause,
    )
    assert [event] == [attempt.event for attempt in attempts(store)]


def test_nobody_else_ends_a_task_that_was_asked_to_cancel(store: Driver) -> None:
    insert(store, a_task(tenant="one", attempts_max=9))
    old = claim_one(store)
    settle(store, old, Event.RETRY)
    new = claim_one(store, worker_id="worker-2")
    store.run(tasks.cancel("one", new.id, force=False, reason=""))
    before = store.tables()

    settled = [settle(store, each, Event.SNOOZE) for each in (old, new._replace(tenant="two"))]

    assert [Settled.LOST, Settled.LOST] == settled
    assert before == store.tables()


def test_a_task_that_ended_although_it_was_asked_to_cancel_stays_as_it_ended(
    store: Driver,
) -> None:
    claim = last_claim(bring_to(store, State.RUNNING))
    store.run(tasks.cancel("", claim.id, force=False, reason=""))
    settle(store, claim, Event.COMPLETE)
    before = store.tables()

    assert Settled.LOST is settle(store, claim, Event.SNOOZE)
    assert before == store.tables()


def test_a_unique_key_is_free_when_its_task_ends(store: Driver) -> None:
    insert(store, a_task(unique_key="key"))
    claim = claim_one(store)

    settle(store, claim, Event.COMPLETE)

    assert store.run(tasks.insert(a_task("task-2", unique_key="key")))


# What a settlement carries along.


def following(verdict: Callable[[], None] = lambda: None) -> Steps[None]:
    yield from tasks.insert(a_task("task-2"))
    verdict()


follow = transaction(following)


def refuse() -> None:
    raise InvalidError("no")


def test_what_a_settlement_carries_along_is_written_with_it(store: Driver) -> None:
    insert(store, a_task())

    settled = settle(store, claim_one(store), Event.COMPLETE, also=follow())

    assert Settled.WRITTEN is settled
    assert State.PENDING is get(store, "task-2").state


def test_what_a_settlement_carries_along_is_not_written_by_a_lost_claim(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    settle(store, claim, Event.SNOOZE)

    settle(store, claim, Event.COMPLETE, also=follow())

    assert store.run(tasks.get("", TaskId("task-2"))) is None


def test_a_settlement_and_what_it_carries_along_are_undone_together(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    before = store.tables()

    with pytest.raises(InvalidError):
        settle(store, claim, Event.COMPLETE, result=LARGE, also=follow(refuse))

    assert before == store.tables()


def test_a_settlement_that_could_not_be_written_is_written_whole_the_next_time(
    store: Driver,
) -> None:
    """What it carried along was lost: a verb could be run once only, and nobody was told."""
    insert(store, a_task())
    verdicts: list[Callable[[], None]] = [lambda: None, refuse]
    claim = claim_one(store)
    settlement = a_settlement(claim, Event.COMPLETE, also=follow(lambda: verdicts.pop()()))
    with pytest.raises(InvalidError):
        settle_all(store, [settlement])

    settled = settle_all(store, [settlement])

    assert [Settled.WRITTEN] == settled
    assert State.PENDING is get(store, "task-2").state


def test_verbs_in_one_transaction_are_undone_together(store: Driver) -> None:
    insert(store, a_task(), a_task("task-2", unique_key="key"))
    before = store.tables()

    @transaction
    def both() -> Steps[None]:
        yield from tasks.cancel("", TaskId("task-1"), force=False, reason="")
        written = yield from tasks.insert(a_task("task-3", unique_key="key"))
        if not written:
            raise ConflictError("taken")

    with pytest.raises(ConflictError, match="taken"):
        store.run(both())

    assert before == store.tables()


def test_verbs_in_one_transaction_stand_together(store: Driver) -> None:
    insert(store, a_task())

    @transaction
    def both() -> Steps[State]:
        yield from tasks.insert(a_task("task-2"))
        return (yield from tasks.cancel("", TaskId("task-1"), force=False, reason=""))

    assert State.CANCELLED is store.run(both())
    assert State.PENDING is get(store, "task-2").state


# Leases that ran out.


def test_a_lease_runs_out_at_its_end_and_not_before(store: Driver) -> None:
    insert(store, a_task())
    claim_one(store)
    store.clock.time_us += LEASE_US - 1

    early = expire_all(store)
    store.clock.time_us += 1

    assert [] == early
    assert ["task-1"] == [claim.id for claim in expire_all(store)]


def test_a_renewed_lease_does_not_run_out(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    store.clock.time_us += LEASE_US
    store.run(claims.renew([claim.lease], lease_us=LEASE_US))

    assert [] == expire_all(store)


def test_leases_are_taken_back_oldest_first_and_so_many_at_once(store: Driver) -> None:
    for place, id in enumerate("cab"):
        insert(store, a_task(id, queue=f"queue-{id}"))
        claim_one(store, queue=f"queue-{id}", lease_us=LEASE_US + place)
    store.clock.pass_s(3600)

    taken = [[claim.id for claim in expire_all(store, limit=2)] for _ in range(3)]

    assert [["c", "a"], ["b"], []] == taken


def test_the_claims_of_several_workers_are_taken_back_together(store: Driver) -> None:
    insert(store, a_task("a"), a_task("b", tenant="one"))
    first = claim_one_of(store, "worker-1")
    second = claim_one_of(store, "worker-2")
    store.run(tasks.cancel(second.tenant, second.id, force=False, reason=""))
    store.clock.pass_s(3600)
    seen: dict[str, bool] = {}

    def decide(claim: Claim, is_asked: bool) -> Settlement:
        seen[claim.worker_id] = is_asked
        return a_settlement(claim, Event.EXPIRE, delay_us=5, error=ERROR)

    expired = store.run(claims.expire(decide, limit=10))

    assert {first, second} == {claim for claim, _ in expired}
    assert {"worker-1": False, "worker-2": True} == seen
    pending, cancelled = (get(store, each.id, tenant=each.tenant) for each in (first, second))
    assert (State.PENDING, 1, store.clock.time_us + 5) == (
        *(pending.state, pending.crashes),
        pending.run_at_us,
    )
    assert State.CANCELLED is cancelled.state
    logged = [
        store.run(history.attempts(each.tenant, each.id, limit=1))[0] for each in (first, second)
    ]
    assert ["worker-1", "worker-2"] == [attempt.worker_id for attempt in logged]
    assert [Event.EXPIRE, Event.CANCEL] == [attempt.event for attempt in logged]


def claim_one_of(store: Driver, worker_id: str) -> Claim:
    (claim,) = claim_all(store, worker_id=worker_id, limit=1)
    return claim


def test_a_crash_spends_the_attempt(store: Driver) -> None:
    insert(store, a_task(attempts_max=9))
    for _ in range(2):
        claim_one(store)
        store.clock.pass_s(3600)
        expire_all(store)

    assert (2, 2, 2) == (get(store).attempt, get(store).crashes, get(store).claim_no)
