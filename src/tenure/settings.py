"""Every setting: what it accepts, its default, and when to change it.

Loaded by `config`, which also exports these classes; read by everything above. The reference
page is made from what stands here, so a new setting needs no other place.

A field that ends in `_us` holds whole microseconds; its key outside ends in `_s` and is in
seconds. Values are checked when they are loaded; a tree built by hand is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias, get_args

from tenure.setting_forms import (
    DAY_US,
    KIB,
    MIB,
    SECOND_US,
    Address,
    Choice,
    Count,
    Duration,
    Switch,
)

MILLISECOND_US: Final = SECOND_US // 1_000

Durability: TypeAlias = Literal["full", "relaxed"]
Migrate: TypeAlias = Literal["auto", "never"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """How the store is opened, and how sure a commit is."""

    durability: Annotated[
        Durability,
        Choice(words=get_args(Durability)),
        "Choose relaxed if losing the last moments before a power cut is worth faster commits.",
    ] = "full"
    migrate: Annotated[
        Migrate,
        Choice(words=get_args(Migrate)),
        "Choose never if tables are made by a person or a deployment step.",
    ] = "auto"
    busy_us: Annotated[
        int,
        Duration(least_us=100 * MILLISECOND_US, most_us=600 * SECOND_US),
        "Raise it to ride out longer locks and restarts of the store; lower it to hear sooner.",
    ] = 10 * SECOND_US
    pool_max: Annotated[
        int,
        Count(unit="connections", least=1, most=200),
        "Lower it if many processes share a PostgreSQL server with few connections.",
    ] = 8
    prepare: Annotated[bool, Switch(), "Turn it off behind PgBouncer in transaction mode."] = True
    listen: Annotated[
        bool,
        Switch(),
        "Turn it off where LISTEN does not work, such as PgBouncer in transaction mode.",
    ] = True
    watch_us: Annotated[
        int,
        Duration(least_us=MILLISECOND_US, most_us=SECOND_US),
        "Raise it to spend less processor time on noticing other processes' commits to SQLite.",
    ] = 10 * MILLISECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsSettings:
    """How large a single thing may be."""

    payload_bytes_max: Annotated[
        int,
        Count(unit="bytes", least=KIB, most=256 * MIB),
        "Raise it if payloads are refused that cannot be kept elsewhere and named by reference.",
    ] = MIB
    result_bytes_max: Annotated[
        int,
        Count(unit="bytes", least=KIB, most=256 * MIB),
        "Raise it if results are refused that cannot be kept elsewhere and named by reference.",
    ] = MIB
    error_bytes_max: Annotated[
        int,
        Count(unit="bytes", least=KIB, most=MIB),
        "Raise it if tracebacks are cut before the part that you need.",
    ] = 16 * KIB
    inline_bytes_max: Annotated[
        int,
        Count(unit="bytes", least=0, most=64 * KIB, zero="every body lives in the side table"),
        "Lower it if claims slow down because the rows of tasks are large.",
    ] = 4 * KIB
    enqueue_batch: Annotated[
        int,
        Count(unit="tasks", least=1, most=10_000),
        "Lower it if enqueueing many tasks at once keeps other writers waiting.",
    ] = 1_000
    page_rows_max: Annotated[
        int,
        Count(unit="rows", least=1, most=100_000),
        "Raise it if exports need fewer and larger pages.",
    ] = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What one worker runs at once, and how patient it is."""

    slots: Annotated[
        int,
        Count(unit="slots", least=1, most=100_000),
        "Raise it if tasks wait while the worker has time; lower it if they starve one another.",
    ] = 100
    threads: Annotated[
        int,
        Count(unit="threads", least=1, most=1_000),
        "Raise it if blocking handlers queue for a thread.",
    ] = 16
    processes: Annotated[
        int,
        Count(unit="processes", least=0, most=1_000, zero="the number of cores"),
        "Lower it if computing handlers must leave cores or memory to others.",
    ] = 0
    lease_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=DAY_US),
        "Lower it to take tasks back sooner from a dead worker; raise it if live ones lose them.",
    ] = 60 * SECOND_US
    grace_us: Annotated[
        int,
        Duration(least_us=0, most_us=DAY_US, zero="no waiting"),
        "Raise it if tasks need longer to finish when the worker is stopped.",
    ] = 30 * SECOND_US
    cancel_grace_us: Annotated[
        int,
        Duration(least_us=0, most_us=DAY_US, zero="by force at once"),
        "Raise it if handlers need longer to tidy up after being asked to cancel.",
    ] = 10 * SECOND_US
    stuck_slots_max: Annotated[
        int,
        Count(unit="threads", least=0, most=1_000),
        "Lower it to have a worker replaced sooner when its threads ignore their timeouts.",
    ] = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimerSettings:
    """How a worker looks for due tasks."""

    poll_us: Annotated[
        int,
        Duration(least_us=10 * MILLISECOND_US, most_us=60 * SECOND_US),
        "Lower it if tasks start late where notices do not arrive; raise it to spare the store.",
    ] = SECOND_US
    batch: Annotated[
        int,
        Count(unit="tasks", least=1, most=10_000),
        "Lower it if one worker takes so many tasks at once that others find none.",
    ] = 500
    unknown_kind_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=DAY_US),
        "Raise it if tasks put back because their kind is unknown here come round too often.",
    ] = 30 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlerSettings:
    """How outcomes are gathered and written."""

    linger_us: Annotated[
        int,
        Duration(least_us=0, most_us=SECOND_US, zero="each is written at once"),
        "Raise it to write more outcomes per commit, at the price of later answers.",
    ] = 2 * MILLISECOND_US
    batch: Annotated[
        int,
        Count(unit="settlements", least=1, most=10_000),
        "Lower it if settling holds locks for too long.",
    ] = 500
    backlog_max: Annotated[
        int,
        Count(unit="settlements", least=1, most=1_000_000),
        "Lower it to have the worker stop claiming sooner when the store cannot keep up.",
    ] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewerSettings:
    """How leases are kept."""

    every_us: Annotated[
        int,
        Duration(least_us=0, most_us=3_600 * SECOND_US, zero="a third of worker.lease_s"),
        "Lower it if leases run out during short troubles of the store.",
    ] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaperSettings:
    """How leases that ran out are taken back, and dead workers forgotten."""

    every_us: Annotated[
        int,
        Duration(least_us=50 * MILLISECOND_US, most_us=3_600 * SECOND_US),
        "Lower it to take back sooner what a dead worker held; raise it to spare the store.",
    ] = 5 * SECOND_US
    batch: Annotated[
        int,
        Count(unit="tasks", least=1, most=10_000),
        "Lower it if taking back many leases keeps other writers waiting.",
    ] = 500
    crashes_max: Annotated[
        int,
        Count(unit="crashes", least=1, most=1_000),
        "Lower it if tasks that kill their workers come back too often.",
    ] = 5
    backoff_us: Annotated[
        int,
        Duration(least_us=0, most_us=3_600 * SECOND_US, zero="due at once"),
        "Raise it if tasks should wait longer after their first crash.",
    ] = SECOND_US
    backoff_max_us: Annotated[
        int,
        Duration(least_us=0, most_us=DAY_US, zero="always due at once"),
        "Lower it if tasks that crashed repeatedly should come back sooner.",
    ] = 300 * SECOND_US
    worker_forget_us: Annotated[
        int,
        Duration(least_us=5 * SECOND_US, most_us=DAY_US),
        "Raise it if workers that only lost the store for a while vanish from the list.",
    ] = 60 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerSettings:
    """How long ended tasks are kept."""

    every_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=DAY_US),
        "Raise it to delete less often; lower it to delete smaller amounts at a time.",
    ] = 60 * SECOND_US
    batch: Annotated[
        int,
        Count(unit="tasks", least=1, most=10_000),
        "Lower it if deleting keeps other writers waiting.",
    ] = 1_000
    keep_completed_us: Annotated[
        int,
        Duration(least_us=0, most_us=3_650 * DAY_US, zero="until the pruner's next turn"),
        "Lower it if the store grows too large; raise it if results are read later than that.",
    ] = 7 * DAY_US
    keep_failed_us: Annotated[
        int,
        Duration(least_us=0, most_us=3_650 * DAY_US, zero="until the pruner's next turn"),
        "Raise it if failures are looked into, or revived, later than that.",
    ] = 30 * DAY_US
    keep_cancelled_us: Annotated[
        int,
        Duration(least_us=0, most_us=3_650 * DAY_US, zero="until the pruner's next turn"),
        "Raise it if it must be known for longer who cancelled what.",
    ] = 7 * DAY_US
    keep_fires_us: Annotated[
        int,
        Duration(least_us=DAY_US, most_us=3_650 * DAY_US),
        "Raise it if it must be known for longer which instants of schedules fired.",
    ] = 90 * DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """How schedules are fired."""

    every_us: Annotated[
        int,
        Duration(least_us=100 * MILLISECOND_US, most_us=60 * SECOND_US),
        "Lower it if new schedules are noticed late where notices do not arrive.",
    ] = 5 * SECOND_US
    batch: Annotated[
        int,
        Count(unit="schedules", least=1, most=10_000),
        "Lower it if firing many schedules at once keeps other writers waiting.",
    ] = 500
    replan_batch: Annotated[
        int,
        Count(unit="schedules", least=1, most=10_000),
        "Lower it if planning anew after a clock was set back keeps other writers waiting.",
    ] = 500
    late_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=DAY_US),
        "Raise it if schedules that let missed instants go lose them during longer restarts.",
    ] = 60 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectorSettings:
    """How one worker becomes the leader."""

    lease_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=600 * SECOND_US),
        "Lower it to replace a dead leader sooner; raise it if leadership changes without need.",
    ] = 15 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """How a process makes sure that notices still arrive."""

    probe_us: Annotated[
        int,
        Duration(least_us=SECOND_US, most_us=3_600 * SECOND_US),
        "Lower it if connections die quietly, as behind some firewalls, and tasks start late.",
    ] = 30 * SECOND_US
    patience_us: Annotated[
        int,
        Duration(least_us=100 * MILLISECOND_US, most_us=600 * SECOND_US),
        "Raise it if the listener reconnects although the connection was only slow.",
    ] = 10 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and in which form."""

    level: Annotated[
        LogLevel,
        Choice(words=get_args(LogLevel)),
        "Choose debug to follow single tasks; choose warning if only trouble is of interest.",
    ] = "info"
    format: Annotated[
        LogFormat, Choice(words=get_args(LogFormat)), "Choose json if a program reads the log."
    ] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree. Without arguments, the defaults."""

    # Kept out of the repr because it may hold a password.
    url: Annotated[str, Address(), "Set it to say where the tasks are kept."] = field(
        default="sqlite:///tenure.db", repr=False
    )
    store: StoreSettings = StoreSettings()
    limits: LimitsSettings = LimitsSettings()
    worker: WorkerSettings = WorkerSettings()
    claimer: ClaimerSettings = ClaimerSettings()
    settler: SettlerSettings = SettlerSettings()
    renewer: RenewerSettings = RenewerSettings()
    reaper: ReaperSettings = ReaperSettings()
    pruner: PrunerSettings = PrunerSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    elector: ElectorSettings = ElectorSettings()
    listener: ListenerSettings = ListenerSettings()
    log: LogSettings = LogSettings()

    @property
    def renew_every_us(self) -> int:
        """How often leases are renewed: as set, or a third of the lease."""
        return self.renewer.every_us or self.worker.lease_us // 3

    @property
    def elect_every_us(self) -> int:
        """How often the leader renews its lease and the others ask for it: half the lease."""
        return self.elector.lease_us // 2
