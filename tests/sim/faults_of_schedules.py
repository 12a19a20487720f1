"""Faults in schedules put in on purpose, one for each invariant of `fires.py`; see `faults.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tenure.engine.scheduler import Scheduler
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.firing import Decision
from tenure.kernel.schedules.model import Schedule
from tenure.kernel.schedules.policies import Drift
from tenure.sdk.context import TaskContext
from tenure.store import firing
from tests.sim.clocks import SECOND_US
from tests.sim.faults_made import Fault, instead, never
from tests.sim.plan import DAY_US, LEAPING

BUSY: dict[str, Any] = {
    "schedules": 6,
    "requests_every_us": 150_000,
    "active_us": 12 * SECOND_US,
    "moves": ("next:300", "next:1500", "ok:600"),
}
QUIET = BUSY | {"requests_every_us": 5 * SECOND_US}
LEAPS = LEAPING | {"leap_us": 365 * DAY_US}


def pass_one_over(monkeypatch: pytest.MonkeyPatch) -> None:
    decide: Any = vars(firing)["decide"]

    def decide_badly(schedule: Schedule, plan: Any, *args: Any, **kwargs: Any) -> Decision:
        decision: Decision = decide(schedule, plan, *args, **kwargs)
        next_us = decision.next_fire_at_us
        if next_us is None or schedule.counts_from_ends:
            return decision
        return replace(decision, next_fire_at_us=plan.next_after(next_us))

    monkeypatch.setattr(firing, "decide", decide_badly)


def enter_no_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    decide: Any = vars(firing)["decide"]

    def decide_badly(*args: Any, **kwargs: Any) -> Decision:
        decision: Decision = decide(*args, **kwargs)
        return replace(decision, entries=[each for each in decision.entries if each.task_id])

    monkeypatch.setattr(firing, "decide", decide_badly)


def forget_what_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = edits.changed

    def change_badly(*args: Any, **kwargs: Any) -> Schedule | None:
        wanted = changed(*args, **kwargs)
        if wanted is None or wanted.steered_us is None:
            return wanted
        return replace(wanted, steered_us=None, next_fire_at_us=wanted.steered_us + SECOND_US)

    monkeypatch.setattr(edits, "changed", change_badly)


def plan_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    replanned: Any = firing._replanned

    def replan_badly(schedule: Schedule, calendars: Any, now_us: int) -> Any:
        if schedule.definition.policies.drift is Drift.RATE and schedule.steered_us is None:
            schedule = replace(schedule, cursor_us=now_us)
            change = replanned(schedule, calendars, now_us)
            return change and (change[0], now_us, change[2])
        return replanned(schedule, calendars, now_us)

    monkeypatch.setattr(firing, "_replanned", replan_badly)


def sleep_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tick(self: Scheduler) -> int:
        return self._settings.every_us

    monkeypatch.setattr(Scheduler, "tick", tick)


def trust_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "_plan_anew", lambda self, back_us: None)


def see_another_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskContext, "state", property(lambda self: {"by": "nobody"}))


IN_SCHEDULES: Sequence[Fault] = (
    Fault(
        name="instant that fires again",
        tells="fires twice",
        emphasis=LEAPS,
        statements={
            "record_fires": lambda text: text.replace(
                "INSERT INTO", "INSERT OR REPLACE INTO"
            ).replace("ON CONFLICT DO NOTHING", "")
        },
    ),
    Fault(
        name="pruned ledger without its floor",
        tells="fires twice",
        emphasis=LEAPS,
        statements={"raise_floors": never},
    ),
    Fault(
        name="entry without its task",
        tells="fired without its task",
        emphasis=QUIET,
        statements={"fire_tasks": never},
    ),
    Fault(
        name="fire in more than one transaction",
        tells="fired without its task",
        emphasis=QUIET,
        splits_verbs=True,
    ),
    Fault(name="instant passed over", tells="passed over", emphasis=QUIET, patch=pass_one_over),
    Fault(
        name="missed instants that are not entered",
        tells="is forgotten",
        emphasis=BUSY | {"kill_every_us": 2 * SECOND_US, "usurpers": 0.0},
        patch=enter_no_missed,
    ),
    Fault(
        name="edit that forgets what is due",
        tells="an edit forgets",
        emphasis=BUSY | {"kill_every_us": 2 * SECOND_US, "usurpers": 0.0},
        patch=forget_what_was_due,
    ),
    Fault(
        name="planning anew that starts from now",
        tells="planning anew passes",
        emphasis=BUSY | {"kill_every_us": 2 * SECOND_US},
        patch=plan_from_now,
    ),
    Fault(
        name="paused schedule that fires",
        tells="only what is active fires",
        emphasis=BUSY,
        statements={"due_schedules": instead("AND paused_at_us IS NULL", "")},
    ),
    Fault(
        name="schedule that fires too early",
        tells="fires before it is due",
        emphasis=BUSY,
        statements={
            "due_schedules": instead("next_fire_at_us <= ?", r"next_fire_at_us <= \1 + 60000000"),
            "next_schedule_due": instead("LIMIT 1) - ?", r"LIMIT 1) - \1 - 2000000"),
        },
    ),
    Fault(
        name="runs that nobody looks at before another begins",
        tells="begins beside",
        emphasis=BUSY,
        statements={"live_runs": never},
    ),
    Fault(
        name="turn that never comes",
        tells="wait for their turn behind nobody",
        emphasis=BUSY,
        statements={"wake_turns": instead("WHERE rowid = (", "WHERE 0 = 1 AND rowid = (")},
    ),
    Fault(
        name="turn that comes too early",
        tells="has its turn beside",
        emphasis=BUSY,
        statements={"wake_turns": instead("AND other.ended_at_us IS NULL", "AND 0 = 1")},
    ),
    Fault(
        name="schedule that waits for ever",
        tells="waits for a run that is not there",
        emphasis=BUSY,
        statements={"release_schedules": never},
    ),
    Fault(
        name="delay that is cut short",
        tells="the delay is not kept",
        emphasis=QUIET,
        statements={"release_schedules": instead("THEN ? + gap_us", r"THEN \1 + gap_us / 2")},
    ),
    Fault(
        name="state that is not kept",
        tells="is none of",
        emphasis=QUIET,
        statements={"store_carries": never},
    ),
    Fault(
        name="turn with the state of long ago",
        tells="goes on with",
        emphasis=BUSY,
        statements={"wake_turns": instead("carry = COALESCE(", "carry = COALESCE(carry, ")},
    ),
    Fault(
        name="handler that sees another state",
        tells="sees the state",
        emphasis=QUIET,
        patch=see_another_state,
    ),
    Fault(name="scheduler that sleeps", tells="is overdue", emphasis=QUIET, patch=sleep_well),
    Fault(
        name="clock that is trusted",
        tells="schedule waits until",
        emphasis=LEAPS,
        patch=trust_the_clock,
    ),
)
