-- name: insert_task
-- Differs from SQLite: the notice to sleeping workers rides in the same statement. The driver
-- binds :notify to null where a notice for the queue went out a moment ago.
WITH inserted AS (
  INSERT INTO task
    (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes,
     claim_no, revision, timeout_us, created_at_us, unique_key, root_id, parent_id, schedule_id,
     tags, traceparent, payload, carry)
  VALUES
    (:tenant, :id, :kind, :queue, 'pending', :lane, :cost,
     COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0,
     0, 0, :timeout_us, :now_us, :unique_key, :root_id, :parent_id, :schedule_id,
     :tags, :traceparent, :payload, :carry)
  ON CONFLICT DO NOTHING
  RETURNING id
)
SELECT id, CASE WHEN :notify IS NOT NULL THEN pg_notify('tenure', :notify)::text END
FROM inserted

-- name: insert_tasks
-- Differs from SQLite: all rows in one statement.
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes,
   claim_no, revision, timeout_us, created_at_us, unique_key, root_id, parent_id, schedule_id,
   tags, traceparent, payload, carry)
SELECT
  :tenant, given.id, :kind, :queue, 'pending', :lane, :cost,
  COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0,
  0, 0, :timeout_us, :now_us, given.unique_key, :root_id, :parent_id, :schedule_id,
  :tags, :traceparent, given.payload, :carry
FROM UNNEST(:id[], :payload[], :unique_key[]) AS given (id, payload, unique_key)
ON CONFLICT DO NOTHING
RETURNING id

-- name: insert_fresh_tasks
-- Differs from SQLite: all rows in one statement. Without ON CONFLICT it costs half.
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes,
   claim_no, revision, timeout_us, created_at_us, root_id, parent_id, schedule_id,
   tags, traceparent, payload, carry)
SELECT
  :tenant, given.id, :kind, :queue, 'pending', :lane, :cost,
  COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0,
  0, 0, :timeout_us, :now_us, :root_id, :parent_id, :schedule_id,
  :tags, :traceparent, given.payload, :carry
FROM UNNEST(:id[], :payload[]) AS given (id, payload)

-- name: lock_task
-- Differs from SQLite: what was read must still be so when the next statement writes.
SELECT state, claim_no, attempt, worker_id, claimed_at_us, schedule_id FROM task
WHERE tenant = :tenant AND id = :id
FOR UPDATE

-- name: claim_tasks
-- Differs from SQLite: many claim at once, so each skips the rows that another has locked.
-- Reads the head of each lane of the index task_ready, so that neither future nor ended tasks
-- are stepped over; a lane is asked only for what the lanes before it left free, so that no
-- row is locked that is not claimed. Rows are named by ctid: by key, the planner of a
-- prepared statement may prefer to read the whole table.
-- :spare is what the worker has free, :slots all that it has; a task that costs more than all
-- counts as all. :queue_spare and :queue_slots are the same of the queue, and counted apart: a
-- task may be all of a small worker and only part of its queue, or the reverse.
WITH
lane_0 AS MATERIALIZED (
  SELECT ctid AS place, lane, run_at_us, id, cost FROM task
  WHERE state = 'pending' AND queue = :queue AND lane = 0 AND run_at_us <= :now_us
  ORDER BY run_at_us LIMIT :limit
  FOR UPDATE SKIP LOCKED),
lane_1 AS MATERIALIZED (
  SELECT ctid AS place, lane, run_at_us, id, cost FROM task
  WHERE state = 'pending' AND queue = :queue AND lane = 1 AND run_at_us <= :now_us
  ORDER BY run_at_us LIMIT :limit - (SELECT COUNT(*) FROM lane_0)
  FOR UPDATE SKIP LOCKED),
lane_2 AS MATERIALIZED (
  SELECT ctid AS place, lane, run_at_us, id, cost FROM task
  WHERE state = 'pending' AND queue = :queue AND lane = 2 AND run_at_us <= :now_us
  ORDER BY run_at_us
  LIMIT :limit - (SELECT COUNT(*) FROM lane_0) - (SELECT COUNT(*) FROM lane_1)
  FOR UPDATE SKIP LOCKED),
lane_3 AS MATERIALIZED (
  SELECT ctid AS place, lane, run_at_us, id, cost FROM task
  WHERE state = 'pending' AND queue = :queue AND lane = 3 AND run_at_us <= :now_us
  ORDER BY run_at_us
  LIMIT :limit - (SELECT COUNT(*) FROM lane_0) - (SELECT COUNT(*) FROM lane_1)
    - (SELECT COUNT(*) FROM lane_2)
  FOR UPDATE SKIP LOCKED),
heads AS (
  SELECT * FROM lane_0 UNION ALL SELECT * FROM lane_1
  UNION ALL SELECT * FROM lane_2 UNION ALL SELECT * FROM lane_3),
summed AS (
  SELECT place,
    SUM(LEAST(cost, :slots)) OVER (
      ORDER BY lane, run_at_us, id ROWS UNBOUNDED PRECEDING) AS spent,
    SUM(LEAST(cost, :queue_slots)) OVER (
      ORDER BY lane, run_at_us, id ROWS UNBOUNDED PRECEDING) AS used
  FROM heads)
