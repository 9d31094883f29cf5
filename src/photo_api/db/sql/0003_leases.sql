-- What one instance at a time does for the whole fleet. Rows stay when they are let go of, so that
-- the token never falls.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    token bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN leases.token IS 'the fencing token: it grows with every holder';

CREATE TABLE statistics (
    name text PRIMARY KEY,
    value bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
