"""Each guard of the scheduler, and of what runs hand on, taken away, is missed; see test_faults."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import tenure.engine.executor
import tenure.engine.scheduler
from tenure.engine.elector import Elector
from tenure.engine.listener import Listener
from tenure.engine.scheduler import Scheduler
from tenure.engine.supervisor import Supervisor
from tenure.kernel.ports import SCHEDULES
from tenure.sdk.recurring import States
from tenure.store import firing, run_ends, tasks
from tests.engine import (
    test_declared_schedules as declaring,
    test_listener as listening,
    test_runs_of_schedules as handing_on,
    test_scheduler as firing_tests,
)
from tests.engine.conftest import run_virtually
from tests.engine.rig import Rig
from tests.engine.test_faults import Fault, fault, nothing, nothing_soon
from tests.engine.virtual import VirtualClock


def hear_no_schedules(self: Listener, topic: str) -> None:
    if topic != SCHEDULES:
        SOUND_HEAR(self, topic)


async def never_back(self: Scheduler, now_us: int) -> bool:
    return False


async def back_and_marked_no_more(self: Scheduler, now_us: int) -> bool:
    """Leave the mark where it was."""
    back_us = (self._latest_us or now_us) - now_us
    self._latest_us = now_us
    if back_us <= tenure.engine.scheduler.BACK_US:
        return False
    self._plan_anew(back_us)
    return True


async def forget_who_must_go(self: Scheduler) -> None:
    """Ask, and forget about it whatever the answer."""
    asked, self._to_cancel = self._to_cancel, type(self._to_cancel)()
    for tenant, task_id in asked:
        await self._store.run(
            tasks.cancel(tenant, task_id, force=False, reason="a newer run is due")
        )


async def replan_and_forget(self: Scheduler, after: firing.ScheduleKey) -> None:
    """Count it as done before it is."""
    self._replan_from = None
    await SOUND_REPLAN(self, after)


async def one_page(self: Scheduler, after: firing.ScheduleKey) -> None:
    await SOUND_REPLAN(self, after)
    self._replan_from = None


def take_any_version(self: States, carry: bytes | None) -> Any:
    return SOUND_DECODE(self, None if carry is None else b'{"v":1' + carry[6:])


def hand_on_nothing(runs: Any) -> Any:
    return SOUND_ENDED([run._replace(carry=None) for run in runs])


SOUND_HEAR = Listener.hear
SOUND_REPLAN = Scheduler._replan
SOUND_DECODE = States.decode
SOUND_ENDED = run_ends.ended

FAULTS = [
    fault(Elector, "is_leader", True, firing_tests.test_who_is_not_the_leader_fires_nothing),
    fault(Listener, "hear", hear_no_schedules, listening.test_news_of_schedules_wakes_the_scheduler,
          SCHEDULES, True),
    fault(Scheduler, "_replan", nothing_soon,
          firing_tests.test_one_that_becomes_the_leader_plans_everything_anew),
    fault(Scheduler, "_replan", one_page,
          firing_tests.test_planning_anew_goes_page_by_page_without_a_rest),
    fault(Scheduler, "_replan", replan_and_forget,
          firing_tests.test_planning_anew_that_fails_is_done_again, "sweep"),
    fault(Scheduler, "_was_set_back", never_back,
          firing_tests.test_a_clock_that_was_ahead_while_fires_failed_is_seen_all_the_same),
    fault(Scheduler, "_was_set_back", back_and_marked_no_more,
          firing_tests.test_a_clock_set_back_is_told_of_once, 0),
    fault(Scheduler, "_watch_clock", nothing_soon,
          firing_tests.test_a_clock_set_back_while_nobody_worked_is_seen_all_the_same),
    fault(tenure.engine.scheduler, "BACK_US", 0,
          firing_tests.test_a_clock_that_is_set_back_by_little_is_waited_for, 2_000_000, 0),
    fault(tenure.engine.scheduler, "MARK_EVERY_US", 0,
          firing_tests.test_the_time_is_noted_now_and_then_and_not_at_every_turn),
    fault(tenure.engine.scheduler, "LOCKED_US", 0,
          firing_tests.test_what_somebody_else_has_locked_is_not_looked_for_without_a_pause),
    fault(Scheduler, "_cancel_old", nothing_soon,
          firing_tests.test_a_run_is_asked_to_make_way_for_the_newer_one),
    fault(Scheduler, "_cancel_old", forget_who_must_go,
          firing_tests.test_one_that_could_not_be_asked_to_make_way_is_asked_later),
    fault(Scheduler, "_tell", nothing,
          firing_tests.test_a_schedule_that_cannot_be_planned_is_set_aside_told_and_holds_up_nobody,
          error=ValueError),
    fault(Supervisor, "_reconcile", nothing_soon,
          declaring.test_what_is_declared_is_stored_before_the_worker_begins),
    fault(tenure.engine.executor, "steering", nothing,
          handing_on.test_a_run_says_when_the_next_one_is_and_after_it_the_rule_goes_on,
          "coroutine"),
    fault(States, "decode", take_any_version,
          handing_on.test_state_of_a_newer_version_is_refused_and_stays_as_it_is),
    fault(run_ends, "ended", hand_on_nothing,
          handing_on.test_each_run_has_the_state_that_the_last_one_returned, "coroutine"),
]  # fmt: skip


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.title)
def test_a_fault_is_found_by_the_test_that_is_for_it(
    planted: Fault,
    clock: VirtualClock,
    rig: Rig,
    real: Rig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planted.where, planted.name, planted.instead)
    names = list(inspect.signature(planted.check).parameters)
    given: dict[str, Any] = {"clock": clock, "rig": rig, "real": real}
    given["monkeypatch"] = monkeypatch
    arguments = [given[name] for name in names if name in given]
    keywords = dict(zip([n for n in names if n not in given], planted.arguments, strict=True))
    fixed = dict(zip([n for n in names if n in given], arguments, strict=True))

    coroutine = planted.check(**fixed, **keywords)

    with pytest.raises(planted.error):
        asyncio.run(coroutine) if "real" in names else run_virtually(coroutine, clock)
