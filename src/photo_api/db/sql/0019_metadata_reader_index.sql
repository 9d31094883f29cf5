-- outside a transaction
-- A photo that was read anew leaves it. `photo_api.renditions.rereading` asks in these words.
DROP INDEX CONCURRENTLY IF EXISTS photos_to_read;
CREATE INDEX CONCURRENTLY photos_to_read ON photos (id)
    WHERE status = 'ready' AND renditions <> 'pending' AND metadata_reader = 0;
