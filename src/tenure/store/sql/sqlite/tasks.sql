-- name: insert_task
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, timeout_us, created_at_us, unique_key, root_id, parent_id, schedule_id, tags,
   traceparent, payload, carry)
VALUES
  (:tenant, :id, :kind, :queue, 'pending', :lane, :cost,
   COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0, 0,
   0, :timeout_us, :now_us, :unique_key, :root_id, :parent_id, :schedule_id, :tags,
   :traceparent, :payload, :carry)
ON CONFLICT DO NOTHING
RETURNING id

-- name: insert_tasks
-- echo: id
-- Differs from PostgreSQL: one row each, run once per row in one transaction.
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, timeout_us, created_at_us, unique_key, root_id, parent_id, schedule_id, tags,
   traceparent, payload, carry)
VALUES
  (:tenant, :id, :kind, :queue, 'pending', :lane, :cost,
   COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0, 0,
   0, :timeout_us, :now_us, :unique_key, :root_id, :parent_id, :schedule_id, :tags,
   :traceparent, :payload, :carry)
ON CONFLICT DO NOTHING

-- name: insert_fresh_tasks
-- document: id, payload
-- Differs from PostgreSQL: the rows come as one JSON document, which binds each value once.
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, timeout_us, created_at_us, root_id, parent_id, schedule_id, tags, traceparent, payload,
   carry)
SELECT
  :tenant, value ->> 0, :kind, :queue, 'pending', :lane, :cost,
  COALESCE(:run_at_us, :now_us + :delay_us), 0, :attempts_max, 0, 0,
  0, :timeout_us, :now_us, :root_id, :parent_id, :schedule_id, :tags, :traceparent,
  unhex(value ->> 1), :carry
FROM json_each(:document)

-- name: lock_task
SELECT state, claim_no, attempt, worker_id, claimed_at_us, schedule_id FROM task
WHERE tenant = :tenant AND id = :id

-- name: claim_tasks
-- Differs from PostgreSQL: there is one writer at a time, so nobody else's locks to skip.
-- Reads the head of each lane of the index task_ready, so that neither future nor ended tasks
-- are stepped over. :spare is what the worker has free, :slots all that it has; a task that
-- costs more than all counts as all. :queue_spare and :queue_slots are the same of the queue, and
-- counted apart: a task may be all of a small worker and only part of its queue, or the reverse.
UPDATE task SET
  state = 'running', attempt = attempt + 1, claim_no = claim_no + 1, worker_id = :worker_id,
  claimed_at_us = :now_us, lease_expires_at_us = :now_us + :lease_us,
  deadline_us = :now_us + timeout_us, progress = NULL
WHERE rowid IN (
  SELECT row_no FROM (
    SELECT row_no,
      SUM(MIN(cost, :slots)) OVER (
        ORDER BY lane, run_at_us, row_no ROWS UNBOUNDED PRECEDING) AS spent,
      SUM(MIN(cost, :queue_slots)) OVER (
        ORDER BY lane, run_at_us, row_no ROWS UNBOUNDED PRECEDING) AS used
    FROM (
      SELECT * FROM (
        SELECT rowid AS row_no, lane, run_at_us, cost FROM task
        WHERE state = 'pending' AND queue = :queue AND lane = 0 AND run_at_us <= :now_us
        ORDER BY run_at_us LIMIT :limit)
      UNION ALL
      SELECT * FROM (
        SELECT rowid, lane, run_at_us, cost FROM task
        WHERE state = 'pending' AND queue = :queue AND lane = 1 AND run_at_us <= :now_us
        ORDER BY run_at_us LIMIT :limit)
      UNION ALL
      SELECT * FROM (
        SELECT rowid, lane, run_at_us, cost FROM task
        WHERE state = 'pending' AND queue = :queue AND lane = 2 AND run_at_us <= :now_us
        ORDER BY run_at_us LIMIT :limit)
      UNION ALL
      SELECT * FROM (
        SELECT rowid, lane, run_at_us, cost FROM task
        WHERE state = 'pending' AND queue = :queue AND lane = 3 AND run_at_us <= :now_us
        ORDER BY run_at_us LIMIT :limit)
      ORDER BY lane, run_at_us LIMIT :limit))
  WHERE spent <= :spare AND used <= :queue_spare)
  AND NOT EXISTS (
    SELECT 1 FROM queue
    WHERE queue.tenant = '' AND queue.name = :queue
      AND (queue.paused_at_us IS NOT NULL OR (queue.slots IS NOT NULL AND :limited = 0)))
