"""Every guard in the statements and the tables of schedules.

Each entry names the statement or the migration, what is taken out of it, and the test that then
fails.
"""

from __future__ import annotations

from tenure.kernel.schedules.definition import RuleKind
from tenure.kernel.schedules.policies import Overlap
from tests.store import (
    test_firing as firing,
    test_firing_locks as locking,
    test_replanning as replanning,
    test_run_ends as ending,
    test_schedules as keeping,
)
from tests.store.faults import each, on_postgres, without

COMPLETES = (ending.completes,)
NEXT_BEGINS = ending.test_the_next_run_begins_when_the_one_before_ends
PAGES = keeping.test_runs_and_the_ledger_come_newest_first_a_page_at_a_time

SCHEDULING = [
    without(
        "get_schedule",
        "tenant = :tenant AND",
        check=keeping.test_what_was_put_is_what_there_is,
    ),
    without(
        "lock_schedule",
        "tenant = :tenant AND",
        check=keeping.test_an_unknown_schedule_is_named_in_the_error,
        arguments=("pause",),
    ),
    without(
        "lock_schedule",
        on_postgres("FOR UPDATE"),
        check=locking.test_nobody_fires_between_the_look_and_the_write_of_an_edit,
    ),
    without(
        "insert_schedule",
        "ON CONFLICT (tenant, id) DO NOTHING",
        check=keeping.test_what_somebody_else_wrote_meanwhile_is_not_overwritten,
        arguments=(True,),
    ),
    without(
        "insert_schedule",
        "COALESCE((SELECT MAX(instant_us)",
        "COALESCE((SELECT 0 * MAX(instant_us)",
        check=firing.test_a_schedule_made_anew_under_an_old_id_goes_on_after_the_old_one,
    ),
    without(
        "insert_schedule",
        "CASE WHEN :paused = 1 THEN :now_us END",
        "CASE WHEN :paused = 7 THEN :now_us END",
        check=keeping.test_a_schedule_can_be_made_paused,
    ),
    without(
        "update_schedule",
        "AND revision = :revision",
        check=keeping.test_what_somebody_else_wrote_meanwhile_is_not_overwritten,
        arguments=(False,),
    ),
    without(
        "update_schedule",
        "AND id = :id",
        check=keeping.test_an_edit_changes_what_was_asked_for_and_grows_the_revision,
    ),
    without(
        "pause_schedule",
        "AND paused_at_us IS NULL",
        check=keeping.test_a_paused_schedule_fires_nothing_and_remembers_since_when,
    ),
    without(
        "pause_schedule",
        "AND id = :id",
        check=keeping.test_a_paused_schedule_fires_nothing_and_remembers_since_when,
    ),
    without(
        "resume_schedule",
        "trouble = NULL,",
        check=keeping.test_resuming_clears_trouble_that_is_over,
    ),
    without(
        "resume_schedule",
        "AND id = :id",
        check=keeping.test_a_resumed_schedule_lets_go_what_came_due_meanwhile,
    ),
    without(
        "steer_schedule",
        "AND id = :id",
        check=keeping.test_steering_is_for_one_schedule_and_grows_its_revision,
    ),
    without(
        "steer_schedule",
        "tenant = :tenant AND",
        check=keeping.test_steering_is_for_one_schedule_and_grows_its_revision,
    ),
    without(
        "steer_schedule",
        "held_by = NULL,",
        check=keeping.test_a_schedule_that_waits_for_a_run_can_be_steered,
    ),
    without(
        "set_schedule_carry",
        "AND id = :id",
        check=ending.test_a_state_set_by_hand_reaches_runs_that_have_not_begun,
    ),
    without(
        "hand_carry",
        "AND schedule_id = :id",
        check=ending.test_a_state_set_by_hand_reaches_runs_that_have_not_begun,
    ),
    without(
        "hand_carry",
        "AND attempt = 0",
        check=ending.test_a_state_set_by_hand_reaches_runs_that_have_not_begun,
    ),
    without(
        "hand_carry",
        on_postgres("SKIP LOCKED"),
        check=locking.test_a_state_set_by_hand_does_not_wait_for_a_run_that_is_ending,
    ),
    without(
        "delete_schedule",
        "AND id = :id",
        check=keeping.test_a_deleted_schedule_leaves_its_runs_and_its_ledger,
    ),
    without(
        "delete_schedule",
        "tenant = :tenant AND",
        check=keeping.test_another_tenants_schedule_is_left_alone,
        arguments=("delete",),
    ),
    without(
        "list_schedules",
        "tenant = :tenant AND",
        check=keeping.test_schedules_are_listed_by_id_a_page_at_a_time,
    ),
    without(
        "list_schedules",
        "id > :after_id",
        "id >= :after_id",
        check=keeping.test_schedules_are_listed_by_id_a_page_at_a_time,
    ),
    *(
        without(
            "list_schedules",
            f"{column} = :{column})",
            f":{column} <> '')",
            check=keeping.test_a_list_is_of_what_fits_all_filters,
            arguments=({column: value}, [found]),
        )
        for column, value, found in (("origin", "app", "a"), ("kind", "other", "b"))
    ),
    *(
        without(statement, "schedule_id = :id AND", check=PAGES)
        for statement in ("runs_of_schedule", "fires_of_schedule")
    ),
    without("runs_of_schedule", "id < :before_id", "id <= :before_id", check=PAGES),
    without(
        "fires_of_schedule", "instant_us < :before_us", "instant_us <= :before_us", check=PAGES
    ),
    without(
        "get_calendar", "tenant = :tenant AND", check=keeping.test_a_calendar_is_kept_and_replaced
    ),
    without(
        "list_calendars",
        "tenant = :tenant AND",
        check=keeping.test_calendars_are_listed_by_name_a_page_at_a_time,
    ),
    without(
        "delete_calendar",
        "tenant = :tenant AND",
        check=keeping.test_a_calendar_is_deleted_for_one_tenant,
    ),
    without(
        "delete_calendar",
        "AND name = :name",
        check=keeping.test_a_calendar_is_deleted_for_one_tenant,
    ),
    without(
        "put_calendar",
        "document = excluded.document,",
        check=keeping.test_a_calendar_is_kept_and_replaced,
    ),
]

