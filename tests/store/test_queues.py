"""Verbs on queues: their switches, and the list of them with counts."""

from __future__ import annotations

import pytest

from tenure.kernel.errors import StoreError
from tenure.kernel.model import Lane, Queue, QueueCounts
from tenure.kernel.states import State
from tenure.store import queues
from tests.store.builders import a_task, bring_to, insert
from tests.store.drivers import SECOND_US, START_US, Driver


def a_queue(name: str = "default", **fields: int | None) -> Queue:
    return Queue(**{"name": name, "paused_at_us": None, "slots": None, **fields})  # type: ignore[arg-type]  # one dict of all


def test_a_queue_without_a_row_is_open_and_unlimited(store: Driver) -> None:
    assert a_queue() == store.run(queues.get("default"))


def test_a_queue_remembers_since_when_it_is_paused(store: Driver) -> None:
    first = store.run(queues.pause("default"))
    store.clock.pass_s(1)
    second = store.run(queues.pause("default"))

    assert a_queue(paused_at_us=START_US) == first == second == store.run(queues.get("default"))


def test_a_resumed_queue_is_open(store: Driver) -> None:
    store.run(queues.pause("default"))

    resumed = store.run(queues.resume("default"))

    assert a_queue() == resumed == store.run(queues.get("default"))


def test_a_pause_and_a_limit_leave_one_another_alone(store: Driver) -> None:
    store.run(queues.limit("default", 3))
    paused = store.run(queues.pause("default"))
    limited = store.run(queues.limit("default", 4))
    resumed = store.run(queues.resume("default"))

    assert a_queue(paused_at_us=START_US, slots=3) == paused
    assert a_queue(paused_at_us=START_US, slots=4) == limited
    assert a_queue(slots=4) == resumed


def test_a_limit_is_lifted_with_none(store: Driver) -> None:
    store.run(queues.limit("default", 3))

    assert a_queue() == store.run(queues.limit("default", None))


def test_a_limit_of_nothing_is_refused_because_a_pause_is_meant(store: Driver) -> None:
    with pytest.raises(StoreError):
        store.run(queues.limit("default", 0))

    assert a_queue() == store.run(queues.get("default"))


def test_every_switch_raises_the_revision(store: Driver) -> None:
    for verb in (queues.pause, queues.resume, queues.pause):
        store.run(verb("default"))
    store.run(queues.limit("default", 3))

    assert [(4,)] == store.rows("SELECT revision FROM queue")


def test_queues_are_listed_by_name_with_what_stands_in_them(store: Driver) -> None:
    insert(store, *(a_task(f"d{lane}", queue="due", lane=lane) for lane in Lane))
    insert(store, *(a_task(f"l{lane}", queue="due", lane=lane, delay_us=9) for lane in Lane))
    bring_to(store, State.RUNNING, a_task("r", queue="runs"))
    bring_to(store, State.COMPLETED, a_task("c", queue="over"))
    bring_to(store, State.WAITING, a_task("w", queue="asleep"))
    store.run(queues.pause("empty"))
    store.clock.time_us += 2

    listed = store.run(queues.listing())

    nothing = {"due": 0, "scheduled": 0, "running": 0, "next_due_us": None}
    assert [
        QueueCounts(queue=a_queue("due"), due=4, scheduled=4, running=0, next_due_us=-2),
        QueueCounts(queue=a_queue("empty", paused_at_us=START_US), **nothing),  # type: ignore[arg-type]  # one dict of all
        QueueCounts(queue=a_queue("runs"), due=0, scheduled=0, running=1, next_due_us=None),
    ] == listed


def test_no_queues_are_listed_in_an_empty_store(store: Driver) -> None:
    assert [] == store.run(queues.listing())


def test_counts_and_lists_are_capped(store: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "COUNT_MAX", 2)
    monkeypatch.setattr(queues, "QUEUES_MAX", 2)
    insert(store, *(a_task(f"{queue}{each}", queue=queue) for queue in "abc" for each in range(3)))

    listed = store.run(queues.listing())

    assert [("a", 2), ("b", 2)] == [(counts.queue.name, counts.due) for counts in listed]


def test_the_next_task_of_a_queue_that_is_due_in_a_while_is_told_in_the_list(
    store: Driver,
) -> None:
    insert(store, a_task(delay_us=5 * SECOND_US))

    (counts,) = store.run(queues.listing())

    assert 5 * SECOND_US == counts.next_due_us
