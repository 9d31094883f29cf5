-- outside a transaction
-- How many of something a user may have at once, as `db/places.py` counts them. A row that is not there
-- is made when it is wanted.
CREATE TABLE IF NOT EXISTS places (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL,
    begun bigint NOT NULL,
    ended bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, kind)
);
COMMENT ON COLUMN places.ended IS 'how many of those begun had ended when they were last counted';
DROP INDEX CONCURRENTLY IF EXISTS photos_pending_of;
CREATE INDEX CONCURRENTLY photos_pending_of ON photos (owner_id, upload_expires_at) WHERE status = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS shares_working;
CREATE INDEX CONCURRENTLY shares_working ON shares (album_id) WHERE is_active;
