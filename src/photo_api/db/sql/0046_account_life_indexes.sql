-- outside a transaction
-- Closed accounts are few, and found without reading the others; a user's sessions are found without
-- reading those that have ended.
DROP INDEX CONCURRENTLY IF EXISTS users_closed;
CREATE INDEX CONCURRENTLY users_closed ON users (id) WHERE closed_at IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS refresh_families_alive;
CREATE INDEX CONCURRENTLY refresh_families_alive ON refresh_families (user_id, created_at DESC)
    WHERE revoked_at IS NULL;
