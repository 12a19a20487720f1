"""The table of transitions, whole: its shape, and the words that are computed from columns."""

from __future__ import annotations

import itertools

import pytest

from tenure.kernel.states import (
    ENDED,
    LIVE,
    SETTLING,
    TRANSITIONS,
    Event,
    State,
    label,
    next_state,
)

PENDING, RUNNING, WAITING = State.PENDING, State.RUNNING, State.WAITING
COMPLETED, FAILED, CANCELLED = State.COMPLETED, State.FAILED, State.CANCELLED

# Written out once more: a move that is added or lost must be so in two places.
MOVES = {
    (PENDING, "claim", RUNNING),
    (PENDING, "cancel", CANCELLED),
    (RUNNING, "complete", COMPLETED),
    (RUNNING, "retry", PENDING),
    (RUNNING, "fail", FAILED),
    (RUNNING, "snooze", PENDING),
    (RUNNING, "wait", WAITING),
    (RUNNING, "release", PENDING),
    (RUNNING, "expire", PENDING),
    (RUNNING, "exhaust", FAILED),
    (RUNNING, "cancel", CANCELLED),
    (WAITING, "wake", PENDING),
    (WAITING, "cancel", CANCELLED),
    (COMPLETED, "revive", PENDING),
    (FAILED, "revive", PENDING),
    (CANCELLED, "revive", PENDING),
}


def test_the_table_has_these_moves_and_no_others() -> None:
    assert MOVES == {(state, event.value, after) for (state, event), after in TRANSITIONS.items()}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)), ids=str)
def test_every_pair_is_in_the_table_or_leads_nowhere(state: State, event: Event) -> None:
    wanted = {after for before, name, after in MOVES if (before, name) == (state, event.value)}

    assert (wanted.pop() if wanted else None) is next_state(state, event)


def test_every_state_is_live_or_ended() -> None:
    assert set(State) == LIVE | ENDED
    assert not LIVE & ENDED


def test_an_ended_task_can_only_be_revived() -> None:
    assert {Event.REVIVE} == {event for state, event in TRANSITIONS if state in ENDED}


def test_every_live_task_can_be_cancelled() -> None:
    assert all(next_state(state, Event.CANCEL) is CANCELLED for state in LIVE)


def test_every_event_leads_somewhere_and_every_state_is_reached() -> None:
    assert set(Event) == {event for _, event in TRANSITIONS}
    assert set(State) == set(TRANSITIONS.values())


def test_only_a_claim_makes_a_task_run() -> None:
    assert {(PENDING, Event.CLAIM)} == {
        move for move, after in TRANSITIONS.items() if after is RUNNING
    }


def test_what_ends_a_claim_is_what_moves_a_running_task() -> None:
    outside = {Event.CLAIM, Event.WAKE, Event.REVIVE}

    assert set(Event) - outside == SETTLING


@pytest.mark.parametrize(
    ("state", "columns", "word"),
    [
        (PENDING, {"is_due": True}, "available"),
        (PENDING, {"is_due": True, "attempt": 2}, "available"),
        (PENDING, {}, "scheduled"),
        (PENDING, {"attempt": 1}, "retrying"),
        (WAITING, {}, "waiting"),
        (WAITING, {"held": True}, "held"),
        (RUNNING, {}, "running"),
        (RUNNING, {"cancel_asked": True}, "cancelling"),
        (COMPLETED, {}, "completed"),
        (FAILED, {"cause": "ValueError"}, "failed"),
        (FAILED, {"cause": "lease_expired"}, "crashed"),
        (CANCELLED, {"cancel_asked": True}, "cancelled"),
    ],
)
def test_a_label_is_computed_from_columns(
    state: State, columns: dict[str, object], word: str
) -> None:
    plain: dict[str, object] = {"is_due": False, "attempt": 0, "cancel_asked": False}

    assert word == label(state, **{**plain, **columns})  # type: ignore[arg-type]  # by name
