-- outside a transaction
-- Few at any time: those that were just confirmed, and those whose file is refused. Statistics count the
-- ones among them that wait for nobody (`photo_api.jobs.statistics`).
DROP INDEX CONCURRENTLY IF EXISTS photos_without_thumbnail;
CREATE INDEX CONCURRENTLY photos_without_thumbnail ON photos (id)
    WHERE status = 'ready' AND thumbnail_key IS NULL;
