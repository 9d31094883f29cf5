CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    username text NOT NULL,
    password_hash text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- One family per login; a token is known by its hash alone.
CREATE TABLE refresh_families (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    family_id uuid NOT NULL REFERENCES refresh_families ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    rotated_at timestamptz,
    successor_hash bytea
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
CREATE INDEX refresh_families_user ON refresh_families (user_id);

-- `key` is a keyed hash: a copy of this table tells no e-mail and no address.
CREATE TABLE login_attempts (
    kind text NOT NULL CHECK (kind IN ('pair', 'address', 'account')),
    key bytea NOT NULL,
    window_ends timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    pending integer NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
);
CREATE INDEX login_attempts_ends ON login_attempts (window_ends);

CREATE TABLE photos (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('pending', 'ready', 'gone')),
    album_id bigint NOT NULL,
    title text,
    description text,
    original_filename text NOT NULL,
    content_type text NOT NULL,
    file_size bigint NOT NULL,
    sha256 bytea,
    staging_key text UNIQUE,
    upload_expires_at timestamptz,
    reuse_duplicates boolean NOT NULL DEFAULT false,
    object_key text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz,
    renditions text NOT NULL DEFAULT 'pending' CHECK (renditions IN ('pending', 'ready', 'failed')),
    renditions_error text,
    thumbnail_key text,
    preview_key text,
    width integer,
    height integer,
    blurhash text,
    taken_at text,
    exif jsonb,
    CHECK (status <> 'ready' OR object_key IS NOT NULL)
);
COMMENT ON COLUMN photos.album_id IS 'the album named at upload; membership itself is album_photos';
CREATE INDEX photos_newest ON photos (owner_id, id DESC) WHERE status = 'ready';
CREATE INDEX photos_by_content ON photos (owner_id, sha256) WHERE status = 'ready';
CREATE INDEX photos_pending ON photos (upload_expires_at) WHERE status = 'pending';
CREATE INDEX photos_gone ON photos (gone_at) WHERE status = 'gone';

-- Every object key is written down here before its bytes are, and leaves with the transaction that
-- makes a photo point to it; what stays behind is deleted after `delete_after`.
CREATE TABLE unreferenced_objects (
    object_key text PRIMARY KEY,
    delete_after timestamptz NOT NULL,
    in_parts boolean NOT NULL DEFAULT false,
    taken boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN unreferenced_objects.in_parts IS
    'whether unfinished multipart uploads of this key may be lying in the store';
CREATE INDEX unreferenced_objects_due ON unreferenced_objects (delete_after);

CREATE TABLE albums (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    description text,
    cover_photo_id bigint REFERENCES photos ON DELETE SET NULL,
    photo_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX albums_newest ON albums (owner_id, id DESC);
CREATE INDEX albums_cover ON albums (cover_photo_id) WHERE cover_photo_id IS NOT NULL;

CREATE TABLE album_photos (
    album_id bigint NOT NULL REFERENCES albums ON DELETE CASCADE,
    photo_id bigint NOT NULL REFERENCES photos ON DELETE CASCADE,
    position bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (album_id, photo_id)
);
CREATE UNIQUE INDEX album_photos_order ON album_photos (album_id, position) INCLUDE (photo_id);
CREATE INDEX album_photos_photo ON album_photos (photo_id);

-- Counting rows at each read would make a list of albums as slow as their photos are many.
CREATE FUNCTION count_album_photos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE albums SET photo_count = photo_count + change.n
    FROM (SELECT album_id, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END AS n
          FROM changed GROUP BY album_id ORDER BY album_id) AS change
    WHERE albums.id = change.album_id;
    RETURN NULL;
END $$;
CREATE TRIGGER album_photos_added AFTER INSERT ON album_photos
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_album_photos();
CREATE TRIGGER album_photos_removed AFTER DELETE ON album_photos
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_album_photos();

CREATE TABLE shares (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    album_id bigint NOT NULL REFERENCES albums ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    token_sealed bytea NOT NULL,
    token_kid text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    expires_at timestamptz,
    view_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX shares_album ON shares (album_id, id DESC);

CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'leased', 'dead')),
    attempt integer NOT NULL DEFAULT 0,
    handed_back integer NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now(),
    worker text,
    error text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN jobs.attempt IS 'the fencing token: it grows with every lease';
COMMENT ON COLUMN jobs.available_at IS 'queued: when it may run; leased: when the lease ends';
CREATE INDEX jobs_available ON jobs (available_at) WHERE state <> 'dead';

CREATE TABLE idempotency_keys (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea,
    owner uuid NOT NULL,
    lease_until timestamptz,
    status smallint,
    resource_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
