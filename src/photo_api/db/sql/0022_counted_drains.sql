-- Drains that have ended are counted once each, into sums that only grow. What was counted anew each
-- time gives way to them.
ALTER TABLE instance_events ADD COLUMN counted boolean NOT NULL DEFAULT false;
DELETE FROM statistics WHERE name IN ('drains', 'longest_drain');
