-- outside a transaction
-- Each filter has its photos in the order of their dates. All but the last are of few photos, or of
-- those that have what is asked for.
DROP INDEX CONCURRENTLY IF EXISTS photos_favourite;
CREATE INDEX CONCURRENTLY photos_favourite ON photos (owner_id, sort_at DESC, id DESC)
    WHERE status = 'ready' AND favourite;
DROP INDEX CONCURRENTLY IF EXISTS photos_unarchived;
CREATE INDEX CONCURRENTLY photos_unarchived ON photos (owner_id, sort_at DESC, id DESC)
    WHERE status = 'ready' AND NOT archived;
DROP INDEX CONCURRENTLY IF EXISTS photos_unrendered;
CREATE INDEX CONCURRENTLY photos_unrendered ON photos (owner_id, sort_at DESC, id DESC)
    WHERE status = 'ready' AND thumbnail_key IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS photos_without_place;
CREATE INDEX CONCURRENTLY photos_without_place ON photos (owner_id, sort_at DESC, id DESC)
    WHERE status = 'ready' AND latitude IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS photos_by_camera;
CREATE INDEX CONCURRENTLY photos_by_camera ON photos (owner_id, camera, sort_at DESC, id DESC)
    WHERE status = 'ready' AND camera IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS photos_by_type;
CREATE INDEX CONCURRENTLY photos_by_type ON photos (owner_id, content_type, sort_at DESC, id DESC)
    WHERE status = 'ready';
-- The owner comes first, so that each has pages of their own; then dates, by their distance from one that
-- is later than all: newest first, in a box.
DROP INDEX CONCURRENTLY IF EXISTS photos_by_place;
CREATE INDEX CONCURRENTLY photos_by_place ON photos USING gist (
    point(owner_id::float8, 0), point(date_part('epoch', sort_at), 0), point(longitude, latitude)
    ) WHERE status = 'ready' AND latitude IS NOT NULL;
-- Without a list of what waits, which every search would read.
DROP INDEX CONCURRENTLY IF EXISTS photo_search_keys;
CREATE INDEX CONCURRENTLY photo_search_keys ON photo_search USING gin (keys) WITH (fastupdate = off);
