-- outside a transaction
-- One statement after the other, so that none waits for a table while it keeps others from another one.
CREATE OR REPLACE TRIGGER users_counted_in AFTER INSERT ON users
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users_and_albums();
CREATE OR REPLACE TRIGGER users_counted_out AFTER DELETE ON users
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users_and_albums();
CREATE OR REPLACE TRIGGER albums_counted_in AFTER INSERT ON albums
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users_and_albums();
CREATE OR REPLACE TRIGGER albums_counted_out AFTER DELETE ON albums
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users_and_albums();
CREATE OR REPLACE TRIGGER photos_counted_in AFTER INSERT ON photos FOR EACH ROW
    WHEN (NEW.status = 'ready') EXECUTE FUNCTION count_new_photo();
CREATE OR REPLACE TRIGGER photos_counted_out AFTER DELETE ON photos
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_photos();
CREATE OR REPLACE TRIGGER photos_counted AFTER UPDATE OF status, file_size ON photos FOR EACH ROW
    WHEN ('ready' IN (OLD.status, NEW.status)
        AND (OLD.status <> NEW.status OR OLD.file_size <> NEW.file_size))
    EXECUTE FUNCTION count_changed_photo();
CREATE OR REPLACE TRIGGER shares_counted_in AFTER INSERT ON shares
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_shares();
CREATE OR REPLACE TRIGGER shares_counted_out AFTER DELETE ON shares
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_shares();
CREATE OR REPLACE TRIGGER shares_counted AFTER UPDATE OF is_active, expiry_counted ON shares FOR EACH ROW
    WHEN ((OLD.is_active AND NOT OLD.expiry_counted) <> (NEW.is_active AND NOT NEW.expiry_counted))
    EXECUTE FUNCTION count_changed_share();
CREATE OR REPLACE TRIGGER jobs_counted_in AFTER INSERT ON jobs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_jobs();
CREATE OR REPLACE TRIGGER jobs_counted_out AFTER DELETE ON jobs
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_jobs();
CREATE OR REPLACE TRIGGER jobs_counted AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN ((OLD.state = 'dead') <> (NEW.state = 'dead'))
    EXECUTE FUNCTION count_changed_job();
DROP INDEX CONCURRENTLY IF EXISTS shares_expiring;
CREATE INDEX CONCURRENTLY shares_expiring ON shares (expires_at) WHERE is_active AND NOT expiry_counted;
-- What has waited longest, of each kind, and what has been dead for long.
DROP INDEX CONCURRENTLY IF EXISTS jobs_waiting;
CREATE INDEX CONCURRENTLY jobs_waiting ON jobs (kind, available_at) WHERE state = 'queued';
DROP INDEX CONCURRENTLY IF EXISTS jobs_dead;
CREATE INDEX CONCURRENTLY jobs_dead ON jobs (available_at) WHERE state = 'dead';
-- For the foreign key: with a user go photos of any status, whom no partial index has.
DROP INDEX CONCURRENTLY IF EXISTS photos_of_owner;
CREATE INDEX CONCURRENTLY photos_of_owner ON photos (owner_id);
SELECT count_totals();
