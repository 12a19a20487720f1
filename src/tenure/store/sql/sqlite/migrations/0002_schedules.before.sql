-- Schedules, the ledger of their instants, named calendars, and marks of time.
--
-- The ledger is what makes an instant fire once: the entry and the task are written in one
-- transaction, and an instant that has an entry gets no second one. What is older than the
-- schedule's floor may have been pruned from it, and never fires again.

CREATE TABLE schedule (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  rule TEXT NOT NULL
    CONSTRAINT schedule_rule CHECK (
      rule = 'interval' OR rule = 'cron' OR rule = 'rrule' OR rule = 'once' OR rule = 'calendar'),
  text TEXT NOT NULL,
  zone TEXT NOT NULL,
  start_us INTEGER,
  end_us INTEGER,
  policies TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  queue TEXT NOT NULL,
  lane INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 3),
  cost INTEGER NOT NULL CHECK (cost > 0),
  attempts_max INTEGER NOT NULL CHECK (attempts_max > 0),
  timeout_us INTEGER,
  tags TEXT,
  carry BLOB,
  origin TEXT NOT NULL,
  paused_at_us INTEGER,
  trouble TEXT,
  cursor_us INTEGER NOT NULL,
  steered_us INTEGER,
  next_fire_at_us INTEGER,
  last_fired_at_us INTEGER,
  held_by TEXT,
  floor_us INTEGER NOT NULL,
  fired INTEGER NOT NULL CHECK (fired >= 0),
  gap_us INTEGER,
  turns INTEGER NOT NULL CHECK (turns IN (0, 1)),
  revision INTEGER NOT NULL,
  created_at_us INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL,
  CONSTRAINT schedule_held_has_no_next CHECK (held_by IS NULL OR next_fire_at_us IS NULL),
  CONSTRAINT schedule_steered_is_next CHECK (steered_us IS NULL OR steered_us = next_fire_at_us)
) STRICT;

CREATE UNIQUE INDEX schedule_id ON schedule (tenant, id);
CREATE INDEX schedule_due ON schedule (next_fire_at_us)
  WHERE next_fire_at_us IS NOT NULL AND paused_at_us IS NULL AND trouble IS NULL;
CREATE INDEX schedule_held ON schedule (tenant, held_by) WHERE held_by IS NOT NULL;

CREATE TABLE fire (
  tenant TEXT NOT NULL,
  schedule_id TEXT NOT NULL,
  instant_us INTEGER NOT NULL,
  verdict TEXT NOT NULL
    CONSTRAINT fire_verdict CHECK (
      verdict = 'fired' OR verdict = 'missed' OR verdict = 'skipped'),
  task_id TEXT,
  at_us INTEGER NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (tenant, schedule_id, instant_us),
  CONSTRAINT fire_has_task CHECK ((verdict = 'fired') = (task_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX fire_instant ON fire (instant_us);

CREATE TABLE calendar (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  revision INTEGER NOT NULL,
  updated_at_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT;

-- When something was last done, by the store's clock.
CREATE TABLE mark (
  name TEXT PRIMARY KEY,
  at_us INTEGER NOT NULL
) STRICT;

-- The runs of a schedule, newest first, and those that have not ended.
CREATE INDEX task_of_schedule ON task (tenant, schedule_id, id) WHERE schedule_id IS NOT NULL;
CREATE INDEX task_live_run ON task (tenant, schedule_id, id)
  WHERE schedule_id IS NOT NULL AND ended_at_us IS NULL;
