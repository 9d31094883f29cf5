-- outside a transaction
-- Thumbnails come before display renditions, and are found without reading those. HEICs of the
-- release before, which made display renditions of shared photos only, are found without reading
-- all photos.
DROP INDEX CONCURRENTLY IF EXISTS jobs_thumbnails;
CREATE INDEX CONCURRENTLY jobs_thumbnails ON jobs (user_id, available_at)
    WHERE kind = 'renditions' AND state <> 'dead';
DROP INDEX CONCURRENTLY IF EXISTS photos_unshown;
CREATE INDEX CONCURRENTLY photos_unshown ON photos (id)
    WHERE status = 'ready' AND display_key IS NULL AND content_type IN ('image/heic', 'image/heif');
