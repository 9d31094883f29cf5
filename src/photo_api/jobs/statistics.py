"""Numbers about the whole service, counted by one instance and read by all."""

from datetime import UTC, datetime
from typing import Any

from photo_api.metrics import declared
from photo_api.metrics.counts import Gauges
from photo_api.metrics.metric import Metric
from photo_api.registry.leases import FENCE, HELD, Lease

KEPT = f"""
INSERT INTO statistics (name, value, at) SELECT name, value, now() FROM counted WHERE {HELD}
ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at
"""

COUNT = f"""
WITH {FENCE}, counted (name, value) AS (
    SELECT 'users', count(*) FROM users
    UNION ALL SELECT 'albums', count(*) FROM albums
    UNION ALL SELECT 'shares', count(*) FROM shares
        WHERE is_active AND coalesce(expires_at > now(), true)
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS photos, coalesce(sum(file_size), 0)::bigint AS bytes
        FROM photos WHERE status = 'ready'
    ) ready, LATERAL (VALUES ('photos_ready', photos), ('bytes_ready', bytes)) numbers
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
               count(*) FILTER (WHERE state = 'dead') AS dead
        FROM jobs
    ) waiting, LATERAL (VALUES ('jobs_queued', queued), ('jobs_dead', dead)) numbers
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS objects, coalesce(sum(p.file_size), 0)::bigint AS bytes
        FROM unreferenced_objects u
        LEFT JOIN photos p ON p.status = 'gone' AND p.object_key = u.object_key
        WHERE u.delete_after < now()
    ) orphans, LATERAL (VALUES ('orphan_objects', objects), ('orphan_bytes', bytes)) numbers
) {KEPT}"""
"""All rows: once a minute."""

WAITING = f"""
WITH {FENCE}, kinds (kind) AS (SELECT unnest($3::text[])), states (state) AS (
    VALUES ('starting'), ('ready'), ('draining'), ('lost')
), queues AS (
    SELECT k.kind, count(*) FILTER (WHERE j.state = 'queued') AS queued,
        count(*) FILTER (WHERE j.state = 'leased') AS leased,
        count(*) FILTER (WHERE j.state = 'dead') AS dead,
        coalesce(extract(epoch FROM now() - min(j.available_at)
            FILTER (WHERE j.state = 'queued' AND j.available_at <= now())), 0)::bigint AS age
    FROM kinds k LEFT JOIN jobs j USING (kind) GROUP BY k.kind
), counted (name, value) AS (
    SELECT numbers.* FROM queues, LATERAL (VALUES
        ('jobs:' || kind || ':queued', queued), ('jobs:' || kind || ':leased', leased),
        ('jobs:' || kind || ':dead', dead), ('oldest_job:' || kind, age)
    ) numbers
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS pending,
            coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint AS age
        FROM photos WHERE status = 'pending'
    ) uploads, LATERAL (VALUES ('pending_uploads', pending), ('oldest_upload', age)) numbers
    UNION ALL SELECT 'instances:' || s.state, count(i)
        FROM states s LEFT JOIN instances i USING (state) GROUP BY s.state
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS ended,
            coalesce(max(extract(epoch FROM s.at - d.at)), 0)::bigint AS longest
        FROM instance_events s JOIN instance_events d USING (boot_id)
        WHERE s.event = 'stopped' AND s.at > now() - interval '1 hour'
        AND d.event = 'draining' AND d.at > now() - interval '2 hours'
    ) drains, LATERAL (VALUES ('drains', ended), ('longest_drain', longest)) numbers
) {KEPT}"""
"""What is under way, of which there is less: every few seconds."""

KINDS = sorted(declared.KINDS)


async def count(db: Any, lease: Lease) -> None:
    """Count everything anew; without effect once the lease is lost."""
    await db.execute(COUNT, *lease)


async def count_waiting(db: Any, lease: Lease) -> None:
    """Count what is under way anew; without effect once the lease is lost."""
    await db.execute(WAITING, *lease, KINDS)


async def statistics(db: Any) -> dict[str, Any]:
    """Users, albums, photos_ready and the others as of `at`, by name; empty before they have been
    counted for the first time."""
    rows = await db.fetch("SELECT name, value, at FROM statistics ORDER BY name")
    numbers = {row["name"]: row["value"] for row in rows}
    return numbers | {"at": min(row["at"] for row in rows)} if rows else {}


async def fleet_gauges(db: Any) -> Gauges:
    """The same as metrics, which all instances tell alike."""
    numbers = await statistics(db)
    at = numbers.pop("at", datetime.now(UTC))
    gauges: Gauges = {}
    for name, value in numbers.items():
        first, *labels = name.split(":")
        metric = _BY_NAME.get(first)
        if metric is not None and len(labels) == len(metric.labels):
            gauges[metric.name, tuple(labels)] = value
    if gauges:
        gauges[declared.FLEET_COUNTED.name, ()] = at.timestamp()
    return gauges


_BY_NAME: dict[str, Metric] = {
    "users": declared.FLEET_USERS,
    "albums": declared.FLEET_ALBUMS,
    "shares": declared.FLEET_SHARES,
    "photos_ready": declared.FLEET_PHOTOS,
    "bytes_ready": declared.FLEET_PHOTO_BYTES,
    "orphan_objects": declared.FLEET_ORPHANS,
    "orphan_bytes": declared.FLEET_ORPHAN_BYTES,
    "jobs": declared.FLEET_JOBS,
    "oldest_job": declared.FLEET_OLDEST_JOB,
    "pending_uploads": declared.FLEET_PENDING_UPLOADS,
    "oldest_upload": declared.FLEET_OLDEST_UPLOAD,
    "instances": declared.FLEET_INSTANCES,
    "drains": declared.FLEET_DRAINS,
    "longest_drain": declared.FLEET_LONGEST_DRAIN,
}
