-- A receipt that cannot be left, because its table is locked, full, gone or not ours to write, keeps
-- no instance from writing its state.
CREATE OR REPLACE FUNCTION leave_receipt() RETURNS trigger LANGUAGE plpgsql
SET lock_timeout = '500ms' AS $$
BEGIN
    IF NEW.state NOT IN ('stopped', 'lost') THEN
        DELETE FROM instance_receipts WHERE boot_id = NEW.boot_id AND ending = 'lost';
        RETURN NULL;
    END IF;
    INSERT INTO instance_receipts
        (boot_id, instance, version, ending, cause, was_ready, started_at, ended_at)
    SELECT NEW.boot_id, NEW.instance, NEW.version,
        CASE NEW.state WHEN 'lost' THEN 'lost' ELSE 'untold' END, NEW.cause,
        EXISTS (SELECT FROM instance_events e WHERE e.at >= NEW.started_at
            AND e.boot_id = NEW.boot_id AND e.event = 'ready'),
        NEW.started_at, CASE NEW.state WHEN 'stopped' THEN now() END
    ON CONFLICT DO NOTHING;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'no receipt of boot %: %', NEW.boot_id, SQLERRM;
    RETURN NULL;
END $$;
