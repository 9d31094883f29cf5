-- A turn is made by one transaction at a time and nobody waits for it: who did, with an album locked,
-- waited for one that wanted the album. A job without a turn gets one from maintenance.
CREATE OR REPLACE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('renditions', 'display') THEN
        NEW.user_id := coalesce((SELECT owner_id FROM photos WHERE id = NEW.subject_id), 0);
    ELSIF NEW.kind = 'shared_album' THEN
        NEW.user_id := coalesce((SELECT owner_id FROM albums WHERE id = NEW.subject_id), 0);
    END IF;
    IF NOT EXISTS (SELECT FROM job_turns WHERE user_id = NEW.user_id)
        AND pg_try_advisory_xact_lock(hashtextextended('turn ' || NEW.user_id, 0))
    THEN
        INSERT INTO job_turns (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END $$;
