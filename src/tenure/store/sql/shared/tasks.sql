-- fragment: task_columns
tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
revision, timeout_us, deadline_us, worker_id, claimed_at_us, lease_expires_at_us,
cancel_asked_at_us, waiting_for, created_at_us, ended_at_us, cause, unique_key, root_id,
parent_id, schedule_id, tags, traceparent, payload, carry, result, progress

-- fragment: claim_columns
tenant, id, kind, queue, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
timeout_us, created_at_us, claimed_at_us, lease_expires_at_us, deadline_us, worker_id, parent_id,
root_id, schedule_id, tags, traceparent, payload, carry

-- name: get_task
SELECT {task_columns} FROM task WHERE tenant = :tenant AND id = :id

-- name: live_task_with_key
SELECT id FROM task
WHERE tenant = :tenant AND unique_key = :unique_key AND ended_at_us IS NULL

-- name: list_tasks
-- Newest first, a page at a time: ids are in order of time.
SELECT {task_columns} FROM task
WHERE tenant = :tenant AND id < :before_id
  AND (:state = '' OR state = :state)
  AND (:queue = '' OR queue = :queue)
  AND (:kind = '' OR kind = :kind)
ORDER BY id DESC
LIMIT :limit

-- name: cancel_task
UPDATE task SET
  state = 'cancelled', ended_at_us = :now_us, cause = :cause, waiting_for = NULL,
  lease_expires_at_us = NULL, deadline_us = NULL, revision = revision + 1
WHERE tenant = :tenant AND id = :id
  AND (state IN ('pending', 'waiting') OR (state = 'running' AND :force = 1))
RETURNING id

-- name: ask_task_to_cancel
UPDATE task SET
  cancel_asked_at_us = COALESCE(cancel_asked_at_us, :now_us), revision = revision + 1
WHERE tenant = :tenant AND id = :id AND state = 'running'
RETURNING id

-- name: wake_task
UPDATE task SET
  state = 'pending', run_at_us = :now_us, waiting_for = NULL, revision = revision + 1
WHERE tenant = :tenant AND id = :id AND state = 'waiting'
RETURNING queue

-- name: revive_task
-- One more attempt if the budget is spent, and a clean slate for crashes.
UPDATE task SET
  state = 'pending', run_at_us = :now_us, ended_at_us = NULL, cause = NULL, result = NULL,
  cancel_asked_at_us = NULL, crashes = 0, revision = revision + 1,
  attempts_max = CASE WHEN attempt >= attempts_max THEN attempt + 1 ELSE attempts_max END
WHERE tenant = :tenant AND id = :id AND state IN ('completed', 'failed', 'cancelled')
  AND (unique_key IS NULL OR NOT EXISTS (
    SELECT 1 FROM task AS other
    WHERE other.tenant = task.tenant AND other.unique_key = task.unique_key
      AND other.ended_at_us IS NULL))
RETURNING queue

-- name: claims_of_worker
-- What the store thinks that this worker runs; asked only after the answer to a claim was lost.
SELECT {claim_columns} FROM task
WHERE state = 'running' AND worker_id = :worker_id AND queue = :queue
LIMIT :limit

-- name: cancels_asked
-- Leans on the index task_cancel_asked, which holds nothing else.
SELECT tenant, id, claim_no FROM task
WHERE worker_id = :worker_id AND state = 'running' AND cancel_asked_at_us IS NOT NULL
LIMIT :limit
