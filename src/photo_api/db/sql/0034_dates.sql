-- When a photo was taken: the user's word, or else what the file tells best. One function says it, for rows
-- of this release, of the one before and of those that were there: triggers call it (0035).
ALTER TABLE photos
    ADD COLUMN file_modified_offset smallint,
    ADD COLUMN dates_passed_over text[];
COMMENT ON COLUMN photos.file_modified_offset IS
    'minutes that the clock of whoever told `file_modified_at` is ahead of UTC';
COMMENT ON COLUMN photos.dates_passed_over IS
    'who told a date that cannot be, `user` for one that was moved to what can be; NULL: not looked at yet';

-- NULL for what is no date.
CREATE FUNCTION moment_of(year int, month int, day int, hour int, minute int, second int)
RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN year BETWEEN 1 AND 9999 AND month BETWEEN 1 AND 12 AND day BETWEEN 1 AND 31
        AND hour < 24 AND minute < 60 AND second < 60
        AND day <= date_part('day', make_date(year, month, 1) + interval '1 month - 1 day')
        THEN make_timestamp(year, month, day, hour, minute, second) END
$$;

-- The date in a file's name, as phones, messengers and programs write it there: from 1800 to 2199, with a
-- time or without. NULL for none. Numbers that only hold such digits are none, nor is a name of hex digits.
CREATE FUNCTION date_in_name(name text) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest text := translate(name, E'\u00a0\u202f', '  ');
    digits text[];
    clock text[];
    hours int;
    day timestamp;
BEGIN
    IF rest ~* '^(?=.*[a-f].*\.)[0-9a-f-]{16,}\.' OR rest ~* '^(?=.*[a-f])[0-9a-f-]{16,}$' THEN
        RETURN NULL;
    END IF;
    LOOP
        digits := regexp_match(rest, '(?<![0-9])(1[89]\d\d|2[01]\d\d)([-._ ]?)(\d\d)\2(\d\d)'
            '(?![0-9](?!\d{5}(?![0-9])|\d{8}(?![0-9])))(.*)$');
        EXIT WHEN digits IS NULL;
        day := moment_of(digits[1]::int, digits[3]::int, digits[4]::int, 0, 0, 0);
        EXIT WHEN day IS NOT NULL;
        rest := 'x' || ltrim(digits[5], '0123456789');
    END LOOP;
    IF day IS NULL THEN
        RETURN NULL;
    END IF;
    clock := regexp_match(digits[5], '^\s*(?:[-_T.,]|at)?\s*(오전|오후)?\s*'
        '(?:(\d\d)(\d\d)(\d\d)(?:\d{3})?|(\d\d?)([-_.: h])(\d\d)\6(\d\d))(?![0-9])(?:\s*([ap])m)?', 'i');
    hours := coalesce(clock[2], clock[5])::int;
    IF clock[1] IS NOT NULL OR clock[9] IS NOT NULL THEN
        hours := CASE WHEN hours BETWEEN 1 AND 12
            THEN hours % 12 + CASE WHEN clock[1] = '오후' OR clock[9] IN ('p', 'P') THEN 12 ELSE 0 END
            ELSE 99 END;
    END IF;
    RETURN coalesce(moment_of(digits[1]::int, digits[3]::int, digits[4]::int, hours,
        coalesce(clock[3], clock[7])::int, coalesce(clock[4], clock[8])::int), day);
END $$;

-- What a file tells best, by its metadata (`taken_at`, and who told it), its name, the time of its last
-- change and that of the upload. Dates before 1900, and those more than two days after the upload, cannot
-- be, and of a file's last change none before 1980, when clocks that were never set begin.
CREATE FUNCTION date_of_file(taken_at text, taken_from text, name text, modified timestamptz,
    modified_offset int, uploaded timestamptz,
    OUT sort_at timestamp, OUT utc_offset int, OUT date_source text, OUT passed_over text[])
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    latest timestamp := (uploaded AT TIME ZONE 'UTC') + interval '2 days';
    parts text[] := regexp_match(taken_at, '^(\d{4})-(\d\d)-(\d\d)'
        '(?:T(\d\d):(\d\d):(\d\d)(?:Z|([+-]\d\d):(\d\d))?)?$');
BEGIN
    passed_over := '{}';
    sort_at := moment_of(parts[1]::int, parts[2]::int, parts[3]::int, coalesce(parts[4], '0')::int,
        coalesce(parts[5], '0')::int, coalesce(parts[6], '0')::int);
    date_source := lower(split_part(taken_from, ' ', 1));
    IF date_source IS NULL OR date_source NOT IN ('xmp', 'iptc', 'png') THEN
        date_source := 'exif';
    END IF;
    IF sort_at BETWEEN '1900-01-01' AND latest THEN
        IF parts[7] IS NOT NULL THEN
            utc_offset := parts[7]::int * 60 + (left(parts[7], 1) || parts[8])::int;
        ELSIF right(taken_at, 1) = 'Z' THEN
            utc_offset := 0;
        END IF;
        RETURN;
    ELSIF taken_at IS NOT NULL THEN
        passed_over := passed_over || date_source;
    END IF;
    sort_at := date_in_name(name);
    date_source := 'filename';
    IF sort_at BETWEEN '1900-01-01' AND latest THEN
        -- Pixel phones name their photos by the time in UTC.
        utc_offset := CASE WHEN name ~ '^PXL_' THEN 0 END;
        RETURN;
    ELSIF sort_at IS NOT NULL THEN
        passed_over := passed_over || date_source;
    END IF;
    utc_offset := coalesce(modified_offset, 0);
    date_source := 'file_modified_at';
    IF modified BETWEEN '1980-01-02 00:00:00+00' AND uploaded + interval '2 days' THEN
        sort_at := (modified AT TIME ZONE 'UTC') + make_interval(mins => utc_offset);
        RETURN;
    ELSIF modified IS NOT NULL THEN
        passed_over := passed_over || date_source;
    END IF;
    sort_at := uploaded AT TIME ZONE 'UTC';
    utc_offset := 0;
    date_source := 'upload';
