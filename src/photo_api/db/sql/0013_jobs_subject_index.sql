-- outside a transaction
DROP INDEX CONCURRENTLY IF EXISTS jobs_of_subject;
CREATE INDEX CONCURRENTLY jobs_of_subject ON jobs (subject_id, kind);
