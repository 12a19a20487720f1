"""Verbs of those who ask for work: insert, look up, list, cancel, wake, revive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenure.kernel.errors import ConflictError, DuplicateError, NotFoundError
from tenure.kernel.model import HistoryEntry, Lane, NewTask, Task, TaskId
from tenure.kernel.states import Event, State
from tenure.store import history, tasks
from tenure.store.claims import Settled
from tests.store.builders import (
    INLINE_BYTES_MAX,
    LARGE,
    a_task,
    bring_to,
    claim_all,
    claim_one,
    expire_all,
    get,
    insert,
    settle,
)
from tests.store.drivers import SECOND_US, START_US, Driver

FULL = a_task(
    tenant="one",
    queue="mail",
    lane=Lane.HIGH,
    cost=3,
    delay_us=5 * SECOND_US,
    attempts_max=4,
    timeout_us=9 * SECOND_US,
    unique_key="key",
    root_id=TaskId("root"),
    parent_id=TaskId("parent"),
    schedule_id="schedule",
    tags=("a", "ü"),
    traceparent="00-1-2-01",
    payload=b"\x00\xff{}",
    carry=b"carried",
)
STORED = Task(
    **{
        name: getattr(FULL, name)
        for name in NewTask.__dataclass_fields__
        if name not in ("delay_us", "run_at_us")
    },
    state=State.PENDING,
    run_at_us=START_US + 5 * SECOND_US,
    attempt=0,
    crashes=0,
    claim_no=0,
    revision=0,
    deadline_us=None,
    worker_id=None,
    claimed_at_us=None,
    lease_expires_at_us=None,
    cancel_asked_at_us=None,
    waiting_for=None,
    created_at_us=START_US,
    ended_at_us=None,
    cause=None,
    result=None,
    progress=None,
)


def events(store: Driver, id: str = "task-1") -> list[HistoryEntry]:
    return store.run(history.events("", TaskId(id), limit=10))


def ids(found: list[Task]) -> list[str]:
    return [task.id for task in found]


def test_a_task_comes_back_as_it_was_inserted(store: Driver) -> None:
    is_written = store.run(tasks.insert(FULL))

    assert is_written
    assert STORED == get(store, tenant="one")


def test_many_tasks_come_back_as_one_would(store: Driver) -> None:
    written = store.run(
        tasks.insert_many(
            FULL,
            [TaskId("task-1"), TaskId("task-2")],
            [FULL.payload, b"other"],
            unique_keys=["key", "other"],
            inline_bytes_max=INLINE_BYTES_MAX,
        )
    )

    assert ["task-1", "task-2"] == written
    assert STORED == get(store, tenant="one")
    other = replace(STORED, id=TaskId("task-2"), unique_key="other", payload=b"other")
    assert other == get(store, "task-2", tenant="one")


def test_fresh_tasks_come_back_as_one_would(store: Driver) -> None:
    fresh = replace(FULL, unique_key=None)
    payloads = [FULL.payload, b"", LARGE]
    given = [TaskId("task-1"), TaskId("17"), TaskId('ü"]')]

    store.run(tasks.insert_fresh(fresh, given, payloads, inline_bytes_max=INLINE_BYTES_MAX))

    assert replace(STORED, unique_key=None) == get(store, tenant="one")
    assert payloads == [get(store, id, tenant="one").payload for id in given]


def test_a_fresh_id_that_is_taken_after_all_is_a_conflict_and_nothing_is_written(
    store: Driver,
) -> None:
    insert(store, a_task("b"))
    before = store.tables()
    given = [TaskId(id) for id in "abc"]

    with pytest.raises(ConflictError, match="another transaction was first"):
        store.run(tasks.insert_fresh(a_task(), given, [LARGE] * 3, inline_bytes_max=9))

    assert before == store.tables()


def test_no_tasks_are_inserted_at_once_too(store: Driver) -> None:
    store.run(tasks.insert_fresh(a_task(), [], [], inline_bytes_max=1))
    written = store.run(tasks.insert_many(a_task(), [], [], inline_bytes_max=1))

    assert [] == written


def test_an_instant_is_stored_as_it_is(store: Driver) -> None:
    insert(store, a_task(run_at_us=12, delay_us=3))

    assert 12 == get(store).run_at_us


def test_a_large_payload_is_kept_aside_and_comes_back(store: Driver) -> None:
    store.run(tasks.insert_with_bodies(a_task(payload=LARGE)))

    assert LARGE == get(store).payload
    assert [(None,)] == store.rows("SELECT payload FROM task")


def test_only_the_large_payloads_of_many_are_kept_aside(store: Driver) -> None:
    payloads = [b"x" * INLINE_BYTES_MAX, LARGE, b""]

    store.run(
        tasks.insert_many(
            a_task(),
            [TaskId("a"), TaskId("b"), TaskId("c")],
            payloads,
            inline_bytes_max=INLINE_BYTES_MAX,
        )
    )

    assert payloads == [get(store, id).payload for id in "abc"]
    assert [("b",)] == store.rows("SELECT task_id FROM task_body")


def test_an_id_is_taken_once(store: Driver) -> None:
    insert(store, a_task(payload=b"first"))

    is_written = store.run(tasks.insert(a_task(payload=b"second")))

    assert not is_written
    assert b"first" == get(store).payload
    assert "task-1" == store.run(tasks.taken_by(a_task()))


def test_a_refused_task_leaves_no_payload_aside(store: Driver) -> None:
    insert(store, a_task(payload=b"first"))

    is_written = store.run(tasks.insert_with_bodies(a_task(payload=LARGE)))

    assert not is_written
    assert [] == store.rows("SELECT * FROM task_body")


def test_of_many_tasks_the_taken_ones_are_left_out(store: Driver) -> None:
    insert(store, a_task("b"), a_task("other", unique_key="key-d"))
    given = [TaskId(id) for id in "abcd"]

    written = store.run(
        tasks.insert_many(
            a_task(),
            given,
            [LARGE] * 4,
            unique_keys=[f"key-{id}" for id in given],
            inline_bytes_max=INLINE_BYTES_MAX,
        )
    )

    assert ["a", "c"] == written
    assert [("a",), ("c",)] == store.rows("SELECT task_id FROM task_body ORDER BY task_id")


def test_an_id_that_is_given_twice_is_written_once_with_its_first_payload(store: Driver) -> None:
    """A caller that sent an id twice found the second payload under the first task."""
    twice = [TaskId("a"), TaskId("a")]

    written = store.run(
        tasks.insert_many(a_task(), twice, [b"1" * 99, b"2" * 99], inline_bytes_max=9)
    )

    assert ["a"] == written
    assert b"1" * 99 == get(store, "a").payload


def test_of_two_equal_keys_in_one_batch_the_first_is_written(store: Driver) -> None:
    written = store.run(
        tasks.insert_many(
            a_task(),
            [TaskId("a"), TaskId("b")],
            [b"", b""],
            unique_keys=["key", "key"],
            inline_bytes_max=9,
        )
    )

    assert ["a"] == written


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.WAITING])
def test_a_live_task_holds_its_unique_key(store: Driver, state: State) -> None:
    bring_to(store, state, a_task(unique_key="key"))
    second = a_task("task-2", unique_key="key")

    is_written = store.run(tasks.insert(second))

    assert not is_written
    assert "task-1" == store.run(tasks.taken_by(second))


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED])
def test_an_ended_task_holds_no_unique_key(store: Driver, state: State) -> None:
    bring_to(store, state, a_task(unique_key="key"))
    second = a_task("task-2", unique_key="key")

    assert store.run(tasks.taken_by(second)) is None
    assert store.run(tasks.insert(second))


def test_tenants_share_neither_ids_nor_unique_keys(store: Driver) -> None:
    insert(store, a_task(tenant="one", unique_key="key", payload=b"1"))

    insert(store, a_task(tenant="two", unique_key="key", payload=b"2"))

    assert b"1" == get(store, tenant="one").payload
    assert b"2" == get(store, tenant="two").payload


def test_nothing_is_taken_by_nobody(store: Driver) -> None:
    assert store.run(tasks.taken_by(a_task(unique_key="key"))) is None


def test_an_unknown_task_is_none(store: Driver) -> None:
    insert(store, a_task())

    assert store.run(tasks.get("two", TaskId("task-1"))) is None
    assert store.run(tasks.get("", TaskId("task-2"))) is None


def test_tasks_are_listed_newest_first_a_page_at_a_time(store: Driver) -> None:
    insert(store, *(a_task(id) for id in "badc"))

    first = store.run(tasks.find("", limit=3))
    second = store.run(tasks.find("", limit=3, before_id=first[-1].id))

    assert (["d", "c", "b"], ["a"]) == (ids(first), ids(second))


def test_ids_are_compared_as_bytes_whatever_the_locale(store: Driver) -> None:
    insert(store, *(a_task(id) for id in ("a", "B", "é", "Z", "10", "9")))

    found = ids(store.run(tasks.find("", limit=10)))

    assert ["é", "a", "Z", "B", "9", "10"] == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": "running"}, ["r"]),
        ({"queue": "mail"}, ["q"]),
        ({"kind": "sweep"}, ["k"]),
        ({"kind": "mail", "state": "pending", "queue": "default"}, ["p"]),
        ({"kind": "mail", "state": "pending", "queue": "other"}, []),
    ],
    ids=str,
)
def test_a_list_is_of_what_fits_all_filters(
    store: Driver, wanted: dict[str, str], found: list[str]
) -> None:
    bring_to(store, State.RUNNING, a_task("r"))
    insert(store, a_task("p"), a_task("q", queue="mail"), a_task("k", kind="sweep"))
    insert(store, a_task("x", tenant="other", kind="sweep", queue="mail"))

    assert found == ids(store.run(tasks.find("", limit=10, **wanted)))


def test_cancelling_ends_a_pending_task(store: Driver) -> None:
    insert(store, a_task())
    store.clock.pass_s(5)

    state = store.run(tasks.cancel("", TaskId("task-1"), force=False, reason="enough"))

    task = get(store)
    now_us = START_US + 5 * SECOND_US
    assert State.CANCELLED is state is task.state
    assert ("enough", now_us, 1) == (task.cause, task.ended_at_us, task.revision)
    assert [HistoryEntry(at_us=now_us, event="cancel", detail="enough")] == events(store)
    assert [] == store.run(history.attempts("", task.id, limit=10))


def test_cancelling_ends_a_waiting_task(store: Driver) -> None:
    task = bring_to(store, State.WAITING)

    store.run(tasks.cancel("", task.id, force=True, reason="enough"))

    assert (State.CANCELLED, None) == (get(store).state, get(store).waiting_for)
    assert [Event.WAIT] == [
        each.event for each in store.run(history.attempts("", task.id, limit=10))
    ]


@pytest.mark.parametrize("force", [False, True])
def test_cancelling_a_task_that_waits_for_its_retry_leaves_its_attempt_alone(
    store: Driver, force: bool
) -> None:
    """Whoever cancelled with force a task that had run before got a conflict."""
    bring_to(store, State.PENDING)
    settle(store, claim_one(store), Event.RETRY, delay_us=9)
    before = store.run(history.attempts("", TaskId("task-1"), limit=10))

    state = store.run(tasks.cancel("", TaskId("task-1"), force=force, reason=""))

    assert State.CANCELLED is state
    assert before == store.run(history.attempts("", TaskId("task-1"), limit=10))


def test_cancelling_asks_the_handler_of_a_running_task(store: Driver) -> None:
    task = bring_to(store, State.RUNNING)
    store.clock.pass_s(1)

    state = store.run(tasks.cancel("", task.id, force=False, reason="enough"))
    store.clock.pass_s(1)
    store.run(tasks.cancel("", task.id, force=False, reason="again"))

    assert State.RUNNING is state is get(store).state
    assert START_US + SECOND_US == get(store).cancel_asked_at_us
    assert ["again", "enough"] == [entry.detail for entry in events(store)]


def test_a_forced_cancel_cuts_a_running_attempt_short(store: Driver) -> None:
    task = bring_to(store, State.RUNNING)
    store.clock.pass_s(3)

    state = store.run(tasks.cancel("", task.id, force=True, reason="enough"))

    (attempt,) = store.run(history.attempts("", task.id, limit=10))
    assert State.CANCELLED is state is get(store).state
    assert (Event.CANCEL, 1, 1, "worker-1") == (
        *(attempt.event, attempt.claim_no),
        *(attempt.attempt, attempt.worker_id),
    )
    assert (START_US, START_US + 3 * SECOND_US) == (attempt.started_at_us, attempt.ended_at_us)


def test_a_worker_finds_its_lease_gone_after_a_forced_cancel(store: Driver) -> None:
    """A worker whose result came too late was told that it had been written."""
    insert(store, a_task())
    claim = claim_one(store)
    store.run(tasks.cancel("", claim.id, force=True, reason=""))

    settled = settle(store, claim, Event.COMPLETE, result=b"done")

    assert Settled.LOST is settled
    assert State.CANCELLED is get(store).state


def test_cancelling_twice_changes_nothing(store: Driver) -> None:
    task = bring_to(store, State.CANCELLED)
    before = store.tables()

    state = store.run(tasks.cancel("", task.id, force=True, reason="again"))

    assert State.CANCELLED is state
    assert before == store.tables()


def test_waking_makes_a_waiting_task_due_now(store: Driver) -> None:
    task = bring_to(store, State.WAITING, a_task(queue="mail"))
    store.clock.pass_s(5)

    queue = store.run(tasks.wake("", task.id))

    woken = get(store)
    assert ("mail", State.PENDING, None) == (queue, woken.state, woken.waiting_for)
    assert START_US + 5 * SECOND_US == woken.run_at_us
    assert ["wake"] == [entry.event for entry in events(store)]


@pytest.mark.parametrize("verb", ["cancel", "wake", "revive"])
def test_an_unknown_task_is_named_in_the_error(store: Driver, verb: str) -> None:
    insert(store, a_task(tenant="other"))
    before = store.tables()
    verbs = {
        "cancel": tasks.cancel("", TaskId("task-1"), force=False, reason=""),
        "wake": tasks.wake("", TaskId("task-1")),
        "revive": tasks.revive("", TaskId("task-1")),
    }

    with pytest.raises(NotFoundError, match="there is no task 'task-1'"):
        store.run(verbs[verb])

    assert before == store.tables()


def test_reviving_starts_over_with_one_more_attempt_if_none_is_left(store: Driver) -> None:
    insert(store, a_task(queue="mail"))
    store.run(tasks.cancel("", TaskId("task-1"), force=False, reason=""))
    store.run(tasks.revive("", TaskId("task-1")))
    claim_one(store, queue="mail")
    store.clock.pass_s(3600)
    expire_all(store, Event.EXHAUST, cause="lease_expired")
    store.clock.pass_s(5)

    queue = store.run(tasks.revive("", TaskId("task-1")))

    task = get(store)
    assert ("mail", State.PENDING) == (queue, task.state)
    assert (2, 1, 0) == (task.attempts_max, task.attempt, task.crashes)
    assert (None, None, None) == (task.cause, task.ended_at_us, task.cancel_asked_at_us)
    assert START_US + 3605 * SECOND_US == task.run_at_us


def test_reviving_keeps_a_budget_that_is_not_spent(store: Driver) -> None:
    bring_to(store, State.FAILED, a_task(attempts_max=5))

    store.run(tasks.revive("", TaskId("task-1")))

    assert (1, 5) == (get(store).attempt, get(store).attempts_max)


def test_reviving_drops_the_result(store: Driver) -> None:
    insert(store, a_task(), a_task("task-2"))
    for claim in claim_all(store):
        settle(store, claim, Event.COMPLETE, result=LARGE if claim.id == "task-1" else b"small")

    store.run(tasks.revive("", TaskId("task-1")))
    store.run(tasks.revive("", TaskId("task-2")))

    assert (None, None) == (get(store).result, get(store, "task-2").result)
    assert [] == store.rows("SELECT * FROM task_body")


def test_a_cancel_that_was_asked_for_is_forgotten_when_the_task_is_revived(store: Driver) -> None:
    task = bring_to(store, State.RUNNING, a_task(attempts_max=9))
    store.run(tasks.cancel("", task.id, force=False, reason=""))
    store.run(tasks.cancel("", task.id, force=True, reason=""))

    store.run(tasks.revive("", task.id))

    assert get(store).cancel_asked_at_us is None
    assert settle(store, claim_one(store), Event.RETRY) is Settled.WRITTEN
    assert State.PENDING is get(store).state


def test_reviving_is_refused_while_another_task_holds_the_unique_key(store: Driver) -> None:
    bring_to(store, State.FAILED, a_task(unique_key="key"))
    insert(store, a_task("task-2", unique_key="key"))
    before = store.tables()

    with pytest.raises(DuplicateError, match="task 'task-2' holds its unique key 'key'") as caught:
        store.run(tasks.revive("", TaskId("task-1")))

    assert "task-2" == caught.value.existing_id
    assert before == store.tables()


def test_reviving_takes_the_unique_key_back(store: Driver) -> None:
    bring_to(store, State.FAILED, a_task(unique_key="key"))

    store.run(tasks.revive("", TaskId("task-1")))

    assert not store.run(tasks.insert(a_task("task-2", unique_key="key")))
