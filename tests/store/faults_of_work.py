"""Every guard in the statements of workers: claiming, renewing, settling, expiring.

Each entry names the statement, what is taken out of it, and the test that then fails.
"""

from __future__ import annotations

from tenure.kernel.model import Lane
from tenure.kernel.states import Event, State
from tests.store import (
    test_claims as claiming,
    test_postgres_locks as locking,
    test_settling as settling,
    test_transitions as moving,
)
from tests.store.faults import each, on_postgres, without

MOVE = moving.test_an_event_moves_a_task_as_the_table_says_and_otherwise_changes_nothing
NOT_OURS = claiming.test_a_lease_that_is_not_ours_is_neither_renewed_nor_reported_on
ENDED = claiming.test_an_ended_claim_is_neither_renewed_nor_reported_on

CLAIMING = [
    without(
        "claim_tasks",
        "AND run_at_us <= :now_us",
        check=claiming.test_a_task_is_claimed_when_it_is_due_and_not_before,
    ),
    without(
        "claim_tasks",
        "AND queue = :queue",
        check=claiming.test_a_claim_takes_from_its_own_queue,
    ),
    without(
        "claim_tasks",
        "queue.paused_at_us IS NOT NULL OR",
        check=claiming.test_a_paused_queue_is_not_claimed_from_until_it_is_resumed,
    ),
    without(
        "claim_tasks",
        "(queue.slots IS NOT NULL AND :limited = 0)",
        "1 = 0 AND :limited = 0",
        check=claiming.test_the_plain_claim_leaves_a_limited_queue_alone,
    ),
    without(
        "claim_tasks",
        "AND queue.name = :queue",
        check=claiming.test_a_paused_queue_is_not_claimed_from_until_it_is_resumed,
    ),
    without(
        "claim_tasks",
        each("state = 'pending'", "state = 'pending'"),
        "state = state",
        check=MOVE,
        arguments=(State.RUNNING, Event.CLAIM),
    ),
    without(
        "claim_tasks",
        "spent <= :spare",
        "0 < :spare",
        check=claiming.test_a_claim_keeps_within_what_the_worker_has_free,
        arguments=([1, 1, 1], 2, 9, 2),
    ),
    without(
        "claim_tasks",
        each("MIN(cost, :slots)", "LEAST(cost, :slots)"),
        "cost + 0 * :slots",
        check=claiming.test_a_claim_keeps_within_what_the_worker_has_free,
        arguments=([50], 9, 9, 1),
    ),
    without(
        "claim_tasks",
        each("ORDER BY lane, run_at_us, row_no ROWS", "ORDER BY lane, run_at_us, id ROWS"),
        "ORDER BY lane DESC ROWS",
        check=claiming.test_cost_is_summed_over_lanes,
    ),
    without(
        "claim_tasks",
        each("ORDER BY lane, run_at_us LIMIT :limit", "- (SELECT COUNT(*) FROM lane_0)"),
        each("ORDER BY run_at_us LIMIT :limit", ""),
        check=claiming.test_a_limit_takes_the_most_urgent_and_then_the_longest_due,
        arguments=(2,),
    ),
    without(
        "claim_tasks",
        "ORDER BY run_at_us",
        "ORDER BY run_at_us DESC",
        check=claiming.test_the_longest_due_of_a_lane_is_taken_first,
    ),
    *(
        without(
            "claim_tasks",
            f"AND lane = {lane.value}",
            "AND lane = 7",
            check=claiming.test_lanes_come_before_times_and_times_before_ids,
        )
        for lane in Lane
    ),
    without(
        "claim_tasks",
        "claim_no = claim_no + 1",
        "claim_no = attempt + 1",
        check=claiming.test_each_claim_has_a_higher_number_though_the_attempt_is_given_back,
    ),
    without(
        "claim_tasks",
        "attempt = attempt + 1",
        "attempt = attempt",
        check=claiming.test_a_claim_tells_all_that_a_worker_needs,
    ),
    without(
        "claim_tasks",
        ", progress = NULL",
        check=claiming.test_progress_is_kept_until_the_next_claim,
    ),
    without(
        "claim_tasks",
        on_postgres("SKIP LOCKED"),
        check=locking.test_claimers_take_different_tasks_without_waiting,
    ),
    without(
        "claim_tasks",
        on_postgres("FOR UPDATE SKIP LOCKED"),
        check=locking.test_claimers_take_different_tasks_without_waiting,
    ),
    without(
        "lock_queue",
        on_postgres("FOR UPDATE"),
        check=locking.test_claimers_of_a_limited_queue_stand_in_line,
    ),
    without(
        "queue_use",
        "AND queue = :queue",
        check=claiming.test_running_tasks_of_other_queues_do_not_count,
    ),
    without(
        "queue_use",
        each("MIN(cost, :slots)", "LEAST(cost, :slots)"),
        "1 + 0 * :slots",
        check=claiming.test_a_limited_queue_gives_what_its_slots_leave_free,
    ),
    without(
        "queue_use",
        "WHERE state = 'running'",
        "WHERE state <> 'pending'",
        check=claiming.test_a_limited_queue_gives_again_what_has_ended,
    ),
    without(
        "next_dues",
        "AND queue = given.name",
        check=claiming.test_next_due_is_in_how_long_the_next_task_is_due,
        arguments=([50, 30, 40], 30),
    ),
    without(
        "next_dues",
        "AND lane = 3",
        "AND lane = 7",
        check=claiming.test_next_due_looks_at_every_lane,
        arguments=(Lane.LOW,),
    ),
    without(
        "claims_of_worker",
        "worker_id = :worker_id AND",
        check=claiming.test_the_store_knows_what_a_worker_runs_in_a_queue,
    ),
    without(
        "claims_of_worker",
        "AND queue = :queue",
        check=claiming.test_the_store_knows_what_a_worker_runs_in_a_queue,
    ),
    without(
        "cancels_asked",
        "AND cancel_asked_at_us IS NOT NULL",
        check=claiming.test_a_worker_is_told_which_of_its_tasks_were_asked_to_cancel,
    ),
    without(
        "cancels_asked",
        "AND state = 'running'",
        check=claiming.test_a_task_that_has_ended_is_not_told_to_cancel_any_more,
    ),
    without(
        "cancels_asked",
        "worker_id = :worker_id AND",
        check=claiming.test_a_worker_is_told_which_of_its_tasks_were_asked_to_cancel,
    ),
]

