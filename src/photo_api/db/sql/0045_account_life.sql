-- outside a transaction
-- Where a session was used from last, for its owner to know it again. The release before tells neither.
ALTER TABLE refresh_families ADD COLUMN IF NOT EXISTS last_used_at timestamptz,
    ADD COLUMN IF NOT EXISTS network text, ADD COLUMN IF NOT EXISTS agent text;

-- An account that is closed lets nobody in any more, in the release before either; a job deletes it with
-- all that belongs to it, round by round.
ALTER TABLE users ADD COLUMN IF NOT EXISTS closed_at timestamptz,
    DROP CONSTRAINT IF EXISTS users_closed_check,
    ADD CONSTRAINT users_closed_check CHECK (closed_at IS NULL OR NOT is_active) NOT VALID;

-- Links that an operator hands over, each for one use. Of the token in it there is a digest alone.
CREATE TABLE IF NOT EXISTS account_links (
    token_hash bytea PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('reset', 'invitation')),
    user_id bigint REFERENCES users ON DELETE CASCADE,
    email_fold text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK ((kind = 'reset') = (user_id IS NOT NULL))
);
COMMENT ON COLUMN account_links.user_id IS 'whose password it sets anew; NULL for an invitation';
COMMENT ON COLUMN account_links.email_fold IS 'whom it invites; NULL is whoever has it';
CREATE INDEX IF NOT EXISTS account_links_user ON account_links (user_id);
CREATE INDEX IF NOT EXISTS account_links_expiry ON account_links (expires_at);
