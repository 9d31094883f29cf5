-- Balancers that follow the registry, and whom each has taken out of its members: what a draining
-- instance waits for before it stops accepting connections.
CREATE TABLE balancers (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE balancer_removals (
    balancer_id uuid NOT NULL REFERENCES balancers ON DELETE CASCADE,
    boot_id uuid NOT NULL,
    acknowledged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (balancer_id, boot_id)
);
