-- Schedules, the ledger of their instants, named calendars, and marks of time.
--
-- The ledger is what makes an instant fire once: the entry and the task are written in one
-- transaction, and an instant that has an entry gets no second one. What is older than the
-- schedule's floor may have been pruned from it, and never fires again.

CREATE TABLE schedule (
  tenant text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  rule text COLLATE "C" NOT NULL
    CONSTRAINT schedule_rule CHECK (
      rule = 'interval' OR rule = 'cron' OR rule = 'rrule' OR rule = 'once' OR rule = 'calendar'),
  text text NOT NULL,
  zone text NOT NULL,
  start_us bigint,
  end_us bigint,
  policies text NOT NULL,
  kind text COLLATE "C" NOT NULL,
  payload bytea NOT NULL,
  queue text COLLATE "C" NOT NULL,
  lane integer NOT NULL CHECK (lane BETWEEN 0 AND 3),
  cost integer NOT NULL CHECK (cost > 0),
  attempts_max integer NOT NULL CHECK (attempts_max > 0),
  timeout_us bigint,
  tags text,
  carry bytea,
  origin text COLLATE "C" NOT NULL,
  paused_at_us bigint,
  trouble text,
  cursor_us bigint NOT NULL,
  steered_us bigint,
  next_fire_at_us bigint,
  last_fired_at_us bigint,
  held_by text COLLATE "C",
  floor_us bigint NOT NULL,
  fired bigint NOT NULL CHECK (fired >= 0),
  gap_us bigint,
  turns integer NOT NULL CHECK (turns IN (0, 1)),
  revision bigint NOT NULL,
  created_at_us bigint NOT NULL,
  updated_at_us bigint NOT NULL,
  CONSTRAINT schedule_id PRIMARY KEY (tenant, id),
  CONSTRAINT schedule_held_has_no_next CHECK (held_by IS NULL OR next_fire_at_us IS NULL),
  CONSTRAINT schedule_steered_is_next CHECK (steered_us IS NULL OR steered_us = next_fire_at_us)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX schedule_due ON schedule (next_fire_at_us)
  WHERE next_fire_at_us IS NOT NULL AND paused_at_us IS NULL AND trouble IS NULL;
CREATE INDEX schedule_held ON schedule (tenant, held_by) WHERE held_by IS NOT NULL;

CREATE TABLE fire (
  tenant text COLLATE "C" NOT NULL,
  schedule_id text COLLATE "C" NOT NULL,
  instant_us bigint NOT NULL,
  verdict text COLLATE "C" NOT NULL
    CONSTRAINT fire_verdict CHECK (
      verdict = 'fired' OR verdict = 'missed' OR verdict = 'skipped'),
  task_id text COLLATE "C",
  at_us bigint NOT NULL,
  note text NOT NULL,
  PRIMARY KEY (tenant, schedule_id, instant_us),
  CONSTRAINT fire_has_task CHECK ((verdict = 'fired') = (task_id IS NOT NULL))
);

CREATE INDEX fire_instant ON fire (instant_us);

CREATE TABLE calendar (
  tenant text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  document text NOT NULL,
  revision bigint NOT NULL,
  updated_at_us bigint NOT NULL,
  PRIMARY KEY (tenant, name)
);

-- When something was last done, by the store's clock.
CREATE TABLE mark (
  name text COLLATE "C" PRIMARY KEY,
  at_us bigint NOT NULL
);

-- The runs of a schedule, newest first, and those that have not ended.
CREATE INDEX task_of_schedule ON task (tenant, schedule_id, id) WHERE schedule_id IS NOT NULL;
CREATE INDEX task_live_run ON task (tenant, schedule_id, id)
  WHERE schedule_id IS NOT NULL AND ended_at_us IS NULL;
