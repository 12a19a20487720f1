-- name: lock_schema
-- Differs from PostgreSQL: the transaction holds the only write lock already.
SELECT 1

-- name: own_tables
SELECT name FROM sqlite_schema
WHERE type IN ('table', 'view')
  AND name IN ('migration', 'task', 'task_body', 'attempt', 'task_event', 'queue', 'worker', 'leader')
ORDER BY name

-- name: describe_schema
SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_schema
WHERE name NOT LIKE 'sqlite_%'

-- name: send_notice
-- Differs from PostgreSQL: the driver tells this process, and others look at the file.
SELECT :topic
