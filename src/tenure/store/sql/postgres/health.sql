-- name: describe_server
-- Differs from SQLite: it is the server, and this connection's part in it.
SELECT 'version', current_setting('server_version')
UNION ALL SELECT 'synchronous_commit', current_setting('synchronous_commit')
UNION ALL SELECT 'fsync', current_setting('fsync')
UNION ALL SELECT 'full_page_writes', current_setting('full_page_writes')
UNION ALL SELECT 'read_only', current_setting('transaction_read_only')
UNION ALL SELECT 'schema', COALESCE(current_schema()::text, '')
