-- One record for each end of an instance, kept when its row is gone. What nobody knows is NULL.
CREATE TABLE instance_receipts (
    boot_id uuid PRIMARY KEY,
    instance text NOT NULL,
    version text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    -- `untold`: it stopped, and said no more than that; `lost`: others declared it lost.
    ending text NOT NULL
        CHECK (ending IN ('drained', 'killed', 'broken_off', 'failed', 'untold', 'lost')),
    cause text,
    was_ready boolean,
    started_at timestamptz,
    asked_at timestamptz,
    ended_at timestamptz,
    requests_accepted bigint,
    requests_finished bigint,
    requests_cut bigint,
    untold integer,
    balancers integer,
    acknowledged integer,
    lame_duck_end text,
    registry_s double precision,
    lame_duck_s double precision,
    in_flight_s double precision,
    flush_s double precision,
    jobs_handed_back bigint,
    jobs_kept bigint,
    log_lines_lost bigint
);
CREATE INDEX instance_receipts_written ON instance_receipts (written_at);

-- Whoever writes that an instance has ended, the release before among them, leaves a record of it;
-- one that was taken for lost and lives has not ended. A receipt that cannot be
-- left, because its table is locked, full, gone or not ours to write, keeps no instance from writing
-- its state.
CREATE FUNCTION leave_receipt() RETURNS trigger LANGUAGE plpgsql
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
CREATE TRIGGER instances_ended AFTER INSERT OR UPDATE OF state ON instances
    FOR EACH ROW EXECUTE FUNCTION leave_receipt();
