-- outside a transaction
-- One statement after the other, so that none waits for a table while it keeps others from another one. Triggers
-- for changes come before those for additions: what is added and not followed would stay behind.
CREATE OR REPLACE TRIGGER photos_searched AFTER UPDATE ON photos FOR EACH ROW
    WHEN ('ready' IN (OLD.status, NEW.status)
        AND ROW(OLD.status = 'ready', OLD.renditions = 'pending', OLD.search_text)
        IS DISTINCT FROM ROW(NEW.status = 'ready', NEW.renditions = 'pending', NEW.search_text))
    EXECUTE FUNCTION keep_search_keys();
CREATE OR REPLACE TRIGGER photos_searched_in AFTER INSERT ON photos FOR EACH ROW
    WHEN (NEW.status = 'ready') EXECUTE FUNCTION keep_search_keys();
CREATE OR REPLACE TRIGGER photos_without_album AFTER UPDATE ON photos FOR EACH ROW
    WHEN ('ready' IN (OLD.status, NEW.status) AND ROW(OLD.status = 'ready', OLD.sort_at, OLD.search_text IS NULL)
        IS DISTINCT FROM ROW(NEW.status = 'ready', NEW.sort_at, NEW.search_text IS NULL))
    EXECUTE FUNCTION look_for_album();
CREATE OR REPLACE TRIGGER photos_without_album_in AFTER INSERT ON photos FOR EACH ROW
    WHEN (NEW.status = 'ready') EXECUTE FUNCTION look_for_album();
CREATE OR REPLACE TRIGGER photos_forgotten AFTER DELETE ON photos
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION forget_photos();
CREATE OR REPLACE TRIGGER album_photos_found AFTER INSERT ON album_photos
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION have_an_album();
CREATE OR REPLACE TRIGGER album_photos_lost AFTER DELETE ON album_photos
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION leave_an_album();
-- Last: a photo that has its text is none for the batches, so nothing of it may be missed from then on.
CREATE OR REPLACE TRIGGER photos_described BEFORE UPDATE ON photos FOR EACH ROW
    WHEN (NEW.search_text IS NULL OR ROW(OLD.title, OLD.description, OLD.original_filename, OLD.exif)
        IS DISTINCT FROM ROW(NEW.title, NEW.description, NEW.original_filename, NEW.exif))
    EXECUTE FUNCTION describe_photo();
CREATE OR REPLACE TRIGGER photos_described_in BEFORE INSERT ON photos FOR EACH ROW EXECUTE FUNCTION describe_photo();
CALL describe_photos();
