-- name: show_place
-- Differs from PostgreSQL: a file is where it is.
SELECT file, '', (SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'task')
FROM pragma_database_list WHERE name = 'main'
