"""What surrounds a task: its attempts, its events, its bodies, and how all of it is pruned."""

from __future__ import annotations

import pytest

from tenure.kernel.model import TaskId
from tenure.kernel.states import ENDED, Event, State
from tenure.store import claims, history, tasks
from tests.store.builders import (
    LARGE,
    WAY_TO,
    a_task,
    bring_to,
    claim_all,
    claim_one,
    get,
    insert,
    settle,
)
from tests.store.drivers import SECOND_US, Driver

DAY_US = 86_400 * SECOND_US


def prune(store: Driver, state: State, *, keep_us: int = DAY_US, limit: int = 100) -> int:
    return store.run(claims.prune(state, keep_us=keep_us, limit=limit))


def ids(store: Driver) -> list[str]:
    return [task.id for task in store.run(tasks.find("", limit=100))]


def test_attempts_come_newest_first_and_no_more_than_asked_for(store: Driver) -> None:
    insert(store, a_task(attempts_max=9), a_task(tenant="other", queue="other"))
    for event in (Event.SNOOZE, Event.RETRY, Event.COMPLETE):
        settle(store, claim_one(store), event)

    found = store.run(history.attempts("", TaskId("task-1"), limit=2))

    assert [(3, 2, Event.COMPLETE), (2, 1, Event.RETRY)] == [
        (attempt.claim_no, attempt.attempt, attempt.event) for attempt in found
    ]
    assert [] == store.run(history.attempts("other", TaskId("task-1"), limit=2))


def test_events_come_newest_first_and_no_more_than_asked_for(store: Driver) -> None:
    insert(store, a_task(), a_task(tenant="other"))
    for _ in range(2):
        store.run(tasks.cancel("", TaskId("task-1"), force=False, reason="enough"))
        store.run(tasks.revive("", TaskId("task-1")))

    found = store.run(history.events("", TaskId("task-1"), limit=3))

    assert ["revive", "cancel", "revive"] == [entry.event for entry in found]
    assert [] == store.run(history.events("other", TaskId("task-1"), limit=3))


@pytest.mark.parametrize("state", sorted(ENDED))
def test_ended_tasks_are_pruned_when_their_time_is_over(store: Driver, state: State) -> None:
    bring_to(store, state)
    store.clock.time_us += DAY_US - 1

    early = prune(store, state)
    store.clock.time_us += 1

    assert (0, 1) == (early, prune(store, state))
    assert [] == ids(store)


def test_only_tasks_of_the_given_state_are_pruned(store: Driver) -> None:
    for place, state in enumerate([*WAY_TO, State.RUNNING]):
        bring_to(store, state, a_task(f"{state}-{place}", queue=f"queue-{place}"))
    store.clock.pass_s(1)

    pruned = prune(store, State.FAILED, keep_us=0)

    assert 1 == pruned
    assert 5 == len(ids(store))
    assert not any(id.startswith("failed") for id in ids(store))


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.WAITING])
def test_live_tasks_are_never_pruned(store: Driver, state: State) -> None:
    bring_to(store, state)
    store.clock.pass_s(10**9)

    assert 0 == prune(store, state, keep_us=0)


def test_pruning_takes_the_oldest_in_bites(store: Driver) -> None:
    for id in "bca":
        bring_to(store, State.COMPLETED, a_task(id))
        store.clock.pass_s(1)

    first = prune(store, State.COMPLETED, keep_us=0, limit=2)
    left = ids(store)
    second = prune(store, State.COMPLETED, keep_us=0, limit=2)

    assert (2, ["a"], 1) == (first, left, second)


def test_all_that_is_a_tasks_is_pruned_with_it_and_nothing_else(store: Driver) -> None:
    for tenant, id in (("", "a"), ("", "b"), ("other", "a")):
        store.run(tasks.insert_with_bodies(a_task(id, tenant=tenant, payload=LARGE)))
        store.run(tasks.cancel(tenant, TaskId(id), force=False, reason=""))
        store.run(tasks.revive(tenant, TaskId(id)))
        settle(store, claim_one(store), Event.COMPLETE, result=LARGE)
        store.clock.pass_s(1)

    prune(store, State.COMPLETED, keep_us=0, limit=1)

    kept = [("", "b"), ("other", "a")]
    assert kept == store.rows("SELECT tenant, id FROM task ORDER BY 1, 2")
    for table in ("task_body", "attempt", "task_event"):
        query = f"SELECT DISTINCT tenant, task_id FROM {table} ORDER BY 1, 2"
        assert kept == store.rows(query), table


def test_an_id_is_free_when_its_task_is_pruned(store: Driver) -> None:
    bring_to(store, State.COMPLETED, a_task(payload=b"old"))
    prune(store, State.COMPLETED, keep_us=0)

    insert(store, a_task(payload=b"new"))
    settle(store, claim_all(store)[0], Event.COMPLETE)

    assert (b"new", 1) == (get(store).payload, get(store).claim_no)


def test_a_body_that_is_put_again_takes_the_place_of_the_old(store: Driver) -> None:
    store.run(tasks.insert_with_bodies(a_task(payload=LARGE, attempts_max=9)))
    settle(store, claim_one(store), Event.COMPLETE, result=LARGE)
    store.run(tasks.revive("", TaskId("task-1")))
    settle(store, claim_one(store), Event.COMPLETE, result=LARGE + b"2")

    assert (LARGE, LARGE + b"2") == (get(store).payload, get(store).result)
