-- name: get_queue
SELECT name, paused_at_us, slots FROM queue WHERE tenant = '' AND name = :queue

-- name: list_queue_rows
SELECT name, paused_at_us, slots FROM queue WHERE tenant = '' ORDER BY name LIMIT :limit

-- name: next_queue_name
-- One step of a walk over the distinct queues: the next name after the given one that has a
-- pending or a running task. A DISTINCT would read every task, and so may a MIN.
SELECT MIN(name) FROM (
  SELECT (SELECT queue FROM task WHERE state = 'pending' AND queue > :queue
    ORDER BY queue LIMIT 1) AS name
  UNION ALL
  SELECT (SELECT queue FROM task WHERE state = 'running' AND queue > :queue
    ORDER BY queue LIMIT 1)
) AS heads

-- name: count_queue
-- Counts stop at the limit, so that a list of queues stays quick over any backlog.
SELECT
  (SELECT COUNT(*) FROM (
    SELECT 1 FROM task WHERE state = 'pending' AND queue = :queue
      AND lane IN (0, 1, 2, 3) AND run_at_us <= :now_us LIMIT :limit) AS due),
  (SELECT COUNT(*) FROM (
    SELECT 1 FROM task WHERE state = 'pending' AND queue = :queue
      AND lane IN (0, 1, 2, 3) AND run_at_us > :now_us LIMIT :limit) AS later),
  (SELECT COUNT(*) FROM (
    SELECT 1 FROM task WHERE state = 'running' AND queue = :queue LIMIT :limit) AS busy)

-- name: pause_queue
INSERT INTO queue (tenant, name, paused_at_us, slots, revision)
VALUES ('', :queue, :now_us, NULL, 1)
ON CONFLICT (tenant, name) DO UPDATE SET
  paused_at_us = COALESCE(queue.paused_at_us, excluded.paused_at_us),
  revision = queue.revision + 1
RETURNING name, paused_at_us, slots

-- name: resume_queue
INSERT INTO queue (tenant, name, paused_at_us, slots, revision)
VALUES ('', :queue, NULL, NULL, 1)
ON CONFLICT (tenant, name) DO UPDATE SET paused_at_us = NULL, revision = queue.revision + 1
RETURNING name, paused_at_us, slots

-- name: limit_queue
INSERT INTO queue (tenant, name, paused_at_us, slots, revision)
VALUES ('', :queue, NULL, :slots, 1)
ON CONFLICT (tenant, name) DO UPDATE SET slots = excluded.slots, revision = queue.revision + 1
RETURNING name, paused_at_us, slots
