-- What a user's originals take: those that are uploaded, being uploaded or in the trash. Who changes photos
-- changes it at the end of the statement, users in the order of their ids, so that whoever holds the row
-- knows all that counts.
COMMENT ON COLUMN users.quota_bytes IS 'NULL is the setting that holds for everyone, 0 no bound';
COMMENT ON COLUMN users.used_bytes IS 'CALL count_used_bytes() counts it anew';

CREATE FUNCTION use_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change record;
BEGIN
    FOR change IN SELECT owner_id, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END * sum(file_size) AS bytes
        FROM changed WHERE status <> 'gone' GROUP BY owner_id ORDER BY owner_id
    LOOP
        UPDATE users SET used_bytes = used_bytes + change.bytes WHERE id = change.owner_id;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION settle_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change record;
BEGIN
    FOR change IN SELECT owner_id, sum(bytes) AS bytes FROM (
            SELECT owner_id, file_size AS bytes FROM after WHERE status <> 'gone'
            UNION ALL SELECT owner_id, -file_size FROM before WHERE status <> 'gone') AS both_sides
        GROUP BY owner_id HAVING sum(bytes) <> 0 ORDER BY owner_id
    LOOP
        UPDATE users SET used_bytes = used_bytes + change.bytes WHERE id = change.owner_id;
    END LOOP;
    RETURN NULL;
END $$;

-- Right at any time: while a user's row is locked, nobody who changes their photos gets to its end, and the
-- statement behind the lock sees what all that had it before have changed.
CREATE PROCEDURE count_used_bytes() LANGUAGE plpgsql AS $$
DECLARE
    last bigint := 0;
    ids bigint[];
BEGIN
    LOOP
        ids := ARRAY(SELECT id FROM users WHERE id > last ORDER BY id LIMIT 50);
        EXIT WHEN cardinality(ids) = 0;
        PERFORM FROM users WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
        UPDATE users SET used_bytes = found.bytes FROM (
            SELECT one.id, (SELECT coalesce(sum(file_size), 0) FROM photos
                WHERE owner_id = one.id AND status <> 'gone') AS bytes
            FROM unnest(ids) AS one (id)) AS found
        WHERE users.id = found.id AND used_bytes <> found.bytes;
        COMMIT;
        last := ids[cardinality(ids)];
    END LOOP;
END $$;
