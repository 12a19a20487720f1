"""Schedules as values: what the store keeps of one, and of each of its instants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from tenure.kernel.model import DEFAULT_QUEUE, Lane, TaskId
from tenure.kernel.schedules.definition import Definition
from tenure.kernel.schedules.policies import TAKES_TURNS, Drift

# Of a fire's id: version 8 of RFC 9562, and the variant that goes with it.
_VERSION, _VARIANT = "8", "89ab"


class Verdict(StrEnum):
    """What became of an instant of a schedule. The first verdict on one is the last."""

    FIRED = "fired"
    MISSED = "missed"  # nobody was there in time, and the policy lets it go
    SKIPPED = "skipped"  # an earlier run was still going


class Change(StrEnum):
    """What putting a schedule came to."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The task that a schedule makes at each of its instants."""

    kind: str
    payload: bytes
    queue: str = DEFAULT_QUEUE
    lane: Lane = Lane.NORMAL
    cost: int = 1
    attempts_max: int = 1
    timeout_us: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A rule that makes tasks at times, as the store knows it.

    `cursor_us` is the last instant that was decided upon; the next is looked for after it.
    `next_fire_at_us` is None if nothing is to come, or not until the run `held_by` has ended.
    `steered_us` is the next instant as a run asked for it, in place of the rule's. `floor_us` is
    the last instant whose entry in the ledger was pruned: nothing up to it fires any more.
    """

    tenant: str
    id: str
    definition: Definition
    template: Template
    carry: bytes | None
    origin: str
    paused_at_us: int | None
    trouble: str | None
    cursor_us: int
    steered_us: int | None
    next_fire_at_us: int | None
    last_fired_at_us: int | None
    held_by: TaskId | None
    floor_us: int
    fired: int
    revision: int
    created_at_us: int
    updated_at_us: int

    @property
    def takes_turns(self) -> bool:
        """Whether a run may have to wait for the end of another."""
        return self.definition.policies.overlap in TAKES_TURNS

    @property
    def counts_from_ends(self) -> bool:
        """Whether its next instant is counted from the end of the last run."""
        return self.definition.policies.drift is Drift.DELAY

    @property
    def label(self) -> str:
        """The word for how it stands: paused, faulty, running, ended or active."""
        if self.paused_at_us is not None:
            return "paused"
        if self.trouble is not None:
            return "faulty"
        if self.next_fire_at_us is not None:
            return "active"
        return "running" if self.held_by is not None else "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """An instant of a schedule with its verdict: one entry of the ledger."""

    schedule_id: str
    instant_us: int
    verdict: Verdict
    task_id: TaskId | None
    at_us: int
    note: str


def fire_id(tenant: str, schedule_id: str, instant_us: int) -> TaskId:
    """Return the id of the task for an instant: always the same, in order of time.

    A UUID of version 8 whose time is the instant and whose rest is a digest, so that no clock,
    leader or backup can make a second task for the instant while the first is kept.
    """
    digest = hashlib.sha256(f"{tenant}\0{schedule_id}\0{instant_us}".encode()).hexdigest()
    time_part = f"{instant_us // 1000:012x}"
    variant = _VARIANT[int(digest[3], 16) % 4]
    return TaskId(
        f"{time_part[:8]}-{time_part[8:]}-{_VERSION}{digest[:3]}"
        f"-{variant}{digest[4:7]}-{digest[7:19]}"
    )


def jitter_us(tenant: str, schedule_id: str, instant_us: int, *, most_us: int) -> int:
    """Return how much later the task for an instant is due: always the same, below *most_us*."""
    if not most_us:
        return 0
    digest = hashlib.sha256(f"jitter\0{tenant}\0{schedule_id}\0{instant_us}".encode()).digest()
    return int.from_bytes(digest[:8]) % most_us
