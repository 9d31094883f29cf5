-- outside a transaction
-- Names that the release before has kept, and may still be keeping, decomposed: maintenance composes
-- them, and a row that is composed leaves the index. `photo_api.http.composed_names` asks in these words.
DROP INDEX CONCURRENTLY IF EXISTS users_decomposed;
CREATE INDEX CONCURRENTLY users_decomposed ON users (id)
    WHERE username IS NOT NFC NORMALIZED;
DROP INDEX CONCURRENTLY IF EXISTS albums_decomposed;
CREATE INDEX CONCURRENTLY albums_decomposed ON albums (id)
    WHERE name IS NOT NFC NORMALIZED OR description IS NOT NFC NORMALIZED;
DROP INDEX CONCURRENTLY IF EXISTS photos_decomposed;
CREATE INDEX CONCURRENTLY photos_decomposed ON photos (id)
    WHERE title IS NOT NFC NORMALIZED OR description IS NOT NFC NORMALIZED
    OR original_filename IS NOT NFC NORMALIZED;
