-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS jobs_of_user;
CREATE INDEX CONCURRENTLY jobs_of_user ON jobs (user_id, available_at) WHERE state <> 'dead';
DROP INDEX CONCURRENTLY IF EXISTS jobs_leased;
CREATE INDEX CONCURRENTLY jobs_leased ON jobs (user_id) WHERE state = 'leased';
