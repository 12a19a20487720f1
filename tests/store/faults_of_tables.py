"""Every guard in the tables, and in the statements of all but workers at work.

Each entry names the statement or the migration, what is taken out of it, and the test that then
fails.
"""

from __future__ import annotations

from tenure.kernel.states import Event, State
from tests.store import (
    test_history as keeping,
    test_postgres_locks as locking,
    test_queues as queueing,
    test_tasks as asking,
    test_transitions as moving,
    test_workers as working,
)
from tests.store.faults import each, on_postgres, without

MOVE = moving.test_an_event_moves_a_task_as_the_table_says_and_otherwise_changes_nothing
TENANTS = asking.test_an_unknown_task_is_named_in_the_error

ASKING = [
    without(
        "cancel_task",
        "AND (state IN ('pending', 'waiting') OR (state = 'running' AND :force = 1))",
        "AND :force >= 0",
        check=MOVE,
        arguments=(State.COMPLETED, Event.CANCEL),
    ),
    without(
        "cancel_task",
        "AND :force = 1",
        "AND :force >= 0",
        check=asking.test_cancelling_asks_the_handler_of_a_running_task,
    ),
    without(
        "cancel_task",
        "'pending', 'waiting'",
        "'pending'",
        check=MOVE,
        arguments=(State.WAITING, Event.CANCEL),
    ),
    without(
        "cancel_task", "waiting_for = NULL,", check=MOVE, arguments=(State.WAITING, Event.CANCEL)
    ),
    without(
        "ask_task_to_cancel",
        "AND state = 'running'",
        check=MOVE,
        arguments=(State.COMPLETED, Event.CANCEL),
    ),
    without(
        "ask_task_to_cancel",
        "COALESCE(cancel_asked_at_us, :now_us)",
        ":now_us",
        check=asking.test_cancelling_asks_the_handler_of_a_running_task,
    ),
    without("wake_task", "AND state = 'waiting'", check=MOVE, arguments=(State.FAILED, Event.WAKE)),
    without(
        "wake_task",
        "run_at_us = :now_us,",
        "run_at_us = 0 * :now_us,",
        check=asking.test_waking_makes_a_waiting_task_due_now,
    ),
    without(
        "revive_task",
        "AND state IN ('completed', 'failed', 'cancelled')",
        check=MOVE,
        arguments=(State.WAITING, Event.REVIVE),
    ),
    *(
        without(
            "revive_task",
            f"'{state}'",
            "'nothing'",
            check=MOVE,
            arguments=(state, Event.REVIVE),
        )
        for state in (State.COMPLETED, State.FAILED, State.CANCELLED)
    ),
    without(
        "revive_task",
        "NOT EXISTS",
        "1 = 1 OR EXISTS",
        check=asking.test_reviving_is_refused_while_another_task_holds_the_unique_key,
    ),
    without(
        "revive_task",
        "AND other.ended_at_us IS NULL",
        check=asking.test_reviving_takes_the_unique_key_back,
    ),
    without(
        "revive_task",
        "cancel_asked_at_us = NULL,",
        check=asking.test_a_cancel_that_was_asked_for_is_forgotten_when_the_task_is_revived,
    ),
    without(
        "revive_task",
        "crashes = 0,",
        check=asking.test_reviving_starts_over_with_one_more_attempt_if_none_is_left,
    ),
    without(
        "revive_task",
        "CASE WHEN attempt >= attempts_max THEN attempt + 1 ELSE attempts_max END",
        "attempts_max",
        check=asking.test_reviving_starts_over_with_one_more_attempt_if_none_is_left,
    ),
    without("revive_task", "result = NULL,", check=asking.test_reviving_drops_the_result),
    without(
        "drop_result_body",
        "AND part = 'result'",
        "AND part = 'nothing'",
        check=asking.test_reviving_drops_the_result,
    ),
    *(
        without(statement, "tenant = :tenant AND", check=TENANTS, arguments=("wake",))
        for statement in ("lock_task",)
    ),
    without(
        "lock_task",
        on_postgres("FOR UPDATE"),
        check=locking.test_nobody_settles_a_task_while_it_is_being_cancelled,
        arguments=(False,),
    ),
    without("get_task", "tenant = :tenant AND", check=asking.test_an_unknown_task_is_none),
    without(
        "live_task_with_key",
        "AND ended_at_us IS NULL",
        check=asking.test_an_ended_task_holds_no_unique_key,
        arguments=(State.COMPLETED,),
    ),
    without(
        "list_tasks",
        "tenant = :tenant AND",
        check=asking.test_a_list_is_of_what_fits_all_filters,
        arguments=({"kind": "sweep"}, ["k"]),
    ),
    *(
        without(
            "list_tasks",
            f"{column} = :{column})",
            f":{column} <> '')",
            check=asking.test_a_list_is_of_what_fits_all_filters,
            arguments=({column: value}, [found]),
        )
        for column, value, found in (
            ("state", "running", "r"),
            ("queue", "mail", "q"),
            ("kind", "sweep", "k"),
        )
    ),
    without(
        "list_tasks",
        "AND id < :before_id",
        "AND id <= :before_id",
        check=asking.test_tasks_are_listed_newest_first_a_page_at_a_time,
    ),
]

