-- outside a transaction
-- Photos of the trash are in these alone: who uploads pays for none of them.
DROP INDEX CONCURRENTLY IF EXISTS photos_in_trash;
CREATE INDEX CONCURRENTLY photos_in_trash ON photos (owner_id, trashed_at, id) WHERE status = 'trashed';
DROP INDEX CONCURRENTLY IF EXISTS photos_trash_due;
CREATE INDEX CONCURRENTLY photos_trash_due ON photos (trashed_at) WHERE status = 'trashed';
DROP INDEX CONCURRENTLY IF EXISTS photos_trashed_content;
CREATE INDEX CONCURRENTLY photos_trashed_content ON photos (owner_id, sha256) INCLUDE (id) WHERE status = 'trashed';
-- With the id in it, it tells alone which photo has these bytes.
DROP INDEX CONCURRENTLY IF EXISTS photos_of_content;
CREATE INDEX CONCURRENTLY photos_of_content ON photos (owner_id, sha256) INCLUDE (id) WHERE status = 'ready';
DROP INDEX CONCURRENTLY IF EXISTS photos_by_content;
