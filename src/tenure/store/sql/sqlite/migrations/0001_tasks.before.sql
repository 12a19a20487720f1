-- The tables of the machine: tasks, their attempts, bodies and history, queues, workers, leader.
--
-- (Alternatives are spelled out with OR: SQLite makes a table of every IN list, for every row.)
-- Three constraints do the work of many tests: running if and only if leased, ended if and only
-- if it has an end, and one live task per unique key.

CREATE TABLE task (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL
    CONSTRAINT task_state CHECK (
      state = 'pending' OR state = 'running' OR state = 'waiting'
      OR state = 'completed' OR state = 'failed' OR state = 'cancelled'),
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  cost INTEGER NOT NULL CHECK (cost > 0),
  run_at_us INTEGER NOT NULL,
  attempt INTEGER NOT NULL CHECK (attempt >= 0),
  attempts_max INTEGER NOT NULL CHECK (attempts_max > 0),
  crashes INTEGER NOT NULL CHECK (crashes >= 0),
  claim_no INTEGER NOT NULL CHECK (claim_no >= 0),
  revision INTEGER NOT NULL,
  timeout_us INTEGER,
  deadline_us INTEGER,
  worker_id TEXT,
  claimed_at_us INTEGER,
  lease_expires_at_us INTEGER,
  cancel_asked_at_us INTEGER,
  waiting_for TEXT,
  created_at_us INTEGER NOT NULL,
  ended_at_us INTEGER,
  cause TEXT,
  unique_key TEXT,
  root_id TEXT,
  parent_id TEXT,
  schedule_id TEXT,
  tags TEXT,
  traceparent TEXT,
  payload BLOB,
  carry BLOB,
  result BLOB,
  progress BLOB,
  CONSTRAINT task_running_is_leased
    CHECK ((state = 'running') = (lease_expires_at_us IS NOT NULL)),
  CONSTRAINT task_ended_has_end
    CHECK ((state = 'completed' OR state = 'failed' OR state = 'cancelled')
      = (ended_at_us IS NOT NULL)),
  CONSTRAINT task_waiting_has_reason
    CHECK ((state = 'waiting') = (waiting_for IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX task_id ON task (tenant, id);
CREATE INDEX task_ready ON task (queue, lane, run_at_us) WHERE state = 'pending';
CREATE INDEX task_running ON task (queue, lease_expires_at_us) WHERE state = 'running';
CREATE INDEX task_cancel_asked ON task (worker_id)
  WHERE state = 'running' AND cancel_asked_at_us IS NOT NULL;
CREATE UNIQUE INDEX task_unique_key ON task (tenant, unique_key)
  WHERE unique_key IS NOT NULL AND ended_at_us IS NULL;
CREATE INDEX task_ended ON task (state, ended_at_us) WHERE ended_at_us IS NOT NULL;

-- Bodies over limits.inline_bytes_max, so that the rows that claims touch stay small.
CREATE TABLE task_body (
  tenant TEXT NOT NULL,
  task_id TEXT NOT NULL,
  part TEXT NOT NULL CHECK (part IN ('payload', 'carry', 'result')),
  body BLOB NOT NULL,
  PRIMARY KEY (tenant, task_id, part)
) STRICT;

CREATE TABLE attempt (
  tenant TEXT NOT NULL,
  task_id TEXT NOT NULL,
  claim_no INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker_id TEXT NOT NULL,
  started_at_us INTEGER NOT NULL,
  ended_at_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  error BLOB,
  PRIMARY KEY (tenant, task_id, claim_no)
) STRICT, WITHOUT ROWID;

-- What was done to a task from outside of an attempt.
CREATE TABLE task_event (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  task_id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

CREATE INDEX task_event_of_task ON task_event (tenant, task_id, seq);

CREATE TABLE queue (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  paused_at_us INTEGER,
  slots INTEGER CHECK (slots > 0),
  revision INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;

CREATE TABLE worker (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  queues TEXT NOT NULL,
  slots INTEGER NOT NULL,
  started_at_us INTEGER NOT NULL,
  seen_at_us INTEGER NOT NULL,
  stopping_at_us INTEGER,
  stuck INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE leader (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  worker_id TEXT NOT NULL,
  expires_at_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;
