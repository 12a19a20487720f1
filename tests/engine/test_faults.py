"""A check that has never failed is not yet a check: each guard, taken away, is missed.

A fault is put into one part of the engine, and the test that is named with it must fail then. The
same test passes without the fault, or it would fail where it stands.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import tenure.engine.executor
import tenure.engine.loop
import tenure.engine.renewer
import tenure.engine.runners
import tenure.engine.verdict
from tenure.engine.claimer import Claimer
from tenure.engine.elector import Elector
from tenure.engine.executor import Executor
from tenure.engine.listener import Listener
from tenure.engine.loop import Loop
from tenure.engine.pace import AHEAD_MAX, Pace
from tenure.engine.places import Places
from tenure.engine.renewer import Renewer
from tenure.engine.runners import Runners
from tenure.engine.running import Run, Stop
from tenure.engine.settler import Settler
from tenure.engine.slots import Slots
from tenure.engine.supervisor import Supervisor
from tenure.kernel.errors import StoreBusyError
from tenure.kernel.model import ErrorReport
from tenure.kernel.outcome import Failed, Outcome, Released
from tenure.kernel.ports import ANYTHING
from tests.engine import (
    test_claimer as claiming,
    test_executor as performing,
    test_leader as leading,
    test_listener as listening,
    test_loop as looping,
    test_renewer as renewing,
    test_runners as sharing,
    test_settler as settling,
    test_settling_together as together,
    test_stopping as stopping,
    test_supervisor as supervising,
    test_threads as threading_,
)
from tests.engine.conftest import run_virtually
from tests.engine.rig import Rig
from tests.engine.virtual import VirtualClock

Batch = list[Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is put in the place of a guard, and the test that must then fail."""

    where: Any
    name: str
    instead: Any
    check: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    error: type[BaseException] = AssertionError

    @property
    def title(self) -> str:
        """What it is called in the list of tests."""
        return f"{self.where.__name__.rpartition('.')[2]}.{self.name}: {self.check.__name__[5:60]}"


def fault(
    where: Any,
    name: str,
    instead: Any,
    check: Callable[..., Any],
    *arguments: Any,
    error: type[BaseException] = AssertionError,
) -> Fault:
    assert hasattr(where, name) or name in inspect.signature(where).parameters
    return Fault(
        where=where, name=name, instead=instead, check=check, arguments=arguments, error=error
    )


def nothing(*_: Any, **__: Any) -> None:
    """Do not do it."""


async def nothing_soon(*_: Any, **__: Any) -> None:
    """Do not do it, either."""


async def forget_unheard(self: Claimer) -> None:
    self._owns_unheard = False


async def drop_first(self: Settler, batch: Batch) -> Batch:
    """Count outcomes as written before they are."""
    for run, _ in batch:
        self._running.drop(run)
    return await SOUND_WRITE(self, batch)


def give_up(self: Settler, batch: Batch, error: Exception) -> bool:
    """Drop what the store refuses."""
    for run, _ in batch:
        self._decided.popleft()
        self._running.drop(run)
    return True


def all_together(self: Settler) -> Batch:
    return list(self._decided)


def only_ring(self: Loop) -> None:
    self._ring()


def always_ring(self: Loop) -> None:
    if self._alarm is not None:
        tenure.engine.loop._resolve(self._alarm)


def settle_lost(self: Executor, run: Run, outcome: Outcome | None) -> None:
    run.is_lost = False
    SOUND_END(self, run, outcome or Released())


def keep_the_loss_quiet(self: Executor, run: Run, why: Stop) -> None:
    if run.stop is None:
        SOUND_STOP(self, run, why)


def no_grace(self: Executor, run: Run) -> None:
    run.cancel_asked = True
    self.stop(run, Stop.CANCEL)


def fail_unknown(**_: int) -> Outcome:
    return Failed(error=ErrorReport(type="unknown_kind", message="nobody's"), retryable=False)


def count_the_handler_out(self: Executor, run: Run) -> None:
    """Free the slot of a thread that goes on."""
    SOUND_NOTE(self, run)
    self.slots.give_back(run.cost, has_begun=True)


def hear_only_names(self: Listener, topic: str) -> None:
    if topic != ANYTHING:
        SOUND_HEAR(self, topic)


def never_hurry(self: Supervisor) -> None:
    self._stop_asked.set()


def resign_and_return(self: Elector) -> None:
    """Ask to end, and go on."""


SOUND_WRITE = Settler._write
SOUND_END = Executor._end
SOUND_STOP = Executor.stop
SOUND_NOTE = Executor._note_if_stuck
SOUND_HEAR = Listener.hear

