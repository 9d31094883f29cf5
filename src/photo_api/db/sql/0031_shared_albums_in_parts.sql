-- How far a job that is done in parts has come; of a `shared_album` the position up to which the album was
-- looked through. Each look at a shared album would read all of it anew.
ALTER TABLE jobs ADD COLUMN progress bigint NOT NULL DEFAULT 0;

-- A job that waits, and has not passed this position, will see what this transaction adds behind it, for
-- nobody leases it before that has ended.
CREATE FUNCTION look_through_album(album bigint, after bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM jobs WHERE subject_id = album AND kind = 'shared_album' AND state = 'queued'
        AND progress <= after LIMIT 1 FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO jobs (kind, subject_id, progress) VALUES ('shared_album', album, after);
        PERFORM pg_notify('photo_api_jobs', '');
    END IF;
END $$;

-- For the release before, which calls it when it takes photos over.
CREATE OR REPLACE FUNCTION look_through_album(album bigint) RETURNS void LANGUAGE sql AS
    'SELECT look_through_album(album, 0)';

CREATE OR REPLACE FUNCTION share_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM look_through_album(NEW.album_id, 0);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION share_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM look_through_album(album_id, before) FROM (
        SELECT album_id, min(position) - 1 AS before FROM added GROUP BY album_id) AS albums
    WHERE EXISTS (SELECT FROM shares s WHERE s.album_id = albums.album_id AND s.is_active);
    RETURN NULL;
END $$;