FIRING = [
    without(
        "due_schedules",
        "<= :now_us AND",
        "< :now_us AND",
        check=firing.test_an_instant_fires_when_it_is_due_and_not_a_microsecond_before,
    ),
    without(
        "due_schedules",
        "AND paused_at_us IS NULL",
        check=keeping.test_a_paused_schedule_fires_nothing_and_remembers_since_when,
    ),
    without(
        "due_schedules",
        "AND trouble IS NULL",
        check=replanning.test_a_schedule_whose_zone_is_gone_is_set_aside_and_holds_up_nobody,
    ),
    without(
        "due_schedules",
        "ORDER BY next_fire_at_us",
        "ORDER BY next_fire_at_us DESC",
        check=firing.test_the_longest_due_fire_first_and_no_more_than_asked_for,
    ),
    without(
        "due_schedules",
        "LIMIT :limit",
        "LIMIT 100 + :limit",
        check=firing.test_the_longest_due_fire_first_and_no_more_than_asked_for,
    ),
    without(
        "due_schedules",
        on_postgres("FOR UPDATE SKIP LOCKED"),
        check=locking.test_an_end_in_the_midst_of_a_fire_waits_for_it,
    ),
    without(
        "due_schedules",
        on_postgres("SKIP LOCKED"),
        check=locking.test_two_schedulers_take_different_schedules_without_waiting,
    ),
    without(
        "next_schedule_due",
        "AND paused_at_us IS NULL",
        check=replanning.test_the_next_due_is_told_with_the_time,
    ),
    without(
        "next_schedule_due",
        "AND trouble IS NULL",
        check=replanning.test_the_next_due_is_told_with_the_time,
    ),
    without(
        "live_runs",
        each("AND ended_at_us IS NULL", "AND task.ended_at_us IS NULL"),
        check=ending.test_a_completed_run_hands_its_state_to_the_next,
    ),
    without(
        "record_fires",
        "ON CONFLICT DO NOTHING",
        check=firing.test_an_instant_that_has_an_entry_fires_no_second_time,
    ),
    without(
        "fire_tasks",
        "ON CONFLICT DO NOTHING",
        check=firing.test_an_instant_whose_entry_was_lost_makes_no_second_run,
    ),
    without(
        "advance_schedules",
        each("AND id = :id", "AND schedule.id = given.id"),
        check=firing.test_the_longest_due_fire_first_and_no_more_than_asked_for,
    ),
    without(
        "advance_schedules",
        "fired > 0 THEN",
        "fired >= 0 THEN",
        check=firing.test_with_none_made_up_what_is_late_does_not_run,
    ),
    without(
        "advance_schedules",
        "steered_us = NULL,",
        check=firing.test_a_steered_instant_comes_in_place_of_the_rules_next,
    ),
    without(
        "walk_schedules",
        "> (:tenant, :after_id)",
        ">= (:tenant, :after_id)",
        check=replanning.test_schedules_are_planned_anew_a_page_at_a_time,
    ),
    without(
        "replan_schedules",
        each(
            "AND next_fire_at_us IS :was_next_us",
            "AND schedule.next_fire_at_us IS NOT DISTINCT FROM given.was_next_us",
        ),
        check=ending.test_a_schedule_that_moved_since_it_was_looked_at_is_not_planned_anew,
    ),
    without(
        "replan_schedules",
        each("AND revision = :revision", "AND schedule.revision = given.revision"),
        check=replanning.test_an_edit_outlives_a_plan_that_was_made_before_it,
    ),
    without(
        "prune_fires",
        "<= :now_us - :keep_us",
        "<= :now_us + 0 * :keep_us",
        check=firing.test_the_ledger_is_pruned_oldest_first_in_bites,
    ),
    without(
        "prune_fires",
        "ORDER BY instant_us",
        "ORDER BY instant_us DESC",
        check=firing.test_the_ledger_is_pruned_oldest_first_in_bites,
    ),
    without(
        "prune_fires",
        "LIMIT :limit",
        "LIMIT 100 + :limit",
        check=firing.test_the_ledger_is_pruned_oldest_first_in_bites,
    ),
    without(
        "prune_fires",
        on_postgres("SKIP LOCKED"),
        check=locking.test_two_pruners_of_the_ledger_take_different_entries_without_waiting,
    ),
    without(
        "raise_floors",
        each("MAX(floor_us, :floor_us)", "GREATEST(schedule.floor_us, given.floor_us)"),
        each(":floor_us", "given.floor_us"),
        check=firing.test_a_floor_is_never_lowered,
    ),
    without(
        "raise_floors",
        each("tenant = :tenant AND", "schedule.tenant = given.tenant AND"),
        check=firing.test_a_floor_is_raised_for_its_own_schedule,
    ),
    without(
        "get_mark",
        "WHERE name = :name",
        "WHERE name <> :name",
        check=replanning.test_how_far_the_clock_went_back_is_told_once,
    ),
]