STALE = settling.test_the_repeat_of_a_settlement_does_not_end_the_next_claim
HELD = [
    fault
    for statement in ("renew_leases", "report_progress")
    for fault in (
        without(
            statement,
            each("AND claim_no = :claim_no", "AND task.claim_no = given.claim_no"),
            check=NOT_OURS,
        ),
        without(
            statement,
            each("tenant = :tenant AND id", "task.tenant = given.tenant AND task.id"),
            each("id", "task.id"),
            check=NOT_OURS,
        ),
        without(
            statement,
            each("AND state = 'running'", "AND task.state || '' = 'running'"),
            check=ENDED,
            arguments=(State.COMPLETED,),
        ),
    )
]
SETTLING = [
    without(
        "settle_tasks",
        each("AND claim_no = :claim_no", "AND task.claim_no = given.claim_no"),
        check=settling.test_a_late_settle_is_refused_after_another_worker_claimed,
        arguments=(Event.COMPLETE,),
    ),
    without(
        "settle_tasks",
        each("AND claim_no = :claim_no", "AND task.claim_no = given.claim_no"),
        each("AND attempt = :claim_no", "AND task.attempt = given.claim_no"),
        check=STALE,
        arguments=(Event.SNOOZE,),
    ),
    without(
        "settle_tasks",
        each("AND state = 'running'", "AND task.state || '' = 'running'"),
        check=moving.test_a_settle_needs_a_running_task_even_with_the_right_claim_number,
        arguments=(State.COMPLETED, Event.FAIL),
    ),
    without(
        "settle_tasks",
        each("tenant = :tenant AND id", "task.tenant = given.tenant AND task.id"),
        each("id", "task.id"),
        check=moving.test_an_unknown_task_of_another_tenant_is_not_moved,
    ),
    without(
        "settle_tasks",
        each(
            "AND (:outlives = 0 OR cancel_asked_at_us IS NULL)",
            "AND (given.outlives = 0 OR cancel_asked_at_us IS NULL)",
        ),
        check=settling.test_a_task_that_was_asked_to_cancel_does_not_come_back,
        arguments=(Event.RETRY,),
    ),
    without(
        "settle_cancelled",
        each("AND claim_no = :claim_no", "AND task.claim_no = given.claim_no"),
        each("AND :claim_no > 0", ""),
        check=settling.test_nobody_else_ends_a_task_that_was_asked_to_cancel,
    ),
    without(
        "settle_cancelled",
        each("tenant = :tenant AND id", "task.tenant = given.tenant AND task.id"),
        each("id", "task.id"),
        check=settling.test_nobody_else_ends_a_task_that_was_asked_to_cancel,
    ),
    without(
        "settle_cancelled",
        each("AND state = 'running'", "AND task.state || '' = 'running'"),
        check=settling.test_a_task_that_ended_although_it_was_asked_to_cancel_stays_as_it_ended,
    ),
    without(
        "settle_tasks",
        each("attempt = attempt - :give_back", "attempt = attempt - given.give_back"),
        each("attempt = attempt + 0 * :give_back", "attempt = attempt"),
        check=settling.test_a_settlement_is_written_as_it_says,
        arguments=(Event.SNOOZE,),
    ),
    without(
        "settle_tasks",
        each("crashes + :crashed", "crashes + given.crashed"),
        each("crashes + 0 * :crashed", "crashes"),
        check=settling.test_a_crash_spends_the_attempt,
    ),
    without(
        "settle_tasks",
        each("COALESCE(:carry, carry)", "COALESCE(given.carry, task.carry)"),
        each(":carry", "given.carry"),
        check=settling.test_a_carry_stays_if_a_settlement_brings_none,
    ),
    without(
        "expired_claims",
        "AND lease_expires_at_us <= :now_us",
        check=settling.test_a_lease_runs_out_at_its_end_and_not_before,
    ),
    without(
        "expired_claims",
        "ORDER BY lease_expires_at_us",
        "ORDER BY id",
        check=settling.test_leases_are_taken_back_oldest_first_and_so_many_at_once,
    ),
    without(
        "expired_claims",
        on_postgres("SKIP LOCKED"),
        check=locking.test_reapers_take_different_leases_without_waiting,
    ),
    without(
        "expired_claims",
        on_postgres("FOR UPDATE SKIP LOCKED"),
        check=locking.test_nothing_slips_in_while_a_lease_is_taken_back,
        arguments=("renew",),
    ),
    *HELD,
]
