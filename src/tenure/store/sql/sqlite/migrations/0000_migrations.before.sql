-- What has been applied. Created by the first migration, so that it is one like the others.

CREATE TABLE IF NOT EXISTS migration (
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('before', 'after')),
  checksum TEXT NOT NULL,
  applied_at_us INTEGER NOT NULL,
  PRIMARY KEY (number)
) STRICT;
