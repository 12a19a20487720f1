-- name: show_place
-- The server's start tells it from others with databases, and tables, of the same number.
SELECT current_database()::text,
  (EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000)::bigint::text,
  to_regclass('task')::oid::text
