-- How large renditions are, so that the bytes of deleted photos can be told. NULL is not known: the
-- release before does not note it.
ALTER TABLE photos ADD COLUMN thumbnail_bytes integer, ADD COLUMN preview_bytes integer,
    ADD COLUMN display_bytes bigint;
ALTER TABLE unreferenced_objects ADD COLUMN bytes bigint;

CREATE OR REPLACE FUNCTION leave_bytes_to_sweep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unreferenced_objects (object_key, delete_after, bytes)
    SELECT key, now(), bytes FROM (VALUES (OLD.object_key, OLD.file_size),
        (OLD.thumbnail_key, OLD.thumbnail_bytes), (OLD.preview_key, OLD.preview_bytes),
        (OLD.display_key, OLD.display_bytes)) AS file (key, bytes)
    WHERE key IS NOT NULL ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
