-- name: lock_schema
-- Held until the transaction ends; the number is the word "tenure" in hexadecimal.
SELECT pg_advisory_xact_lock(128017116950117)::text

-- name: own_tables
-- Whatever may not be read is there too; information_schema would hide it.
SELECT relname::text FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND relname IN ('migration', 'task', 'task_body', 'attempt', 'task_event', 'queue', 'worker', 'leader')
ORDER BY relname

-- name: describe_schema
SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' '
  || COALESCE(collation_name, '-') || ' ' || is_nullable || ' ' || is_identity
FROM information_schema.columns WHERE table_schema = current_schema()
UNION ALL
SELECT 'index ' || indexname || ' ' || regexp_replace(indexdef, ' ON [^ ]*\.', ' ON ')
FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT 'constraint ' || conrelid::regclass::text || '.' || conname || ' '
  || pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'p', 'u')

-- name: send_notice
SELECT pg_notify('tenure', :topic)::text