KEEPING = [
    without(
        "prune_tasks",
        "state = :state AND",
        ":state <> '' AND",
        check=keeping.test_only_tasks_of_the_given_state_are_pruned,
    ),
    without(
        "prune_tasks",
        "<= :now_us - :keep_us",
        "<= :now_us + :keep_us",
        check=keeping.test_ended_tasks_are_pruned_when_their_time_is_over,
        arguments=(State.COMPLETED,),
    ),
    without(
        "prune_tasks",
        "ORDER BY ended_at_us",
        "ORDER BY ended_at_us DESC",
        check=keeping.test_pruning_takes_the_oldest_in_bites,
    ),
    without(
        "prune_tasks",
        "LIMIT :limit",
        "LIMIT 100 + :limit",
        check=keeping.test_pruning_takes_the_oldest_in_bites,
    ),
    without(
        "prune_tasks",
        on_postgres("SKIP LOCKED"),
        check=locking.test_pruners_delete_different_tasks_without_waiting,
    ),
    without(
        "prune_tasks",
        on_postgres("FOR UPDATE SKIP LOCKED"),
        check=locking.test_a_task_that_is_being_revived_is_not_pruned,
    ),
    *(
        without(
            statement,
            each("tenant = :tenant AND", f"{table}.tenant = given.tenant AND"),
            check=keeping.test_all_that_is_a_tasks_is_pruned_with_it_and_nothing_else,
        )
        for statement, table in (
            ("prune_attempts", "attempt"),
            ("prune_events", "task_event"),
            ("prune_bodies", "task_body"),
        )
    ),
    without(
        "attempts_of_task",
        "tenant = :tenant AND",
        check=keeping.test_attempts_come_newest_first_and_no_more_than_asked_for,
    ),
    without(
        "events_of_task",
        "tenant = :tenant AND",
        check=keeping.test_events_come_newest_first_and_no_more_than_asked_for,
    ),
    without(
        "count_queue",
        "AND run_at_us > :now_us",
        check=queueing.test_queues_are_listed_by_name_with_what_stands_in_them,
    ),
    without(
        "pause_queue",
        "COALESCE(queue.paused_at_us, excluded.paused_at_us)",
        "excluded.paused_at_us",
        check=queueing.test_a_queue_remembers_since_when_it_is_paused,
    ),
    without(
        "resume_queue",
        "paused_at_us = NULL,",
        check=queueing.test_a_resumed_queue_is_open,
    ),
    without(
        "limit_queue",
        "slots = excluded.slots,",
        check=queueing.test_a_limit_is_lifted_with_none,
    ),
]

