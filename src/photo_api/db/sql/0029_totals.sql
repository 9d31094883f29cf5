-- How many rows there are, told without reading them. Who adds or takes rows away leaves the difference,
-- in the same transaction and waiting for nobody; whoever maintains the fleet adds the differences up.
-- The sum of a total and the changes that are left is exact at any time, in one snapshot.
CREATE TABLE totals (
    name text NOT NULL,
    kind text NOT NULL DEFAULT '',
    rows bigint NOT NULL,
    bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (name, kind)
);
COMMENT ON TABLE totals IS 'SELECT count_totals() counts them anew';
CREATE TABLE total_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL DEFAULT '',
    rows bigint NOT NULL,
    bytes bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE total_changes IS 'what is not in `totals` yet; empty but for the last seconds';

-- A link that has expired counts no more, which no statement tells at that moment.
ALTER TABLE shares ADD COLUMN expiry_counted boolean NOT NULL DEFAULT false;

CREATE FUNCTION count_users_and_albums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows)
    SELECT TG_TABLE_NAME, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END FROM changed
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- One that is begun is none yet: the triggers' conditions keep it out.
CREATE FUNCTION count_new_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows, bytes) VALUES ('photos', 1, NEW.file_size);
    RETURN NULL;
END $$;

CREATE FUNCTION count_deleted_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows, bytes)
    SELECT 'photos', -count(*), -sum(file_size) FROM changed WHERE status = 'ready'
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows, bytes) VALUES ('photos',
        (NEW.status = 'ready')::int - (OLD.status = 'ready')::int,
        (NEW.status = 'ready')::int * NEW.file_size - (OLD.status = 'ready')::int * OLD.file_size);
    RETURN NULL;
END $$;

CREATE FUNCTION count_shares() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows)
    SELECT 'shares', CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END FROM changed
    WHERE is_active AND NOT expiry_counted HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_share() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, rows) VALUES ('shares',
        CASE WHEN NEW.is_active AND NOT NEW.expiry_counted THEN 1 ELSE -1 END);
    RETURN NULL;
END $$;

-- Jobs that are queued or leased, by kind, and dead ones. A lease changes none of the two.
CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, kind, rows)
    SELECT CASE state WHEN 'dead' THEN 'dead_jobs' ELSE 'jobs' END, kind,
        CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END
    FROM changed GROUP BY 1, 2;
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO total_changes (name, kind, rows) VALUES
        ('jobs', NEW.kind, CASE NEW.state WHEN 'dead' THEN -1 ELSE 1 END),
        ('dead_jobs', NEW.kind, CASE NEW.state WHEN 'dead' THEN 1 ELSE -1 END);
    RETURN NULL;
END $$;

-- Reads everything, in one snapshot with the changes that are left, so that those and later ones count
-- upon it. Right at any time: nobody adds up meanwhile, and those who change rows do not wait.
CREATE FUNCTION count_totals() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE totals IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM totals;
    INSERT INTO totals (name, kind, rows, bytes)
    SELECT name, kind, sum(rows), sum(bytes) FROM (
        SELECT 'users' AS name, '' AS kind, count(*) AS rows, 0::numeric AS bytes FROM users
        UNION ALL SELECT 'albums', '', count(*), 0 FROM albums
        UNION ALL SELECT 'shares', '', count(*), 0 FROM shares WHERE is_active AND NOT expiry_counted
        UNION ALL SELECT 'photos', '', count(*), coalesce(sum(file_size), 0) FROM photos
            WHERE status = 'ready'
        UNION ALL SELECT CASE state WHEN 'dead' THEN 'dead_jobs' ELSE 'jobs' END, kind, count(*), 0
            FROM jobs GROUP BY 1, 2
        UNION ALL SELECT name, kind, -rows, -bytes FROM total_changes
    ) AS found GROUP BY name, kind;
END $$;
