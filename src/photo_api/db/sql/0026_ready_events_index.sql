-- outside a transaction
-- What a receipt looks up of each boot that is lost, of which there may be many at once.
DROP INDEX CONCURRENTLY IF EXISTS instance_events_ready;
CREATE INDEX CONCURRENTLY instance_events_ready ON instance_events (boot_id) WHERE event = 'ready';