ENDING = [
    without(
        "lock_schedules_of_runs",
        on_postgres("FOR UPDATE OF schedule"),
        check=locking.test_an_end_that_waited_for_a_fire_wakes_what_it_made,
        arguments=(Overlap.QUEUE_ONE, "settle"),
    ),
    without(
        "lock_schedules_of_runs",
        on_postgres("schedule.turns = 1 OR"),
        check=locking.test_an_end_that_waited_for_a_fire_wakes_what_it_made,
        arguments=(Overlap.QUEUE_ONE, "settle"),
    ),
    without(
        "lock_schedules_of_runs",
        on_postgres("OR schedule.gap_us IS NOT NULL"),
        check=locking.test_an_end_that_waited_for_a_fire_releases_what_that_held,
    ),
    without(
        "lock_schedules_of_runs",
        on_postgres("WHERE schedule.turns = 1 OR schedule.gap_us IS NOT NULL"),
        check=locking.test_runs_that_nobody_minds_end_without_waiting_for_a_fire,
    ),
    without(
        "lock_schedules_of_runs",
        on_postgres("ORDER BY schedule.tenant, schedule.id"),
        on_postgres("ORDER BY schedule.tenant, schedule.id DESC"),
        check=locking.test_schedules_are_locked_in_one_order_however_runs_end,
    ),
    without(
        "store_carries",
        each("AND id = :id", "AND schedule.id = given.id"),
        check=ending.test_a_completed_run_hands_its_state_to_the_next,
    ),
    without(
        "release_schedules",
        each("AND held_by = :task_id", "AND schedule.held_by = given.task_id"),
        check=ending.test_the_end_of_an_older_run_releases_nothing,
    ),
    without(
        "release_schedules",
        "+ gap_us <= end_us",
        "+ gap_us < end_us",
        check=ending.test_nothing_comes_after_the_end_of_the_schedule,
        arguments=(67, 67),
    ),
    without(
        "release_schedules",
        "WHEN end_us IS NULL OR :now_us + gap_us <= end_us",
        "WHEN 1 = 1",
        check=ending.test_nothing_comes_after_the_end_of_the_schedule,
        arguments=(66, None),
    ),
    without(
        "wake_turns",
        "AND NOT (other.state = 'waiting' AND other.waiting_for = 'turn')",
        check=NEXT_BEGINS,
        arguments=COMPLETES,
    ),
    without(
        "wake_turns",
        "AND other.ended_at_us IS NULL",
        check=NEXT_BEGINS,
        arguments=COMPLETES,
    ),
    without(
        "wake_turns",
        "other.schedule_id = :id",
        "other.schedule_id = '' || 'nobody'",
        check=ending.test_the_end_of_one_that_waits_wakes_nobody_while_a_run_is_under_way,
    ),
    without(
        "wake_turns",
        "ORDER BY id LIMIT 1",
        "ORDER BY id DESC LIMIT 1",
        check=NEXT_BEGINS,
        arguments=COMPLETES,
    ),
    without(
        "wake_turns",
        "schedule.id = :id), carry)",
        "schedule.id = :id), NULL)",
        check=ending.test_one_that_waited_keeps_its_state_if_the_schedule_is_gone,
    ),
    without(
        "wake_turns",
        on_postgres("SKIP LOCKED"),
        check=locking.test_the_turn_of_a_run_that_is_being_cancelled_is_not_waited_for,
    ),
    without(
        "waiting_turns",
        each("tenant = :tenant AND", "task.tenant = given.tenant AND"),
        each(":tenant <> '' AND", "given.tenant <> '' AND"),
        check=NEXT_BEGINS,
        arguments=COMPLETES,
    ),
    without(
        "stuck_holds",
        "AND task.ended_at_us IS NULL",
        check=ending.test_a_hold_by_a_run_that_has_ended_is_swept_away,
    ),
    without(
        "stuck_holds",
        "LIMIT :limit",
        "LIMIT 100 + :limit",
        check=ending.test_a_sweep_takes_so_many_at_once,
    ),
    without(
        "stuck_turns",
        "AND NOT (other.state = 'waiting' AND other.waiting_for = 'turn')",
        check=ending.test_turns_that_nobody_gives_on_are_swept_on,
    ),
]

