"""Random histories of schedules on both stores and on the model: the same answers and rows.

`pytest tests/store/test_schedule_model.py --hypothesis-profile=thorough` runs many more and longer
ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings as profile, strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
)

from tenure.kernel.model import Claim, TaskId
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Schedule
from tenure.kernel.schedules.policies import Drift, Missed, Overlap
from tenure.kernel.states import Event, State
from tenure.store import claims, firing, schedules, tasks
from tests.store.builders import INLINE_BYTES_MAX, a_request, a_settlement, last_claim
from tests.store.conftest import Drivers
from tests.store.drivers import SECOND_US, Driver
from tests.store.histories import assert_fault_found, run_on_both
from tests.store.model import Key
from tests.store.schedule_builders import a_template, a_wanted
from tests.store.schedule_model import ScheduledModel
from tests.store.test_model import TENANT, TENANTS, Compared, told

GATE = profile(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LATE_US = 12 * SECOND_US
LEASE_US = 10 * SECOND_US
LEDGER = "SELECT tenant, schedule_id, instant_us, verdict, task_id FROM fire"
# What ends a run comes more often, or nobody's turn would come.
ENDS_OR_NOT = [Event.COMPLETE, Event.COMPLETE, Event.FAIL, Event.RETRY, Event.WAIT]
POLICIES: list[dict[str, Any]] = [
    {},
    {"missed": Missed.NONE},
    {"overlap": Overlap.ALLOW, "missed": Missed.ALL},
    {"overlap": Overlap.QUEUE_ONE},
    {"overlap": Overlap.QUEUE_ALL, "missed": Missed.ALL},
    {"drift": Drift.DELAY},
]


class Planned(Compared):
    """Whatever users, schedulers and clocks can do to schedules, in any order."""

    made = Bundle("made")
    held = Compared.held

    model: ScheduledModel

    def __init__(self, stores: list[Driver]) -> None:
        super().__init__(stores)
        self.model = ScheduledModel(self.now_us)

    # Every history begins with a schedule, or most would lead nowhere.
    @initialize(
        target=made,
        tenant=TENANT,
        id=st.sampled_from(["s", "t"]),
        every_s=st.sampled_from([5, 10]),
        chosen=st.sampled_from(POLICIES),
        attempts_max=st.integers(1, 2),
    )
    def begin(self, **fields: Any) -> Any:
        return self.put_new(**fields)

    @rule(
        target=made,
        tenant=TENANT,
        id=st.sampled_from(["s", "t"]),
        every_s=st.sampled_from([5, 10, 20]),
        chosen=st.sampled_from(POLICIES),
        attempts_max=st.integers(1, 2),
    )
    def put(self, **fields: Any) -> Any:
        return self.put_new(**fields)

    def put_new(
        self, tenant: str, id: str, every_s: int, chosen: dict[str, Any], attempts_max: int
    ) -> Any:
        key = (tenant, id)
        # What an edit keeps is shown step by step elsewhere.
        if key in self.model.schedules:
            return multiple()
        self.turn()
        template = a_template(queue="a", attempts_max=attempts_max)
        wanted = a_wanted(id, f"{every_s}s", template=template, carry=b"0", **chosen)

        def make(_: Schedule | None, known: dict[str, Exclusion], now_us: int) -> Schedule:
            return edits.created(tenant, wanted, known, now_us)

        self.model.schedules[key] = made = make(None, {}, self.now_us())
        assert made.next_fire_at_us == self.now_us()
        for store in self.stores:
            store.run(schedules.put(tenant, id, (), make))
        return key

    @rule(key=made, is_meant=st.sampled_from([True, False, False]))
    def pause(self, key: Key, is_meant: bool) -> None:
        # Less often than the others, since nothing fires afterwards.
        if not is_meant:
            return
        self.turn()
        self.agree(self.model.pause(key), schedules.pause(*key))

    @rule(key=made)
    def resume(self, key: Key) -> None:
        self.turn()
        self.agree(self.model.resume(key), schedules.resume(*key, edits.next_from_now))

    @rule(key=made, in_s=st.sampled_from([-7, 0, 3, 13]))
    def steer(self, key: Key, in_s: int) -> None:
        self.turn()
        at_us = self.now_us() + in_s * SECOND_US
        self.model.steer(key, at_us)
        self.agree(True, schedules.steer(*key, at_us))

    # Time passes more often than anything else happens, or most histories would lead nowhere.
    @rule(seconds=st.sampled_from([0, 1, 6, 11, 30]))
    def fire(self, seconds: int) -> None:
        self.moved_us += seconds * SECOND_US
        self.turn()
        made = self.model.fire_due(LATE_US)
        for store in self.stores:
            verb = firing.fire_due(limit=100, late_us=LATE_US, inline_bytes_max=INLINE_BYTES_MAX)
            assert made == store.run(verb).fired, store.name

    @rule(seconds=st.sampled_from([4, 15]))
    def the_clock_goes_back(self, seconds: int) -> None:
        self.moved_us -= seconds * SECOND_US
        self.turn()
        self.model.replan()
        for store in self.stores:
            store.run(firing.replan(("", ""), limit=100))

    @invariant()
    def the_schedules_are_the_same(self) -> None:
        ledger = sorted((*key, *entry) for key, entry in self.model.ledger.items())
        for store in self.stores:
            for tenant in TENANTS:
                verb = schedules.listing(tenant, after_id="", origin="", kind="", limit=100)
                for found in store.run(verb):
                    wanted = self.model.schedules[tenant, found.id]
                    assert _told(wanted) == _told(found), store.name
            assert ledger == sorted(store.rows(LEDGER)), store.name

    @invariant()
    def runs_that_take_turns_are_under_way_one_at_a_time(self) -> None:
        for key, schedule in self.model.schedules.items():
            busy = [task for task in self.model.runs(key) if task.waiting_for != "turn"]
            assert schedule.definition.policies.overlap is Overlap.ALLOW or len(busy) <= 1
            assert busy or not self.model.runs(key), "somebody waits for nobody"

    @invariant()
    def nothing_is_left_to_be_swept(self) -> None:
        self.agree(0, firing.sweep(limit=9))


class Histories(Planned):
    """And whatever workers and the reaper can do meanwhile."""

    made = Planned.made
    held = Planned.held

    @rule(target=held, limit=st.integers(1, 3))
    def claim(self, limit: int) -> Any:
        self.turn()
        request = a_request(queue="a", lease_us=LEASE_US, limit=limit)
        taken = self.model.claim(request, limited=False)
        self.agree(taken, claims.claim(request))
        return multiple(*taken)

    @rule(
        claim=held,
        event=st.sampled_from(
            [Event.COMPLETE, Event.COMPLETE, Event.FAIL, Event.RETRY, Event.WAIT]
        ),
        carry=st.sampled_from([None, b"1", b"2"]),
    )
    def settle(self, claim: Claim, event: Event, carry: bytes | None) -> None:
        settlement = a_settlement(
            claim, event, error=None, carry=carry, schedule_id=claim.schedule_id
        )
        self.agree_on_settling([settlement])

    @rule(several=st.lists(held, min_size=2, max_size=3, unique_by=lambda claim: claim[:2]))
    def complete_several(self, several: list[Claim]) -> None:
        # In order of ids, as the stores write them, so that the events come in one order.
        several = sorted(several, key=lambda claim: (claim.tenant, claim.id))
        self.agree_on_settling(
            [
                a_settlement(claim, Event.FAIL, error=None, schedule_id=claim.schedule_id)
                for claim in several
            ]
        )

    @rule(key=made, place=st.integers(0, 2), force=st.booleans())
    def cancel(self, key: Key, place: int, force: bool) -> None:
        live = self.model.runs(key)
        if place >= len(live):
            return
        self.turn()
        id = TaskId(live[place].id)
        self.agree(
            told(lambda: self.model.cancel(key[0], id, force=force, reason="enough")),
            tasks.cancel(key[0], id, force=force, reason="enough"),
        )

    @rule()
    def take_back_leases(self) -> None:
        self.turn()

        def decide(claim: Claim, is_asked: bool) -> Any:
            event = Event.CANCEL if is_asked else Event.EXHAUST
            return a_settlement(claim, event, error=None, schedule_id=claim.schedule_id)

        wanted = self.model.expire(decide)
        for store in self.stores:
            expired = store.run(claims.expire(decide, limit=100))
            assert wanted == {(claim.tenant, claim.id) for claim, _ in expired}, store.name

    @rule(seconds=st.sampled_from([6, 11]), is_ended=st.booleans())
    def fire_and_work(self, seconds: int, is_ended: bool) -> None:
        self.fire(seconds)
        for claim in self.claim(limit=3).values:
            if is_ended:
                self.settle(claim, Event.COMPLETE, b"3")

    @rule(event=st.sampled_from([Event.COMPLETE, Event.FAIL]), carry=st.sampled_from([None, b"4"]))
    def end_all_that_run(self, event: Event, carry: bytes | None) -> None:
        running = [task for task in self.model.tasks.values() if task.state is State.RUNNING]
        for task in sorted(running, key=lambda task: task.id):
            self.settle(last_claim(task), event, carry)


def _told(schedule: Schedule) -> Any:
    return replace(schedule, updated_at_us=0)


def test_both_stores_do_as_the_model_does(drivers: Drivers) -> None:
    run_on_both(Histories, drivers, GATE)


FAULTS = [
    ("release_schedules", "held_by = NULL,", "held_by = held_by,"),
    ("advance_schedules", "fired = fired + :fired", "fired = :fired"),
    ("wake_turns", "AND other.ended_at_us IS NULL", ""),
]


@pytest.mark.parametrize(("statement", "old", "new"), FAULTS)
def test_random_histories_find_a_planted_fault(
    statement: str, old: str, new: str, drivers: Drivers
) -> None:
    assert_fault_found(Histories, drivers, GATE, statement=statement, old=old, new=new)
