-- name: lock_queue
-- Differs from SQLite: claims of a limited queue must stand in line, or two would count the
-- same free slot.
SELECT paused_at_us, slots FROM queue WHERE tenant = '' AND name = :queue FOR UPDATE

-- name: queue_use
-- What runs in a queue now; no task counts for more than all of the queue's slots.
SELECT COALESCE(SUM(LEAST(cost, :slots)), 0)::bigint
FROM task WHERE state = 'running' AND queue = :queue
