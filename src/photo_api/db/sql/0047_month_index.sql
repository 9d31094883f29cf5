-- outside a transaction
-- A page of a month has photos that are shown alone, and is read from this index and nothing else: as many as
-- it may have, however many are archived between them.
DROP INDEX CONCURRENTLY IF EXISTS photos_shown;
CREATE INDEX CONCURRENTLY photos_shown ON photos (owner_id, sort_at DESC, id DESC)
    INCLUDE (width, height, favourite) WHERE status = 'ready' AND NOT archived;
DROP INDEX CONCURRENTLY IF EXISTS photos_unarchived;
-- Of all by their dates it is enough to know where they are.
DROP INDEX CONCURRENTLY IF EXISTS photos_dates;
CREATE INDEX CONCURRENTLY photos_dates ON photos (owner_id, sort_at DESC, id DESC) WHERE status = 'ready';
DROP INDEX CONCURRENTLY IF EXISTS photos_by_date;