LOOPS = [
    fault(Loop, "wake", only_ring, looping.test_a_wake_during_a_tick_is_not_lost),
    fault(Loop, "_ring", nothing, looping.test_a_wake_ends_the_wait),
    fault(Loop, "_ring", always_ring, looping.test_a_wake_does_not_hurry_a_loop_that_fails),
    fault(tenure.engine.loop, "SLEEP_MAX_US", 10**12, looping.test_a_wait_has_a_ceiling),
    fault(
        tenure.engine.loop,
        "_is_ending",
        lambda: True,
        looping.test_a_cancellation_that_is_not_its_own_does_not_end_a_loop,
        error=asyncio.CancelledError,
    ),
]
CLAIMING = [
    fault(
        Slots,
        "keep_promise",
        nothing,
        claiming.test_a_promise_is_kept_when_the_claim_fails,
        StoreBusyError("locked"),
    ),
    fault(
        Slots, "keep_promise", nothing, claiming.test_a_promise_is_kept_when_the_claim_is_cancelled
    ),
    fault(
        Slots,
        "promise",
        lambda _, wanted: wanted,
        claiming.test_it_takes_no_more_than_there_is_room_for,
    ),
    fault(
        Slots, "promise", lambda _, wanted: wanted, claiming.test_a_claim_under_way_holds_its_room
    ),
    fault(
        Slots,
        "take",
        lambda _, cost: 1,
        sharing.test_costs_count_against_the_slots_and_one_over_all_runs_alone,
    ),
    fault(
        Pace,
        "ahead",
        lambda _: AHEAD_MAX,
        claiming.test_it_claims_ahead_only_as_fast_as_attempts_end,
    ),
    fault(Pace, "ahead", lambda _: 0, claiming.test_it_claims_ahead_only_as_fast_as_attempts_end),
    fault(
        Claimer,
        "_release_unheard",
        forget_unheard,
        claiming.test_an_answer_that_was_lost_leaves_nothing_behind,
    ),
    fault(
        Claimer,
        "close",
        nothing_soon,
        claiming.test_what_a_cancelled_claim_took_is_given_back_on_closing,
    ),
    fault(Executor, "is_healthy", True, claiming.test_too_many_stuck_threads_stop_it),
    fault(
        Settler,
        "is_full",
        False,
        claiming.test_a_backlog_of_outcomes_stops_it_until_they_are_written,
    ),
    fault(
        Loop, "wake_in", nothing, claiming.test_the_lookout_wakes_whose_work_is_due_and_nobody_else
    ),
]
RUNNING = [
    fault(
        Runners, "_go_on_without", nothing, sharing.test_one_that_waits_does_not_hold_up_the_others
    ),
    fault(
        tenure.engine.runners,
        "RUNNER_TURN_US",
        10**12,
        sharing.test_a_runner_lets_others_have_the_loop_after_its_turn,
    ),
    fault(
        tenure.engine.runners,
        "RUNNER_TURN_US",
        -1,
        sharing.test_attempts_that_never_wait_share_one_task,
    ),
    fault(
        Slots, "has_room", lambda *_: True, sharing.test_never_more_run_at_once_than_there_are_slots
    ),
    fault(
        tenure.engine.executor,
        "Snoozed",
        fail_unknown,
        performing.test_a_task_of_an_unknown_kind_is_put_back_with_its_attempt,
    ),
    fault(
        tenure.engine.verdict,
        "_bounded",
        lambda body, _: body,
        performing.test_a_result_over_the_bound_fails_for_good_and_says_what_to_do,
    ),
    fault(
        Executor,
        "_bound",
        nothing,
        stopping.test_a_timeout_cancels_the_handler_and_fails_the_attempt,
    ),
    fault(
        Executor,
        "_bound",
        nothing,
        stopping.test_a_handler_that_is_silent_for_too_long_is_stopped,
    ),
    fault(Run, "beat", nothing, stopping.test_each_sign_of_life_counts_from_its_own_time),
    fault(
        Executor,
        "ask_to_cancel",
        no_grace,
        stopping.test_a_handler_that_does_not_heed_the_wish_is_cut_short_after_the_grace,
    ),
    fault(
        Executor,
        "_end",
        settle_lost,
        stopping.test_a_lost_lease_stops_the_run_and_nothing_is_written,
    ),
    fault(
        Executor,
        "stop",
        keep_the_loss_quiet,
        stopping.test_a_lease_lost_after_another_stop_keeps_its_outcome_from_being_written,
    ),
    fault(
        Executor,
        "release_waiting",
        lambda _: 0,
        threading_.test_who_waits_for_a_thread_has_not_begun_and_is_released,
    ),
    fault(
        Executor,
        "_note_if_stuck",
        count_the_handler_out,
        threading_.test_a_thread_that_ignores_its_timeout_is_stuck_and_holds_its_slot,
    ),
    fault(
        Places,
        "holds",
        lambda *_: False,
        threading_.test_a_thread_that_ignores_its_timeout_is_stuck_and_holds_its_slot,
    ),
]
SETTLING = [
    fault(
        Settler,
        "_write",
        drop_first,
        settling.test_a_task_counts_as_done_only_after_the_commit,
    ),
    fault(
        Settler,
        "_can_go_on",
        give_up,
        settling.test_it_keeps_what_the_store_refused_and_tries_again,
        StoreBusyError("locked"),
        error=pytest.fail.Exception,
    ),
    fault(
        Settler,
        "_next_batch",
        all_together,
        together.test_a_settlement_with_a_verb_goes_alone_and_in_its_place,
    ),
    fault(
        Settler,
        "_can_go_on",
        lambda *_: False,
        together.test_what_cannot_be_written_does_not_bar_the_way_for_others,
        error=OverflowError,
    ),
    fault(
        Settler, "_should_linger", lambda _: False,
        settling.test_it_lingers_once_for_others_that_still_run,
    ),
]  # fmt: skip
KEEPING = [
    fault(
        Renewer,
        "_renew",
        nothing_soon,
        renewing.test_a_lease_that_is_renewed_holds_for_as_long_as_it_is_wanted,
    ),
    fault(
        Renewer,
        "_drop_overdue",
        nothing,
        renewing.test_runs_whose_lease_is_over_are_stopped_though_the_store_is_away,
    ),
    fault(
        tenure.engine.renewer,
        "LOOK_US",
        10_000_000,
        renewing.test_runs_whose_lease_is_over_are_stopped_though_the_store_is_away,
    ),
    fault(
        Renewer,
        "_look_for_cancels",
        nothing_soon,
        renewing.test_a_wish_to_cancel_is_seen_within_a_second,
    ),
    fault(
        Renewer,
        "_write_progress",
        nothing_soon,
        renewing.test_progress_is_written_once_and_the_last_word_counts,
    ),
    fault(
        Renewer,
        "_beat",
        nothing_soon,
        renewing.test_a_worker_that_was_forgotten_is_registered_again,
    ),
    fault(
        Elector,
        "is_leader",
        property(lambda self: self._was_leader),
        leading.test_a_leader_that_hears_nothing_of_the_store_stops_being_it_by_itself,
    ),
    fault(Elector, "resign", nothing_soon, leading.test_a_resigned_office_is_free_at_once),
    fault(Elector, "is_leader", True, leading.test_who_is_not_the_leader_neither_reaps_nor_prunes),
    fault(
        Listener,
        "hear",
        hear_only_names,
        listening.test_a_notice_wakes_whom_it_concerns,
        ANYTHING,
        ["default", "mail"],
    ),
]
STOPPING = [
    fault(Supervisor, "ask_to_stop", never_hurry, supervising.test_a_second_ask_hurries),
    fault(
        Executor,
        "release_waiting",
        lambda _: 0,
        supervising.test_a_drain_gives_back_at_once_what_has_not_begun,
    ),
    fault(
        Elector,
        "stop",
        resign_and_return,
        supervising.test_an_office_that_was_resigned_is_not_taken_again_on_the_way_out,
    ),
    fault(
        Executor,
        "close",
        nothing_soon,
        supervising.test_a_worker_whose_run_is_cancelled_leaves_nothing_running,
    ),
    fault(
        Supervisor,
        "_wake_hungry",
        nothing,
        supervising.test_a_freed_slot_lets_the_next_begin_without_waiting_for_a_look,
    ),
    fault(
        Supervisor,
        "_expect_back",
        nothing,
        supervising.test_a_task_that_is_retried_soon_begins_when_it_is_due,
    ),
]
FAULTS = [*LOOPS, *CLAIMING, *RUNNING, *SETTLING, *KEEPING, *STOPPING]


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.title)
def test_a_fault_is_found_by_the_test_that_is_for_it(
    planted: Fault, clock: VirtualClock, rig: Rig, real: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planted.where, planted.name, planted.instead)
    names = list(inspect.signature(planted.check).parameters)
    given: dict[str, Any] = {"clock": clock, "rig": rig, "real": real}
    arguments = [given[name] for name in names if name in given]

    coroutine = planted.check(*arguments, *planted.arguments)

    with pytest.raises(planted.error):
        asyncio.run(coroutine) if "real" in names else run_virtually(coroutine, clock)
