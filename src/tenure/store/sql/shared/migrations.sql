-- name: applied_migrations
SELECT number, name, phase, checksum, applied_at_us FROM migration ORDER BY number LIMIT :limit

-- name: record_migration
INSERT INTO migration (number, name, phase, checksum, applied_at_us)
VALUES (:number, :name, :phase, :checksum, :now_us)
RETURNING number
