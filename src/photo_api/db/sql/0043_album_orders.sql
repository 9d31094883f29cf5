-- In which order an album is shown, and the date of each photo in it: whoever shows an album by date reads
-- this table's index alone.
ALTER TABLE albums ADD CONSTRAINT albums_sort_check
    CHECK (sort IN ('position', '-position', 'taken', '-taken')) NOT VALID;
COMMENT ON COLUMN albums.sort IS 'what the album is sorted by; `-` is from the last to the first';

-- Whoever puts a photo into an album has locked it: its date does not change meanwhile.
CREATE FUNCTION date_in_album() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sort_at := (SELECT sort_at FROM photos WHERE id = NEW.photo_id);
    RETURN NEW;
END $$;

-- Photos, then albums in the order of their ids, then what is in them, as all that lock them.
CREATE FUNCTION date_in_albums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT a.id FROM after a JOIN before b USING (id) WHERE a.sort_at <> b.sort_at);
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM FROM albums WHERE id IN (SELECT album_id FROM album_photos WHERE photo_id = ANY (ids))
        ORDER BY id FOR NO KEY UPDATE;
        UPDATE album_photos m SET sort_at = a.sort_at FROM after a
        WHERE m.photo_id = ANY (ids) AND a.id = m.photo_id;
    END IF;
    RETURN NULL;
END $$;

-- Photos that were in albums before, some at a time, so that nobody waits for long.
CREATE PROCEDURE date_albums() LANGUAGE plpgsql AS $$
DECLARE
    beyond bigint := 0;
    ids bigint[];
BEGIN
    LOOP
        ids := ARRAY(SELECT DISTINCT photo_id FROM album_photos WHERE photo_id > beyond
            ORDER BY photo_id LIMIT 2000);
        EXIT WHEN cardinality(ids) = 0;
        PERFORM FROM photos WHERE id = ANY (ids) ORDER BY id FOR SHARE;
        PERFORM FROM albums WHERE id IN (SELECT album_id FROM album_photos WHERE photo_id = ANY (ids))
        ORDER BY id FOR NO KEY UPDATE;
        UPDATE album_photos m SET sort_at = p.sort_at FROM photos p
        WHERE m.photo_id = ANY (ids) AND p.id = m.photo_id AND m.sort_at IS DISTINCT FROM p.sort_at;
        COMMIT;
        beyond := ids[cardinality(ids)];
    END LOOP;
END $$;
