-- name: lock_schedule
SELECT {schedule_columns}, :now_us FROM schedule WHERE tenant = :tenant AND id = :id

-- name: due_schedules
-- Leans on the index schedule_due.
SELECT {schedule_columns}, :now_us FROM schedule
WHERE next_fire_at_us <= :now_us AND paused_at_us IS NULL AND trouble IS NULL
ORDER BY next_fire_at_us
LIMIT :limit

-- name: live_runs
SELECT tenant, schedule_id, id, waiting_for FROM task
WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL
ORDER BY id

-- name: record_fires
-- echo: tenant, id, instant_us
INSERT INTO fire (tenant, schedule_id, instant_us, verdict, task_id, at_us, note)
VALUES (:tenant, :id, :instant_us, :verdict, :task_id, :now_us, :note)
ON CONFLICT DO NOTHING

-- name: fire_tasks
-- echo: id
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, timeout_us, created_at_us, schedule_id, tags, payload, carry, waiting_for)
VALUES
  (:tenant, :id, :kind, :queue,
   CASE WHEN :waiting_for IS NULL THEN 'pending' ELSE 'waiting' END,
   :lane, :cost, :run_at_us, 0, :attempts_max, 0, 0,
   0, :timeout_us, :now_us, :schedule_id, :tags, :payload, :carry, :waiting_for)
ON CONFLICT DO NOTHING

-- name: advance_schedules
UPDATE schedule SET
  cursor_us = :cursor_us, next_fire_at_us = :next_fire_at_us, steered_us = NULL,
  held_by = :held_by, fired = fired + :fired, trouble = :trouble,
  last_fired_at_us = CASE WHEN :fired > 0 THEN :now_us ELSE last_fired_at_us END
WHERE tenant = :tenant AND id = :id

-- name: replan_schedules
-- echo: tenant, id
-- Only if nothing has moved it since it was looked at.
UPDATE schedule SET next_fire_at_us = :next_fire_at_us, cursor_us = :cursor_us, trouble = :trouble
WHERE tenant = :tenant AND id = :id AND revision = :revision
  AND next_fire_at_us IS :was_next_us

-- name: hand_carry
-- Runs that have not begun have the newest state too.
UPDATE task SET carry = :carry
WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL AND attempt = 0
RETURNING id

-- name: lock_schedules_of_runs
-- Differs from PostgreSQL: there is one writer at a time, so nothing to lock.
SELECT tenant, id FROM schedule WHERE tenant = :tenant AND id = :id AND FALSE

-- name: waiting_turns
SELECT tenant, schedule_id FROM task
WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL
  AND state = 'waiting' AND waiting_for = 'turn'
LIMIT 1

-- name: store_carries
UPDATE schedule SET carry = :carry WHERE tenant = :tenant AND id = :id

-- name: release_schedules
-- echo: tenant, id
UPDATE schedule SET
  held_by = NULL,
  next_fire_at_us = CASE WHEN end_us IS NULL OR :now_us + gap_us <= end_us
    THEN :now_us + gap_us END
WHERE tenant = :tenant AND id = :id AND held_by = :task_id

-- name: wake_turns
-- The oldest run that waits for its turn, if no other is under way.
UPDATE task SET
  state = 'pending', waiting_for = NULL, revision = revision + 1,
  carry = COALESCE(
    (SELECT carry FROM schedule WHERE schedule.tenant = :tenant AND schedule.id = :id), carry)
WHERE rowid = (
    SELECT rowid FROM task
    WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL
      AND state = 'waiting' AND waiting_for = 'turn'
    ORDER BY id LIMIT 1)
  AND NOT EXISTS (
    SELECT 1 FROM task AS other
    WHERE other.tenant = :tenant AND other.schedule_id = :id AND other.ended_at_us IS NULL
      AND NOT (other.state = 'waiting' AND other.waiting_for = 'turn'))
RETURNING id, queue

-- name: prune_fires
-- Leans on the index fire_instant.
DELETE FROM fire
WHERE (tenant, schedule_id, instant_us) IN (
  SELECT tenant, schedule_id, instant_us FROM fire
  WHERE instant_us <= :now_us - :keep_us
  ORDER BY instant_us
  LIMIT :limit)
RETURNING tenant, schedule_id, instant_us

-- name: raise_floors
UPDATE schedule SET floor_us = MAX(floor_us, :floor_us) WHERE tenant = :tenant AND id = :id
