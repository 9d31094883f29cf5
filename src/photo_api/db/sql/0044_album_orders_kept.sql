-- outside a transaction
CREATE OR REPLACE TRIGGER album_photos_dated BEFORE INSERT ON album_photos
    FOR EACH ROW EXECUTE FUNCTION date_in_album();
CREATE OR REPLACE TRIGGER photos_dated_in_albums AFTER UPDATE ON photos
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION date_in_albums();
CALL date_albums();
DROP INDEX CONCURRENTLY IF EXISTS album_photos_taken;
CREATE INDEX CONCURRENTLY album_photos_taken ON album_photos (album_id, sort_at, photo_id);
