-- For some minutes: a proxy that got no answer repeats a DELETE under the same request id.
CREATE TABLE deletions (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('photo', 'album', 'share')),
    object_id bigint NOT NULL,
    request_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, kind, object_id, request_id)
);
CREATE INDEX deletions_at ON deletions (at);
