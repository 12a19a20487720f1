-- name: log_attempts
INSERT INTO attempt
  (tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event, error)
VALUES
  (:tenant, :id, :claim_no, :attempt, :worker_id, :started_at_us, :now_us, :event, :error)

-- name: settled_attempts
SELECT tenant, task_id, claim_no, event FROM attempt
WHERE tenant = :tenant AND task_id = :id AND claim_no = :claim_no

-- name: put_bodies
INSERT INTO task_body (tenant, task_id, part, body) VALUES (:tenant, :id, :part, :body)
ON CONFLICT (tenant, task_id, part) DO UPDATE SET body = excluded.body

-- name: payload_bodies
SELECT tenant, task_id, part, body FROM task_body
WHERE tenant = :tenant AND task_id = :id AND part IN ('payload', 'carry')

-- name: prune_attempts
DELETE FROM attempt WHERE tenant = :tenant AND task_id = :id

-- name: prune_events
DELETE FROM task_event WHERE tenant = :tenant AND task_id = :id

-- name: prune_bodies
DELETE FROM task_body WHERE tenant = :tenant AND task_id = :id
