"""Two sessions at once on PostgreSQL: who waits for whom, who does not, and what is then true."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from tenure.kernel.errors import DuplicateError, StoreBusyError, TransitionError
from tenure.kernel.model import Claim, TaskId
from tenure.kernel.ports import Steps, Verb, transaction
from tenure.kernel.states import Event, State
from tenure.store import claims, queues, tasks, workers
from tenure.store.claims import Settled
from tenure.store.postgres import PostgresStore
from tenure.store.postgres_sync import PostgresSyncStore, translated
from tests.store.builders import (
    INLINE_BYTES_MAX,
    LEASE_US,
    a_request,
    a_settlement,
    a_task,
    bring_to,
    claim_all,
    claim_one,
    get,
    insert,
    last_claim,
)
from tests.store.drivers import Driver, PsycopgDriver, postgres_options
from tests.store.sessions import Waiting, WouldWaitError, interrupted, sessions

Settles = Verb[list[Settled]]


def settles(*settled: Claim, event: Event = Event.COMPLETE) -> Settles:
    return claims.settle(
        [a_settlement(claim, event) for claim in settled],
        worker_id="worker-1",
        inline_bytes_max=INLINE_BYTES_MAX,
    )


def expires(limit: int = 10) -> Verb[list[str]]:
    @transaction
    def expire() -> Steps[list[str]]:
        pairs = yield from claims.expire(
            lambda claim, _: a_settlement(claim, Event.EXPIRE), limit=limit
        )
        return [claim.id for claim, _ in pairs]

    return expire()


def cancels(id: str, *, force: bool = False) -> Verb[State]:
    return tasks.cancel("", TaskId(id), force=force, reason="")


def a_claim(store: Driver, id: str = "task-1") -> Claim:
    insert(store, a_task(id, attempts_max=9))
    return claim_one(store)


# Who does not wait.


def test_claimers_take_different_tasks_without_waiting(postgres_store: Driver) -> None:
    for place in range(3):
        insert(postgres_store, a_task(f"t{place}", run_at_us=place))
    with sessions(postgres_store) as (one, two):
        first = one.run(claims.claim(a_request(limit=2)))
        second = two.run(claims.claim(a_request(limit=2)))

    assert [["t0", "t1"], ["t2"]] == [[claim.id for claim in each] for each in (first, second)]


def test_a_claim_locks_no_more_than_it_may_take(postgres_store: Driver) -> None:
    insert(postgres_store, *(a_task(f"t{lane}", lane=lane) for lane in range(4)))
    with sessions(postgres_store) as (one, two):
        one.run(claims.claim(a_request(limit=2)))
        second = two.run(claims.claim(a_request(limit=4)))

    assert ["t2", "t3"] == [claim.id for claim in second]


@pytest.mark.parametrize("switch", [queues.pause("default"), queues.limit("default", 1)], ids=repr)
def test_a_claim_from_a_closed_queue_locks_nothing(
    postgres_store: Driver, switch: Verb[object]
) -> None:
    insert(postgres_store, a_task())
    postgres_store.run(switch)
    with sessions(postgres_store) as (one, two):
        one.run(claims.claim(a_request()))
        state = two.run(cancels("task-1"))

    assert State.CANCELLED is state


def test_reapers_take_different_leases_without_waiting(postgres_store: Driver) -> None:
    for id in "ab":
        a_claim(postgres_store, id)
        postgres_store.clock.pass_s(1)
    postgres_store.clock.pass_s(3600)
    with sessions(postgres_store) as (one, two):
        assert ["a"] == one.run(expires(limit=1))
        assert ["b"] == two.run(expires(limit=1))


def test_pruners_delete_different_tasks_without_waiting(postgres_store: Driver) -> None:
    for id in "ab":
        bring_to(postgres_store, State.COMPLETED, a_task(id))
    with sessions(postgres_store) as (one, two):
        assert 1 == one.run(claims.prune(State.COMPLETED, keep_us=0, limit=1))
        assert 1 == two.run(claims.prune(State.COMPLETED, keep_us=0, limit=1))
        one.commit()
        two.commit()

    assert [] == postgres_store.rows("SELECT id FROM task")


def test_a_task_that_is_being_revived_is_not_pruned(postgres_store: Driver) -> None:
    task = bring_to(postgres_store, State.COMPLETED)
    with sessions(postgres_store) as (one, two):
        one.run(tasks.revive("", task.id))
        pruned = two.run(claims.prune(State.COMPLETED, keep_us=0, limit=9))
        one.commit()
        two.commit()

    assert 0 == pruned
    assert State.PENDING is get(postgres_store).state


# Who waits, and what is true afterwards.


def test_claimers_of_a_limited_queue_stand_in_line(postgres_store: Driver) -> None:
    insert(postgres_store, a_task("a"), a_task("b"))
    postgres_store.run(queues.limit("default", 1))
    with sessions(postgres_store) as (one, two):
        first = one.run(claims.claim_limited(a_request()))
        waiting = Waiting(claims.claim_limited(a_request()), two, holder=one)
        one.commit()
        second = waiting.answer()

    assert (1, 0) == (len(first), len(second))


def test_a_limit_that_comes_while_a_claim_is_under_way_holds_for_it(
    postgres_store: Driver,
) -> None:
    """A queue had no row to lock, so its very first limit could be passed once."""
    insert(postgres_store, a_task("a"), a_task("b"))
    with sessions(postgres_store, 1) as (one,):

        def set_limit() -> None:
            one.run_at_once(queues.limit("default", 1))

        claimed = postgres_store.run(
            interrupted(claims.claim_limited(a_request()), set_limit, after=1)
        )

    assert [] == claimed


@pytest.mark.parametrize("force", [False, True])
def test_nobody_settles_a_task_while_it_is_being_cancelled(
    postgres_store: Driver, force: bool
) -> None:
    """A task that came back at the wrong moment was said to be past cancelling."""
    claim = a_claim(postgres_store)
    with sessions(postgres_store, 1) as (one,):
        slip_in = interrupted(
            cancels("task-1", force=force),
            lambda: one.run_at_once(settles(claim, event=Event.RETRY)),
            after=1,
        )
        with pytest.raises(WouldWaitError):
            postgres_store.run(slip_in)


def test_a_settle_that_waited_for_a_forced_cancel_is_lost(postgres_store: Driver) -> None:
    claim = a_claim(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(cancels("task-1", force=True))
        waiting = Waiting(settles(claim), two, holder=one)
        one.commit()

        assert [Settled.LOST] == waiting.answer()

    assert State.CANCELLED is get(postgres_store).state


def test_a_cancel_that_waited_for_a_settle_finds_the_task_ended(postgres_store: Driver) -> None:
    claim = a_claim(postgres_store)
    with sessions(postgres_store) as (one, two):
        one.run(settles(claim, event=Event.CANCEL))
        waiting = Waiting(cancels("task-1", force=True), two, holder=one)
        one.commit()

        assert State.CANCELLED is waiting.answer()

    assert [] == postgres_store.rows("SELECT event FROM task_event")


@pytest.mark.parametrize("verb", ["renew", "settle"])
def test_nothing_slips_in_while_a_lease_is_taken_back(postgres_store: Driver, verb: str) -> None:
    claim = a_claim(postgres_store)
    postgres_store.clock.pass_s(3600)
    slips: dict[str, Verb[object]] = {
        "renew": claims.renew([claim.lease], lease_us=LEASE_US),
        "settle": settles(claim),
    }
    with sessions(postgres_store, 1) as (one,), pytest.raises(WouldWaitError):
        postgres_store.run(interrupted(expires(), lambda: one.run_at_once(slips[verb]), after=1))


def test_a_renewal_that_waited_for_the_reaper_is_refused(postgres_store: Driver) -> None:
    claim = a_claim(postgres_store)
    postgres_store.clock.pass_s(3600)
    with sessions(postgres_store) as (one, two):
        one.run(expires())
        waiting = Waiting(claims.renew([claim.lease], lease_us=LEASE_US), two, holder=one)
        one.commit()

        assert set() == waiting.answer()


def test_a_reaper_that_comes_after_a_renewal_leaves_the_lease_alone(
    postgres_store: Driver,
) -> None:
    claim = a_claim(postgres_store)
    postgres_store.clock.pass_s(3600)
    with sessions(postgres_store) as (one, two):
        one.run(claims.renew([claim.lease], lease_us=LEASE_US))
        meanwhile = two.run(expires())
        one.commit()

        assert ([], []) == (meanwhile, two.run(expires()))


def test_the_second_insert_of_a_key_waits_and_is_refused(postgres_store: Driver) -> None:
    with sessions(postgres_store) as (one, two):
        one.run(tasks.insert(a_task("a", unique_key="key")))
        waiting = Waiting(tasks.insert(a_task("b", unique_key="key")), two, holder=one)
        one.commit()

        assert not waiting.answer()


def test_the_second_insert_of_a_key_stands_if_the_first_is_undone(
    postgres_store: Driver,
) -> None:
    with sessions(postgres_store) as (one, two):
        one.run(tasks.insert(a_task("a", unique_key="key")))
        waiting = Waiting(tasks.insert(a_task("b", unique_key="key")), two, holder=one)
        one.rollback()

        assert waiting.answer()


def test_of_two_tasks_that_are_revived_at_once_one_gets_the_key(postgres_store: Driver) -> None:
    for id in "ab":
        bring_to(postgres_store, State.COMPLETED, a_task(id, unique_key="key"))
    with sessions(postgres_store) as (one, two):
        one.run(tasks.revive("", TaskId("a")))
        waiting = Waiting(tasks.revive("", TaskId("b")), two, holder=one)
        one.commit()
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            waiting.answer()

    assert "another transaction was first" in str(translated(caught.value))
    with pytest.raises(DuplicateError):
        postgres_store.run(tasks.revive("", TaskId("b")))


def test_one_of_two_candidates_is_elected(postgres_store: Driver) -> None:
    with sessions(postgres_store) as (one, two):
        assert one.run(workers.elect("reaper", "a", lease_us=LEASE_US))
        waiting = Waiting(workers.elect("reaper", "b", lease_us=LEASE_US), two, holder=one)
        one.commit()

        assert not waiting.answer()


# One order of locks.


@pytest.mark.parametrize("verb", ["settle", "renew", "progress"])
def test_rows_are_locked_in_order_of_ids_however_they_are_given(
    postgres_store: Driver, verb: str
) -> None:
    insert(postgres_store, *(a_task(id) for id in "abc"))
    a, b, c = claim_all(postgres_store)
    backwards = [c, b, a]
    leases = [claim.lease for claim in backwards]
    verbs: dict[str, Verb[object]] = {
        "settle": settles(*backwards),
        "renew": claims.renew(leases, lease_us=LEASE_US),
        "progress": claims.report_progress(leases, [b""] * 3),
    }
    with sessions(postgres_store, 3) as (one, two, three):
        one.run(settles(a))
        waiting = Waiting(verbs[verb], two, holder=one)
        # The one that waits for the first task has not locked the others.
        three.run(settles(b, c))
        three.rollback()
        one.rollback()
        waiting.answer()


def in_opposite_orders(meet: Callable[[], object]) -> list[Verb[State]]:
    @transaction
    def one_by_one(first: str, second: str) -> Steps[State]:
        yield from cancels(first)
        meet()
        return (yield from cancels(second))

    return [one_by_one("a", "b"), one_by_one("b", "a")]


def test_a_deadlock_is_told_as_busy_and_the_same_verb_succeeds_when_run_again(
    postgres_store: Driver,
) -> None:
    insert(postgres_store, a_task("a"), a_task("b"))
    assert isinstance(postgres_store, PsycopgDriver)
    store = PostgresSyncStore(postgres_options(postgres_store.dsn), postgres_store.clock)
    barrier = threading.Barrier(2, timeout=30)
    meetings = iter([barrier.wait, barrier.wait])
    verbs = in_opposite_orders(lambda: next(meetings, lambda: None)())
    refused: list[Verb[State]] = []

    def run(verb: Verb[State]) -> None:
        try:
            store.run(verb)
        except StoreBusyError:
            refused.append(verb)

    threads = [threading.Thread(target=run, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [store.run(verb) for verb in refused]
    store.close()

    assert [State.CANCELLED] == states


def test_concurrent_writers_of_the_same_rows_get_through(postgres_store: Driver) -> None:
    count = 20
    insert(postgres_store, *(a_task(f"t{each:02}") for each in range(count)))
    held = claim_all(postgres_store)
    backwards = held[::-1]
    assert isinstance(postgres_store, PsycopgDriver)
    dsn, clock = postgres_store.dsn, postgres_store.clock

    async def cancel(store: PostgresStore) -> None:
        with contextlib.suppress(TransitionError):  # it may have been settled first
            await store.run(cancels("t07"))

    async def run_all() -> list[list[Settled]]:
        options = replace(postgres_options(dsn), pool_max=8)
        store = PostgresStore(options, clock, uses_store_clock=False)
        await store.open()
        async with asyncio.TaskGroup() as group:
            for order in (held, backwards) * 4:
                leases = [claim.lease for claim in order]
                group.create_task(store.run(claims.renew(leases, lease_us=LEASE_US)))
                group.create_task(store.run(claims.report_progress(leases, [b""] * count)))
            settling = [
                group.create_task(store.run(settles(*order))) for order in (held, backwards)
            ]
            group.create_task(cancel(store))
        await store.close()
        return [task.result() for task in settling]

    both = asyncio.run(run_all())

    assert {Settled.WRITTEN, Settled.ALREADY} == {answer for answers in both for answer in answers}
    assert count == sum(answers.count(Settled.WRITTEN) for answers in both)


def test_concurrent_claimers_never_pass_the_slots_of_a_queue(postgres_store: Driver) -> None:
    insert(postgres_store, *(a_task(f"t{each}", cost=2) for each in range(20)))
    postgres_store.run(queues.limit("default", 7))

    claimed = claim_at_once(postgres_store, claims.claim_limited)

    assert 3 == len(claimed)


def test_concurrent_claimers_take_each_task_once(postgres_store: Driver) -> None:
    insert(postgres_store, *(a_task(f"t{each}") for each in range(20)))

    claimed = claim_at_once(postgres_store, claims.claim)

    assert len(set(claimed)) == len(claimed)
    left = {claim.id for claim in claim_all(postgres_store)}
    assert {f"t{each}" for each in range(20)} == left | set(claimed)


def claim_at_once(
    store: Driver, verb: Callable[[claims.ClaimRequest], Verb[list[Claim]]]
) -> list[str]:
    assert isinstance(store, PsycopgDriver)
    dsn, clock = store.dsn, store.clock

    async def run_all() -> list[str]:
        options = replace(postgres_options(dsn), pool_max=8)
        store = PostgresStore(options, clock, uses_store_clock=False)
        await store.open()
        found = await asyncio.gather(*(store.run(verb(a_request(limit=2))) for _ in range(16)))
        await store.close()
        return [claim.id for claimed in found for claim in claimed]

    return asyncio.run(run_all())


def test_a_waiting_session_is_told_when_the_other_one_has_not_moved(
    postgres_store: Driver,
) -> None:
    bring_to(postgres_store, State.RUNNING)
    claim = last_claim(get(postgres_store))
    with sessions(postgres_store) as (one, two):
        one.run(settles(claim))
        with pytest.raises(WouldWaitError):
            two.run(settles(claim))
