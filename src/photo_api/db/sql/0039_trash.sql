-- The trash. `album_photos` has photos that are ready alone, so that its counts and pages ask for nothing
-- else: what a photo in the trash was a part of stands beside, with its place and whether it was the cover.
CREATE TABLE trashed_memberships (
    photo_id bigint NOT NULL REFERENCES photos ON DELETE CASCADE,
    album_id bigint NOT NULL REFERENCES albums ON DELETE CASCADE,
    position bigint,
    was_cover boolean NOT NULL,
    PRIMARY KEY (photo_id, album_id)
);
COMMENT ON COLUMN trashed_memberships.position IS 'NULL is a cover that was not in its album';
CREATE INDEX trashed_memberships_album ON trashed_memberships (album_id);

CREATE FUNCTION files_of(photo photos) RETURNS TABLE (key text, bytes bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT key, bytes FROM (VALUES (photo.object_key, photo.file_size),
        (photo.thumbnail_key, photo.thumbnail_bytes), (photo.preview_key, photo.preview_bytes),
        (photo.display_key, photo.display_bytes)) AS file (key, bytes)
    WHERE key IS NOT NULL
$$;

-- Files of a photo in the trash are written down as objects whose time never comes. The release before
-- knows nothing of a trash: its `reconcile` would take them for objects without a row.
CREATE FUNCTION keep_bytes_from_sweep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unreferenced_objects (object_key, delete_after, bytes)
    SELECT key, 'infinity', bytes FROM files_of(NEW) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION refer_to_bytes_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM unreferenced_objects WHERE object_key IN (SELECT key FROM files_of(OLD));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION leave_bytes_to_sweep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unreferenced_objects AS known (object_key, delete_after, bytes)
    SELECT key, now(), bytes FROM files_of(OLD)
    ON CONFLICT (object_key) DO UPDATE SET delete_after = excluded.delete_after
        WHERE known.delete_after = 'infinity';
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER photos_deleted AFTER UPDATE OF status ON photos FOR EACH ROW
    WHEN (OLD.status IN ('ready', 'trashed') AND NEW.status = 'gone')
    EXECUTE FUNCTION leave_bytes_to_sweep();
CREATE TRIGGER photos_trashed AFTER UPDATE OF status ON photos FOR EACH ROW
    WHEN (OLD.status = 'ready' AND NEW.status = 'trashed') EXECUTE FUNCTION keep_bytes_from_sweep();
CREATE TRIGGER photos_restored AFTER UPDATE OF status ON photos FOR EACH ROW
    WHEN (OLD.status = 'trashed' AND NEW.status = 'ready') EXECUTE FUNCTION refer_to_bytes_again();

-- What is in the trash is told beside what is ready.
CREATE FUNCTION count_trashed_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows, bytes) VALUES ('trash',
        CASE NEW.status WHEN 'trashed' THEN 1 ELSE -1 END,
        CASE NEW.status WHEN 'trashed' THEN NEW.file_size ELSE -OLD.file_size END);
    RETURN NULL;
END $$;
CREATE TRIGGER trash_counted AFTER UPDATE OF status ON photos FOR EACH ROW
    WHEN ((OLD.status = 'trashed') <> (NEW.status = 'trashed')) EXECUTE FUNCTION count_trashed_photo();

CREATE OR REPLACE FUNCTION count_deleted_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows, bytes)
    SELECT CASE status WHEN 'ready' THEN 'photos' ELSE 'trash' END, -count(*), -sum(file_size)
    FROM changed WHERE status IN ('ready', 'trashed') GROUP BY status;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_totals() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE totals IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM totals;
    INSERT INTO totals (name, kind, rows, bytes)
    SELECT name, kind, sum(rows), sum(bytes) FROM (
        SELECT 'users' AS name, '' AS kind, count(*) AS rows, 0::numeric AS bytes FROM users
        UNION ALL SELECT 'albums', '', count(*), 0 FROM albums
        UNION ALL SELECT 'shares', '', count(*), 0 FROM shares WHERE is_active AND NOT expiry_counted
        UNION ALL SELECT CASE status WHEN 'ready' THEN 'photos' ELSE 'trash' END, '', count(*),
            sum(file_size) FROM photos WHERE status IN ('ready', 'trashed') GROUP BY status
        UNION ALL SELECT CASE state WHEN 'dead' THEN 'dead_jobs' ELSE 'jobs' END, kind, count(*), 0
            FROM jobs GROUP BY 1, 2
        UNION ALL SELECT name, kind, -rows, -bytes FROM total_changes
    ) AS found GROUP BY name, kind;
END $$;
