-- Where a session was used from last, for its owner to know it again. The release before tells neither.
ALTER TABLE refresh_families ADD COLUMN last_used_at timestamptz, ADD COLUMN network text,
    ADD COLUMN agent text;

-- An account that is closed lets nobody in any more, in the release before either; a job deletes it with
-- all that belongs to it, round by round.
ALTER TABLE users ADD COLUMN closed_at timestamptz,
    ADD CONSTRAINT users_closed_check CHECK (closed_at IS NULL OR NOT is_active) NOT VALID;

-- Links that an operator hands over, each for one use. Of the token in it there is a digest alone.
CREATE TABLE account_links (
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
CREATE INDEX account_links_user ON account_links (user_id);
CREATE INDEX account_links_expiry ON account_links (expires_at);
