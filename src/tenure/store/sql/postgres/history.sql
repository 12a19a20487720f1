-- name: log_attempts
INSERT INTO attempt
  (tenant, task_id, claim_no, attempt, worker_id, started_at_us, ended_at_us, event, error)
SELECT
  tenant, task_id, claim_no, attempt, :worker_id, started_at_us, :now_us, event, error
FROM UNNEST(:tenant[], :id[], :claim_no[], :attempt[], :started_at_us[], :event[], :error[])
  AS given (tenant, task_id, claim_no, attempt, started_at_us, event, error)

-- name: settled_attempts
SELECT attempt.tenant, attempt.task_id, attempt.claim_no, attempt.event
FROM UNNEST(:tenant[], :id[], :claim_no[]) AS given (tenant, task_id, claim_no)
JOIN attempt USING (tenant, task_id, claim_no)

-- name: put_bodies
INSERT INTO task_body (tenant, task_id, part, body)
SELECT * FROM UNNEST(:tenant[], :id[], :part[], :body[])
ON CONFLICT (tenant, task_id, part) DO UPDATE SET body = excluded.body

-- name: payload_bodies
SELECT task_body.tenant, task_body.task_id, task_body.part, task_body.body
FROM UNNEST(:tenant[], :id[]) AS given (tenant, task_id)
JOIN task_body USING (tenant, task_id)
WHERE task_body.part IN ('payload', 'carry')

-- name: prune_attempts
DELETE FROM attempt USING UNNEST(:tenant[], :id[]) AS given (tenant, task_id)
WHERE attempt.tenant = given.tenant AND attempt.task_id = given.task_id

-- name: prune_events
DELETE FROM task_event USING UNNEST(:tenant[], :id[]) AS given (tenant, task_id)
WHERE task_event.tenant = given.tenant AND task_event.task_id = given.task_id

-- name: prune_bodies
DELETE FROM task_body USING UNNEST(:tenant[], :id[]) AS given (tenant, task_id)
WHERE task_body.tenant = given.tenant AND task_body.task_id = given.task_id