RETURNING {claim_columns}

-- name: next_dues
-- For each of the queues, a JSON array of names, the microseconds until its next task is due, in
-- whatever lane; null if there is none. Reads the first entry of each lane of task_ready.
SELECT name, MIN(run_at_us) - :now_us FROM (
  SELECT given.name,
    (SELECT MIN(run_at_us) FROM task
     WHERE state = 'pending' AND queue = given.name AND lane = 0) AS run_at_us
  FROM (SELECT value AS name FROM json_each(:queues)) AS given
  UNION ALL
  SELECT given.name,
    (SELECT MIN(run_at_us) FROM task
     WHERE state = 'pending' AND queue = given.name AND lane = 1) AS run_at_us
  FROM (SELECT value AS name FROM json_each(:queues)) AS given
  UNION ALL
  SELECT given.name,
    (SELECT MIN(run_at_us) FROM task
     WHERE state = 'pending' AND queue = given.name AND lane = 2) AS run_at_us
  FROM (SELECT value AS name FROM json_each(:queues)) AS given
  UNION ALL
  SELECT given.name,
    (SELECT MIN(run_at_us) FROM task
     WHERE state = 'pending' AND queue = given.name AND lane = 3) AS run_at_us
  FROM (SELECT value AS name FROM json_each(:queues)) AS given)
GROUP BY name

-- name: settle_tasks
-- echo: tenant, id, claim_no
-- Differs from PostgreSQL: one row each, run once per row in one transaction.
-- A task that was asked to cancel does not come back to life; settle_cancelled ends it.
UPDATE task SET
  state = :state, ended_at_us = CASE WHEN :outlives = 0 THEN :now_us END,
  run_at_us = CASE WHEN :state = 'pending' THEN :now_us + :delay_us ELSE run_at_us END,
  attempt = attempt - :give_back, crashes = crashes + :crashed,
  cause = :cause, waiting_for = :waiting_for, result = :result, carry = COALESCE(:carry, carry),
  lease_expires_at_us = NULL, deadline_us = NULL, revision = revision + 1
WHERE tenant = :tenant AND id = :id AND claim_no = :claim_no AND state = 'running'
  AND (:outlives = 0 OR cancel_asked_at_us IS NULL)

-- name: settle_cancelled
-- echo: tenant, id, claim_no
UPDATE task SET
  state = 'cancelled', ended_at_us = :now_us, cause = 'cancelled',
  lease_expires_at_us = NULL, deadline_us = NULL, revision = revision + 1
WHERE tenant = :tenant AND id = :id AND claim_no = :claim_no AND state = 'running'
  AND cancel_asked_at_us IS NOT NULL

-- name: renew_leases
-- echo: tenant, id, claim_no
UPDATE task SET lease_expires_at_us = :now_us + :lease_us
WHERE tenant = :tenant AND id = :id AND claim_no = :claim_no AND state = 'running'

-- name: report_progress
-- echo: tenant, id, claim_no
UPDATE task SET progress = :progress
WHERE tenant = :tenant AND id = :id AND claim_no = :claim_no AND state = 'running'

-- name: expired_claims
SELECT {claim_columns}, cancel_asked_at_us FROM task
WHERE state = 'running' AND lease_expires_at_us <= :now_us
ORDER BY lease_expires_at_us
LIMIT :limit

-- name: prune_tasks
-- Leans on the index task_ended.
DELETE FROM task
WHERE rowid IN (
  SELECT rowid FROM task
  WHERE state = :state AND ended_at_us <= :now_us - :keep_us
  ORDER BY ended_at_us
  LIMIT :limit)
RETURNING tenant, id
