"""Every state against every event, on every store, as the table of transitions has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import apsw
import psycopg
import pytest

from tenure.kernel.errors import TransitionError
from tenure.kernel.model import Task
from tenure.kernel.states import ENDED, SETTLING, TRANSITIONS, Event, State
from tenure.store import tasks
from tenure.store.claims import Settled
from tests.store.builders import (
    a_settlement,
    a_task,
    bring_to,
    claim_all,
    expire_all,
    get,
    insert,
    last_claim,
    settle,
    settle_all,
)
from tests.store.drivers import Driver

BY_REAPER = (Event.EXPIRE, Event.EXHAUST)
BY_SETTLER = tuple(sorted(SETTLING - {*BY_REAPER, Event.CANCEL}))

PAIRS = list(itertools.product(State, Event))

# Does what an event stands for; says whether the store took it for allowed.
Deed = Callable[[Driver, Task], bool]


def do_claim(store: Driver, task: Task) -> bool:
    return [task.id] == [claim.id for claim in claim_all(store)]


def settle_with(event: Event) -> Deed:
    def do_settle(store: Driver, task: Task) -> bool:
        return settle(store, last_claim(task), event) is Settled.WRITTEN

    return do_settle


def expire_with(event: Event) -> Deed:
    def do_expire(store: Driver, task: Task) -> bool:
        store.clock.pass_s(3600)
        return [task.id] == [claim.id for claim in expire_all(store, event)]

    return do_expire


def do_wake(store: Driver, task: Task) -> bool:
    return unless_refused(lambda: store.run(tasks.wake(task.tenant, task.id)), Event.WAKE, task)


def do_cancel(store: Driver, task: Task) -> bool:
    verb = tasks.cancel(task.tenant, task.id, force=True, reason="enough")
    taken = unless_refused(lambda: store.run(verb), Event.CANCEL, task)
    # To cancel what is cancelled is no error, and no move.
    return taken and task.state is not State.CANCELLED


def do_revive(store: Driver, task: Task) -> bool:
    verb = tasks.revive(task.tenant, task.id)
    return unless_refused(lambda: store.run(verb), Event.REVIVE, task)


def unless_refused(deed: Callable[[], object], event: Event, task: Task) -> bool:
    try:
        deed()
    except TransitionError as error:
        refused = (error.state, error.event, f"task '{task.id}' is {task.state}" in str(error))
    else:
        return True
    assert (task.state, event, True) == refused
    return False


DEEDS: dict[Event, Deed] = {
    Event.CLAIM: do_claim,
    **{event: settle_with(event) for event in BY_SETTLER},
    **{event: expire_with(event) for event in BY_REAPER},
    Event.WAKE: do_wake,
    Event.CANCEL: do_cancel,
    Event.REVIVE: do_revive,
}


def pair_name(value: object) -> str:
    return str(value)


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=pair_name)
def test_an_event_moves_a_task_as_the_table_says_and_otherwise_changes_nothing(
    store: Driver, state: State, event: Event
) -> None:
    task = bring_to(store, state)
    before = store.tables()
    wanted = TRANSITIONS.get((state, event))

    is_taken = DEEDS[event](store, task)

    assert (wanted is not None) == is_taken
    assert (wanted or state) is get(store).state
    if wanted is None:
        assert before == store.tables()


@pytest.mark.parametrize("event", sorted(SETTLING))
@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_a_settle_needs_a_running_task_even_with_the_right_claim_number(
    either: Driver, state: State, event: Event
) -> None:
    task = bring_to(either, state)
    before = either.tables()

    settled = settle(either, last_claim(task), event)

    assert settled is not Settled.WRITTEN
    assert before == either.tables()


@pytest.mark.parametrize("event", sorted(SETTLING))
def test_a_settle_does_not_touch_a_pending_task_that_ran_before(
    either: Driver, event: Event
) -> None:
    insert(either, a_task())
    (claim,) = claim_all(either)
    settle(either, claim, Event.RETRY)
    before = either.tables()

    settled = settle_all(either, [a_settlement(claim, event)])

    assert [Settled.ALREADY if event is Event.RETRY else Settled.LOST] == settled
    assert before == either.tables()


@pytest.mark.parametrize("state", State)
def test_the_columns_of_a_state_are_set_in_that_state_only(either: Driver, state: State) -> None:
    task = bring_to(either, state)

    assert (state is State.RUNNING) == (task.lease_expires_at_us is not None)
    assert (state in ENDED) == (task.ended_at_us is not None)
    assert (state is State.WAITING) == (task.waiting_for is not None)


# What the constraints must refuse: a state the table does not know, and each of the columns that
# belong to a state, set or missing in each state where it must not be.
BELONGS = {
    "lease_expires_at_us": frozenset({State.RUNNING}),
    "ended_at_us": ENDED,
    "waiting_for": frozenset({State.WAITING}),
}
VALUES = {"lease_expires_at_us": "1", "ended_at_us": "1", "waiting_for": "'signal'"}
WRONG = [("state", "'paused'", state) for state in State] + [
    (column, "NULL" if state in states else VALUES[column], state)
    for column, states in BELONGS.items()
    for state in State
]


@pytest.mark.parametrize(("column", "value", "state"), WRONG)
def test_the_constraints_refuse_what_the_table_does_not_know(
    either: Driver, column: str, value: str, state: State
) -> None:
    bring_to(either, state)

    with pytest.raises((apsw.ConstraintError, psycopg.errors.CheckViolation)):
        either.rows(f"UPDATE task SET {column} = {value}")


@pytest.mark.parametrize("state", State)
def test_the_constraints_know_every_state_of_the_table(either: Driver, state: State) -> None:
    bring_to(either, State.PENDING)
    columns = [
        f"{column} = {VALUES[column] if state in states else 'NULL'}"
        for column, states in BELONGS.items()
    ]

    either.rows(f"UPDATE task SET state = '{state}', {', '.join(columns)}")

    assert state is get(either).state


@pytest.mark.parametrize("column", ["cost", "attempts_max", "attempt", "crashes", "claim_no"])
def test_the_constraints_refuse_numbers_below_their_least(either: Driver, column: str) -> None:
    bring_to(either, State.PENDING)
    too_small = 0 if column in ("cost", "attempts_max") else -1

    with pytest.raises((apsw.ConstraintError, psycopg.errors.CheckViolation)):
        either.rows(f"UPDATE task SET {column} = {too_small}")


@pytest.mark.parametrize("lane", [-1, 4])
def test_the_constraints_know_four_lanes(either: Driver, lane: int) -> None:
    bring_to(either, State.PENDING)

    with pytest.raises((apsw.ConstraintError, psycopg.errors.CheckViolation)):
        either.rows(f"UPDATE task SET lane = {lane}")


def test_an_unknown_task_of_another_tenant_is_not_moved(either: Driver) -> None:
    task = bring_to(either, State.RUNNING, a_task(tenant="one"))
    before = either.tables()
    stranger = last_claim(task)._replace(tenant="two")

    settled = [settle(either, stranger, event) for event in sorted(SETTLING)]

    assert {Settled.LOST} == set(settled)
    assert before == either.tables()
