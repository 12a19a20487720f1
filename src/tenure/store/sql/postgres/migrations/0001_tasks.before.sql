-- The tables of the machine: tasks, their attempts, bodies and history, queues, workers, leader.
--
-- Three constraints do the work of many tests: running if and only if leased, ended if and only
-- if it has an end, and one live task per unique key. Names and ids are compared as bytes
-- (COLLATE "C"): faster, and time-ordered ids stay in order whatever the database's locale.

CREATE TABLE task (
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  queue text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL
    CONSTRAINT task_state CHECK (
      state = 'pending' OR state = 'running' OR state = 'waiting'
      OR state = 'completed' OR state = 'failed' OR state = 'cancelled'),
  lane integer NOT NULL CHECK (lane BETWEEN 0 AND 3),
  cost integer NOT NULL CHECK (cost > 0),
  run_at_us bigint NOT NULL,
  attempt integer NOT NULL CHECK (attempt >= 0),
  attempts_max integer NOT NULL CHECK (attempts_max > 0),
  crashes integer NOT NULL CHECK (crashes >= 0),
  claim_no bigint NOT NULL CHECK (claim_no >= 0),
  revision bigint NOT NULL,
  timeout_us bigint,
  deadline_us bigint,
  worker_id text COLLATE "C",
  claimed_at_us bigint,
  lease_expires_at_us bigint,
  cancel_asked_at_us bigint,
  waiting_for text,
  created_at_us bigint NOT NULL,
  ended_at_us bigint,
  cause text,
  unique_key text COLLATE "C",
  root_id text,
  parent_id text,
  schedule_id text,
  tags text,
  traceparent text,
  payload bytea,
  carry bytea,
  result bytea,
  progress bytea,
  CONSTRAINT task_id PRIMARY KEY (tenant, id),
  CONSTRAINT task_running_is_leased
    CHECK ((state = 'running') = (lease_expires_at_us IS NOT NULL)),
  CONSTRAINT task_ended_has_end
    CHECK ((state = 'completed' OR state = 'failed' OR state = 'cancelled')
      = (ended_at_us IS NOT NULL)),
  CONSTRAINT task_waiting_has_reason
    CHECK ((state = 'waiting') = (waiting_for IS NOT NULL))
) WITH (
  -- A task is updated twice in its life; room on the page saves index churn, and early
  -- vacuums keep the head of the ready index free of dead entries.
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.1,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX task_ready ON task (queue, lane, run_at_us) WHERE state = 'pending';
CREATE INDEX task_running ON task (queue, lease_expires_at_us) WHERE state = 'running';
CREATE INDEX task_cancel_asked ON task (worker_id)
  WHERE state = 'running' AND cancel_asked_at_us IS NOT NULL;
CREATE UNIQUE INDEX task_unique_key ON task (tenant, unique_key)
  WHERE unique_key IS NOT NULL AND ended_at_us IS NULL;
CREATE INDEX task_ended ON task (state, ended_at_us) WHERE ended_at_us IS NOT NULL;

-- Bodies over limits.inline_bytes_max, so that the rows that claims touch stay small.
CREATE TABLE task_body (
  tenant text COLLATE "C" NOT NULL,
  task_id text COLLATE "C" NOT NULL,
  part text COLLATE "C" NOT NULL CHECK (part IN ('payload', 'carry', 'result')),
  body bytea NOT NULL,
  PRIMARY KEY (tenant, task_id, part)
);

CREATE TABLE attempt (
  tenant text COLLATE "C" NOT NULL,
  task_id text COLLATE "C" NOT NULL,
  claim_no bigint NOT NULL,
  attempt integer NOT NULL,
  worker_id text COLLATE "C" NOT NULL,
  started_at_us bigint NOT NULL,
  ended_at_us bigint NOT NULL,
  event text NOT NULL,
  error bytea,
  PRIMARY KEY (tenant, task_id, claim_no)
);

-- What was done to a task from outside of an attempt.
CREATE TABLE task_event (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text COLLATE "C" NOT NULL,
  task_id text COLLATE "C" NOT NULL,
  at_us bigint NOT NULL,
  event text NOT NULL,
  detail text NOT NULL
);

CREATE INDEX task_event_of_task ON task_event (tenant, task_id, seq);

CREATE TABLE queue (
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  paused_at_us bigint,
  slots integer CHECK (slots > 0),
  revision bigint NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE worker (
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  queues text NOT NULL,
  slots integer NOT NULL,
  started_at_us bigint NOT NULL,
  seen_at_us bigint NOT NULL,
  stopping_at_us bigint,
  stuck integer NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE leader (
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  worker_id text COLLATE "C" NOT NULL,
  expires_at_us bigint NOT NULL,
  PRIMARY KEY (tenant, name)
);
