-- Whose job it is, and when each user's last one began: users take turns. The trigger knows it for
-- the release before too; 0 stands for nobody.
ALTER TABLE jobs ADD COLUMN user_id bigint NOT NULL DEFAULT 0;
CREATE TABLE job_turns (
    user_id bigint PRIMARY KEY,
    last_lease timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX job_turns_order ON job_turns (last_lease);

CREATE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind = 'renditions' THEN
        NEW.user_id := coalesce((SELECT owner_id FROM photos WHERE id = NEW.subject_id), 0);
    END IF;
    INSERT INTO job_turns (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_take_turn BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION take_turn();

UPDATE jobs j SET user_id = p.owner_id FROM photos p WHERE p.id = j.subject_id AND j.kind = 'renditions';
INSERT INTO job_turns (user_id) SELECT DISTINCT user_id FROM jobs ON CONFLICT DO NOTHING;
