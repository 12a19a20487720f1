"""The states of a task, the events that move it, and the table of allowed moves.

This is the only place that says which move is allowed. The diagram in the docs is made from
`TRANSITIONS`; the CHECK constraints of the migrations, the guards of the SQL and the labels
and buttons of the dashboard are held against it by tests.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task stands. Six are stored; everything finer is a `label`."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What moves a task from one state to another."""

    CLAIM = "claim"
    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    SNOOZE = "snooze"
    WAIT = "wait"
    RELEASE = "release"
    EXPIRE = "expire"
    EXHAUST = "exhaust"
    WAKE = "wake"
    CANCEL = "cancel"
    REVIVE = "revive"


PENDING, RUNNING, WAITING = State.PENDING, State.RUNNING, State.WAITING
COMPLETED, FAILED, CANCELLED = State.COMPLETED, State.FAILED, State.CANCELLED

TRANSITIONS: dict[tuple[State, Event], State] = {
    (PENDING, Event.CLAIM): RUNNING,
    (RUNNING, Event.COMPLETE): COMPLETED,
    (RUNNING, Event.RETRY): PENDING,
    (RUNNING, Event.FAIL): FAILED,
    (RUNNING, Event.SNOOZE): PENDING,
    (RUNNING, Event.WAIT): WAITING,
    (RUNNING, Event.RELEASE): PENDING,
    (RUNNING, Event.EXPIRE): PENDING,
    (RUNNING, Event.EXHAUST): FAILED,
    (WAITING, Event.WAKE): PENDING,
    (PENDING, Event.CANCEL): CANCELLED,
    (WAITING, Event.CANCEL): CANCELLED,
    (RUNNING, Event.CANCEL): CANCELLED,
    (COMPLETED, Event.REVIVE): PENDING,
    (FAILED, Event.REVIVE): PENDING,
    (CANCELLED, Event.REVIVE): PENDING,
}

LIVE = frozenset({PENDING, RUNNING, WAITING})
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})

# The events with which a worker, or the reaper in its stead, ends a claim.
SETTLING = frozenset(event for state, event in TRANSITIONS if state is RUNNING)


def next_state(state: State, event: Event) -> State | None:
    """Return the state that *event* leads to, or None if the table has no such move."""
    return TRANSITIONS.get((state, event))


def label(
    state: State,
    *,
    is_due: bool,
    attempt: int,
    cancel_asked: bool,
    cause: str = "",
    held: bool = False,
) -> str:
    """Return the finer word for a task's state, computed from its columns.

    *is_due* says whether its run time has come; *cause* is why it ended; *held* is true for a
    waiting task that was put aside by hand.
    """
    match state:
        case State.PENDING:
            if is_due:
                return "available"
            return "retrying" if attempt else "scheduled"
        case State.WAITING:
            return "held" if held else "waiting"
        case State.RUNNING:
            return "cancelling" if cancel_asked else "running"
        case State.FAILED:
            return "crashed" if cause == "lease_expired" else "failed"
        case _:
            return state.value