END $$;

-- The user's word stands, within what can be; any other `date_source` is replaced by what the file tells.
-- Who waits for a change of `sort_at` compares old and new: `UPDATE OF sort_at` does not see this one.
CREATE FUNCTION date_photo() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    latest timestamp := (now() AT TIME ZONE 'UTC') + interval '2 days';
    found record;
BEGIN
    IF NEW.date_source = 'user' THEN
        NEW.dates_passed_over := CASE WHEN NEW.sort_at BETWEEN '1826-01-01' AND latest
            THEN '{}'::text[] ELSE '{user}' END;
        NEW.sort_at := least(greatest(NEW.sort_at, '1826-01-01'), latest);
    ELSE
        found := date_of_file(NEW.taken_at, NEW.exif ->> 'taken_at_source', NEW.original_filename,
            NEW.file_modified_at, NEW.file_modified_offset, NEW.created_at);
        NEW.sort_at := found.sort_at;
        NEW.utc_offset := found.utc_offset;
        NEW.date_source := found.date_source;
        NEW.dates_passed_over := found.passed_over;
    END IF;
    RETURN NEW;
END $$;

-- Photos that were there before, some at a time, so that nobody waits for long.
CREATE PROCEDURE date_photos() LANGUAGE plpgsql AS $$
DECLARE
    beyond bigint := 0;
BEGIN
    LOOP
        WITH undated AS (
            SELECT id FROM photos WHERE id > beyond AND status <> 'gone' AND dates_passed_over IS NULL
            ORDER BY id LIMIT 2000 FOR NO KEY UPDATE
        ), dated AS (
            UPDATE photos p SET date_source = p.date_source FROM undated u WHERE p.id = u.id RETURNING p.id
        )
        SELECT max(id) INTO beyond FROM dated;
        EXIT WHEN beyond IS NULL;
        COMMIT;
    END LOOP;
END $$;

-- How many photos an owner has of a month, kept as `totals` is: who changes one leaves the difference, and
-- waits for nobody. A month's row and the changes that are left add up to what there is in any snapshot.
CREATE TABLE timeline_months (
    owner_id bigint NOT NULL,
    month date NOT NULL,
    shown bigint NOT NULL,
    archived bigint NOT NULL,
    PRIMARY KEY (owner_id, month)
);
COMMENT ON TABLE timeline_months IS 'photos that are ready; SELECT count_timeline() counts them anew';
CREATE INDEX timeline_months_empty ON timeline_months (owner_id) WHERE shown = 0 AND archived = 0;
CREATE TABLE timeline_changes (
    owner_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    month date NOT NULL,
    shown bigint NOT NULL,
    archived bigint NOT NULL,
    PRIMARY KEY (owner_id, id)
);
COMMENT ON TABLE timeline_changes IS 'what is not in `timeline_months` yet; empty but for the last seconds';


CREATE FUNCTION count_month_of_photo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'ready' THEN
        INSERT INTO timeline_changes (owner_id, month, shown, archived) VALUES (OLD.owner_id,
            date_trunc('month', OLD.sort_at), OLD.archived::int - 1, -OLD.archived::int);
    END IF;
    IF NEW.status = 'ready' THEN
        INSERT INTO timeline_changes (owner_id, month, shown, archived) VALUES (NEW.owner_id,
            date_trunc('month', NEW.sort_at), 1 - NEW.archived::int, NEW.archived::int);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION count_months_without_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO timeline_changes (owner_id, month, shown, archived)
    SELECT owner_id, date_trunc('month', sort_at)::date, -count(*) FILTER (WHERE NOT archived),
        -count(*) FILTER (WHERE archived)
    FROM changed WHERE status = 'ready' GROUP BY 1, 2;
    RETURN NULL;
END $$;

-- Reads all photos in one snapshot with the changes that are left, as count_totals does.
CREATE FUNCTION count_timeline() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE timeline_months IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM timeline_months;
    INSERT INTO timeline_months (owner_id, month, shown, archived)
    SELECT owner_id, month, sum(shown), sum(archived) FROM (
        SELECT owner_id, date_trunc('month', sort_at)::date AS month,
            count(*) FILTER (WHERE NOT archived) AS shown, count(*) FILTER (WHERE archived) AS archived
        FROM photos WHERE status = 'ready' GROUP BY 1, 2
        UNION ALL SELECT owner_id, month, -shown, -archived FROM timeline_changes
    ) AS found GROUP BY owner_id, month HAVING sum(shown) <> 0 OR sum(archived) <> 0;
END $$;
