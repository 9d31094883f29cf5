-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS users_email_fold_key;
CREATE UNIQUE INDEX CONCURRENTLY users_email_fold_key ON users (email_fold);
DROP INDEX CONCURRENTLY IF EXISTS users_without_fold;
CREATE INDEX CONCURRENTLY users_without_fold ON users (id) WHERE email_fold IS NULL;
