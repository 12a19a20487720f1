"""Letting go of instants for good, as after a store was put back from a backup."""

from __future__ import annotations

import pytest

from tenure.kernel.schedules.model import Verdict
from tenure.kernel.schedules.policies import Drift, Overlap
from tenure.store import firing, schedules, skipping
from tests.store.drivers import SECOND_US, START_US, Driver
from tests.store.schedule_builders import MINUTE_US, fire, known, ledger, next_s, put

UNTIL_US = START_US + 10 * MINUTE_US


def skip(store: Driver, *ids: str, until_us: int = UNTIL_US) -> int:
    return store.run(skipping.skip([("", id) for id in ids], until_us))


def test_nothing_fires_up_to_the_moment_and_all_that_is_later_does(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)

    assert 1 == skip(store, "s")
    early = fire(store).fired
    store.clock.pass_s(10 * 60)
    at_the_moment = fire(store).fired
    store.clock.pass_s(60)

    assert (0, 0, 1) == (early, at_the_moment, fire(store).fired)
    assert [(11 * 60, Verdict.FIRED)] == ledger(store)


def test_planning_anew_does_not_bring_back_what_was_let_go(store: Driver) -> None:
    put(store, overlap=Overlap.ALLOW)
    skip(store, "s")

    store.run(firing.replan(("", ""), limit=10))
    for _ in range(12):
        fire(store)
        store.clock.pass_s(60)

    assert [(11 * 60, Verdict.FIRED)] == ledger(store)


def test_an_instant_of_somebodys_choice_is_let_go_like_any_other(store: Driver) -> None:
    put(store)
    store.run(schedules.steer("", "s", START_US + 5 * SECOND_US))

    assert 1 == skip(store, "s")

    assert (11 * 60, None) == (next_s(store), known(store).steered_us)


def test_what_counts_from_ends_goes_on_right_after(store: Driver) -> None:
    put(store, drift=Drift.DELAY)

    skip(store, "s")

    assert UNTIL_US + 1 == known(store).next_fire_at_us


@pytest.mark.parametrize("state", ["later", "waits for its run"])
def test_one_that_has_nothing_before_it_stays_as_it_is(store: Driver, state: str) -> None:
    if state == "later":
        put(store, start_us=UNTIL_US + 1)
    else:
        put(store, drift=Drift.DELAY)
        fire(store)
    before = known(store)

    assert 0 == skip(store, "s")

    after = known(store)
    assert (before.next_fire_at_us, before.held_by) == (after.next_fire_at_us, after.held_by)
    assert UNTIL_US == after.floor_us


def test_others_are_left_alone_and_strangers_are_no_error(store: Driver) -> None:
    put(store, "a")
    put(store, "b")

    assert 1 == skip(store, "a", "nobody")

    assert (11 * 60, 0) == (next_s(store, "a"), next_s(store, "b"))


def test_a_floor_is_never_lowered(store: Driver) -> None:
    put(store)
    skip(store, "s")
    skip(store, "s", until_us=START_US)

    assert UNTIL_US == known(store).floor_us