REFUSED = keeping.test_the_constraints_refuse_a_schedule_that_makes_no_sense
NO_ENTRY = keeping.test_the_constraints_refuse_an_entry_that_makes_no_sense

SCHEDULE_CONSTRAINTS = [
    *(
        without("schedules", text, new, check=REFUSED, arguments=(wrong,))
        for text, new, wrong in (
            ("OR rule = 'calendar')", "OR rule <> '')", "rule = 'moon'"),
            ("CHECK (lane BETWEEN 0 AND 3)", "", "lane = 4"),
            ("CHECK (cost > 0)", "", "cost = 0"),
            ("CHECK (attempts_max > 0)", "", "attempts_max = 0"),
            ("CHECK (fired >= 0)", "", "fired = -1"),
            ("CHECK (turns IN (0, 1))", "", "turns = 2"),
            (
                "CHECK (held_by IS NULL OR next_fire_at_us IS NULL)",
                "CHECK (1 = 1)",
                "held_by = 'task'",
            ),
            (
                "CHECK (steered_us IS NULL OR steered_us = next_fire_at_us)",
                "CHECK (1 = 1)",
                "steered_us = 1",
            ),
        )
    ),
    *(
        without(
            "schedules",
            f"rule = '{rule.value}'",
            "rule = 'nothing'",
            check=keeping.test_the_constraints_know_every_kind_of_rule,
            arguments=(rule,),
        )
        for rule in RuleKind
    ),
    without(
        "schedules",
        "OR verdict = 'skipped')",
        "OR verdict <> '')",
        check=NO_ENTRY,
        arguments=("verdict = 'lost', task_id = NULL",),
    ),
    without(
        "schedules",
        "CHECK ((verdict = 'fired') = (task_id IS NOT NULL))",
        "CHECK (1 = 1)",
        check=NO_ENTRY,
        arguments=("task_id = NULL",),
    ),
    without(
        "schedules",
        "PRIMARY KEY (tenant, schedule_id, instant_us)",
        "PRIMARY KEY (schedule_id, instant_us)",
        check=keeping.test_tenants_share_neither_schedules_nor_instants,
    ),
]
