-- name: register_worker
INSERT INTO worker
  (tenant, id, host, pid, version, queues, slots, started_at_us, seen_at_us, stopping_at_us, stuck)
VALUES
  ('', :worker_id, :host, :pid, :version, :queues, :slots, :now_us, :now_us, NULL, 0)
ON CONFLICT (tenant, id) DO UPDATE SET seen_at_us = excluded.seen_at_us
RETURNING id

-- name: beat_worker
-- No row means that the worker was forgotten while it slept; it registers anew.
UPDATE worker SET seen_at_us = :now_us, stuck = :stuck
WHERE tenant = '' AND id = :worker_id
RETURNING id

-- name: stop_worker
UPDATE worker SET stopping_at_us = COALESCE(stopping_at_us, :now_us)
WHERE tenant = '' AND id = :worker_id
RETURNING id

-- name: forget_worker
DELETE FROM worker WHERE tenant = '' AND id = :worker_id RETURNING id

-- name: forget_lost_workers
DELETE FROM worker
WHERE (tenant, id) IN (
  SELECT tenant, id FROM worker WHERE tenant = '' AND seen_at_us <= :now_us - :forget_us
  LIMIT :limit)
RETURNING id

-- name: list_workers
SELECT id, host, pid, version, queues, slots, started_at_us, seen_at_us, stopping_at_us, stuck
FROM worker WHERE tenant = ''
ORDER BY started_at_us, id
LIMIT :limit

-- name: elect
-- One row per office. Whoever holds it keeps it by asking again; anyone may take it once the
-- time is over. No row comes back to the one who did not get it.
INSERT INTO leader (tenant, name, worker_id, expires_at_us)
VALUES ('', :name, :worker_id, :now_us + :lease_us)
ON CONFLICT (tenant, name) DO UPDATE SET
  worker_id = excluded.worker_id, expires_at_us = excluded.expires_at_us
WHERE leader.worker_id = excluded.worker_id OR leader.expires_at_us <= :now_us
RETURNING worker_id

-- name: resign
DELETE FROM leader WHERE tenant = '' AND name = :name AND worker_id = :worker_id
RETURNING worker_id

-- name: clock
SELECT :now_us
