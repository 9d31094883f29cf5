-- One row per boot. Times are the database's, so that instances need not agree on theirs.
CREATE TABLE instances (
    boot_id uuid PRIMARY KEY,
    instance text NOT NULL,
    node text NOT NULL,
    region text,
    version text NOT NULL,
    address text NOT NULL,
    port integer NOT NULL,
    workers integer NOT NULL,
    state text NOT NULL DEFAULT 'starting'
        CHECK (state IN ('starting', 'ready', 'draining', 'stopped', 'lost')),
    cause text,
    started_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    load jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX instances_alive ON instances (heartbeat_at)
    WHERE state IN ('starting', 'ready', 'draining');

CREATE TABLE instance_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    boot_id uuid NOT NULL,
    instance text NOT NULL,
    event text NOT NULL,
    cause text
);
CREATE INDEX instance_events_at ON instance_events (at);
