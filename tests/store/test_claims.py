"""Claiming: what is due, in which order, and how much of it; renewing; what a worker runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenure.kernel.model import Claim, Lane, TaskId
from tenure.kernel.states import Event, State
from tenure.store import claims, queues, tasks
from tests.store.builders import (
    INLINE_BYTES_MAX,
    LARGE,
    LEASE_US,
    a_request,
    a_task,
    bring_to,
    claim_all,
    claim_one,
    get,
    insert,
    settle,
)
from tests.store.drivers import SECOND_US, START_US, Driver


def ids(found: list[Claim]) -> list[str]:
    return [claim.id for claim in found]


def claim_limited(store: Driver, **fields: object) -> list[str]:
    return ids(store.run(claims.claim_limited(a_request(**fields))))


def test_a_claim_tells_all_that_a_worker_needs(store: Driver) -> None:
    task = a_task(
        tenant="one",
        queue="mail",
        lane=Lane.LOW,
        cost=2,
        attempts_max=4,
        timeout_us=9 * SECOND_US,
        root_id=TaskId("root"),
        parent_id=TaskId("parent"),
        schedule_id="schedule",
        tags=("a", "b"),
        traceparent="00-1-2-01",
        carry=b"carried",
    )
    insert(store, task)
    store.clock.pass_s(1)

    claim = claim_one(store, queue="mail")

    now_us = START_US + SECOND_US
    assert claim == Claim(
        tenant="one",
        id=TaskId("task-1"),
        kind="mail",
        queue="mail",
        lane=3,
        cost=2,
        run_at_us=START_US,
        attempt=1,
        attempts_max=4,
        crashes=0,
        claim_no=1,
        timeout_us=9 * SECOND_US,
        created_at_us=START_US,
        claimed_at_us=now_us,
        lease_expires_at_us=now_us + LEASE_US,
        deadline_us=now_us + 9 * SECOND_US,
        worker_id="worker-1",
        parent_id=TaskId("parent"),
        root_id=TaskId("root"),
        schedule_id="schedule",
        tags_text='["a", "b"]',
        traceparent="00-1-2-01",
        payload=b"{}",
        carry=b"carried",
    )
    assert ("a", "b") == claim.tags
    stored = get(store, tenant="one")
    assert (State.RUNNING, 1, 1) == (stored.state, stored.attempt, stored.claim_no)
    assert claim.lease.expires_at_us == stored.lease_expires_at_us


def test_a_task_without_a_timeout_has_no_deadline(store: Driver) -> None:
    insert(store, a_task())

    assert claim_one(store).deadline_us is None


def test_a_task_is_claimed_when_it_is_due_and_not_before(store: Driver) -> None:
    insert(store, a_task(delay_us=2))
    store.clock.time_us += 1

    early = claim_all(store)
    store.clock.time_us += 1

    assert ([], ["task-1"]) == (ids(early), ids(claim_all(store)))


def test_a_task_is_claimed_once(store: Driver) -> None:
    insert(store, a_task())
    claim_one(store)

    assert [] == claim_all(store, worker_id="worker-2")


def test_each_claim_has_a_higher_number_though_the_attempt_is_given_back(store: Driver) -> None:
    insert(store, a_task())
    first = claim_one(store)
    settle(store, first, Event.SNOOZE)

    second = claim_one(store)

    assert ((1, 1), (1, 2)) == (
        (first.attempt, first.claim_no),
        (second.attempt, second.claim_no),
    )


def test_a_claim_takes_from_its_own_queue(store: Driver) -> None:
    insert(store, a_task("a", queue="mail"), a_task("b"))

    assert ["a"] == ids(claim_all(store, queue="mail"))


def test_tasks_of_all_tenants_are_claimed_together(store: Driver) -> None:
    insert(store, a_task(tenant="one"), a_task(tenant="two"))

    claimed = claim_all(store)

    assert {("one", "task-1"), ("two", "task-1")} == {(each.tenant, each.id) for each in claimed}


def test_lanes_come_before_times_and_times_before_ids(store: Driver) -> None:
    insert(
        store,
        a_task("low", lane=Lane.LOW, run_at_us=1),
        a_task("normal-late", lane=Lane.NORMAL, run_at_us=2),
        a_task("normal-early", lane=Lane.NORMAL, run_at_us=1),
        a_task("urgent", lane=Lane.URGENT, run_at_us=3),
        a_task("high", lane=Lane.HIGH, run_at_us=4),
    )

    everything = claim_all(store)

    assert ["urgent", "high", "normal-early", "normal-late", "low"] == ids(everything)


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_limit_takes_the_most_urgent_and_then_the_longest_due(store: Driver, limit: int) -> None:
    insert(
        store,
        a_task("d", lane=Lane.LOW, run_at_us=1),
        a_task("c", lane=Lane.NORMAL, run_at_us=2),
        a_task("b", lane=Lane.NORMAL, run_at_us=1),
        a_task("a", lane=Lane.URGENT, run_at_us=9),
    )

    claimed = claim_all(store, limit=limit)

    assert list("abcd")[:limit] == ids(claimed)


def test_the_longest_due_of_a_lane_is_taken_first(store: Driver) -> None:
    insert(store, a_task("b", run_at_us=2), a_task("a", run_at_us=1))

    assert ["a"] == ids(claim_all(store, limit=1))


def test_future_tasks_of_a_more_urgent_lane_are_stepped_past(store: Driver) -> None:
    insert(store, *(a_task(f"f{each}", lane=Lane.URGENT, delay_us=9) for each in range(5)))
    insert(store, a_task("due", lane=Lane.LOW))

    assert ["due"] == ids(claim_all(store, limit=1))


@pytest.mark.parametrize(
    ("costs", "spare", "slots", "taken"),
    [
        pytest.param([1, 1, 1], 2, 9, 2, id="as many as there is room for"),
        pytest.param([2, 2, 2], 3, 9, 1, id="none in part"),
        pytest.param([3, 1], 2, 9, 0, id="what is first is waited for"),
        pytest.param([1, 1], 0, 9, 0, id="none without room"),
        pytest.param([50], 9, 9, 1, id="a task of more than all slots runs alone"),
        pytest.param([50, 1], 9, 9, 1, id="a task of more than all slots fills the worker"),
        pytest.param([50], 8, 9, 0, id="a task of more than all slots waits for all of them"),
        pytest.param([4, 50, 1], 13, 9, 2, id="what counts as all is counted as all"),
    ],
)
def test_a_claim_keeps_within_what_the_worker_has_free(
    store: Driver, costs: list[int], spare: int, slots: int, taken: int
) -> None:
    for place, cost in enumerate(costs):
        insert(store, a_task(f"t{place}", cost=cost, run_at_us=place))

    claimed = claim_all(store, spare=spare, slots=slots)

    assert [f"t{place}" for place in range(taken)] == ids(claimed)


def test_cost_is_summed_over_lanes(store: Driver) -> None:
    for lane in Lane:
        insert(store, a_task(f"lane-{lane.value}", lane=lane, cost=2))

    claimed = claim_all(store, spare=5)

    assert ["lane-0", "lane-1"] == ids(claimed)


def test_a_paused_queue_is_not_claimed_from_until_it_is_resumed(store: Driver) -> None:
    insert(store, a_task(), a_task("other", queue="mail"))
    store.run(queues.pause("default"))

    paused = claim_all(store) + store.run(claims.claim_limited(a_request()))
    elsewhere = claim_all(store, queue="mail")
    store.run(queues.resume("default"))

    assert ([], ["other"], ["task-1"]) == (ids(paused), ids(elsewhere), ids(claim_all(store)))


def test_the_plain_claim_leaves_a_limited_queue_alone(store: Driver) -> None:
    insert(store, a_task())
    store.run(queues.limit("default", 5))

    limited = claim_all(store)
    store.run(queues.limit("default", None))

    assert ([], ["task-1"]) == (ids(limited), ids(claim_all(store)))


def test_a_limited_queue_gives_what_its_slots_leave_free(store: Driver) -> None:
    for place in range(4):
        insert(store, a_task(f"t{place}", cost=2, run_at_us=place))
    store.run(queues.limit("default", 5))

    first = claim_limited(store)
    second = claim_limited(store, worker_id="worker-2")

    assert (["t0", "t1"], []) == (first, second)


def test_a_limited_queue_gives_again_what_has_ended(store: Driver) -> None:
    insert(store, a_task("a", run_at_us=1), a_task("b", run_at_us=2))
    store.run(queues.limit("default", 1))
    (claim,) = store.run(claims.claim_limited(a_request()))
    settle(store, claim, Event.COMPLETE)

    assert ["b"] == claim_limited(store)


def test_what_costs_more_than_a_limited_queue_has_runs_in_it_alone(store: Driver) -> None:
    insert(store, a_task("a", cost=9, run_at_us=1), a_task("b", run_at_us=2))
    store.run(queues.limit("default", 3))

    alone = claim_limited(store)
    beside = claim_limited(store)

    assert (["a"], []) == (alone, beside)


def test_a_worker_with_fewer_slots_than_the_queue_keeps_within_its_own(store: Driver) -> None:
    insert(store, *(a_task(f"t{place}", run_at_us=place) for place in range(5)))
    store.run(queues.limit("default", 4))

    assert ["t0", "t1"] == claim_limited(store, spare=2, slots=2)


def test_running_tasks_of_other_queues_do_not_count(store: Driver) -> None:
    bring_to(store, State.RUNNING, a_task("other", queue="mail"))
    insert(store, a_task())
    store.run(queues.limit("default", 1))

    assert ["task-1"] == claim_limited(store)


def test_an_expired_lease_counts_until_it_is_taken_back(store: Driver) -> None:
    insert(store, a_task("a", run_at_us=1), a_task("b", run_at_us=2))
    store.run(queues.limit("default", 1))
    claim_limited(store)
    store.clock.pass_s(3600)

    assert [] == claim_limited(store)


@pytest.mark.parametrize("has_row", [False, True])
def test_the_limited_claim_serves_a_queue_without_a_limit(store: Driver, has_row: bool) -> None:
    insert(store, a_task())
    if has_row:
        store.run(queues.resume("default"))

    assert ["task-1"] == claim_limited(store)


def test_payloads_kept_aside_are_filled_in_on_demand(store: Driver) -> None:
    store.run(tasks.insert_with_bodies(a_task("a", tenant="one", payload=LARGE)))
    store.run(tasks.insert_with_bodies(a_task("a", tenant="two", payload=LARGE + b"2")))
    insert(store, a_task("b", payload=b"small"))
    bare = sorted(claim_all(store), key=lambda each: (each.id, each.tenant))

    filled = store.run(claims.fill_bodies(bare))

    assert [b"", b"", b"small"] == [claim.payload for claim in bare]
    assert [LARGE, LARGE + b"2", b"small"] == [claim.payload for claim in filled]


def test_nothing_is_filled_in_for_nobody(store: Driver) -> None:
    assert [] == store.run(claims.fill_bodies([]))


@pytest.mark.parametrize(
    ("delays_us", "expected"),
    [([], None), ([50, 30, 40], 30), ([0], 0)],
    ids=["nothing", "the earliest", "now"],
)
def test_next_due_is_in_how_long_the_next_task_is_due(
    store: Driver, delays_us: list[int], expected: int | None
) -> None:
    lanes = [Lane.URGENT, Lane.LOW, Lane.NORMAL]
    for lane, delay_us in zip(lanes, delays_us, strict=False):
        insert(store, a_task(f"t{lane}", lane=lane, delay_us=delay_us))
    insert(store, a_task("other", queue="mail", delay_us=1))
    bring_to(store, State.RUNNING, a_task("running", queue="busy"))

    due = store.run(claims.next_dues(["default", "none"]))

    assert ({} if expected is None else {"default": expected}) == due


@pytest.mark.parametrize("lane", Lane)
def test_next_due_looks_at_every_lane(store: Driver, lane: Lane) -> None:
    insert(store, a_task(lane=lane, delay_us=7))
    store.clock.time_us += 10

    assert {"default": -3} == store.run(claims.next_dues(["default"]))


def test_renewing_pushes_the_end_of_the_lease_out(store: Driver) -> None:
    insert(store, a_task("a"), a_task("b"))
    a, b = claim_all(store)
    store.clock.pass_s(30)

    held = store.run(claims.renew([b.lease, a.lease], lease_us=LEASE_US))

    assert {("", "a", 1), ("", "b", 1)} == held
    expected = START_US + 30 * SECOND_US + LEASE_US
    assert {expected} == {get(store, id).lease_expires_at_us for id in "ab"}


def test_nothing_is_renewed_for_nobody(store: Driver) -> None:
    assert set() == store.run(claims.renew([], lease_us=LEASE_US))


def test_a_lease_that_is_not_ours_is_neither_renewed_nor_reported_on(store: Driver) -> None:
    insert(store, a_task())
    old = claim_one(store)
    settle(store, old, Event.SNOOZE)
    new = claim_one(store, worker_id="worker-2")
    strange = replace(new.lease, tenant="other")
    before = store.tables()

    held = store.run(claims.renew([old.lease, strange], lease_us=9 * LEASE_US))
    told = store.run(claims.report_progress([old.lease, strange], [b"old", b"strange"]))

    assert (set(), set()) == (held, told)
    assert before == store.tables()


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_an_ended_claim_is_neither_renewed_nor_reported_on(store: Driver, state: State) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    event = {State.PENDING: Event.RETRY, State.WAITING: Event.WAIT, State.FAILED: Event.FAIL}
    settle(store, claim, event.get(state, Event.COMPLETE))
    before = store.tables()

    held = store.run(claims.renew([claim.lease], lease_us=LEASE_US))
    told = store.run(claims.report_progress([claim.lease], [b"late"]))

    assert (set(), set()) == (held, told)
    assert before == store.tables()


def test_progress_is_kept_until_the_next_claim(store: Driver) -> None:
    insert(store, a_task("a"), a_task("b"))
    a, b = claim_all(store)

    told = store.run(claims.report_progress([a.lease, b.lease], [b"1/2", b"2/2"]))
    kept = (get(store, "a").progress, get(store, "b").progress)
    settle(store, a, Event.SNOOZE)
    claim_one(store)

    assert {("", "a", 1), ("", "b", 1)} == told
    assert (b"1/2", b"2/2") == kept
    assert get(store, "a").progress is None


def test_the_progress_of_each_lease_is_its_own_in_whatever_order(store: Driver) -> None:
    """Progress was written to the task that came next in order of ids."""
    insert(store, a_task("a"), a_task("b"))
    a, b = claim_all(store)

    store.run(claims.report_progress([b.lease, a.lease], [b"of b", b"of a"]))

    assert (b"of a", b"of b") == (get(store, "a").progress, get(store, "b").progress)


def test_a_worker_is_told_which_of_its_tasks_were_asked_to_cancel(store: Driver) -> None:
    insert(store, a_task("a"), a_task("b"))
    claim_all(store)
    bring_to(store, State.PENDING, a_task("c", tenant="one"))
    claim_one(store, worker_id="worker-2")
    for tenant, id in (("", "a"), ("one", "c")):
        store.run(tasks.cancel(tenant, TaskId(id), force=False, reason=""))

    assert {("", "a", 1)} == store.run(claims.cancels_asked("worker-1", limit=10))
    assert {("one", "c", 1)} == store.run(claims.cancels_asked("worker-2", limit=10))
    assert set() == store.run(claims.cancels_asked("worker-1", limit=0))


def test_a_task_that_has_ended_is_not_told_to_cancel_any_more(store: Driver) -> None:
    insert(store, a_task())
    claim = claim_one(store)
    store.run(tasks.cancel("", claim.id, force=False, reason=""))
    settle(store, claim, Event.COMPLETE)

    assert set() == store.run(claims.cancels_asked("worker-1", limit=10))


def test_the_store_knows_what_a_worker_runs_in_a_queue(store: Driver) -> None:
    insert(store, a_task("a"), a_task("b", queue="mail"))
    mine = claim_one(store)
    claim_one(store, queue="mail")
    insert(store, a_task("c"))
    claim_one(store, worker_id="worker-2")

    assert [mine] == store.run(claims.claims_of_worker("worker-1", "default", limit=10))
    assert [] == store.run(claims.claims_of_worker("worker-1", "default", limit=0))


def test_the_clock_may_go_back_without_harm(store: Driver) -> None:
    insert(store, a_task("a"))
    first = claim_one(store)
    store.clock.pass_s(-600)
    insert(store, a_task("b"))

    claimed = claim_all(store)

    assert ["b"] == ids(claimed)
    assert {("", "a", 1)} == store.run(claims.renew([first.lease], lease_us=LEASE_US))
    assert START_US - 600 * SECOND_US + LEASE_US == get(store, "a").lease_expires_at_us


def test_large_bodies_do_not_change_what_is_stored_inline(store: Driver) -> None:
    edge = b"x" * INLINE_BYTES_MAX
    insert(store, a_task(payload=edge))

    assert edge == claim_one(store).payload
