"""How much a worker takes at once, and how far ahead of its free slots."""

from __future__ import annotations

from tenure.engine.pace import AHEAD_MAX, WINDOW_US, Pace
from tenure.engine.slots import Slots
from tests.engine.virtual import VirtualClock


def end(pace: Pace, times: int) -> None:
    for _ in range(times):
        pace.note()


def test_nothing_is_claimed_ahead_before_anything_has_ended(clock: VirtualClock) -> None:
    assert 0 == Pace(clock).ahead()


def test_as_many_are_claimed_ahead_as_ended_in_the_last_window(clock: VirtualClock) -> None:
    pace = Pace(clock)
    end(pace, 7)
    clock.pass_us(WINDOW_US)

    assert 7 == pace.ahead()


def test_a_new_window_is_judged_by_the_one_before_until_it_is_better(clock: VirtualClock) -> None:
    pace = Pace(clock)
    end(pace, 7)
    clock.pass_us(WINDOW_US)
    pace.ahead()

    end(pace, 3)
    fewer = pace.ahead()
    end(pace, 6)
    more = pace.ahead()

    assert (7, 9) == (fewer, more)


def test_what_ended_before_a_pause_says_nothing_any_more(clock: VirtualClock) -> None:
    pace = Pace(clock)
    end(pace, 7)
    clock.pass_us(2 * WINDOW_US)

    assert 0 == pace.ahead()


def test_a_worker_that_slows_down_claims_ahead_no_more_after_a_window(clock: VirtualClock) -> None:
    pace = Pace(clock)
    end(pace, 7)
    clock.pass_us(WINDOW_US)
    pace.ahead()
    clock.pass_us(WINDOW_US)

    assert 0 == pace.ahead()


def test_claiming_ahead_has_a_bound(clock: VirtualClock) -> None:
    pace = Pace(clock)
    end(pace, AHEAD_MAX + 1)

    assert AHEAD_MAX == pace.ahead()


def test_what_is_promised_to_one_claim_is_not_promised_to_another(clock: VirtualClock) -> None:
    slots = Slots(10, clock)

    promised = [slots.promise(6), slots.promise(6), slots.promise(6)]

    assert [6, 4, 0] == promised


def test_a_kept_promise_is_free_again_but_for_what_was_taken(clock: VirtualClock) -> None:
    slots = Slots(10, clock)
    promised = slots.promise(10)

    slots.keep_promise(promised)
    slots.take(3)

    assert 7 == slots.promise(10)


def test_a_task_that_costs_more_than_all_slots_takes_all(clock: VirtualClock) -> None:
    slots = Slots(10, clock)

    taken = slots.take(25)

    assert (10, 0) == (taken, slots.promise(1))


def test_never_more_than_the_slots_are_busy(clock: VirtualClock) -> None:
    slots = Slots(10, clock)
    slots.begin(7)

    assert (True, False) == (slots.has_room(3), slots.has_room(4))


def test_what_ended_is_free_at_once_and_counts_for_the_pace(clock: VirtualClock) -> None:
    slots = Slots(2, clock)
    taken = slots.take(2)
    slots.begin(taken)

    slots.give_back(taken, has_begun=True)

    assert slots.has_room(2)
    assert 3 == slots.promise(10)


def test_what_never_began_frees_its_place_and_nobody_elses(clock: VirtualClock) -> None:
    slots = Slots(2, clock)
    slots.begin(slots.take(2))
    waiting = slots.take(1)

    slots.give_back(waiting, has_begun=False)

    assert not slots.has_room(1)


def test_a_claim_is_promised_nothing_while_more_is_taken_than_there_are_slots(
    clock: VirtualClock,
) -> None:
    slots = Slots(2, clock)
    for _ in range(5):
        slots.take(1)

    assert 0 == slots.promise(10)
