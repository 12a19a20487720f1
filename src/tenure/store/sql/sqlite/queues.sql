-- name: lock_queue
SELECT paused_at_us, slots FROM queue WHERE tenant = '' AND name = :queue

-- name: queue_use
-- What runs in a queue now; no task counts for more than all of the queue's slots.
SELECT COALESCE(SUM(MIN(cost, :slots)), 0) FROM task WHERE state = 'running' AND queue = :queue