UPDATE task SET
  state = 'running', attempt = attempt + 1, claim_no = claim_no + 1, worker_id = :worker_id,
  claimed_at_us = :now_us, lease_expires_at_us = :now_us + :lease_us,
  deadline_us = :now_us + timeout_us, progress = NULL
WHERE ctid = ANY (ARRAY(
  SELECT place FROM summed WHERE spent <= :spare AND used <= :queue_spare))
  AND state = 'pending'
  AND NOT EXISTS (
    SELECT 1 FROM queue
    WHERE queue.tenant = '' AND queue.name = :queue
      AND (queue.paused_at_us IS NOT NULL OR (queue.slots IS NOT NULL AND :limited = 0)))
RETURNING {claim_columns}

-- name: next_dues
-- For each of the queues, a JSON array of names, the microseconds until its next task is due, in
-- whatever lane; null if there is none. Reads the first entry of each lane of task_ready. (A MIN
-- in place of each ORDER BY would read the whole lane where the planner takes it for short.)
SELECT given.name, LEAST(
  (SELECT run_at_us FROM task
   WHERE state = 'pending' AND queue = given.name AND lane = 0 ORDER BY run_at_us LIMIT 1),
  (SELECT run_at_us FROM task
   WHERE state = 'pending' AND queue = given.name AND lane = 1 ORDER BY run_at_us LIMIT 1),
  (SELECT run_at_us FROM task
   WHERE state = 'pending' AND queue = given.name AND lane = 2 ORDER BY run_at_us LIMIT 1),
  (SELECT run_at_us FROM task
   WHERE state = 'pending' AND queue = given.name AND lane = 3 ORDER BY run_at_us LIMIT 1)) - :now_us
FROM json_array_elements_text(CAST(:queues AS json)) AS given (name)

-- name: settle_tasks
-- Differs from SQLite: all rows in one statement, locked in the order they are given in. (The
-- empty text keeps the planner from starting at the index of running tasks, here and below.)
-- A task that was asked to cancel does not come back to life; settle_cancelled ends it.
UPDATE task SET
  state = given.state, ended_at_us = CASE WHEN given.outlives = 0 THEN :now_us END,
  run_at_us = CASE WHEN given.state = 'pending' THEN :now_us + given.delay_us
    ELSE run_at_us END,
  attempt = attempt - given.give_back, crashes = crashes + given.crashed,
  cause = given.cause, waiting_for = given.waiting_for, result = given.result,
  carry = COALESCE(given.carry, task.carry),
  lease_expires_at_us = NULL, deadline_us = NULL, revision = revision + 1
FROM UNNEST(:tenant[], :id[], :claim_no[], :state[], :outlives[], :delay_us[], :give_back[],
    :crashed[], :cause[], :waiting_for[], :result[], :carry[])
  AS given (tenant, id, claim_no, state, outlives, delay_us, give_back, crashed, cause,
    waiting_for, result, carry)
WHERE task.tenant = given.tenant AND task.id = given.id AND task.claim_no = given.claim_no
  AND task.state || '' = 'running'
  AND (given.outlives = 0 OR cancel_asked_at_us IS NULL)
RETURNING task.tenant, task.id, task.claim_no

-- name: settle_cancelled
UPDATE task SET
  state = 'cancelled', ended_at_us = :now_us, cause = 'cancelled',
  lease_expires_at_us = NULL, deadline_us = NULL, revision = revision + 1
FROM UNNEST(:tenant[], :id[], :claim_no[]) AS given (tenant, id, claim_no)
WHERE task.tenant = given.tenant AND task.id = given.id AND task.claim_no = given.claim_no
  AND task.state || '' = 'running' AND cancel_asked_at_us IS NOT NULL
RETURNING task.tenant, task.id, task.claim_no

-- name: renew_leases
UPDATE task SET lease_expires_at_us = :now_us + :lease_us
FROM UNNEST(:tenant[], :id[], :claim_no[]) AS given (tenant, id, claim_no)
WHERE task.tenant = given.tenant AND task.id = given.id AND task.claim_no = given.claim_no
  AND task.state || '' = 'running'
RETURNING task.tenant, task.id, task.claim_no

-- name: report_progress
UPDATE task SET progress = given.progress
FROM UNNEST(:tenant[], :id[], :claim_no[], :progress[]) AS given (tenant, id, claim_no, progress)
WHERE task.tenant = given.tenant AND task.id = given.id AND task.claim_no = given.claim_no
  AND task.state || '' = 'running'
RETURNING task.tenant, task.id, task.claim_no

-- name: expired_claims
-- Differs from SQLite: two reapers may look at once; each takes what the other has not locked.
SELECT {claim_columns}, cancel_asked_at_us FROM task
WHERE state = 'running' AND lease_expires_at_us <= :now_us
ORDER BY lease_expires_at_us
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: prune_tasks
-- Differs from SQLite: what another pruner deletes, or somebody revives, is skipped.
-- Leans on the index task_ended.
DELETE FROM task
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM task
  WHERE state = :state AND ended_at_us <= :now_us - :keep_us
  ORDER BY ended_at_us
  LIMIT :limit
  FOR UPDATE SKIP LOCKED))
RETURNING tenant, id
