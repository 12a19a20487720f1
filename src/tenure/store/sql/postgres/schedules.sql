-- name: lock_schedule
-- Differs from SQLite: what was read must still be so when the next statement writes.
SELECT {schedule_columns}, :now_us FROM schedule WHERE tenant = :tenant AND id = :id FOR UPDATE

-- name: due_schedules
-- Differs from SQLite: two schedulers may look at once; each takes what the other has not locked.
-- Leans on the index schedule_due.
SELECT {schedule_columns}, :now_us FROM schedule
WHERE next_fire_at_us <= :now_us AND paused_at_us IS NULL AND trouble IS NULL
ORDER BY next_fire_at_us
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: live_runs
SELECT task.tenant, task.schedule_id, task.id, task.waiting_for
FROM UNNEST(:tenant[], :id[]) AS given (tenant, id)
JOIN task ON task.tenant = given.tenant AND task.schedule_id = given.id
  AND task.ended_at_us IS NULL
ORDER BY task.id

-- name: record_fires
INSERT INTO fire (tenant, schedule_id, instant_us, verdict, task_id, at_us, note)
SELECT given.tenant, given.id, given.instant_us, given.verdict, given.task_id, :now_us, given.note
FROM UNNEST(:tenant[], :id[], :instant_us[], :verdict[], :task_id[], :note[])
  AS given (tenant, id, instant_us, verdict, task_id, note)
ON CONFLICT DO NOTHING
RETURNING tenant, schedule_id, instant_us

-- name: fire_tasks
INSERT INTO task
  (tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes, claim_no,
   revision, timeout_us, created_at_us, schedule_id, tags, payload, carry, waiting_for)
SELECT
  given.tenant, given.id, given.kind, given.queue,
  CASE WHEN given.waiting_for IS NULL THEN 'pending' ELSE 'waiting' END,
  given.lane, given.cost, given.run_at_us, 0, given.attempts_max, 0, 0,
  0, given.timeout_us, :now_us, given.schedule_id, given.tags, given.payload, given.carry,
  given.waiting_for
FROM UNNEST(:tenant[], :id[], :kind[], :queue[], :lane[], :cost[], :run_at_us[], :attempts_max[],
    :timeout_us[], :schedule_id[], :tags[], :payload[], :carry[], :waiting_for[])
  AS given (tenant, id, kind, queue, lane, cost, run_at_us, attempts_max, timeout_us, schedule_id,
    tags, payload, carry, waiting_for)
ON CONFLICT DO NOTHING
RETURNING id

-- name: advance_schedules
UPDATE schedule SET
  cursor_us = given.cursor_us, next_fire_at_us = given.next_fire_at_us, steered_us = NULL,
  held_by = given.held_by, fired = schedule.fired + given.fired, trouble = given.trouble,
  last_fired_at_us = CASE WHEN given.fired > 0 THEN :now_us ELSE last_fired_at_us END
FROM UNNEST(:tenant[], :id[], :cursor_us[], :next_fire_at_us[], :held_by[], :fired[], :trouble[])
  AS given (tenant, id, cursor_us, next_fire_at_us, held_by, fired, trouble)
WHERE schedule.tenant = given.tenant AND schedule.id = given.id

-- name: replan_schedules
-- Only if nothing has moved it since it was looked at.
UPDATE schedule SET
  next_fire_at_us = given.next_fire_at_us, cursor_us = given.cursor_us, trouble = given.trouble
FROM UNNEST(:tenant[], :id[], :revision[], :was_next_us[], :next_fire_at_us[],
    :cursor_us[], :trouble[])
  AS given (tenant, id, revision, was_next_us, next_fire_at_us, cursor_us, trouble)
WHERE schedule.tenant = given.tenant AND schedule.id = given.id
  AND schedule.revision = given.revision
  AND schedule.next_fire_at_us IS NOT DISTINCT FROM given.was_next_us
RETURNING schedule.tenant, schedule.id

-- name: hand_carry
-- Runs that have not begun have the newest state too. Differs from SQLite: one that is being
-- claimed or ended just now is past that; to wait for it here, with the schedule locked, would
-- be to wait in a circle.
UPDATE task SET carry = :carry
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM task
  WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL AND attempt = 0
  FOR UPDATE SKIP LOCKED))
RETURNING id

-- name: lock_schedules_of_runs
-- Differs from SQLite: a fire that reads which runs are under way holds the same lock, so that
-- one of the two sees what the other has done. Others do not mind their runs.
SELECT schedule.tenant, schedule.id
FROM schedule JOIN UNNEST(:tenant[], :id[]) AS given (tenant, id)
  ON schedule.tenant = given.tenant AND schedule.id = given.id
WHERE schedule.turns = 1 OR schedule.gap_us IS NOT NULL
ORDER BY schedule.tenant, schedule.id
FOR UPDATE OF schedule

-- name: waiting_turns
SELECT DISTINCT task.tenant, task.schedule_id
FROM UNNEST(:tenant[], :id[]) AS given (tenant, id)
JOIN task ON task.tenant = given.tenant AND task.schedule_id = given.id
  AND task.ended_at_us IS NULL
WHERE task.state = 'waiting' AND task.waiting_for = 'turn'

-- name: store_carries
UPDATE schedule SET carry = given.carry
FROM UNNEST(:tenant[], :id[], :carry[]) AS given (tenant, id, carry)
WHERE schedule.tenant = given.tenant AND schedule.id = given.id

-- name: release_schedules
UPDATE schedule SET
  held_by = NULL,
  next_fire_at_us = CASE WHEN end_us IS NULL OR :now_us + gap_us <= end_us
    THEN :now_us + gap_us END
FROM UNNEST(:tenant[], :id[], :task_id[]) AS given (tenant, id, task_id)
WHERE schedule.tenant = given.tenant AND schedule.id = given.id
  AND schedule.held_by = given.task_id
RETURNING schedule.tenant, schedule.id

-- name: wake_turns
-- The oldest run that waits for its turn, if no other is under way. One that is being cancelled
-- just now is left alone: its end wakes the next.
UPDATE task SET
  state = 'pending', waiting_for = NULL, revision = revision + 1,
  carry = COALESCE(
    (SELECT carry FROM schedule WHERE schedule.tenant = :tenant AND schedule.id = :id), carry)
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM task
    WHERE tenant = :tenant AND schedule_id = :id AND ended_at_us IS NULL
      AND state = 'waiting' AND waiting_for = 'turn'
    ORDER BY id LIMIT 1
    FOR UPDATE SKIP LOCKED))
  AND NOT EXISTS (
    SELECT 1 FROM task AS other
    WHERE other.tenant = :tenant AND other.schedule_id = :id AND other.ended_at_us IS NULL
      AND NOT (other.state = 'waiting' AND other.waiting_for = 'turn'))
RETURNING id, queue

-- name: prune_fires
-- Differs from SQLite: what another pruner deletes is skipped. Leans on the index fire_instant.
DELETE FROM fire
WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM fire
  WHERE instant_us <= :now_us - :keep_us
  ORDER BY instant_us
  LIMIT :limit
  FOR UPDATE SKIP LOCKED))
RETURNING tenant, schedule_id, instant_us

-- name: raise_floors
UPDATE schedule SET floor_us = GREATEST(schedule.floor_us, given.floor_us)
FROM UNNEST(:tenant[], :id[], :floor_us[]) AS given (tenant, id, floor_us)
WHERE schedule.tenant = given.tenant AND schedule.id = given.id
