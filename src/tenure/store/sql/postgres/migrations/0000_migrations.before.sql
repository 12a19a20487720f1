-- What has been applied. Created by the first migration, so that it is one like the others.

CREATE TABLE IF NOT EXISTS migration (
  number bigint NOT NULL,
  name text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('before', 'after')),
  checksum text NOT NULL,
  applied_at_us bigint NOT NULL,
  PRIMARY KEY (number)
);