WORKING = [
    without(
        "elect",
        "WHERE leader.worker_id = excluded.worker_id OR leader.expires_at_us <= :now_us",
        check=working.test_one_worker_is_elected,
    ),
    without(
        "elect",
        "leader.worker_id = excluded.worker_id OR",
        check=working.test_the_leader_keeps_its_office_by_asking_again,
    ),
    without(
        "elect",
        "OR leader.expires_at_us <= :now_us",
        check=working.test_the_office_is_free_when_its_time_is_over,
    ),
    without(
        "resign",
        "AND worker_id = :worker_id",
        check=working.test_only_the_leader_can_give_its_office_up,
    ),
    without(
        "resign",
        "AND name = :name",
        check=working.test_only_the_leader_can_give_its_office_up,
    ),
    without(
        "forget_lost_workers",
        "AND seen_at_us <= :now_us - :forget_us",
        "AND 0 < :now_us - :forget_us",
        check=working.test_workers_that_were_not_seen_for_so_long_are_forgotten,
    ),
    without(
        "forget_lost_workers",
        "LIMIT :limit",
        "LIMIT 100 + :limit",
        check=working.test_lost_workers_are_forgotten_so_many_at_once,
    ),
    without(
        "beat_worker",
        "AND id = :worker_id",
        check=working.test_a_beat_says_that_the_worker_lives_and_how_many_threads_are_stuck,
    ),
    without(
        "stop_worker",
        "AND id = :worker_id",
        check=working.test_a_stopping_worker_remembers_since_when,
    ),
    without(
        "stop_worker",
        "COALESCE(stopping_at_us, :now_us)",
        ":now_us",
        check=working.test_a_stopping_worker_remembers_since_when,
    ),
    without(
        "forget_worker",
        "AND id = :worker_id",
        check=working.test_a_forgotten_worker_hears_of_it_with_its_beat,
    ),
]

CONSTRAINTS = [
    without(
        "tasks",
        "CREATE UNIQUE INDEX task_unique_key",
        "CREATE INDEX task_unique_key",
        check=asking.test_a_live_task_holds_its_unique_key,
        arguments=(State.PENDING,),
    ),
    without(
        "tasks",
        "WHERE unique_key IS NOT NULL AND ended_at_us IS NULL;",
        "WHERE unique_key IS NOT NULL;",
        check=asking.test_an_ended_task_holds_no_unique_key,
        arguments=(State.COMPLETED,),
    ),
    without(
        "tasks",
        "task_unique_key ON task (tenant, unique_key)",
        "task_unique_key ON task (unique_key)",
        check=asking.test_tenants_share_neither_ids_nor_unique_keys,
    ),
    without(
        "tasks",
        each("task_id ON task (tenant, id)", "task_id PRIMARY KEY (tenant, id)"),
        each("task_id ON task (id)", "task_id PRIMARY KEY (id)"),
        check=asking.test_tenants_share_neither_ids_nor_unique_keys,
    ),
    without(
        "tasks",
        "CHECK ((state = 'running') = (lease_expires_at_us IS NOT NULL))",
        "CHECK (1 = 1)",
        check=moving.test_the_constraints_refuse_what_the_table_does_not_know,
        arguments=("lease_expires_at_us", "1", State.PENDING),
    ),
    without(
        "tasks",
        "\n      = (ended_at_us IS NOT NULL)",
        " OR 1 = 1",
        check=moving.test_the_constraints_refuse_what_the_table_does_not_know,
        arguments=("ended_at_us", "NULL", State.FAILED),
    ),
    without(
        "tasks",
        "CHECK ((state = 'waiting') = (waiting_for IS NOT NULL))",
        "CHECK (1 = 1)",
        check=moving.test_the_constraints_refuse_what_the_table_does_not_know,
        arguments=("waiting_for", "NULL", State.WAITING),
    ),
    without(
        "tasks",
        "OR state = 'completed' OR state = 'failed' OR state = 'cancelled'),",
        "OR state <> ''),",
        check=moving.test_the_constraints_refuse_what_the_table_does_not_know,
        arguments=("state", "'paused'", State.PENDING),
    ),
    without(
        "tasks",
        "OR state = 'cancelled'),",
        "),",
        check=moving.test_the_constraints_know_every_state_of_the_table,
        arguments=(State.CANCELLED,),
    ),
    without(
        "tasks",
        "CHECK (lane BETWEEN 0 AND 3)",
        check=moving.test_the_constraints_know_four_lanes,
        arguments=(4,),
    ),
    *(
        without(
            "tasks",
            f"CHECK ({column} {bound})",
            check=moving.test_the_constraints_refuse_numbers_below_their_least,
            arguments=(column,),
        )
        for column, bound in (
            ("cost", "> 0"),
            ("attempts_max", "> 0"),
            ("attempt", ">= 0"),
            ("crashes", ">= 0"),
            ("claim_no", ">= 0"),
        )
    ),
    without(
        "tasks",
        "CHECK (slots > 0)",
        check=queueing.test_a_limit_of_nothing_is_refused_because_a_pause_is_meant,
    ),
]
