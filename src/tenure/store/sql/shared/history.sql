-- name: get_body
SELECT body FROM task_body WHERE tenant = :tenant AND task_id = :id AND part = :part

-- name: drop_result_body
DELETE FROM task_body WHERE tenant = :tenant AND task_id = :id AND part = 'result'
RETURNING part

-- name: attempts_of_task
SELECT tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event, error
FROM attempt
WHERE tenant = :tenant AND task_id = :id
ORDER BY claim_no DESC
LIMIT :limit

-- name: log_attempt
INSERT INTO attempt
  (tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event, error)
VALUES
  (:tenant, :id, :claim_no, :attempt, :worker_id, :started_at_us, :now_us, :event, :error)
RETURNING claim_no

-- name: log_event
INSERT INTO task_event (tenant, task_id, at_us, event, detail)
VALUES (:tenant, :id, :now_us, :event, :detail)
RETURNING at_us

-- name: events_of_task
SELECT at_us, event, detail FROM task_event
WHERE tenant = :tenant AND task_id = :id
ORDER BY seq DESC
LIMIT :limit
