"""Facts that the engine emits, and the bus that carries them.

Loops state facts; `log.py` words them. An event is frozen and cheap; those that would come
once per task come once per batch instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tenure.kernel.model import ErrorReport
from tenure.kernel.states import Event as TaskMove


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted:
    """A worker is registered and begins to claim."""

    worker_id: str
    url: str
    queues: tuple[str, ...]
    kinds: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopping:
    """A worker claims no more and lets what runs finish."""

    worker_id: str
    running: int
    grace_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopped:
    """A worker is gone; `released` attempts were given back."""

    worker_id: str
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksClaimed:
    """A queue gave work."""

    queue: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptsSettled:
    """Outcomes are in the store."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """An attempt ended in an error; `move` says whether there will be another."""

    task_id: str
    kind: str
    attempt: int
    attempts_max: int
    move: TaskMove
    delay_us: int
    error: ErrorReport


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    """A claim was taken from this worker while it ran; nothing it does counts any more."""

    task_id: str
    kind: str
    claim_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesExpired:
    """The reaper took back claims of workers that did not renew them."""

    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersForgotten:
    """Workers that were not seen for long are no longer listed."""

    worker_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksPruned:
    """Ended tasks past their retention were deleted."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipChanged:
    """This worker became the leader, or is it no longer."""

    worker_id: str
    is_leader: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KindUnknown:
    """A task of a kind that this worker does not know was put back."""

    kind: str
    queue: str
    delay_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerStuck:
    """A thread ignored that it was told to stop; its slot stays taken until it ends."""

    task_id: str
    kind: str
    stuck: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUnhealthy:
    """So many threads are stuck that the worker claims no more."""

    worker_id: str
    stuck: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFailed:
    """One turn of a loop raised; it will be tried again."""

    loop: str
    error: BaseException
    failures: int
    wait_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulesFired:
    """Instants of schedules were decided upon; the latest fired `late_us` after its time."""

    fired: int
    missed: int
    skipped: int
    late_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFaulty:
    """A schedule cannot be planned any more and is set aside until it is mended and resumed."""

    schedule_id: str
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulesReplanned:
    """The next instants of schedules were not what their rules say, and are now."""

    replanned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulesReconciled:
    """The schedules that the code declares are stored; each field counts or names them."""

    created: int
    updated: int
    unchanged: int
    removed: int
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockWentBack:
    """The store's clock shows an earlier time than it did before."""

    back_us: int


EngineEvent = (
    WorkerStarted
    | WorkerStopping
    | WorkerStopped
    | TasksClaimed
    | AttemptsSettled
    | AttemptFailed
    | LeaseLost
    | LeasesExpired
    | WorkersForgotten
    | TasksPruned
    | LeadershipChanged
    | KindUnknown
    | HandlerStuck
    | WorkerUnhealthy
    | TickFailed
    | SchedulesFired
    | ScheduleFaulty
    | SchedulesReplanned
    | SchedulesReconciled
    | ClockWentBack
)

Emit = Callable[[EngineEvent], None]


class Bus:
    """Passes each event to every subscriber, in order of subscription."""

    def __init__(self) -> None:
        self._subscribers: list[Emit] = []

    def subscribe(self, subscriber: Emit) -> None:
        """Hear every event from now on. A subscriber must not raise."""
        self._subscribers.append(subscriber)

    def emit(self, event: EngineEvent) -> None:
        """Tell everybody."""
        for subscriber in self._subscribers:
            subscriber(event)
