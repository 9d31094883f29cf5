-- What visitors of a share link get: the photo at full size without metadata. It is made of every
-- photo in a shared album. The triggers see to it for the release before too, which does not know it.
ALTER TABLE photos ADD COLUMN display_key text, ADD COLUMN display_type text;
ALTER TABLE shares ADD COLUMN allow_original boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('renditions', 'display') THEN
        NEW.user_id := coalesce((SELECT owner_id FROM photos WHERE id = NEW.subject_id), 0);
    ELSIF NEW.kind = 'shared_album' THEN
        NEW.user_id := coalesce((SELECT owner_id FROM albums WHERE id = NEW.subject_id), 0);
    END IF;
    INSERT INTO job_turns (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;

-- A job that waits will see what this transaction adds, for nobody leases it before that has ended.
CREATE FUNCTION look_through_album(album bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM jobs WHERE subject_id = album AND kind = 'shared_album' AND state = 'queued'
        LIMIT 1 FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO jobs (kind, subject_id) VALUES ('shared_album', album);
        PERFORM pg_notify('photo_api_jobs', '');
    END IF;
END $$;

CREATE FUNCTION share_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM look_through_album(NEW.album_id);
    RETURN NULL;
END $$;
CREATE TRIGGER shares_added AFTER INSERT ON shares FOR EACH ROW EXECUTE FUNCTION share_album();

CREATE FUNCTION share_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM look_through_album(album_id) FROM (SELECT DISTINCT album_id FROM added) AS albums
    WHERE EXISTS (SELECT FROM shares s WHERE s.album_id = albums.album_id AND s.is_active);
    RETURN NULL;
END $$;
CREATE TRIGGER album_photos_shared AFTER INSERT ON album_photos
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION share_photos();

CREATE FUNCTION leave_bytes_to_sweep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unreferenced_objects (object_key, delete_after)
    SELECT key, now() FROM unnest(ARRAY[OLD.object_key, OLD.thumbnail_key, OLD.preview_key,
        OLD.display_key]) AS key
    WHERE key IS NOT NULL ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER photos_deleted AFTER UPDATE OF status ON photos FOR EACH ROW
    WHEN (OLD.status = 'ready' AND NEW.status = 'gone') EXECUTE FUNCTION leave_bytes_to_sweep();

INSERT INTO jobs (kind, subject_id) SELECT 'shared_album', id FROM albums a
WHERE EXISTS (SELECT FROM shares s WHERE s.album_id = a.id AND s.is_active);
