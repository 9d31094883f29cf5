-- By which path the fleet delivers what a CDN is to deliver; one row for each CDN, by its public address.
-- The release before knows of no CDN, and goes on as it was.
CREATE TABLE cdn_paths (
    cdn text PRIMARY KEY,
    path text NOT NULL CHECK (path IN ('cdn', 'fallback')),
    since timestamptz NOT NULL,
    in_a_row integer NOT NULL,
    stay double precision NOT NULL,
    counted_at timestamptz NOT NULL,
    results bigint NOT NULL,
    error text,
    probe_key text,
    probe_made_at timestamptz
);
COMMENT ON COLUMN cdn_paths.in_a_row IS 'results of the probe in a row that speak against the path';
COMMENT ON COLUMN cdn_paths.stay IS 'seconds for which the fleet stays on its fallback at least';
COMMENT ON COLUMN cdn_paths.results IS 'how many were counted: each counts upon the one before, or not at all';
