-- outside a transaction
-- One statement after the other, so that none waits for a table while it keeps others from another one.
-- Changes before additions: a photo that has its date is none for the batches.
CREATE OR REPLACE TRIGGER photos_dated BEFORE UPDATE OF taken_at, exif, original_filename, file_modified_at,
    file_modified_offset, created_at, sort_at, utc_offset, date_source ON photos
    FOR EACH ROW EXECUTE FUNCTION date_photo();
CREATE OR REPLACE TRIGGER photos_dated_in BEFORE INSERT ON photos FOR EACH ROW EXECUTE FUNCTION date_photo();
CALL date_photos();
-- Whoever lists photos by their date reads the index alone.
DROP INDEX CONCURRENTLY IF EXISTS photos_by_date;
CREATE INDEX CONCURRENTLY photos_by_date ON photos (owner_id, sort_at DESC, id DESC)
    INCLUDE (width, height, favourite, archived) WHERE status = 'ready';
DROP INDEX CONCURRENTLY IF EXISTS photos_archived;
CREATE INDEX CONCURRENTLY photos_archived ON photos (owner_id, sort_at DESC, id DESC)
    INCLUDE (width, height, favourite, archived) WHERE status = 'ready' AND archived;
-- After the dates, each of which would leave two changes.
CREATE OR REPLACE TRIGGER photos_months_in AFTER INSERT ON photos FOR EACH ROW
    WHEN (NEW.status = 'ready') EXECUTE FUNCTION count_month_of_photo();
CREATE OR REPLACE TRIGGER photos_months AFTER UPDATE ON photos FOR EACH ROW
    WHEN ('ready' IN (OLD.status, NEW.status) AND ROW(OLD.status = 'ready', OLD.owner_id, OLD.archived,
        date_trunc('month', OLD.sort_at)) IS DISTINCT FROM ROW(NEW.status = 'ready', NEW.owner_id,
        NEW.archived, date_trunc('month', NEW.sort_at)))
    EXECUTE FUNCTION count_month_of_photo();
CREATE OR REPLACE TRIGGER photos_months_out AFTER DELETE ON photos
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_months_without_photos();
SELECT count_timeline();
