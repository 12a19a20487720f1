-- fragment: schedule_columns
tenant, id, rule, text, zone, start_us, end_us, policies, kind, payload, queue, lane, cost,
attempts_max, timeout_us, tags, carry, origin, paused_at_us, trouble, cursor_us, steered_us,
next_fire_at_us, last_fired_at_us, held_by, floor_us, fired, revision, created_at_us,
updated_at_us

-- name: get_schedule
SELECT {schedule_columns}, :now_us FROM schedule WHERE tenant = :tenant AND id = :id

-- name: list_schedules
-- By id, a page at a time; an empty filter lets everything pass.
SELECT {schedule_columns} FROM schedule
WHERE tenant = :tenant AND id > :after_id
  AND (:origin = '' OR origin = :origin)
  AND (:kind = '' OR kind = :kind)
ORDER BY id
LIMIT :limit

-- name: walk_schedules
-- Everybody's, for those who look after all of them.
SELECT {schedule_columns} FROM schedule
WHERE (tenant, id) > (:tenant, :after_id)
ORDER BY tenant, id
LIMIT :limit

-- name: insert_schedule
-- The ledger outlives a schedule: one that is made anew under an old id goes on after it.
INSERT INTO schedule
  (tenant, id, rule, text, zone, start_us, end_us, policies, kind, payload, queue, lane, cost,
   attempts_max, timeout_us, tags, carry, origin, paused_at_us, trouble, cursor_us, steered_us,
   next_fire_at_us, last_fired_at_us, held_by, floor_us, fired, gap_us, turns, revision,
   created_at_us, updated_at_us)
VALUES
  (:tenant, :id, :rule, :text, :zone, :start_us, :end_us, :policies, :kind, :payload, :queue,
   :lane, :cost, :attempts_max, :timeout_us, :tags, :carry, :origin,
   CASE WHEN :paused = 1 THEN :now_us END, NULL, :cursor_us, NULL,
   :next_fire_at_us, NULL, NULL,
   COALESCE((SELECT MAX(instant_us) FROM fire
     WHERE fire.tenant = :tenant AND fire.schedule_id = :id AND instant_us <= :now_us), 0),
   0, :gap_us, :turns, 1, :now_us, :now_us)
ON CONFLICT (tenant, id) DO NOTHING
RETURNING id

-- name: update_schedule
UPDATE schedule SET
  rule = :rule, text = :text, zone = :zone, start_us = :start_us, end_us = :end_us,
  policies = :policies, kind = :kind, payload = :payload, queue = :queue, lane = :lane,
  cost = :cost, attempts_max = :attempts_max, timeout_us = :timeout_us, tags = :tags,
  origin = :origin, trouble = :trouble, cursor_us = :cursor_us, steered_us = :steered_us,
  next_fire_at_us = :next_fire_at_us, held_by = :held_by, gap_us = :gap_us, turns = :turns,
  revision = revision + 1, updated_at_us = :now_us
WHERE tenant = :tenant AND id = :id AND revision = :revision
RETURNING revision

-- name: pause_schedule
UPDATE schedule SET
  paused_at_us = :now_us, revision = revision + 1, updated_at_us = :now_us
WHERE tenant = :tenant AND id = :id AND paused_at_us IS NULL
RETURNING id

-- name: resume_schedule
UPDATE schedule SET
  paused_at_us = NULL, trouble = NULL, cursor_us = :cursor_us, steered_us = :steered_us,
  next_fire_at_us = :next_fire_at_us, revision = revision + 1, updated_at_us = :now_us
WHERE tenant = :tenant AND id = :id AND revision = :revision
RETURNING id

-- name: steer_schedule
-- A run, or a person, says when the next one is.
UPDATE schedule SET
  steered_us = :steered_us, next_fire_at_us = :steered_us, held_by = NULL,
  revision = revision + 1, updated_at_us = :now_us
WHERE tenant = :tenant AND id = :id
RETURNING id

-- name: set_schedule_carry
UPDATE schedule SET carry = :carry, revision = revision + 1, updated_at_us = :now_us
WHERE tenant = :tenant AND id = :id
RETURNING id

-- name: delete_schedule
DELETE FROM schedule WHERE tenant = :tenant AND id = :id RETURNING id

-- name: runs_of_schedule
SELECT {task_columns} FROM task
WHERE tenant = :tenant AND schedule_id = :id AND id < :before_id
ORDER BY id DESC
LIMIT :limit

-- name: fires_of_schedule
SELECT schedule_id, instant_us, verdict, task_id, at_us, note FROM fire
WHERE tenant = :tenant AND schedule_id = :id AND instant_us < :before_us
ORDER BY instant_us DESC
LIMIT :limit

-- name: next_schedule_due
-- Reads the first entry of the index schedule_due. (A MIN in place of the ORDER BY would read all
-- of it where the planner takes it for short.)
SELECT (
  SELECT next_fire_at_us FROM schedule
  WHERE next_fire_at_us IS NOT NULL AND paused_at_us IS NULL AND trouble IS NULL
  ORDER BY next_fire_at_us LIMIT 1) - :now_us, :now_us

-- name: get_mark
SELECT at_us, :now_us FROM mark WHERE name = :name

-- name: put_mark
INSERT INTO mark (name, at_us) VALUES (:name, :now_us)
ON CONFLICT (name) DO UPDATE SET at_us = excluded.at_us
RETURNING at_us

-- name: get_calendar
SELECT name, document, updated_at_us FROM calendar WHERE tenant = :tenant AND name = :name

-- name: list_calendars
SELECT name, document, updated_at_us FROM calendar WHERE tenant = :tenant AND name > :after_id
ORDER BY name
LIMIT :limit

-- name: put_calendar
INSERT INTO calendar (tenant, name, document, revision, updated_at_us)
VALUES (:tenant, :name, :document, 1, :now_us)
ON CONFLICT (tenant, name) DO UPDATE SET
  document = excluded.document, revision = calendar.revision + 1,
  updated_at_us = excluded.updated_at_us
RETURNING name

-- name: delete_calendar
DELETE FROM calendar WHERE tenant = :tenant AND name = :name RETURNING name

-- name: stuck_holds
-- Schedules that wait for the end of a run that is not there any more.
-- Leans on the index schedule_held.
SELECT tenant, id, held_by FROM schedule
WHERE held_by IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM task
  WHERE task.tenant = schedule.tenant AND task.id = schedule.held_by
    AND task.ended_at_us IS NULL)
ORDER BY tenant, held_by
LIMIT :limit

-- name: stuck_turns
-- Schedules whose runs wait for their turn, with none of them under way.
SELECT DISTINCT tenant, schedule_id FROM task
WHERE schedule_id IS NOT NULL AND ended_at_us IS NULL
  AND state = 'waiting' AND waiting_for = 'turn'
  AND NOT EXISTS (
    SELECT 1 FROM task AS other
    WHERE other.tenant = task.tenant AND other.schedule_id = task.schedule_id
      AND other.ended_at_us IS NULL
      AND NOT (other.state = 'waiting' AND other.waiting_for = 'turn'))
LIMIT :limit
