"""Numbers about the whole service, counted by one instance and read by all."""

from typing import Any

from photo_api.registry.leases import FENCE, HELD, Lease

COUNT = f"""
WITH {FENCE}, counted (name, value) AS (
    SELECT 'users', count(*) FROM users
    UNION ALL SELECT 'albums', count(*) FROM albums
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS photos, coalesce(sum(file_size), 0)::bigint AS bytes
        FROM photos WHERE status = 'ready'
    ) ready, LATERAL (VALUES ('photos_ready', photos), ('bytes_ready', bytes)) numbers
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
               count(*) FILTER (WHERE state = 'dead') AS dead
        FROM jobs
    ) waiting, LATERAL (VALUES ('jobs_queued', queued), ('jobs_dead', dead)) numbers
)
INSERT INTO statistics (name, value, at) SELECT name, value, now() FROM counted WHERE {HELD}
ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at
"""


async def count(db: Any, lease: Lease) -> None:
    """Count everything anew; without effect once the lease is lost."""
    await db.execute(COUNT, *lease)


async def statistics(db: Any) -> dict[str, Any]:
    """Users, albums, photos_ready, bytes_ready, jobs_queued, jobs_dead as of `at`; empty before
    they have been counted for the first time."""
    rows = await db.fetch("SELECT name, value, at FROM statistics ORDER BY name")
    numbers = {row["name"]: row["value"] for row in rows}
    return numbers | {"at": min(row["at"] for row in rows)} if rows else {}
