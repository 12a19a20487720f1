"""Random histories on both stores and on the model: the same answers and the same rows.

`pytest tests/store/test_model.py --hypothesis-profile=thorough` runs many more and longer ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, settings as profile, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from tenure.kernel.errors import ConflictError, NotFoundError
from tenure.kernel.model import Claim, Lane, Queue, TaskId
from tenure.kernel.ports import Steps, Verb, transaction
from tenure.kernel.settle import Settlement
from tenure.kernel.states import ENDED, SETTLING, Event
from tenure.store import claims, history, queues, tasks, workers
from tests.store.builders import INLINE_BYTES_MAX, LARGE, a_request, a_settlement, a_task
from tests.store.conftest import Drivers
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.histories import assert_fault_found, run_on_both
from tests.store.model import Key, Model

T = TypeVar("T")

GATE = profile(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LEASE_US = 10 * SECOND_US
ALL_EVENTS = "SELECT tenant, task_id, at_us, event, detail FROM task_event"
ALL_ATTEMPTS = """SELECT tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us,
    event FROM attempt"""
TENANTS = ("", "one")
QUEUES = ("a", "b")
# What is common comes more often, or histories would seldom lead anywhere.
TENANT = st.sampled_from(["", "", "", "one"])
QUEUE = st.sampled_from(["a", "a", "a", "b"])
BODIES = st.sampled_from([None, b"", b"small", LARGE])
DELAYS_US = st.sampled_from([0, 0, 0, 5 * SECOND_US, 20 * SECOND_US])
KEYS = st.sampled_from([None, "k1", "k2"])
SPARE = st.sampled_from([20, 20, 6, 4, 2, 0])
SLOTS = st.sampled_from([20, 20, 4, 2, 1])
LIKE_WORKERS = st.sampled_from(["worker-1", "worker-2"])


def told(deed: Callable[[], T]) -> T | tuple[str, str]:
    """Return the answer, or what kind of refusal it was."""
    try:
        return deed()
    except (NotFoundError, ConflictError) as error:
        return (error.code, getattr(error, "existing_id", ""))


def without_error(claim: Claim, event: Event, **fields: Any) -> Settlement:
    return a_settlement(claim, event, **{"error": None, **fields})


class Compared(RuleBasedStateMachine):
    """Both stores and the model at one time, and how their answers and rows are compared."""

    known = Bundle("known")
    held = Bundle("held")

    def __init__(self, stores: list[Driver]) -> None:
        super().__init__()
        self.stores = stores
        self.model = Model(self.now_us)
        self.moved_us = 0
        self.turns = 0
        self.numbers: dict[Key, int] = {}
        for store in stores:
            store.empty()
        self.turn()

    def now_us(self) -> int:
        # No two turns have the same last digits, so no two tasks are ever due at one instant.
        return START_US + self.moved_us + self.turns * 1_000

    def turn(self) -> None:
        self.turns += 1
        for store in self.stores:
            store.clock.time_us = self.now_us()

    def agree(self, wanted: object, verb: Verb[Any]) -> None:
        for store in self.stores:
            assert wanted == told(functools.partial(store.run, verb)), store.name

    def agree_on_settling(self, settlements: list[Settlement]) -> None:
        self.turn()
        answers = self.model.settle(settlements, worker_id="worker-1")
        self.agree(
            answers,
            claims.settle(settlements, worker_id="worker-1", inline_bytes_max=INLINE_BYTES_MAX),
        )

    def is_of_its_task(self, claim: Claim) -> bool:
        """Is it not of a task that was pruned, and whose id was then given to another?

        Claims are numbered for each task, so the stores cannot tell these apart.
        """
        task = self.model.tasks.get((claim.tenant, claim.id))
        return task is None or task.created_at_us == claim.created_at_us

    def number(self, tenant: str, id: str) -> int:
        return self.numbers[tenant, id]

    @invariant()
    def the_rows_are_the_same(self) -> None:
        model = self.model
        wanted = [
            replace(task, payload=_inline(task.payload), result=_inline(task.result))
            for _, task in sorted(model.tasks.items(), reverse=True)
        ]
        ended = sorted(
            (
                *(each.tenant, each.task_id, each.claim_no, each.attempt, each.worker_id),
                *(each.started_at_us, each.ended_at_us, each.event.value),
            )
            for each in model.attempts
        )
        for store in self.stores:
            found = [
                task
                for tenant in sorted(TENANTS, reverse=True)
                for task in store.run(tasks.find(tenant, limit=100))
            ]
            assert wanted == found, store.name
            assert ended == sorted(store.rows(ALL_ATTEMPTS)), store.name
            assert sorted(model.events) == sorted(store.rows(ALL_EVENTS)), store.name

    @invariant()
    def the_answers_to_workers_are_the_same(self) -> None:
        self.agree(self.model.next_dues(), claims.next_dues(QUEUES))
        for worker_id in ("worker-1", "worker-2"):
            asked = {
                (task.tenant, task.id, task.claim_no)
                for task in self.model.tasks.values()
                if task.lease_expires_at_us is not None
                and task.cancel_asked_at_us is not None
                and task.worker_id == worker_id
            }
            self.agree(asked, claims.cancels_asked(worker_id, limit=100))

    def teardown(self) -> None:
        self.agree(self.now_us(), workers.clock())
        for (tenant, id), task in self.model.tasks.items():
            self.agree(task, tasks.get(tenant, TaskId(id)))
            of_task = [each for each in self.model.attempts if each.task_id == id]
            wanted = [each for each in of_task if each.tenant == tenant]
            wanted.sort(key=lambda each: -each.claim_no)
            self.agree(wanted, history.attempts(tenant, TaskId(id), limit=100))


class Users(Compared):
    """Whatever users, the pruner and clocks can do, in any order."""

    known = Compared.known

    @rule(
        target=known,
        tenant=TENANT,
        number=st.integers(1, 4),
        queue=QUEUE,
        lane=st.sampled_from(Lane),
        cost=st.integers(1, 4),
        attempts_max=st.integers(1, 4),
        unique_key=KEYS,
        delay_us=DELAYS_US,
        is_large=st.booleans(),
    )
    def insert(self, number: int, is_large: bool, **fields: Any) -> Key:
        self.turn()
        new = a_task(f"t{number}", payload=LARGE if is_large else b"{}", **fields)
        self.numbers[new.tenant, new.id] = len(self.numbers) % 900
        verb = tasks.insert_with_bodies if is_large else tasks.insert
        self.agree(self.model.insert(new), verb(new))
        return (new.tenant, new.id)

    @rule(
        target=known,
        first=st.integers(1, 3),
        tenant=TENANT,
        queue=QUEUE,
        unique_key=KEYS,
    )
    def insert_many(self, first: int, unique_key: str | None, **fields: Any) -> Key:
        self.turn()
        like = a_task(**fields)
        ids = [TaskId(f"t{first}"), TaskId(f"t{first + 1}")]
        written = []
        for place, id in enumerate(ids):
            # Each a moment later, for the order; the stores give both the same time.
            task = replace(like, id=id, unique_key=unique_key, run_at_us=self.now_us() + place)
            self.numbers[like.tenant, id] = len(self.numbers) % 900
            if self.model.insert(task):
                written.append(id)
        for place, id in enumerate(ids):
            one = replace(like, run_at_us=self.now_us() + place)
            verb = tasks.insert_many(
                one, [id], [b"{}"], unique_keys=[unique_key], inline_bytes_max=9
            )
            self.agree([id] if id in written else [], verb)
        return (like.tenant, ids[0])

    @rule(key=known, force=st.booleans())
    def cancel(self, key: Key, force: bool) -> None:
        self.turn()
        tenant, id = key[0], TaskId(key[1])
        self.agree(
            told(lambda: self.model.cancel(tenant, id, force=force, reason="enough")),
            tasks.cancel(tenant, id, force=force, reason="enough"),
        )

    @rule(key=known)
    def wake(self, key: Key) -> None:
        self.turn()
        tenant, id = key[0], TaskId(key[1])
        self.agree(told(lambda: self.model.wake(tenant, id)), tasks.wake(tenant, id))

    @rule(key=known)
    def revive(self, key: Key) -> None:
        self.turn()
        tenant, id = key[0], TaskId(key[1])
        self.agree(told(lambda: self.model.revive(tenant, id)), tasks.revive(tenant, id))

    @rule(name=QUEUE, how=st.sampled_from(["pause", "resume", "resume", "lift", 2, 5]))
    def turn_a_switch(self, name: str, how: str | int) -> None:
        self.turn()
        queue = self.model.queue(name)
        match how:
            case "pause":
                is_open = queue.paused_at_us is None
                since_us = self.now_us() if is_open else queue.paused_at_us
                self.switch(replace(queue, paused_at_us=since_us), queues.pause(name))
            case "resume":
                self.switch(replace(queue, paused_at_us=None), queues.resume(name))
            case _:
                slots = how if isinstance(how, int) else None
                self.switch(replace(queue, slots=slots), queues.limit(name, slots))

    def switch(self, queue: Queue, verb: Verb[Queue]) -> None:
        self.model.queues[queue.name] = queue
        self.agree(queue, verb)

    @rule(state=st.sampled_from(sorted(ENDED)), keep_us=DELAYS_US)
    def prune(self, state: Any, keep_us: int) -> None:
        self.turn()
        pruned = self.model.prune(state, keep_us=keep_us)
        self.agree(pruned, claims.prune(state, keep_us=keep_us, limit=100))

    @rule(seconds=st.sampled_from([-15, 1, 6, 11, 30]))
    def move_the_clock(self, seconds: int) -> None:
        self.moved_us += seconds * SECOND_US
        self.turn()


class Histories(Users):
    """And whatever workers and the reaper can do meanwhile."""

    held = Compared.held

    @rule(
        target=held,
        queue=QUEUE,
        worker_id=LIKE_WORKERS,
        limit=st.integers(1, 4),
        spare=SPARE,
        slots=SLOTS,
        is_limited=st.booleans(),
    )
    def claim(self, is_limited: bool, **fields: Any) -> Any:
        self.turn()
        request = a_request(lease_us=LEASE_US, **fields)
        taken = self.model.claim(request, limited=is_limited)
        bare = [
            claim._replace(payload=b"") if len(claim.payload) > INLINE_BYTES_MAX else claim
            for claim in taken
        ]
        verb = claims.claim_limited if is_limited else claims.claim
        self.agree(bare, verb(request))
        self.agree(taken, claims.fill_bodies(bare))
        return multiple(*taken)

    @rule(target=held)
    def claim_everything(self) -> Any:
        self.turn()
        taken: list[Claim] = []
        for queue in QUEUES:
            request = a_request(queue=queue, lease_us=LEASE_US)
            claimed = self.model.claim(request, limited=False)
            self.agree(claimed, _with_payloads(request))
            taken += claimed
        return multiple(*taken)

    @rule(claim=held, event=st.sampled_from([Event.RETRY, Event.SNOOZE, Event.RELEASE]))
    def put_back(self, claim: Claim, event: Event) -> None:
        assume(self.is_of_its_task(claim))
        self.agree_on_settling([without_error(claim, event)])

    @rule(
        claim=held,
        event=st.sampled_from(sorted(SETTLING)),
        result=BODIES,
        carry=st.sampled_from([None, b"carried"]),
        delay_us=DELAYS_US,
    )
    def settle(self, claim: Claim, event: Event, result: bytes | None, **fields: Any) -> None:
        assume(self.is_of_its_task(claim))
        kept = result if event is Event.COMPLETE else None
        settlement = without_error(claim, event, result=kept, cause=event.value, **fields)
        self.agree_on_settling([settlement])

    @rule(several=st.lists(held, min_size=2, max_size=4), events=st.data())
    def settle_several(self, several: list[Claim], events: st.DataObject) -> None:
        assume(all(self.is_of_its_task(claim) for claim in several))
        settling = st.sampled_from(sorted(SETTLING))
        self.agree_on_settling(
            [
                without_error(
                    claim, events.draw(settling), delay_us=self.number(claim.tenant, claim.id)
                )
                for claim in several
            ]
        )

    @rule(several=st.lists(held, max_size=4), said=st.binary(max_size=3))
    def renew(self, several: list[Claim], said: bytes) -> None:
        assume(all(self.is_of_its_task(claim) for claim in several))
        self.turn()
        leases = [claim.lease for claim in several]
        progress = [said] * len(leases)
        renewed = self.model.renew(leases, lease_us=LEASE_US)
        told_of = self.model.report_progress(leases, progress)

        self.agree(renewed, claims.renew(leases, lease_us=LEASE_US))
        self.agree(told_of, claims.report_progress(leases, progress))

    @rule(crashes_max=st.integers(1, 3))
    def expire(self, crashes_max: int) -> None:
        self.turn()

        def decide(claim: Claim, is_asked: bool) -> Settlement:
            if is_asked:
                return without_error(claim, Event.CANCEL, cause="cancelled")
            if claim.attempt >= claim.attempts_max or claim.crashes + 1 >= crashes_max:
                return without_error(claim, Event.EXHAUST, cause="lease_expired")
            delay_us = self.number(claim.tenant, claim.id)
            return without_error(claim, Event.EXPIRE, delay_us=delay_us)

        wanted = self.model.expire(decide)
        for store in self.stores:
            expired = store.run(claims.expire(decide, limit=100))
            assert wanted == {(claim.tenant, claim.id) for claim, _ in expired}, store.name


@transaction
def _with_payloads(request: claims.ClaimRequest) -> Steps[list[Claim]]:
    claimed = yield from claims.claim(request)
    return (yield from claims.fill_bodies(claimed))


def _inline(body: bytes | None) -> bytes | None:
    return None if body is not None and len(body) > INLINE_BYTES_MAX else body


def test_both_stores_do_as_the_model_does(drivers: Drivers) -> None:
    run_on_both(Histories, drivers, GATE)


FAULTS = [
    ("claim_tasks", "spent <= :spare", "0 <= :spare"),
    ("claim_tasks", "queue.paused_at_us IS NOT NULL OR", ""),
    ("settle_tasks", "AND claim_no = :claim_no", "AND :claim_no > 0"),
]


@pytest.mark.parametrize(("statement", "old", "new"), FAULTS)
def test_random_histories_find_a_planted_fault(
    statement: str, old: str, new: str, drivers: Drivers
) -> None:
    assert_fault_found(Histories, drivers, GATE, statement=statement, old=old, new=new)
