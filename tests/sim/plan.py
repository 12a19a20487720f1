"""What one seed decides before anything runs: settings, and which troubles there are and how often.

Troubles are switched on and off as wholes (swarm testing): a run with few kinds of trouble goes
deeper into each than one that has a little of everything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tenure.settings import (
    ClaimerSettings,
    ElectorSettings,
    LimitsSettings,
    PrunerSettings,
    ReaperSettings,
    RenewerSettings,
    SchedulerSettings,
    Settings,
    SettlerSettings,
    StoreSettings,
    WorkerSettings,
)
from tests.sim.clocks import SECOND_US, START_US

MS = 1_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
# When clocks in Berlin skip an hour, show one again, and do nothing.
EPOCHS_US = (1_711_846_800 * SECOND_US, 1_729_990_800 * SECOND_US, START_US + HOUR_US)
# Leases and offices end this much later at most when the store's clock is set back.
CLOCK_BACK_MAX_US = 15 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. Chances are for each verb; times between blows are means."""

    seed: int
    settings: Settings
    active_us: int
    workers: int
    requests_every_us: int
    queue_slots: int
    shares_process: float  # how many workers hear the notices of one process
    refuse: float = 0.0
    refuse_inside: float = 0.0
    die_inside: float = 0.0
    die_after: float = 0.0
    lose: float = 0.0
    delay: float = 0.0
    delay_us: int = 0
    drop_notice: float = 0.0
    repeat_notice: float = 0.0
    late_notice: float = 0.0
    kill_every_us: int = 0
    freeze_every_us: int = 0
    freeze_us: int = 0
    clock_every_us: int = 0
    lock_every_us: int = 0
    turnover_every_us: int = 0
    pause_every_us: int = 0
    moves: tuple[str, ...] = ()  # what alone tasks do, if it is not everything
    schedules: int = 0
    usurpers: float = 0.0  # how many workers take themselves for the leader whatever they hear
    epoch_us: int = START_US  # the store's time at the beginning
    leap_us: int = 0  # how far the store's clock is set wrong for a while, forward and back


def draw_plan(seed: int, rng: random.Random, path: Path) -> Plan:
    """Decide everything that is decided beforehand."""
    settings = _settings(rng, path)
    lease_us = settings.worker.lease_us

    def chance(*, at_most: float, in_runs: float = 0.6) -> float:
        return rng.random() ** 2 * at_most if rng.random() < in_runs else 0.0

    def every(*, least_s: float, most_s: float, in_runs: float = 0.5) -> int:
        return round(rng.uniform(least_s, most_s) * SECOND_US) if rng.random() < in_runs else 0

    plan = Plan(
        seed=seed,
        settings=settings,
        active_us=rng.randint(6, 20) * SECOND_US,
        workers=rng.choice([1, 2, 2, 3, 3, 4]),
        requests_every_us=rng.choice([50, 100, 200, 400]) * MS,
        queue_slots=rng.choice([1, 2, 3, 5, 8]),
        shares_process=rng.choice([0.0, 0.5, 1.0]),
        refuse=chance(at_most=0.2),
        refuse_inside=chance(at_most=0.1),
        die_inside=chance(at_most=0.02),
        die_after=chance(at_most=0.02),
        lose=chance(at_most=0.2),
        delay=chance(at_most=0.2),
        delay_us=rng.choice([20 * MS, 300 * MS, lease_us, 2 * lease_us]),
        drop_notice=rng.choice([0.0, 0.2, 1.0]),
        repeat_notice=rng.choice([0.0, 0.3]),
        late_notice=rng.choice([0.0, 0.3]),
        kill_every_us=every(least_s=3, most_s=20),
        freeze_every_us=every(least_s=1, most_s=8, in_runs=0.7),
        freeze_us=rng.choice([lease_us, 2 * lease_us, 4 * lease_us]),
        clock_every_us=every(least_s=5, most_s=20, in_runs=0.3),
        lock_every_us=every(least_s=3, most_s=15, in_runs=0.3),
        turnover_every_us=every(least_s=4, most_s=20),
        pause_every_us=every(least_s=4, most_s=15),
        schedules=rng.choice([0, 2, 4, 6]),
        usurpers=rng.choice([0.0, 0.0, 0.5]),
        epoch_us=rng.choice(EPOCHS_US) - rng.randint(0, 15) * SECOND_US,
    )
    return replace(plan, **LEAPING, leap_us=rng.choice(LEAPS_US)) if rng.random() < 0.12 else plan


LEAPS_US = (HOUR_US, 365 * DAY_US)
# A wrong clock gives leases and retries wrong ends, which nobody can mend; so in these runs no
# worker dies and no task is retried, and it is the schedules alone that have trouble.
LEAPING: dict[str, Any] = {
    "schedules": 5,
    "requests_every_us": 400 * MS,
    "moves": ("next:0", "next:50", "ok:10", "next:400"),
    **dict.fromkeys(("kill_every_us", "freeze_every_us", "clock_every_us", "pause_every_us"), 0),
    **dict.fromkeys(("die_inside", "die_after", "delay"), 0.0),
}


def _settings(rng: random.Random, path: Path) -> Settings:
    lease_us = rng.choice([800, 1_500, 3_000]) * MS
    return Settings(
        url=f"sqlite:///{path}",
        store=StoreSettings(
            durability="relaxed",
            busy_us=rng.choice([100, 500, 2_000]) * MS,
            watch_us=rng.choice([50, 200]) * MS,
        ),
        limits=LimitsSettings(
            inline_bytes_max=200, result_bytes_max=2_000, payload_bytes_max=4_000
        ),
        worker=WorkerSettings(
            slots=rng.choice([1, 2, 4, 8]),
            lease_us=lease_us,
            grace_us=rng.choice([0, 500, 3_000]) * MS,
            cancel_grace_us=rng.choice([0, 200, 1_000]) * MS,
        ),
        claimer=ClaimerSettings(
            poll_us=rng.choice([100, 500, 1_000]) * MS,
            batch=rng.choice([1, 3, 100]),
            unknown_kind_us=1_000 * MS,
        ),
        settler=SettlerSettings(
            linger_us=rng.choice([0, 2, 20]) * MS,
            batch=rng.choice([1, 2, 100]),
            backlog_max=rng.choice([1, 5, 10_000]),
        ),
        renewer=RenewerSettings(every_us=rng.choice([0, lease_us // 5])),
        reaper=ReaperSettings(
            every_us=rng.choice([200, 500, 1_000]) * MS,
            batch=rng.choice([1, 3, 100]),
            crashes_max=rng.choice([2, 5, 50]),
            backoff_us=rng.choice([0, 300]) * MS,
            backoff_max_us=2_000 * MS,
            worker_forget_us=rng.choice([3, 12]) * SECOND_US,
        ),
        pruner=PrunerSettings(
            every_us=rng.choice([1, 5]) * SECOND_US,
            batch=rng.choice([2, 100]),
            keep_completed_us=rng.choice([2 * SECOND_US, DAY_US, DAY_US]),
            keep_failed_us=rng.choice([3 * SECOND_US, DAY_US, DAY_US]),
            keep_cancelled_us=rng.choice([0, DAY_US, DAY_US]),
        ),
        scheduler=SchedulerSettings(
            every_us=rng.choice([200, 1_000, 5_000]) * MS,
            batch=rng.choice([1, 2, 500]),
            replan_batch=rng.choice([1, 500]),
            late_us=rng.choice([1, 60]) * SECOND_US,
        ),
        elector=ElectorSettings(lease_us=rng.choice([1, 3]) * SECOND_US),
    )
